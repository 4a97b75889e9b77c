//! What the macro generates and the runtime drives: services, their methods, and the way to an actor that serves them.
//!
//! ```text
//!   trait Foo ──macro──► FooService: Service          names, ids, schemas (Method), one per method
//!                        FooRequest: Request          the call as a value   ⇄ bytes
//!                        FooResponse: Response        the reply as a value  ⇄ bytes
//!                        FooService: Serve<A: Foo>    a request becomes a turn on an actor
//!   impl Actor for A { type Services = (FooService, BarService) }
//! ```
//!
//! Users meet [`Service::NAME`], [`Service::METHODS`] and [`ServiceDescription`]; the rest is written by the macro.

mod access;
mod description;
pub(crate) mod fingerprints;
mod method;
mod plain;
mod services;
mod tables;

use std::future::Future;

pub use access::SharedRef;
pub use description::{ArgumentDescription, MethodDescription, ServiceDescription};
pub use method::{Access, Argument, Method, MethodTimeout, Reply, method_id, unique_ids};
pub(crate) use method::{FNV_OFFSET, IDENTIFY, fnv1a};
#[doc(hidden)]
pub use plain::{NotResult, PlainReply};
pub use services::{Services, Turn, TurnEnd, check_part};
pub(crate) use tables::{MethodTable, MethodTables};

use crate::{
    codec::{CodecError, Decoder, Encoder},
    stream::AnyStreaming,
};

/// A service: what `#[actor_service]` on a trait `Foo` calls `FooService`.
pub trait Service: Send + Sync + 'static {
    /// The trait's name, or what `#[actor_service(name = "…")]` says.
    const NAME: &'static str;

    /// The methods in the order of the trait.
    const METHODS: &'static [&'static Method];

    /// The trait's documentation.
    const DOCS: &'static str;

    /// The calls of this service as values.
    type Request: Request;

    /// The replies of this service as values.
    type Response: Response;

    /// Everything known about the service, schemas and fingerprints included, as data.
    ///
    /// Learning the schemas costs some microseconds a type; the result is worth keeping.
    fn description() -> ServiceDescription {
        ServiceDescription::of::<Self>()
    }
}

/// Ties a trait to its service: implemented for `dyn Foo`, so that the service can be named where only the trait is.
#[diagnostic::on_unimplemented(
    message = "the trait of this impl is not a service",
    label = "not a service",
    note = "write `#[actor_service]` above the trait, or remove it from the impl"
)]
pub trait Contract {
    /// `FooService`.
    type Service: Service;
}

/// A call as a value: what the macro calls `FooRequest`.
pub trait Request: Send + Sized + 'static {
    /// The method that is called.
    fn method(&self) -> &'static Method;

    /// Writes the arguments one after the other.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] and [`CodecError::Encode`].
    fn encode(&self, out: &mut Encoder) -> Result<(), CodecError>;

    /// Reads the arguments of the method `id`.
    ///
    /// # Errors
    /// [`CodecError::UnknownMethod`], [`CodecError::Decode`] and [`CodecError::Trailing`].
    fn decode(id: u32, body: impl Into<Decoder>) -> Result<Self, CodecError>;
}

/// A reply as a value: what the macro calls `FooResponse`.
pub trait Response: Send + Sized + 'static {
    /// Whether this is the `Err` of a method that returns a `Result`.
    fn status(&self) -> Status;

    /// Writes the reply, or the error without the `Err` around it.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] and [`CodecError::Encode`].
    fn encode(&self, out: &mut Encoder) -> Result<(), CodecError>;

    /// Reads the reply of the method `id`.
    ///
    /// # Errors
    /// [`CodecError::UnknownMethod`], [`CodecError::UnexpectedError`], [`CodecError::Decode`] and [`CodecError::Trailing`].
    fn decode(id: u32, status: Status, body: impl Into<Decoder>) -> Result<Self, CodecError>;

    /// The stream that is this reply, if it is one.
    #[doc(hidden)]
    fn stream(&mut self) -> Option<&mut dyn AnyStreaming> {
        None
    }
}

/// How a call that ran to its end did end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With a reply.
    Replied,
    /// With the method's own error.
    ApplicationError,
}

/// Turns a request into a turn on an actor of type `A`. Implemented by the macro for every `A` that implements the trait.
///
/// Both functions give `None` for a method that answers later, and for one of the other kind, which the runtime reports as
/// a defect of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a service that `{A}` serves",
    label = "not a service",
    note = "name what `#[actor_service]` on a trait `Foo` calls `FooService`"
)]
pub trait Serve<A>: Service {
    /// Runs a `&self` method.
    fn shared<'a>(
        actor: SharedRef<'a, A>,
        request: Self::Request,
    ) -> impl Future<Output = Option<Self::Response>> + Send + 'a
    where
        A: 'a;

    /// Runs a `&mut self` method.
    fn exclusive<'a>(
        actor: &'a mut A,
        request: Self::Request,
    ) -> impl Future<Output = Option<Self::Response>> + Send + 'a
    where
        A: 'a;
}
