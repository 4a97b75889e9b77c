//! Layers and metadata: what client layers write arrives, layers stand in their order, refuse, and may panic.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actor_runtime::{
    BoxFuture, CallOptions, Delivery, Failure, FailureKind, Interest, Layer, LayerCall, MetadataValue, Next,
    NodeBuilder, OutgoingCall, Side, Status, prelude::*,
};
use tests::{Fixture, Path};

/// Runs a test over each path, with nodes of its own.
fn with_nodes(configure: impl Fn(NodeBuilder) -> NodeBuilder, test: impl AsyncFn(&Fixture)) {
    for path in Path::ALL {
        tests::runtime(path).block_on(async {
            let fixture = Fixture::with(path, &configure).await;
            fixture.node.scope(test(&fixture)).await;
        });
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Tenant(u32);

impl MetadataValue for Tenant {
    const NAME: &'static str = "tenant";

    fn encode(&self) -> String {
        self.0.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

#[actor_service]
trait Host {
    /// Whose the call is; -1 if nobody's, -2 if that cannot be read.
    async fn tenant(&self) -> i64;
    /// The same, seen by another actor that this one calls.
    async fn tenant_there(&self, other: &str) -> i64;
}

struct Inn(FixedResolver);

#[actor_service]
impl Host for Inn {
    async fn tenant(&self) -> i64 {
        let Ok(ctx) = current_ctx() else { return -3 };
        match ctx.metadata().read::<Tenant>() {
            Ok(tenant) => tenant.map_or(-1, |tenant| tenant.0.into()),
            Err(_) => -2,
        }
    }

    async fn tenant_there(&self, other: &str) -> i64 {
        HostClient::new(&self.0, other).tenant().await.unwrap_or(-4)
    }
}

fn inn(fixture: &Fixture, name: &str) -> HostClient {
    fixture.register(name, Inn(fixture.resolver.clone()));
    HostClient::on(&fixture.node, &fixture.resolver, name)
}

#[test]
fn a_typed_entry_travels_and_is_not_inherited() {
    with_nodes(
        |builder| builder,
        async |fixture| {
            let inn = inn(fixture, "inn");
            assert_eq!(inn.tenant().await.unwrap(), -1);
            assert_eq!(inn.tenant().with(Tenant(7)).await.unwrap(), 7);
            assert_eq!(inn.tenant().metadata("tenant", "nobody").await.unwrap(), -2);
            let all = inn.with_options(CallOptions::new().with(Tenant(8)));
            assert_eq!(all.tenant().await.unwrap(), 8);
            assert_eq!(all.tenant().with(Tenant(9)).await.unwrap(), 9);
            assert_eq!(all.tenant_there("inn").await.unwrap(), -1);
        },
    );
}

/// Writes an entry into calls that have none.
struct Writes(Tenant);

impl Layer for Writes {
    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        if call.metadata().read::<Tenant>()?.is_none() {
            call.set(&self.0)?;
        }
        Ok(Interest::Pass)
    }

    fn incoming(&self, _: &LayerCall<'_>) -> Result<Interest, Failure> {
        Ok(Interest::Pass)
    }
}

#[test]
fn what_a_client_layer_writes_arrives_also_from_a_turn() {
    with_nodes(
        |builder| builder.client_layer(Writes(Tenant(3))),
        async |fixture| {
            let inn = inn(fixture, "inn");
            assert_eq!(inn.tenant().await.unwrap(), 3);
            assert_eq!(inn.tenant().with(Tenant(4)).await.unwrap(), 4, "the caller's own goes first");
            assert_eq!(inn.tenant_there("inn").await.unwrap(), 3);
            let failure = inn.tenant().metadata("tenant", "nobody").await.unwrap_err();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (FailureKind::Malformed, Delivery::NotDelivered)
            );
        },
    );
}

struct Floods;

impl Layer for Floods {
    fn outgoing(&self, call: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        for n in 0.. {
            call.insert(format!("k{n}"), "v")?;
        }
        Ok(Interest::Pass)
    }
}

#[test]
fn a_layer_that_writes_beyond_the_bounds_has_an_error_and_the_call_fails_with_it() {
    with_nodes(
        |builder| builder.client_layer(Floods),
        async |fixture| {
            let failure = inn(fixture, "inn").tenant().await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::TooLarge, Delivery::NotDelivered));
            assert!(failure.detail().contains("k32"), "{failure}");
            assert_eq!((failure.method(), failure.actor()), ("Host/tenant", "inn"));
        },
    );
}

type Lines = Arc<Mutex<Vec<String>>>;

/// Writes down what it sees, under a name.
#[derive(Clone)]
struct Notes(&'static str, Lines);

impl Notes {
    fn note(&self, what: &str) {
        self.1.lock().expect("no panic under it").push(format!("{} {what}", self.0));
    }
}

impl Layer for Notes {
    fn outgoing(&self, _: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        self.note("outgoing");
        Ok(Interest::Around)
    }

    fn incoming(&self, _: &LayerCall<'_>) -> Result<Interest, Failure> {
        self.note("incoming");
        Ok(Interest::Around)
    }

    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            self.note("begins");
            let end = next.run().await;
            match &end {
                Ok(status) => self.note(&format!("{status:?}")),
                Err(failure) => self.note(&format!("{:?}", failure.kind())),
            }
            end
        })
    }
}

#[test]
fn layers_stand_in_their_order_those_of_the_node_outside_those_of_the_actor() {
    let lines = Lines::default();
    with_nodes(
        |builder| {
            let builder =
                builder.client_layer(Notes("c1", lines.clone())).client_layer(Notes("c2", lines.clone()));
            builder.server_layer(Notes("s1", lines.clone()))
        },
        async |fixture| {
            let registration = fixture.server.registration("inn", Inn(fixture.resolver.clone()));
            let registration =
                registration.layer(Notes("a1", lines.clone())).layer(Notes("a2", lines.clone()));
            registration.register().unwrap();
            fixture.resolver.set("inn", [fixture.server.address()]);
            HostClient::on(&fixture.node, &fixture.resolver, "inn").tenant().await.unwrap();
            let expected = "c1 outgoing, c2 outgoing, c1 begins, c2 begins, \
                            s1 incoming, a1 incoming, a2 incoming, s1 begins, a1 begins, a2 begins, \
                            a2 Replied, a1 Replied, s1 Replied, c2 Replied, c1 Replied";
            assert_eq!(std::mem::take(&mut *lines.lock().unwrap()).join(", "), expected);
        },
    );
}

/// Refuses on this side.
struct Refuses(Side);

impl Refuses {
    fn look(&self, side: Side) -> Result<Interest, Failure> {
        if side == self.0 {
            return Err(Failure::new(
                FailureKind::Denied,
                Delivery::NotDelivered,
                format!("not at the {side:?}"),
            ));
        }
        Ok(Interest::Pass)
    }
}

impl Layer for Refuses {
    fn outgoing(&self, _: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        self.look(Side::Client)
    }

    fn incoming(&self, _: &LayerCall<'_>) -> Result<Interest, Failure> {
        self.look(Side::Server)
    }
}

#[test]
fn a_refused_call_is_seen_by_the_layers_outside_and_by_none_inside() {
    for side in [Side::Client, Side::Server] {
        let lines = Lines::default();
        with_nodes(
            |builder| match side {
                Side::Client => {
                    let builder =
                        builder.client_layer(Notes("out", lines.clone())).client_layer(Refuses(side));
                    builder.client_layer(Notes("in", lines.clone()))
                }
                Side::Server => {
                    let builder =
                        builder.server_layer(Notes("out", lines.clone())).server_layer(Refuses(side));
                    builder.server_layer(Notes("in", lines.clone()))
                }
            },
            async |fixture| {
                let failure = inn(fixture, "inn").tenant().await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Denied, Delivery::NotDelivered)
                );
                let lines = std::mem::take(&mut *lines.lock().unwrap());
                assert_eq!(lines[1..], ["out begins", "out Denied"]);
            },
        );
        with_nodes(
            |builder| match side {
                Side::Client => builder.client_layer(Refuses(side)),
                Side::Server => builder.server_layer(Refuses(side)),
            },
            async |fixture| {
                let failure = inn(fixture, "inn").tenant().await.unwrap_err();
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Denied, Delivery::NotDelivered)
                );
                assert_eq!(failure.detail(), format!("not at the {side:?}"));
            },
        );
    }
}

/// When a layer panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Looking,
    Before,
    /// While what is inside waits.
    During,
    After,
}

#[derive(Clone, Copy)]
struct Panics(When);

impl Panics {
    fn looked(self) -> Result<Interest, Failure> {
        assert!(self.0 != When::Looking, "stumbled");
        Ok(Interest::Around)
    }
}

impl Layer for Panics {
    fn outgoing(&self, _: &mut OutgoingCall<'_>) -> Result<Interest, Failure> {
        self.looked()
    }

    fn incoming(&self, call: &LayerCall<'_>) -> Result<Interest, Failure> {
        if call.method().name == "total" { Ok(Interest::Pass) } else { self.looked() }
    }

    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            assert!(self.0 != When::Before, "stumbled");
            let mut inside = std::pin::pin!(next.run());
            if self.0 == When::During {
                assert!(futures::poll!(&mut inside).is_ready(), "stumbled");
            }
            let _end = inside.await;
            panic!("stumbled");
        })
    }
}

#[test]
fn a_client_layer_that_panics_fails_its_call_and_nothing_else() {
    for when in [When::Looking, When::Before, When::During, When::After] {
        with_nodes(
            |builder| builder.client_layer(Notes("out", Lines::default())).client_layer(Panics(when)),
            async |fixture| {
                let probe = fixture.puppet("p");
                fixture.script.open("a");
                let failure = probe.shared("a").await.unwrap_err();
                let expected = match when {
                    When::Looking | When::Before => Delivery::NotDelivered,
                    When::During => Delivery::Unknown,
                    When::After => Delivery::Executed,
                };
                // A direct call may have ended by the time the layer looks for the first time.
                assert_eq!(failure.kind(), FailureKind::Panicked, "{when:?}: {failure}");
                assert_eq!(failure.delivery(), expected, "{when:?}: {failure}");
                assert_eq!(failure.detail(), "a client layer panicked: stumbled");
                assert_eq!((failure.method(), failure.actor()), ("Probe/shared", "p"));
            },
        );
    }
}

#[test]
fn a_server_layer_that_panics_fails_its_call_and_its_actor_goes_on() {
    for when in [When::Looking, When::Before, When::During, When::After] {
        with_nodes(
            |builder| builder,
            async |fixture| {
                let probe = fixture.configured("p", |registration| registration.layer(Panics(when)));
                if when == When::After {
                    fixture.script.open("a");
                }
                let failure = probe.shared("a").await.unwrap_err();
                let expected = match when {
                    When::Looking | When::Before => Delivery::NotDelivered,
                    When::During => Delivery::Unknown,
                    When::After => Delivery::Executed,
                };
                assert_eq!(
                    (failure.kind(), failure.delivery()),
                    (FailureKind::Panicked, expected),
                    "{when:?}"
                );
                assert_eq!(failure.detail(), "a server layer panicked: stumbled");
                assert_eq!(probe.total().await.unwrap(), 0, "the actor goes on");
            },
        );
    }
}

#[test]
fn a_server_layer_that_panics_after_an_exclusive_turn_leaves_its_actor_and_one_that_breaks_it_off_stops_it() {
    with_nodes(
        |builder| builder,
        async |fixture| {
            let after = fixture.configured("after", |registration| registration.layer(Panics(When::After)));
            let failure = after.add(2).await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Panicked, Delivery::Executed));
            assert_eq!(after.total().await.unwrap(), 2);

            let during =
                fixture.configured("during", |registration| registration.layer(Panics(When::During)));
            let failure = during.exclusive("x").await.unwrap_err();
            assert_eq!((failure.kind(), failure.delivery()), (FailureKind::Panicked, Delivery::Unknown));
            fixture.script.seen("x dropped").await;
            let failure = during.total().await.unwrap_err();
            assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::NotFound), "{failure}");
        },
    );
}

#[test]
fn layers_see_the_panic_of_a_handler_and_its_actor_stops_as_without_them() {
    let lines = Lines::default();
    with_nodes(
        |builder| builder.server_layer(Notes("s", lines.clone())),
        async |fixture| {
            let probe = fixture.puppet("p");
            let failure = probe.panic("stumbled").await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Panicked);
            assert_eq!(failure.detail(), "the handler panicked: stumbled; its actor stops");
            let seen = std::mem::take(&mut *lines.lock().unwrap());
            assert_eq!(seen, ["s incoming", "s begins", "s Panicked"]);
            let failure = probe.total().await.unwrap_err();
            assert!(matches!(failure.kind(), FailureKind::Stopped | FailureKind::NotFound), "{failure}");
        },
    );
}

/// Never goes on, or never ends.
struct Holds {
    back: bool,
}

impl Layer for Holds {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            if !self.back {
                let _end = next.run().await;
            }
            std::future::pending().await
        })
    }
}

#[test]
fn a_client_layer_that_never_ends_has_the_time_of_its_call() {
    for (back, delivery) in [(true, Delivery::NotDelivered), (false, Delivery::Executed)] {
        with_nodes(
            |builder| builder.client_layer(Holds { back }),
            async |fixture| {
                let probe = fixture.puppet("p");
                let failure = probe.total().timeout(Duration::from_secs(2)).await.unwrap_err();
                let found = (failure.kind(), failure.delivery());
                assert_eq!(found, (FailureKind::DeadlineExceeded, delivery), "{failure}");
            },
        );
    }
}

/// Gives up waiting for the call, and then does something else that never ends.
struct Lingers;

impl Layer for Lingers {
    fn call<'a>(&'a self, _: LayerCall<'a>, next: Next<'a>) -> BoxFuture<'a, Result<Status, Failure>> {
        Box::pin(async move {
            {
                let mut inside = std::pin::pin!(next.run());
                assert!(futures::poll!(&mut inside).is_pending());
            }
            std::future::pending().await
        })
    }
}

#[test]
fn a_client_layer_that_breaks_the_call_off_and_lingers_has_the_time_of_its_call() {
    with_nodes(
        |builder| builder.client_layer(Lingers),
        async |fixture| {
            let probe = fixture.puppet("p");
            let failure = probe.exclusive("held").timeout(Duration::from_secs(2)).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::DeadlineExceeded, "{failure}");
        },
    );
}
