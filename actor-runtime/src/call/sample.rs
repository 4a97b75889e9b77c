//! A service without a macro, for the tests of what carries calls.

use std::sync::Arc;

use tokio::time::Instant;

use super::{AnyCall, CallHead, Payload, TypedCall};
use crate::{
    codec::{CodecError, Decoder, Encoder},
    service::{Access, Method, Reply, Request, Response, Service, Status},
};

/// A service with one method of each kind; its arguments and replies are a number.
pub(crate) struct Sample;

pub(crate) static SHARED: Method = Method::new("Sample", "shared", 1, Access::Shared, &[], UNIT);
pub(crate) static EXCLUSIVE: Method = Method::new("Sample", "exclusive", 2, Access::Exclusive, &[], UNIT);

pub(crate) static ONEWAY_SHARED: Method =
    Method::new("Sample", "oneway_shared", 3, Access::Shared, &[], UNIT).with_oneway();
pub(crate) static ONEWAY_EXCLUSIVE: Method =
    Method::new("Sample", "oneway_exclusive", 4, Access::Exclusive, &[], UNIT).with_oneway();

const UNIT: Reply = Reply::value("()", crate::schema::of::<()>);

/// Arguments, or a reply.
#[derive(Debug)]
pub(crate) struct Number(pub(crate) u64);

impl Service for Sample {
    const NAME: &'static str = "Sample";
    const METHODS: &'static [&'static Method] = &[&SHARED, &EXCLUSIVE, &ONEWAY_SHARED, &ONEWAY_EXCLUSIVE];
    const DOCS: &'static str = "";
    type Request = Number;
    type Response = Number;
}

impl Request for Number {
    fn method(&self) -> &'static Method {
        &SHARED
    }

    fn encode(&self, _: &mut Encoder) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(_: u32, _: impl Into<Decoder>) -> Result<Self, CodecError> {
        Ok(Self(0))
    }
}

impl Response for Number {
    fn status(&self) -> Status {
        Status::Replied
    }

    fn encode(&self, _: &mut Encoder) -> Result<(), CodecError> {
        Ok(())
    }

    fn decode(_: u32, _: Status, _: impl Into<Decoder>) -> Result<Self, CodecError> {
        Ok(Self(0))
    }
}

/// A call that is refused rather than kept waiting.
pub(crate) fn call_now(method: &'static Method, number: u64, deadline: Option<Instant>) -> Arc<dyn AnyCall> {
    let head = CallHead { deadline, now: true, ..CallHead::new(method, "sample".into()) };
    Arc::new(TypedCall::<Sample>::new(head, Payload::Value(Number(number))))
}

/// A call that nobody has made yet.
pub(crate) fn call(method: &'static Method, number: u64, deadline: Option<Instant>) -> Arc<dyn AnyCall> {
    let head = CallHead { deadline, ..CallHead::new(method, "sample".into()) };
    Arc::new(TypedCall::<Sample>::new(head, Payload::Value(Number(number))))
}
