//! Model to tokens: one module for each kind of item.
//!
//! ```text
//!   contract   trait Foo, rewritten so that its futures are Send      FooService     service   marker, methods, ids
//!   client     FooClient                                              Serve<A>       dispatch  request → turn on an actor
//!   request    FooRequest  ⇄ bytes                                    const _        checks    types, where the user wrote them
//!   response   FooResponse ⇄ bytes                                    impl Actor     implementation
//! ```
//!
//! What is generated must hold in any crate: every path is absolute, `core` and the runtime are the only crates named,
//! locals cannot meet the user's names, and no lint of the user's applies. Items that the user sees stand beside the
//! trait; their impls stand in one anonymous constant, under one `allow`. A method's `#[cfg]` is repeated on everything
//! that is there because of the method.

mod checks;
mod client;
mod contract;
mod dispatch;
mod implementation;
mod request;
mod response;
mod service;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ItemTrait;

pub(crate) use implementation::{implementation, part};

use crate::model::Service;

/// Everything that a service trait expands to.
pub(crate) fn service(item: &ItemTrait, service: &Service) -> TokenStream {
    let allow = allow();
    let contract = contract::expand(item, service);
    let items = [
        client::declaration(service),
        service::declaration(service),
        request::declaration(service),
        response::declaration(service),
    ];
    let checks = checks::expand(service);
    let impls = [
        contract::implementation(service),
        service::implementation(service),
        client::implementation(service),
        request::implementation(service),
        response::implementation(service),
        dispatch::expand(service),
    ];
    quote! {
        #contract
        #(#allow #checks)*
        #(#allow #items)*
        #allow
        const _: () = {
            #(#impls)*
        };
    }
}

/// What stands beside a refused trait: enough for an impl to be an actor, so that the refusals are the only errors.
///
/// There is no client. As long as something is refused, the compiler does not miss what a macro might have made.
pub(crate) fn placeholder(service: &Service) -> TokenStream {
    let allow = allow();
    let items =
        [service::declaration(service), request::declaration(service), response::declaration(service)];
    let impls = [
        contract::implementation(service),
        service::implementation(service),
        request::implementation(service),
        response::implementation(service),
        dispatch::expand(service),
    ];
    quote! {
        #(#allow #items)*
        #allow
        const _: () = {
            #(#impls)*
        };
    }
}

/// Generated code follows its own style, whatever lints the user's crate denies.
fn allow() -> TokenStream {
    quote! {
        #[allow(
            clippy::all, clippy::nursery, clippy::pedantic, clippy::restriction, deprecated, elided_lifetimes_in_paths,
            missing_copy_implementations, missing_debug_implementations, non_camel_case_types,
            non_snake_case, non_upper_case_globals, single_use_lifetimes, trivial_casts, unnameable_types,
            unreachable_code, unreachable_patterns, unreachable_pub, unused, unused_lifetimes, unused_qualifications,
            unused_results
        )]
    }
}

/// A local of generated code. Its hygiene keeps it apart from the user's locals, its name from the user's constants.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

#[cfg(test)]
mod tests;
