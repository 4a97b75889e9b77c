//! An actor that is a function of the calls that come.

use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Mutex, PoisonError},
};

use crate::{
    Actor, Delivery, Failure, FailureKind,
    call::{accept_response, take_request},
    service::{Method, Request, Service, Services, SharedRef, Turn, TurnEnd},
};

/// An actor that answers each call with what `answer` makes of it, one call after the other.
///
/// A call of `Foo::bar(a, b)` comes as `FooRequest::Bar { a, b }` and is answered with `FooResponse::Bar(reply)`; the reply of
/// a method that returns a `Result` is a `Result`, and that of a method without a reply is `()`. Calls that the test does not
/// expect go to [`unexpected`]. An argument that is a stream comes as it is; a reply that is one is made with
/// [`Streaming::new`](crate::Streaming::new).
///
/// The function sees owned arguments, also where the trait has borrowed ones. A method that takes a
/// [`ReplyTo`](crate::ReplyTo) is answered as others are. A fake that has to await is better written as an impl of the trait.
///
/// ```
/// use actor_runtime::{prelude::*, testing};
///
/// #[actor_service]
/// trait Prices {
///     async fn price(&self, of: &str) -> Result<u64, String>;
///     async fn set(&mut self, of: String, price: u64);
/// }
///
/// # #[actor_runtime::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prices: PricesClient = testing::client(testing::fake::<PricesService>(|call| match call {
///     PricesRequest::Price { of } if of == "tea" => PricesResponse::Price(Ok(3)),
///     PricesRequest::Price { of } => PricesResponse::Price(Err(format!("no {of} here"))),
///     other => testing::unexpected(other),
/// }));
/// assert_eq!(prices.price("tea").await?, 3);
/// assert!(matches!(prices.price("gold").await, Err(CallError::Application(text)) if text == "no gold here"));
///
/// let refused = prices.set("tea".into(), 4).await.unwrap_err();
/// assert_eq!(refused.kind(), FailureKind::Unimplemented);
/// assert!(refused.to_string().contains("Prices/set"));
/// # Ok(()) }
/// ```
///
/// # Panics
/// A panic of the function is one of a handler: its call fails with [`Panicked`](FailureKind::Panicked), and the actor ends. A
/// response that belongs to another method is a failure of the kind [`Internal`](FailureKind::Internal).
pub fn fake<S: Service>(
    answer: impl FnMut(S::Request) -> S::Response + Send + 'static,
) -> Fake<S, impl FnMut(S::Request) -> S::Response + Send + 'static> {
    Fake { answer: Mutex::new(answer), service: PhantomData }
}

/// Refuses a call that a [`fake`] does not expect: it fails with [`Unimplemented`](FailureKind::Unimplemented) and the name of
/// the method, and the fake goes on.
///
/// # Panics
/// This is how it leaves the function, and why it fits into any arm of a `match`. Outside of a fake it is a panic.
pub fn unexpected<R: Request>(call: R) -> ! {
    // Not a panic that anybody is to hear of.
    resume_unwind(Box::new(Unexpected(call.method())))
}

struct Unexpected(&'static Method);

/// What [`fake`] makes: an actor as any other.
pub struct Fake<S, F> {
    answer: Mutex<F>,
    service: PhantomData<fn() -> S>,
}

// A mistake of a user is not mended by being this.
#[diagnostic::do_not_recommend]
impl<S: Service, F: FnMut(S::Request) -> S::Response + Send + 'static> Actor for Fake<S, F> {
    type Services = Faked<S>;
}

/// The one service of a [`Fake`].
#[derive(Debug)]
pub struct Faked<S>(PhantomData<fn() -> S>);

impl<S: Service, F: FnMut(S::Request) -> S::Response + Send + 'static> Fake<S, F> {
    fn turn(&self, turn: &Turn) -> TurnEnd {
        let request = match take_request::<S>(&*turn.call)? {
            Ok(request) => request,
            Err(failure) => return Some(Err(failure)),
        };
        let asked = request.method();
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        // What is left of the function after a panic is not used again, unless it has said so itself.
        let response = catch_unwind(AssertUnwindSafe(|| answer(request)));
        drop(answer);
        Some(match response {
            // Nobody holds a `ReplyTo`.
            Ok(response) => {
                let publish = turn.publish || asked.later;
                accept_response::<S>(&*turn.call, response, turn.limit, publish)
            }
            Err(panic) => Err(refused(panic)),
        })
    }
}

fn refused(panic: Box<dyn Any + Send>) -> Failure {
    match panic.downcast::<Unexpected>() {
        Ok(unexpected) => {
            let detail = format!("the fake does not expect calls of {}", unexpected.0);
            Failure::new(FailureKind::Unimplemented, Delivery::NotDelivered, detail)
        }
        Err(panic) => resume_unwind(panic),
    }
}

#[diagnostic::do_not_recommend]
impl<S: Service, F: FnMut(S::Request) -> S::Response + Send + 'static> Services<Fake<S, F>> for Faked<S> {
    const CHECKED: () = ();
    const NAMES: &'static [&'static str] = &[S::NAME];
    const DOCS: &'static [&'static str] = &[S::DOCS];
    const METHODS: &'static [&'static [&'static Method]] = &[S::METHODS];

    async fn shared<'a>(actor: SharedRef<'a, Fake<S, F>>, turn: &'a Turn) -> TurnEnd
    where
        Fake<S, F>: 'a,
    {
        actor.get().turn(turn)
    }

    async fn exclusive<'a>(actor: &'a mut Fake<S, F>, turn: &'a Turn) -> TurnEnd
    where
        Fake<S, F>: 'a,
    {
        actor.turn(turn)
    }
}

impl<S: Service, F> fmt::Debug for Fake<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("service", &S::NAME).finish_non_exhaustive()
    }
}
