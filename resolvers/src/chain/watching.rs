//! The answers of members to one question, one after the other.

use std::{future::pending, sync::Arc, task::Poll, time::Duration};

use actor_runtime::{BoxStream, Namespace, ResolveError, ResolveResult, Staleness};
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::{
    Chain,
    combine::{How, Said},
};
use crate::clock;

/// When a watch that has ended is begun again.
const AGAIN: Duration = Duration::from_secs(5);

/// The present answer, then each other one. It is polled where it is used, and has no task.
pub(super) fn stream(
    chain: Arc<Chain>,
    namespace: Namespace,
    name: String,
) -> impl Stream<Item = Result<ResolveResult, ResolveError>> + Send {
    let heard = chain.members.iter().map(|_| Heard::default()).collect();
    let watching =
        Watching { chain, namespace, name, heard, patience: None, impatient: false, turn: 0, told: None };
    stream::unfold(watching, |mut watching| async move {
        let said = watching.next().await;
        let said = said.map_err(|text| ResolveError::new(&watching.namespace, &*watching.name, text));
        Some((said, watching))
    })
}

struct Watching {
    chain: Arc<Chain>,
    namespace: Namespace,
    name: String,
    /// What has been heard of each member.
    heard: Vec<Heard>,
    /// When members count as failed that have said nothing.
    patience: Option<Instant>,
    impatient: bool,
    /// Who is listened to first.
    turn: usize,
    /// What was told last; of a stale answer, that it was one.
    told: Option<(Said, bool)>,
}

/// A member as it is heard.
#[derive(Default)]
struct Heard {
    watch: Option<BoxStream<'static, Said>>,
    /// When it is watched again.
    again: Option<Instant>,
    answer: Option<(ResolveResult, Instant)>,
    failure: Option<String>,
}

impl Watching {
    async fn next(&mut self) -> Said {
        if self.patience.is_none() {
            self.patience = Some(clock::now() + self.chain.patience.min(Duration::from_secs(60 * 60 * 24)));
            for member in 0..self.heard.len() {
                self.watch(member);
            }
            if self.heard.is_empty() {
                return self.tell().unwrap_or_else(|| self.chain.combine(Vec::new()));
            }
        }
        loop {
            // A member that always has something to say leaves the thread to others all the same.
            tokio::task::consume_budget().await;
            self.hear().await;
            if let Some(said) = self.tell() {
                return said;
            }
        }
    }

    /// Waits for whatever is next: one word of a member, or the time.
    async fn hear(&mut self) {
        let patience = self.patience.filter(|_| !self.impatient);
        let limit = self.limit();
        let too_old = self.heard.iter().filter_map(|heard| heard.too_old_at(limit?));
        let next = self.heard.iter().filter_map(|heard| heard.again).chain(too_old).chain(patience).min();
        let wake = async {
            match next {
                Some(at) => clock::sleep(at.saturating_duration_since(clock::now())).await,
                None => pending().await,
            }
        };
        let (heard, turn) = (&mut self.heard, self.turn);
        let word = std::future::poll_fn(|context| {
            let members = heard.len();
            for member in (0..members).map(|member| (turn + member) % members) {
                let Some(watch) = &mut heard[member].watch else { continue };
                if let Poll::Ready(said) = watch.poll_next_unpin(context) {
                    return Poll::Ready((member, said));
                }
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            () = wake => {}
            (member, said) = word => {
                self.turn = member + 1;
                self.note(member, said);
            }
        }
        let now = clock::now();
        self.impatient |= self.patience.is_some_and(|patience| patience <= now);
        for member in 0..self.heard.len() {
            let heard = &mut self.heard[member];
            if limit.is_some_and(|limit| heard.too_old_at(limit).is_some_and(|at| at <= now)) {
                heard.answer = None;
            }
            if heard.again.is_some_and(|again| again <= now) {
                self.watch(member);
            }
        }
    }

    /// How long endpoints of a member that fails stay; `None` is for ever.
    fn limit(&self) -> Option<Duration> {
        const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
        self.chain.serve_stale_for.map(|limit| limit.min(FAR))
    }

    fn watch(&mut self, member: usize) {
        let watch = self.chain.members[member].watch(&self.namespace, &self.name);
        (self.heard[member].watch, self.heard[member].again) = (Some(watch), None);
    }

    fn note(&mut self, member: usize, said: Option<Said>) {
        let heard = &mut self.heard[member];
        match said {
            Some(Ok(result)) => (heard.answer, heard.failure) = (Some((result, clock::now())), None),
            Some(Err(reason)) => {
                // It served the answer on for as long as it does that.
                heard.answer.take_if(|(result, _)| result.stale.is_some());
                heard.failure = Some(reason);
            }
            None => {
                (heard.watch, heard.again) = (None, Some(clock::now() + AGAIN));
                if heard.answer.is_none() && heard.failure.is_none() {
                    heard.failure = Some("its watch has ended".to_owned());
                }
            }
        }
    }

    /// What is to be told now, if that is known and another thing than before.
    fn tell(&mut self) -> Option<Said> {
        let mut said = Vec::new();
        for heard in &self.heard {
            let one =
                heard.said(self.chain.how).or_else(|| self.impatient.then(|| Err(self.chain.silent())))?;
            let decides = self.chain.how == How::First && one.as_ref().is_ok_and(|result| !result.is_empty());
            said.push(one);
            if decides {
                break;
            }
        }
        let said = self.chain.combine(said);
        let mut known = said.clone();
        let is_stale = known.as_mut().is_ok_and(|result| result.stale.take().is_some());
        let told = Some((known, is_stale));
        if self.told == told {
            return None;
        }
        self.told = told;
        Some(said)
    }
}

impl Heard {
    /// What it says now, if it has said anything.
    fn said(&self, how: How) -> Option<Said> {
        match (&self.answer, &self.failure) {
            (Some((result, heard)), Some(reason)) if how == How::Merged && !result.is_empty() => {
                let mut kept = result.clone();
                kept.stale = Some(Staleness::new(heard.elapsed(), reason.clone()));
                Some(Ok(kept))
            }
            (_, Some(reason)) => Some(Err(reason.clone())),
            (Some((result, heard)), None) => {
                let mut result = result.clone();
                // It was that old when it was heard.
                if let Some(stale) = result.stale.take() {
                    result.stale =
                        Some(Staleness::new(stale.age.saturating_add(heard.elapsed()), stale.reason));
                }
                Some(Ok(result))
            }
            (None, None) => None,
        }
    }

    /// When the answer of a member that fails is too old.
    fn too_old_at(&self, limit: Duration) -> Option<Instant> {
        let (_, heard) = self.answer.as_ref().filter(|_| self.failure.is_some())?;
        Some(*heard + limit)
    }
}
