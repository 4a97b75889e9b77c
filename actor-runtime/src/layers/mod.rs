//! Layers that ship: traces, limits, and (with the feature `metrics`) metrics.
//!
//! ```text
//!   Node::builder().client_layer(…)      around the calls that a node makes
//!   Node::builder().server_layer(…)      around the calls that it answers
//!   server.registration(…).layer(…)      around those of one actor
//! ```
//!
//! [`Layer`](crate::Layer) is what they are made of, and what others are written with.

mod limit;
#[cfg(feature = "metrics")]
mod metrics;
mod outcome;
mod trace_context;
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsLayer;
pub use self::{limit::ConcurrencyLimit, trace_context::TraceContext, tracing::TraceLayer};
