//! The attributes of `actor-runtime`: [`macro@actor_service`], [`macro@message`], [`macro@main`] and [`macro@test`].
//!
//! Users get them from `actor_runtime::prelude`, and need not name this crate.
//!
//! ```text
//!   parse ──► model ──► check ──► generate     #[actor_service] on a trait
//!             check ───────────► generate      #[actor_service] on an impl
//!             message                          #[message]
//!             entry                            #[main], #[test]
//! ```
//!
//! A mistake is an error on the offending token, which says the rule and what to write instead. All mistakes of an
//! item are reported at once, and the item itself stays in the program, so that editors keep their knowledge of it.

mod attributes;
mod check;
mod entry;
mod generate;
mod later;
mod message;
mod model;
mod naming;
mod options;
mod parse;
mod refusals;
mod service;
mod streams;
mod text;

use proc_macro::TokenStream;

/// Makes a trait a service with a typed client, and an impl of it an actor.
///
/// ```text
/// #[actor_service]
/// trait Calculator {
///     /// Fails with a typed error, which the caller gets back as itself.
///     async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError>;
///     /// Runs alone, in order. `&self` methods may overlap each other.
///     #[timeout = "500ms"]
///     async fn accumulate(&mut self, by: i64) -> i64;
///     /// A borrowed argument: it is encoded when the client's method is called.
///     async fn greet(&self, name: &str) -> String { format!("hello {name}") }
/// }
///
/// #[actor_service]
/// impl Calculator for Desk { … }
/// ```
///
/// # On a trait
///
/// Beside the trait stand four items with its visibility: `CalculatorClient`, whose methods make calls;
/// `CalculatorService`, which names the service in types; `CalculatorRequest` and `CalculatorResponse`, the calls and
/// replies as values. In the trait itself each `async fn` becomes one that returns a `Send` future. An impl still
/// writes `async fn`. The trait gets the supertraits `Send`, `'static`, and, if it has a `&self` method, `Sync`.
///
/// A method that returns `T` is called with the result `Result<T, Failure>`, and one that returns `Result<T, E>`,
/// or any alias called `Result`, with `Result<T, CallError<E>>`.
///
/// A method that answers later takes `reply: ReplyTo<T>` as its last argument and returns nothing: `async fn get(&mut self,
/// key: String, reply: ReplyTo<u64>)`. Its turn ends when it returns, and the call when something is sent through the
/// `ReplyTo`. The client's method has no such argument, and calls give what they would give if the method returned `T`,
/// also where that is a `Result<T, E>`.
///
/// The name is what counts, since the macro cannot see through an alias: a reply that turns out to be a `Result` under
/// another name is refused. Call such an alias `Result`, in a module of its own if need be, or write `Result<T, E>` out.
///
/// Options of the trait:
/// - `name = "billing.Calculator"`: the service's name on the wire; the trait's name unless given.
/// - `crate = path::to::actor_runtime`: where the runtime is; `::actor_runtime` unless given.
///
/// Attributes of its methods:
/// - `#[id = 7]`: what names the method on the wire, from 1 to 4294967295; a hash of `Service/method` unless given.
/// - `#[timeout = "500ms"]`, also in `s` and `m`, or `"none"`: the deadline of calls that say nothing of their own.
/// - `#[idempotent]`: running it twice does what running it once does; a call that may have been run is repeated.
/// - `#[dedup]`: its actor remembers replies for a while, so that a call may be repeated and is run once all the same.
/// - `#[oneway]`: the call ends when the actor's mailbox has it, with `Ok(())`; there is no reply, and so no return type.
///   What its turn does then is not told to the caller, and the call's deadline and its caller's leaving end nothing any more.
/// - `#[cancel_safe]`, on a `&mut self` method: its turn is dropped at its next await when its caller leaves or its
///   deadline passes, as `&self` turns are; so what it does to the state has to be whole at every await.
/// - `#[cfg]` holds for everything that is generated for the method; documentation, `#[deprecated]`, `#[must_use]` and
///   `#[allow]` are repeated where they make sense. Other attributes stay on the trait's method.
///
/// Streams: a reply may be `impl Stream<Item = T>` or `Result<impl Stream<Item = T>, E>`, of a method that is `async` or
/// not; its caller gets a `Streaming<T>`. One argument may be a `Streaming<T>`, for which its caller passes any
/// `impl Stream<Item = T> + Send + 'static`. The items of a `Streaming<T>` are `Result<T, Failure>`, so that a stream that
/// breaks off does not look like one that has ended; therefore `impl Stream` is refused as an argument. A stream outlives
/// its turn: the one that a method returns borrows nothing of the actor, and the macro writes so into trait and impl.
///
/// Supported: `&self` and `&mut self`; any type that serde can send, by value; whole arguments as `&str`, `&[T]` and
/// `&T`; default bodies; supertraits that leave the trait usable as `dyn`; raw identifiers.
///
/// Refused: generic traits and methods; associated types, constants and macros; methods that are not `async` or have
/// no `&self`; `self` by value or typed; patterns, attributes, `impl Trait`, `&mut T` and references inside of types in
/// arguments; lifetimes, other than `'static` inside of a type such as `Cow<'static, str>`; borrowed replies; trait
/// objects, pointers and inferred types; `Self` in types; the method names `new`, `on`, `pool` and `with_options`;
/// names and ids that collide; attributes that do not go together. `#[since(n)]` is reserved, and not
/// supported yet.
///
/// # The client
///
/// What is generated for a trait `Foo` to call its actors with:
///
/// | | |
/// |---|---|
/// | `FooClient::new(&resolver, name)` | a client of the actor called `name`, on the current node |
/// | `FooClient::on(&node, &resolver, name)` | the same on `node`; for processes with several nodes |
/// | `client.with_options(options)` | a client of the same actor, whose calls have these `CallOptions` |
/// | `client.method(…)`, one for each method of the trait | a `Call<…>`: await it, or set its options first, as in `.timeout(…)` |
/// | `impl ServiceClient for FooClient` | what all clients have: `actor_name`, `pinned`, `pinned_actor`, the service as a type |
///
/// It is `Clone` and `Debug`.
///
/// The client does not implement `Foo`: a call can fail where the method cannot, and so its result is another one.
/// Code that is to be tested takes a `FooClient`, and its test registers a stand-in, which is an actor of a few lines:
///
/// ```text
/// struct AlwaysFails;
///
/// #[actor_service]
/// impl Calculator for AlwaysFails {
///     async fn divide(&self, _: f64, _: f64) -> Result<f64, CalcError> { Err(CalcError::DivideByZero) }
///     async fn accumulate(&mut self, _: i64) -> i64 { 0 }
/// }
///
/// let calc: CalculatorClient = testing::client(AlwaysFails);
/// ```
///
/// `testing` is a feature and a module of the runtime, which has fakes of a few lines, too.
///
/// # On an impl
///
/// An actor of one service: the impl stays as it is, and beside it stands `impl Actor` with this service.
///
/// ```text
/// #[actor_service]
/// impl Calculator for Desk { … }
/// ```
///
/// An actor of several services: each impl says `part`, and the user writes the one `impl Actor`.
///
/// ```text
/// impl Actor for Desk {
///     type Services = (CalculatorService, LampService);
/// }
///
/// #[actor_service(part)]
/// impl Calculator for Desk { … }
///
/// #[actor_service(part)]
/// impl Lamp for Desk { … }
/// ```
///
/// The compiler's error E0119, "conflicting implementations of trait `Actor`", means that a `part` is missing: there is
/// an `impl Actor` already, the user's or that of another impl.
///
/// Options of the impl:
/// - `part`: leaves `impl Actor` to the user, for actors with hooks or with several services.
/// - `crate = path::to::actor_runtime`: as on the trait.
///
/// Refused: inherent, `unsafe`, `default` and negative impls.
#[proc_macro_attribute]
pub fn actor_service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into()).into()
}

/// Makes a struct or an enum fit to be sent, as an argument, a reply or an error.
///
/// ```text
/// #[message]
/// #[derive(Debug)]
/// enum CalcError { DivideByZero }
/// ```
///
/// It derives serde's `Serialize` and `Deserialize` by the runtime's own path, so that the user's crate need not depend
/// on serde. Generic types are supported as far as serde supports them.
///
/// `#[serde(…)]` attributes stand below `#[message]`, and work as far as postcard supports them, with which calls are
/// encoded: it writes the values of the fields one after the other without their names, and a variant as its number.
/// `rename`, `default`, `with`, `try_from`, `transparent` and their like work, though `default` never fills in a field
/// that is missing: none may be.
///
/// Option: `crate = path::to::actor_runtime`.
///
/// Refused: items other than structs and enums; a `derive` of what is derived already; and these of serde's
/// attributes, which would fail when the first value is sent:
///
/// | instead of | write |
/// |---|---|
/// | `skip_serializing_if` | nothing: always send the field, as an `Option` if it may have no value |
/// | `skip_serializing` or `skip_deserializing` alone | `skip`, which both sides heed; on a variant only if it is the last |
/// | `skip` on a variant that is not the last | the variant last |
/// | `flatten` | the fields themselves, or the field as it is |
/// | `tag`, `content`, `untagged` | nothing: the encoding tells variants apart |
#[proc_macro_attribute]
pub fn message(arguments: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(arguments.into(), item.into()).into()
}

/// Runs an `async fn main` on a tokio runtime of its own with one worker thread a processor.
///
/// ```text
/// #[actor_runtime::main]
/// async fn main() -> Result<(), Box<dyn Error>> { … }
/// ```
///
/// Option: `crate = path::to::actor_runtime`.
///
/// Refused: functions that are not `async`, take arguments, or are generic, `const`, `unsafe` or `extern`.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Main, arguments.into(), item.into()).into()
}

/// Runs an `async fn` as a test, on a runtime of one thread and in the scope of a node of its own, which encodes every
/// call. Tests that run side by side do not see each other's nodes; under `#[tokio::test]` they would, and clients made
/// with `FooClient::new` would not know which node is theirs. A handler that blocks stops the test's only thread, and
/// with it deadlines.
///
/// ```text
/// #[actor_runtime::test]
/// async fn adds() -> Result<(), Failure> { … }
/// ```
///
/// `#[should_panic]` and the like work as on any test.
///
/// Options: `crate = path::to::actor_runtime`; and with the runtime's feature `testing` `start_paused = true`, for a test whose
/// clock stands until every task waits and then goes on to the next time that somebody waits for.
///
/// Refused: as for [`macro@main`], and a second `#[test]`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Entry::Test, arguments.into(), item.into()).into()
}
