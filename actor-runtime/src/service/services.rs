use std::{future::Future, sync::Arc};

use super::{
    Method, Serve, Service, SharedRef, Status,
    method::{shares_id, unique_ids},
};

use crate::{
    Actor,
    call::{AnyCall, Delivery, Failure, FailureKind, accept_response, take_request},
};

/// How a turn ended: `None` if the call was over before it began.
pub type TurnEnd = Option<Result<Status, Failure>>;

/// The services of one actor type: a tuple such as `(FooService, BarService)`, of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of services",
    label = "not a tuple of services",
    note = "write `type Services = (FooService,);`, with the comma, or `(FooService, BarService)`, of up to eight"
)]
pub trait Services<A>: Send + Sync + 'static {
    /// Fails the build if two methods share an id.
    const CHECKED: ();

    /// Their names.
    const NAMES: &'static [&'static str];

    /// The documentation of their traits.
    const DOCS: &'static [&'static str];

    /// Their methods, service by service.
    const METHODS: &'static [&'static [&'static Method]];

    /// Runs a `&self` method.
    #[doc(hidden)]
    fn shared<'a>(actor: SharedRef<'a, A>, turn: &'a Turn) -> impl Future<Output = TurnEnd> + Send + 'a
    where
        A: 'a;

    /// Runs a `&mut self` method.
    #[doc(hidden)]
    fn exclusive<'a>(actor: &'a mut A, turn: &'a Turn) -> impl Future<Output = TurnEnd> + Send + 'a
    where
        A: 'a;
}

const COLLISION: &str = "two methods of this actor's services have the same id on the wire: give one of the services another name \
                         with #[actor_service(name = \"…\")], or one of the methods another id with #[id = n]";

/// Fails the build if a service that `A` lists before this one has an id of its `methods`.
#[doc(hidden)]
#[track_caller]
pub const fn check_part<A: Actor>(methods: &[&Method]) {
    let (services, mut i) = (A::Services::METHODS, 0);
    while i < services.len() && !is_same(services[i], methods) {
        assert!(!shares_id(methods, services[i]), "{}", COLLISION);
        i += 1;
    }
}

/// Whether these are the methods of one service.
const fn is_same(a: &[&Method], b: &[&Method]) -> bool {
    match (a, b) {
        ([a, ..], [b, ..]) => is_equal(a.service.as_bytes(), b.service.as_bytes()),
        (a, b) => a.len() == b.len(),
    }
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([a, left @ ..], [b, right @ ..]) => *a == *b && is_equal(left, right),
        (a, b) => a.len() == b.len(),
    }
}

/// A call on its way into a handler.
pub struct Turn {
    pub(crate) call: Arc<dyn AnyCall>,
    /// The largest reply in bytes.
    pub(crate) limit: usize,
    /// Whether the reply goes to the caller at once, or to a layer first.
    pub(crate) publish: bool,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("call", &self.call.head()).finish_non_exhaustive()
    }
}

impl Turn {
    fn request<S: Service>(&self) -> Option<Result<S::Request, Failure>> {
        take_request::<S>(&*self.call)
    }

    fn end<S: Service>(&self, response: Option<S::Response>) -> Result<Status, Failure> {
        match response {
            Some(response) => accept_response::<S>(&*self.call, response, self.limit, self.publish),
            // Its `ReplyTo` has the rest to say.
            None if self.call.head().method.later => Ok(Status::Replied),
            None => Err(Failure::new(
                FailureKind::Internal,
                Delivery::NotDelivered,
                "the method was dispatched with the wrong access; please report this",
            )),
        }
    }

    fn unserved(&self) -> Failure {
        Failure::new(
            FailureKind::Unimplemented,
            Delivery::NotDelivered,
            "the actor does not serve this service",
        )
    }
}

// Written with `async move`, not as `async fn`, which stores its arguments twice: an actor at rest has a place for a turn.
macro_rules! services {
    ($($service:ident)+) => {
        impl<A: Send + 'static, $($service: Serve<A>),+> Services<A> for ($($service,)+) {
            const CHECKED: () = assert!(unique_ids(&[$($service::METHODS),+]), "{}", COLLISION);
            const NAMES: &'static [&'static str] = &[$($service::NAME),+];
            const DOCS: &'static [&'static str] = &[$($service::DOCS),+];
            const METHODS: &'static [&'static [&'static Method]] = &[$($service::METHODS),+];

            fn shared<'a>(actor: SharedRef<'a, A>, turn: &'a Turn) -> impl Future<Output = TurnEnd> + Send + 'a
            where
                A: 'a,
            {
                async move {
                    $(if turn.call.head().method.service == $service::NAME {
                        let request = match turn.request::<$service>()? {
                            Ok(request) => request,
                            Err(failure) => return Some(Err(failure)),
                        };
                        let response = $service::shared(actor, request).await;
                        return Some(turn.end::<$service>(response));
                    })+
                    Some(Err(turn.unserved()))
                }
            }

            fn exclusive<'a>(actor: &'a mut A, turn: &'a Turn) -> impl Future<Output = TurnEnd> + Send + 'a
            where
                A: 'a,
            {
                async move {
                    $(if turn.call.head().method.service == $service::NAME {
                        let request = match turn.request::<$service>()? {
                            Ok(request) => request,
                            Err(failure) => return Some(Err(failure)),
                        };
                        let response = $service::exclusive(actor, request).await;
                        return Some(turn.end::<$service>(response));
                    })+
                    Some(Err(turn.unserved()))
                }
            }
        }
    };
}

services!(S0);
services!(S0 S1);
services!(S0 S1 S2);
services!(S0 S1 S2 S3);
services!(S0 S1 S2 S3 S4);
services!(S0 S1 S2 S3 S4 S5);
services!(S0 S1 S2 S3 S4 S5 S6);
services!(S0 S1 S2 S3 S4 S5 S6 S7);
