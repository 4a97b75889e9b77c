//! A call on its way into a handler and out of it, with its types found again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::{
    AnyCall, Delivery, Failure, FailureKind, WireReply,
    typed::{Outcome, Payload, TypedCall},
};
use crate::{
    codec::{self, Decoder, Encoder},
    panics::text_of,
    service::{Request, Response, Service, Status},
};

/// Claims a call for running and gives its arguments. `None` if it is over.
pub(crate) fn take_request<S: Service>(call: &dyn AnyCall) -> Option<Result<S::Request, Failure>> {
    let encoded = match call.as_any().downcast_ref::<TypedCall<S>>() {
        Some(typed) => match typed.claim()? {
            Payload::Value(request) => return Some(Ok(request)),
            Payload::Encoded(bytes) => Ok(bytes.into()),
            Payload::Streaming(streaming) => Ok((*streaming).into()),
        },
        None => call.claim_encoded()?,
    };
    let request = encoded.map(|decoder: Decoder| {
        // The actor's state has nothing to do with a `Deserialize` that panics, and bytes may come from anywhere.
        catch_unwind(AssertUnwindSafe(|| S::Request::decode(call.head().method.id, decoder)))
    });
    Some(match request {
        Ok(Ok(Ok(request))) => Ok(request),
        Ok(Ok(Err(error))) | Err(error) => {
            Err(Failure::of_codec(&error, Delivery::NotDelivered, "the arguments"))
        }
        Ok(Err(panic)) => {
            let detail = format!("the arguments: their `Deserialize` panicked: {}", text_of(&*panic));
            Err(Failure::new(FailureKind::Malformed, Delivery::NotDelivered, detail))
        }
    })
}

/// Stores the response of a call; ends the call with it too, unless a layer has to see the end first.
///
/// The status tells the layers how the call ended.
pub(crate) fn accept_response<S: Service>(
    call: &dyn AnyCall,
    mut response: S::Response,
    limit: usize,
    publish: bool,
) -> Result<Status, Failure> {
    let status = response.status();
    let in_place = call.is_encoded_in_place();
    if let Some(stream) = response.stream().filter(|_| in_place) {
        stream.encode_in_place();
    }
    if let Some(typed) = call.as_any().downcast_ref::<TypedCall<S>>() {
        if let Some(stream) = response.stream() {
            stream.start();
        } else if in_place {
            let body = encode(&response, limit)?;
            typed.accept(Outcome::Wire(WireReply::Ended(status, body)), publish);
            return Ok(status);
        }
        typed.accept(Outcome::Value(response), publish);
        return Ok(status);
    }
    if let Some(stream) = response.stream() {
        call.accept_stream(stream.take(), publish);
        return Ok(status);
    }
    call.accept_encoded(status, encode(&response, limit)?, publish);
    Ok(status)
}

fn encode(response: &impl Response, limit: usize) -> Result<Bytes, Failure> {
    let mut encoder = Encoder::new(codec::buffer(), limit);
    let encoded = response.encode(&mut encoder);
    encoded.map_err(|error| Failure::of_codec(&error, Delivery::Executed, "the reply"))?;
    Ok(encoder.into_inner().freeze())
}
