//! The answers to one question, one after the other.

use std::{future::pending, sync::Arc, time::Duration};

use actor_runtime::{Namespace, ResolveError, ResolveResult};
use futures::{Stream, stream};
use tokio::{sync::watch, time::Instant};

use super::{BoxError, Seen, Shared, Source, later};
use crate::clock;

/// The present answer as soon as there is one, then each other one. That an answer has become stale is an answer, too; that
/// nothing is known is an error, told once for each reason.
pub(super) fn stream<S: Source>(
    shared: Arc<Shared<S>>,
    key: S::Key,
    namespace: Namespace,
    name: String,
) -> impl Stream<Item = Result<ResolveResult, ResolveError>> + Send {
    let watching = Watching {
        shared,
        key,
        namespace,
        name,
        seen: None,
        patience: None,
        too_old: None,
        told: None,
        refused: None,
    };
    stream::unfold(watching, |mut watching| async move { Some((watching.next().await, watching)) })
}

struct Watching<S: Source> {
    shared: Arc<Shared<S>>,
    key: S::Key,
    namespace: Namespace,
    name: String,
    seen: Option<watch::Receiver<Seen<S::State>>>,
    /// When it is told that there is no answer yet.
    patience: Option<Instant>,
    /// When what is known will be too old.
    too_old: Option<Instant>,
    told: Option<Told>,
    /// Why the question is not followed.
    refused: Option<String>,
}

/// What was told last.
#[derive(PartialEq)]
enum Told {
    Answer(ResolveResult, bool),
    Failure(String),
}

impl<S: Source> Watching<S> {
    async fn next(&mut self) -> Result<ResolveResult, ResolveError> {
        loop {
            let answer = self.change().await;
            let told = match &answer {
                Ok(result) => {
                    let mut known = result.clone();
                    let is_stale = known.stale.take().is_some();
                    Told::Answer(known, is_stale)
                }
                Err(error) => Told::Failure(error.to_string()),
            };
            if self.told.as_ref() != Some(&told) {
                self.told = Some(told);
                return answer.map_err(|error| ResolveError::new(&self.namespace, &*self.name, error));
            }
        }
    }

    /// What is known after the next change, or already.
    async fn change(&mut self) -> Result<ResolveResult, BoxError> {
        loop {
            let options = &self.shared.options;
            let Some(seen) = &mut self.seen else {
                match self.shared.enter(&self.key) {
                    Ok(entered) => {
                        let seen = self.seen.insert(entered.seen);
                        seen.mark_changed();
                        self.patience = Some(later(clock::now(), options.answer_within));
                    }
                    Err(error) if self.refused.as_ref() == Some(&error.to_string()) => {
                        clock::sleep(options.longest_pause).await;
                    }
                    Err(error) => {
                        self.refused = Some(error.to_string());
                        return Err(error);
                    }
                }
                continue;
            };
            self.refused = None;
            let until = async {
                match self.patience.or(self.too_old) {
                    Some(at) => clock::sleep(at.saturating_duration_since(clock::now())).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = seen.changed() => {
                    let gone = changed.is_err() || seen.borrow_and_update().ended;
                    if gone {
                        // Its runtime has ended. This one may be about to.
                        self.seen = None;
                        clock::sleep(options.first_pause).await;
                        continue;
                    }
                }
                () = until => {}
            }
            let seen = seen.borrow();
            let waits = !seen.is_settled(None);
            if waits && self.patience.is_some_and(|patience| clock::now() < patience) {
                continue;
            }
            self.patience = None;
            let answer = self.shared.judge(&seen, &self.namespace, &self.name);
            let stale = answer.as_ref().ok().and_then(|result| result.stale.as_ref());
            self.too_old = stale.zip(options.serve_stale_for).map(|(stale, limit)| {
                later(clock::now(), limit.saturating_sub(stale.age)) + Duration::from_millis(1)
            });
            return answer;
        }
    }
}
