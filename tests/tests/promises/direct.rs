//! The direct path moves values; builds with debug assertions show what an encoded path would do to them.

use std::panic::AssertUnwindSafe;

use actor_runtime::{FailureKind, prelude::*};
use futures::FutureExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tests::{Fixture, Path, on_each_path};

/// Is another value after each way.
#[derive(Debug)]
struct Growing(u32);

impl Serialize for Growing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Growing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(|n| Self(n.wrapping_add(1)))
    }
}

/// Panics on its way in.
#[derive(Debug)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        7_u32.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = u32::deserialize(deserializer)?;
        panic!("{n} is not allowed");
    }
}

#[actor_service]
trait Fragile {
    async fn take(&self, value: Growing) -> u32;
    async fn give(&self) -> Growing;
    async fn explode(&self, value: &Explosive) -> u32;
    async fn alive(&self) -> bool;
}

struct Vase;

#[actor_service]
impl Fragile for Vase {
    async fn take(&self, value: Growing) -> u32 {
        value.0
    }

    async fn give(&self) -> Growing {
        Growing(1)
    }

    async fn explode(&self, _: &Explosive) -> u32 {
        0
    }

    async fn alive(&self) -> bool {
        true
    }
}

/// The text of the panic of the first of some calls that panics.
async fn first_panic<O>(call: impl Fn() -> actor_runtime::Call<O>) -> Option<String> {
    for _ in 0..50 {
        if let Err(panic) = AssertUnwindSafe(call()).catch_unwind().await {
            return panic.downcast_ref::<String>().cloned();
        }
    }
    None
}

#[tokio::test]
async fn values_that_change_on_the_way_are_seen_in_debug_builds_and_the_caller_is_told() {
    let fixture = Fixture::new(Path::Direct).await;
    fixture.server.register("vase", Vase).unwrap();
    let vase = FragileClient::on(&fixture.node, &fixture.server.resolver(), "vase");
    assert!(vase.alive().await.unwrap());
    for text in [first_panic(|| vase.take(Growing(1))).await, first_panic(|| vase.give()).await] {
        if !cfg!(debug_assertions) {
            assert_eq!(text, None);
            continue;
        }
        match text {
            Some(text) => assert!(
                text.contains("a value changes when it is encoded and decoded")
                    && text.contains(r#"b"\x01" became b"\x02""#),
                "{text}"
            ),
            None => panic!("nothing was checked"),
        }
    }
    assert!(vase.alive().await.unwrap(), "the actor has nothing to do with it");
}

#[test]
fn a_deserialize_that_panics_is_malformed_input_and_hurts_nobody() {
    on_each_path(async |fixture| {
        fixture.server.register("vase", Vase).unwrap();
        let vase = FragileClient::on(&fixture.node, &fixture.server.resolver(), "vase");
        let failure = vase.explode(&Explosive).await.unwrap_err();
        assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Malformed, Delivery::NotDelivered));
        assert_eq!(failure.detail(), "the arguments: their `Deserialize` panicked: 7 is not allowed");
        assert!(vase.alive().await.unwrap());
    });
}
