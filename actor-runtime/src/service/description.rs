//! Services as data: what `list methods` and the handshake tell.

use super::{Access, Method, MethodTimeout, Service};
use crate::schema::{Schema, method_fingerprint};

/// A service as data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceDescription {
    /// The service's name.
    pub name: &'static str,
    /// The trait's documentation.
    pub docs: &'static str,
    /// The methods in the order of the trait.
    pub methods: Vec<MethodDescription>,
}

/// A method as data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MethodDescription {
    /// The method's name.
    pub name: &'static str,
    /// What names it on the wire.
    pub id: u32,
    /// The signature as written.
    pub signature: &'static str,
    /// The documentation comment.
    pub docs: &'static str,
    /// Whether calls may overlap.
    pub access: Access,
    /// Whether it is marked `#[deprecated]`.
    pub deprecated: bool,
    /// The deadline of calls that say nothing of their own.
    pub timeout: MethodTimeout,
    /// The arguments in order.
    pub arguments: Vec<ArgumentDescription>,
    /// The reply's type as written.
    pub reply_type: &'static str,
    /// What the reply looks like on the wire, or the `Ok` of a `Result`.
    pub reply: Schema,
    /// What the `Err` of a `Result` looks like.
    pub error: Option<Schema>,
    /// A hash of all schemas: two sides with the same one understand each other.
    pub fingerprint: u64,
}

/// An argument as data.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ArgumentDescription {
    /// Its name.
    pub name: &'static str,
    /// Its type as written.
    pub ty: &'static str,
    /// What it looks like on the wire.
    pub schema: Schema,
}

impl ServiceDescription {
    pub(super) fn of<S: Service + ?Sized>() -> Self {
        Self::new(S::NAME, S::DOCS, S::METHODS)
    }

    pub(super) fn new(name: &'static str, docs: &'static str, methods: &[&'static Method]) -> Self {
        Self { name, docs, methods: methods.iter().map(|method| MethodDescription::of(method)).collect() }
    }
}

impl MethodDescription {
    pub(super) fn of(method: &Method) -> Self {
        let arguments: Vec<ArgumentDescription> = method
            .arguments
            .iter()
            .map(|argument| ArgumentDescription {
                name: argument.name,
                ty: argument.ty,
                schema: (argument.schema)(),
            })
            .collect();
        let reply = (method.reply.schema)();
        let error = method.reply.error.map(|schema| schema());
        let parts: Vec<(&str, Schema)> =
            arguments.iter().map(|argument| (argument.name, argument.schema.clone())).collect();
        Self {
            name: method.name,
            id: method.id,
            signature: method.signature,
            docs: method.docs,
            access: method.access,
            deprecated: method.deprecated,
            timeout: method.timeout,
            fingerprint: method_fingerprint(&parts, &reply, error.as_ref()),
            arguments,
            reply_type: method.reply.ty,
            reply,
            error,
        }
    }

    /// Whether every part of the method's arguments and reply is known, so that a difference between two sides shows.
    pub fn is_checked(&self) -> bool {
        let arguments = self.arguments.iter().map(|argument| &argument.schema);
        arguments.chain([&self.reply]).chain(&self.error).all(Schema::is_checked)
    }
}
