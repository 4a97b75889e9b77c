//! Several resolvers as one.
//!
//! ```text
//!   resolve ──► asks each member, no longer than its patience ──► combine ──► one answer
//!   watch ────► watches all members ──an answer, a failure, an end──► combine ──► told, if it is another one
//! ```

mod combine;
mod watching;

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use actor_runtime::{BoxFuture, BoxStream, Namespace, ResolveError, ResolveResult, Resolver};
use combine::{How, Said};
use futures::{FutureExt, StreamExt, future::join_all};

use crate::clock;

/// Asks several resolvers as one, in the order in which they were [added](Self::and).
///
/// - [`first_answer`](Self::first_answer): the first member that has an endpoint answers.
/// - [`merged`](Self::merged): the endpoints of all members, each address and name once.
///
/// What they have in common:
///
/// - A member that fails, panics, or gives no answer within its [`patience`](Self::patience) does not stop the others. That
///   it failed is told in [`rejected`](ResolveResult::rejected) of the answer.
/// - If all members have nothing, the answer is empty, and [`known`](ResolveResult::known) is that of all.
/// - If nobody has an endpoint and a member failed, that is an error which names each that failed and its reason: the one
///   that failed may have what the others have not, and "nothing has this name" could be believed.
/// - An answer that a member calls stale counts as one, and the result is stale.
/// - In a watch, a member whose watch ends keeps its last answer, and is watched again after five seconds.
///
/// ```
/// # use actor_runtime::{FixedResolver, Namespace, Resolver};
/// use actor_resolvers::ChainResolver;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let by_hand = FixedResolver::new([("calc", "127.0.0.1:7000")]);
/// let usual = FixedResolver::new([("calc", "127.0.0.1:8000"), ("store", "127.0.0.1:8001")]);
/// let chain = ChainResolver::first_answer().and(by_hand).and(usual);
/// let calc = chain.resolve(&Namespace::local(), "calc").await?;
/// assert_eq!(calc.first().unwrap().to_string(), "actor://127.0.0.1:7000/calc");
/// let store = chain.resolve(&Namespace::local(), "store").await?;
/// assert_eq!(store.first().unwrap().to_string(), "actor://127.0.0.1:8001/store");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ChainResolver {
    chain: Arc<Chain>,
}

#[derive(Clone)]
struct Chain {
    how: How,
    members: Vec<Member>,
    patience: Duration,
    /// How long a merged watch keeps endpoints of a member that fails; `None` is for ever.
    serve_stale_for: Option<Duration>,
}

#[derive(Clone)]
struct Member {
    resolver: Arc<dyn Resolver>,
    /// How it is called in texts.
    who: String,
}

impl ChainResolver {
    /// The first member, in order, that has an endpoint answers. Later ones are asked only if it has none, fails, or gives
    /// no answer within its patience. A watch watches all of them, so that it can go over to another one and back.
    pub fn first_answer() -> Self {
        Self::new(How::First)
    }

    /// The endpoints of all members, in the order of the members. All are asked at the same time. What two members have,
    /// the same name at the same address, is there once, as the earlier member has it; there are no more than 10,000.
    ///
    /// In a watch, the endpoints of a member that fails stay, and the result is stale, until it answers again or
    /// [`serve_stale_for`](Self::serve_stale_for) has passed. A member that has served them as stale itself and then fails
    /// says that they are too old: they go at once.
    pub fn merged() -> Self {
        Self::new(How::Merged)
    }

    fn new(how: How) -> Self {
        let patience = Duration::from_secs(2);
        Self { chain: Arc::new(Chain { how, members: Vec::new(), patience, serve_stale_for: None }) }
    }

    /// Adds a member, after those that are there.
    #[must_use]
    pub fn and(mut self, resolver: impl Resolver) -> Self {
        const LONGEST: usize = 100;
        let mut who = format!("{resolver:?}");
        if let Some((end, _)) = who.char_indices().nth(LONGEST) {
            who.truncate(end);
            who.push('…');
        }
        Arc::make_mut(&mut self.chain).members.push(Member { resolver: Arc::new(resolver), who });
        self
    }

    /// How long a member has for its answer, and for the first one of a watch; two seconds unless this is called. After that
    /// it counts as one that failed. With a first answer, members are asked one after the other, so an answer takes as long
    /// as all their patience together at the most.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        Arc::make_mut(&mut self.chain).patience = time;
        self
    }

    /// How long a watch of [`merged`](Self::merged) members keeps the last endpoints of one that fails, from when it told
    /// them. After that only its failure is left. Without a limit unless this is called; with zero they go at once.
    ///
    /// Members that keep their last answer by themselves ([`ViewOptions::serve_stale_for`](crate::ViewOptions)) have a limit
    /// of their own, which holds here, too.
    #[must_use]
    pub fn serve_stale_for(mut self, time: Duration) -> Self {
        Arc::make_mut(&mut self.chain).serve_stale_for = Some(time);
        self
    }
}

impl Chain {
    async fn resolve(&self, namespace: &Namespace, name: &str) -> Result<ResolveResult, ResolveError> {
        let said = match self.how {
            How::First => {
                let mut said = Vec::new();
                for member in &self.members {
                    said.push(self.ask(member, namespace, name).await);
                    if said.last().is_some_and(|said| said.as_ref().is_ok_and(|result| !result.is_empty())) {
                        break;
                    }
                }
                said
            }
            How::Merged => {
                join_all(self.members.iter().map(|member| self.ask(member, namespace, name))).await
            }
        };
        self.combine(said).map_err(|text| ResolveError::new(namespace, name, text))
    }

    /// What a member says within its patience.
    async fn ask(&self, member: &Member, namespace: &Namespace, name: &str) -> Said {
        let asked = AssertUnwindSafe(async { member.resolver.resolve(namespace, name).await }).catch_unwind();
        match clock::within(self.patience, asked).await {
            Some(Ok(Ok(result))) => Ok(result),
            Some(Ok(Err(error))) => Err(reason(&error)),
            Some(Err(panic)) => Err(panicked(&*panic)),
            None => Err(self.silent()),
        }
    }

    fn silent(&self) -> String {
        format!("it gave no answer within {:?}", self.patience)
    }

    /// One answer of what members said, from the first one on.
    fn combine(&self, said: Vec<Said>) -> Said {
        let whose = self.members.iter().map(|member| &*member.who).zip(said);
        combine::combine(self.how, whose)
    }
}

/// Why a member does not answer, without the question, which its chain says.
fn reason(error: &ResolveError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    format!("it panicked: {text}")
}

impl Member {
    /// What it says from now on; that it panics is a failure, and the end.
    fn watch(&self, namespace: &Namespace, name: &str) -> BoxStream<'static, Said> {
        let watched = match catch_unwind(AssertUnwindSafe(|| self.resolver.watch(namespace, name))) {
            Ok(watched) => watched,
            Err(panic) => return futures::stream::iter([Err(panicked(&*panic))]).boxed(),
        };
        let said = AssertUnwindSafe(watched).catch_unwind().map(|said| match said {
            Ok(said) => said.map_err(|error| reason(&error)),
            Err(panic) => Err(panicked(&*panic)),
        });
        said.boxed()
    }
}

impl Resolver for ChainResolver {
    fn resolve<'a>(
        &'a self,
        namespace: &'a Namespace,
        name: &'a str,
    ) -> BoxFuture<'a, Result<ResolveResult, ResolveError>> {
        self.chain.resolve(namespace, name).boxed()
    }

    fn watch(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> BoxStream<'static, Result<ResolveResult, ResolveError>> {
        watching::stream(self.chain.clone(), namespace.clone(), name.to_owned()).boxed()
    }
}

/// `the first answer of [the file "actors.toml", DNS of this system]`.
impl fmt::Debug for ChainResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.chain.how {
            How::First => "the first answer of",
            How::Merged => "all of",
        };
        let members: Vec<_> = self.chain.members.iter().map(|member| &*member.who).collect();
        write!(f, "{how} [{}]", members.join(", "))
    }
}
