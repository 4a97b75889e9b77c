//! What is said to etcd's gateway, and what it says: the fields that we use. 64-bit numbers are texts, bytes are base64, and
//! what is zero or empty is left out.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes, which travel as base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                STANDARD.decode(text).map(Base64).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A 64-bit number, which travels as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Int(pub(super) i64);

impl Int {
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 64-bit number, or one as a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int, E> {
                text.parse().map(Int).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Int, E> {
                Ok(Int(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Int, E> {
                i64::try_from(number).map(Int).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct RangeRequest {
    pub(super) key: Base64,
    pub(super) range_end: Base64,
    pub(super) limit: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    pub(super) revision: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    pub(super) min_mod_revision: Int,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) keys_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) count_only: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct RangeResponse {
    pub(super) header: Header,
    #[serde(default)]
    pub(super) kvs: Vec<KeyValue>,
    #[serde(default)]
    pub(super) more: bool,
    #[serde(default)]
    pub(super) count: Int,
}

#[derive(Debug, Deserialize)]
pub(super) struct Header {
    #[serde(default)]
    pub(super) revision: Int,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Base64,
    pub(super) value: Base64,
    pub(super) mod_revision: Int,
}

#[derive(Debug, Serialize)]
pub(super) struct WatchRequest {
    pub(super) create_request: WatchCreateRequest,
}

#[derive(Debug, Serialize)]
pub(super) struct WatchCreateRequest {
    pub(super) key: Base64,
    pub(super) range_end: Base64,
    pub(super) start_revision: Int,
    pub(super) progress_notify: bool,
    pub(super) fragment: bool,
}

/// One object of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Streamed<T> {
    pub(super) result: Option<T>,
    pub(super) error: Option<StreamError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamError {
    #[serde(rename = "grpc_code", alias = "code")]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchResponse {
    pub(super) created: bool,
    pub(super) canceled: bool,
    pub(super) compact_revision: Int,
    pub(super) cancel_reason: String,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default, rename = "type")]
    pub(super) kind: EventKind,
    pub(super) kv: KeyValue,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum EventKind {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

/// What etcd says when it refuses.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Refusal {
    Of {
        code: i64,
        #[serde(default)]
        message: String,
    },
    /// Where a stream was to begin.
    Streamed { error: StreamError },
}

#[derive(Debug, Serialize)]
pub(super) struct AuthenticateRequest<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Debug, Deserialize)]
pub(super) struct AuthenticateResponse {
    pub(super) token: String,
}

#[derive(Debug, Serialize)]
pub(super) struct LeaseGrantRequest {
    #[serde(rename = "TTL")]
    pub(super) ttl: Int,
}

/// A lease by its number.
#[derive(Debug, Default, Serialize)]
pub(super) struct LeaseRequest {
    #[serde(rename = "ID")]
    pub(super) id: Int,
    /// Whether its keys are asked for.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) keys: bool,
}

/// What is left of a lease, in seconds: nothing if there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LeaseResponse {
    #[serde(rename = "ID")]
    pub(super) id: Int,
    #[serde(rename = "TTL")]
    pub(super) ttl: Int,
    pub(super) keys: Vec<Base64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Done {}

#[derive(Debug, Default, Serialize)]
pub(super) struct TxnRequest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) compare: Vec<Compare>,
    pub(super) success: Vec<Operation>,
}

#[derive(Debug, Serialize)]
pub(super) struct Compare {
    pub(super) key: Base64,
    pub(super) target: &'static str,
    pub(super) result: &'static str,
    pub(super) lease: Int,
}

#[derive(Debug, Serialize)]
pub(super) enum Operation {
    #[serde(rename = "request_put")]
    Put { key: Base64, value: Base64, lease: Int },
    #[serde(rename = "request_delete_range")]
    Delete { key: Base64 },
    #[serde(rename = "request_txn")]
    Txn(TxnRequest),
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_etcd_is_read() {
        let text = r#"{"result":{"header":{"revision":"2"},"events":[{"kv":{"key":"L2E=","mod_revision":"2","value":"aGVsbG8="}},
            {"type":"DELETE","kv":{"key":"L2E=","mod_revision":3}}]}}"#;
        let streamed: Streamed<WatchResponse> = serde_json::from_str(text).unwrap();
        let told = streamed.result.unwrap();
        assert_eq!(told.events[0].kind, EventKind::Put);
        assert_eq!(told.events[0].kv.value.0, b"hello");
        assert_eq!(told.events[1].kind, EventKind::Delete);
        assert_eq!(told.events[1].kv.mod_revision, Int(3));
        assert!(!told.canceled);
    }

    #[test]
    fn a_refusal_is_read_with_its_code() {
        let plain = r#"{"error":"no","message":"no","code":5}"#;
        assert!(matches!(serde_json::from_str(plain), Ok(Refusal::Of { code: 5, .. })));
        let streamed = r#"{"error":{"grpc_code":14,"http_code":503,"message":"no leader"}}"#;
        let read = serde_json::from_str(streamed).unwrap();
        let Refusal::Streamed { error: StreamError { code, message } } = read else { panic!("{read:?}") };
        assert_eq!((code, &*message), (14, "no leader"));
        assert!(serde_json::from_str::<Refusal>("{}").is_err());
    }

    #[test]
    fn numbers_and_bytes_that_are_none_are_errors() {
        for bad in [r#""x""#, "1.5", r#""99999999999999999999""#, "18446744073709551615", "null", "[]"] {
            assert!(serde_json::from_str::<Int>(bad).is_err(), "{bad}");
        }
        for bad in [r#""?""#, "1", r#""aGVsbG8""#] {
            assert!(serde_json::from_str::<Base64>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_leaves_out_what_is_not_asked() {
        let asks = RangeRequest { key: Base64(b"/a".to_vec()), limit: Int(5), ..RangeRequest::default() };
        let text = serde_json::to_string(&asks).unwrap();
        assert_eq!(text, r#"{"key":"L2E=","range_end":"","limit":"5"}"#);
    }
}
