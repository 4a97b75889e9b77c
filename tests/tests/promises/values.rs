//! Requests and replies as values: their bytes are the postcard encoding of the tuple of arguments, however those are
//! passed, and come back as what they were.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use actor_runtime::{
    actor_service,
    codec::{CodecError, Encoder},
    message,
    service::{Request, Response, Service, Status},
};
use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// An alias, which the macro cannot see through.
type Blob = Bytes;
type Octets = Vec<u8>;

#[message]
#[derive(Clone, Debug, PartialEq)]
struct Point {
    x: f64,
    label: Option<String>,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
enum Trouble {
    Small,
    Large { by: u32 },
}

#[actor_service]
trait Everything {
    async fn owned(&self, flag: bool, n: i64, text: String, points: Vec<Point>, at: Option<(u8, char)>);
    async fn borrowed(
        &mut self,
        text: &str,
        points: &[Point],
        point: &Point,
        words: &BTreeMap<u8, String>,
        n: &u64,
    );
    async fn bytes(&self, vec: Vec<u8>, slice: &[u8], shared: Bytes, blob: Blob, octets: &Octets) -> Vec<u8>;
    async fn none(&mut self) -> Bytes;
    async fn map(
        &self,
        map: BTreeMap<String, [u16; 2]>,
        wait: Duration,
        cow: Cow<'static, str>,
    ) -> Cow<'static, str>;
    async fn fails(&self, unit: ()) -> Result<Octets, Trouble>;
    async fn fails_plainly(&self) -> Result<(), String>;
}

const LIMIT: usize = 1 << 20;

/// An id that the service does not have.
const STRANGE: u32 = 3;

fn bytes(write: impl FnOnce(&mut Encoder) -> Result<(), CodecError>) -> Bytes {
    let mut encoder = Encoder::new(BytesMut::new(), LIMIT);
    write(&mut encoder).expect("it can be encoded");
    encoder.into_inner().freeze()
}

/// The request there and back, having compared its bytes with those of the tuple.
#[track_caller]
fn sent(request: EverythingRequest, tuple: impl Serialize) -> EverythingRequest {
    let method = request.method();
    let body = bytes(|out| request.encode(out));
    assert_eq!(body, postcard::to_stdvec(&tuple).expect("it can be encoded"), "{method}");

    let mut longer = BytesMut::from(&body[..]);
    longer.extend_from_slice(&[0]);
    let left_over = EverythingRequest::decode(method.id, longer.freeze()).err();
    assert_eq!(left_over, Some(CodecError::Trailing { bytes: 1 }), "{method}");
    for end in 0..body.len() {
        assert!(EverythingRequest::decode(method.id, body.slice(..end)).is_err(), "{method} cut at {end}");
    }
    let unknown = EverythingRequest::decode(STRANGE, body.clone()).err();
    assert_eq!(unknown, Some(CodecError::UnknownMethod { id: STRANGE }));
    EverythingRequest::decode(method.id, body).expect("it was encoded")
}

fn points() -> Vec<Point> {
    vec![Point { x: 0.5, label: None }, Point { x: -1.0, label: Some("b".to_owned()) }]
}

#[test]
fn owned_arguments() {
    let at = Some((7, 'é'));
    let request = EverythingRequest::Owned { flag: true, n: -3, text: "t".to_owned(), points: points(), at };
    let EverythingRequest::Owned { flag, n, text, points, at } =
        sent(request, (true, -3_i64, "t", points(), at))
    else {
        panic!("another method")
    };
    assert_eq!((flag, n, &*text, points, at), (true, -3, "t", self::points(), Some((7, 'é'))));
}

#[test]
fn borrowed_arguments_are_owned_where_they_arrive() {
    let [point, _] = &points()[..] else { panic!("two points") };
    let words = BTreeMap::from([(1, "a".to_owned()), (2, String::new())]);
    let request = EverythingRequest::Borrowed {
        text: "é".to_owned(),
        points: points(),
        point: point.clone(),
        words: words.clone(),
        n: u64::MAX,
    };
    let tuple = ("é", &points()[..], point, &words, &u64::MAX);
    let EverythingRequest::Borrowed { text, points, point: decoded, words: lines, n } = sent(request, tuple)
    else {
        panic!("another method")
    };
    assert_eq!((&*text, points, &decoded, lines, n), ("é", self::points(), point, words, u64::MAX));
}

#[test]
fn byte_strings_are_vectors_of_bytes_whatever_their_type() {
    for length in [0, 1, 127, 128, 20_000] {
        let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let shared = Bytes::from(data.clone());
        let request = EverythingRequest::Bytes {
            vec: data.clone(),
            slice: data.clone(),
            shared: shared.clone(),
            blob: shared.clone(),
            octets: data.clone(),
        };
        let body = bytes(|out| request.encode(out));
        assert_eq!(body, postcard::to_stdvec(&(&data, &data[..], &data, &shared, &data)).unwrap());
        let decoded = EverythingRequest::decode(request.method().id, body).unwrap();
        let EverythingRequest::Bytes { vec, slice, shared, blob, octets } = decoded else {
            panic!("another method")
        };
        assert!([&vec[..], &slice, &shared, &blob, &octets].iter().all(|bytes| *bytes == data));
    }
}

#[test]
fn no_arguments_are_no_bytes() {
    let EverythingRequest::None {} = sent(EverythingRequest::None {}, ()) else { panic!("another method") };
    let EverythingRequest::Fails { unit: () } = sent(EverythingRequest::Fails { unit: () }, ((),)) else {
        panic!("another method")
    };
}

#[test]
fn maps_durations_and_what_may_be_static() {
    let map = BTreeMap::from([("a".to_owned(), [1, 2]), ("b".to_owned(), [300, 4])]);
    let wait = Duration::from_millis(1_500);
    let request = EverythingRequest::Map { map: map.clone(), wait, cow: Cow::Borrowed("c") };
    let EverythingRequest::Map { map: decoded, wait: waited, cow } = sent(request, (&map, wait, "c")) else {
        panic!("another method")
    };
    assert_eq!((decoded, waited, &*cow), (map, wait, "c"));
}

/// The reply there and back, having compared its status and bytes.
#[track_caller]
fn answered(
    method: &str,
    response: EverythingResponse,
    status: Status,
    value: impl Serialize,
) -> EverythingResponse {
    let method = EverythingService::METHODS.iter().find(|known| known.name == method).expect("a method");
    assert_eq!(response.status(), status, "{method}");
    let body = bytes(|out| response.encode(out));
    assert_eq!(body, postcard::to_stdvec(&value).expect("it can be encoded"), "{method}");
    let unknown = EverythingResponse::decode(STRANGE, status, body.clone()).err();
    assert_eq!(unknown, Some(CodecError::UnknownMethod { id: STRANGE }));
    EverythingResponse::decode(method.id, status, body).expect("it was encoded")
}

#[test]
fn replies_are_their_values() {
    let data = vec![1, 2, 3];
    let reply = answered("bytes", EverythingResponse::Bytes(data.clone()), Status::Replied, &data);
    assert!(matches!(reply, EverythingResponse::Bytes(bytes) if bytes == data));
    let shared = Bytes::from(data.clone());
    let reply = answered("none", EverythingResponse::None(shared.clone()), Status::Replied, &data);
    assert!(matches!(reply, EverythingResponse::None(bytes) if bytes == shared));
    let reply = answered("owned", EverythingResponse::Owned(()), Status::Replied, ());
    assert!(matches!(reply, EverythingResponse::Owned(())));
    let reply = answered("map", EverythingResponse::Map(Cow::Borrowed("c")), Status::Replied, "c");
    assert!(matches!(reply, EverythingResponse::Map(cow) if cow == "c"));
}

#[test]
fn results_travel_without_what_the_status_says() {
    let data = vec![9; 300];
    let reply = answered("fails", EverythingResponse::Fails(Ok(data.clone())), Status::Replied, &data);
    assert!(matches!(reply, EverythingResponse::Fails(Ok(bytes)) if bytes == data));
    for trouble in [Trouble::Small, Trouble::Large { by: 500 }] {
        let response = EverythingResponse::Fails(Err(trouble.clone()));
        let reply = answered("fails", response, Status::ApplicationError, &trouble);
        assert!(matches!(reply, EverythingResponse::Fails(Err(error)) if error == trouble));
    }
    let response = EverythingResponse::FailsPlainly(Err("no".to_owned()));
    let reply = answered("fails_plainly", response, Status::ApplicationError, "no");
    assert!(matches!(reply, EverythingResponse::FailsPlainly(Err(error)) if error == "no"));
}

#[test]
fn an_error_of_a_method_that_has_none_is_told_from_an_unknown_method() {
    let id = EverythingService::METHODS[0].id;
    let error = EverythingResponse::decode(id, Status::ApplicationError, Bytes::new()).err();
    assert_eq!(error, Some(CodecError::UnexpectedError { id }));
}
