//! What a library of a user may do: pass the runtime on in macros of its own, and deny what there is to deny.
#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, unnameable_types)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery, clippy::missing_docs_in_private_items)]
#![deny(
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    unused_results,
    unused_qualifications,
    non_ascii_idents
)]

mod strict;

pub use renamed as runtime;
pub use strict::{Account, Ledger, LedgerClient, LedgerRequest, LedgerResponse, LedgerService, Refusal};

/// Declares a service whose trait comes from a macro of another crate, and an actor of it.
#[macro_export]
macro_rules! counter {
    ($vis:vis trait $name:ident for $actor:ident: $ty:ty, $method:ident) => {
        #[$crate::runtime::actor_service(crate = $crate::runtime)]
        $vis trait $name {
            /// Adds to what was added before.
            async fn $method(&mut self, by: $ty, times: &[$ty]) -> $ty;
            /// Named by the macro.
            async fn total(&self) -> $ty;
        }

        #[$crate::runtime::message(crate = $crate::runtime)]
        #[derive(Default)]
        struct $actor($ty);

        #[$crate::runtime::actor_service(crate = $crate::runtime)]
        impl $name for $actor {
            async fn $method(&mut self, by: $ty, times: &[$ty]) -> $ty {
                for time in times {
                    self.0 += by * time;
                }
                self.0
            }

            async fn total(&self) -> $ty {
                self.0
            }
        }
    };
}
