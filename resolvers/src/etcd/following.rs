//! Following one namespace: a list at one revision, then each change after it, and a look after a watch that is silent.
//!
//! ```text
//!   list pages at revision R ──► table ──► watch from R+1 ──► events ──► table
//!        ▲                                    │  silent: what has changed since the last event? how many keys are there?
//!        └── compacted · old ◄────────────────┤      nothing, and as many as here ──► confirmed
//!            failed: the engine tries again ◄─┘      more, and the watch does not tell it either ──► it is dead
//! ```
//!
//! etcd's own notes of progress come every ten minutes, which is too late to find out that a watch is dead; they are asked
//! for, and count as a sign of life.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    gateway::{Gateway, GatewayError, SMALL, code},
    keys::Range,
    lines::Lines,
    messages::{
        Base64, Event, EventKind, Int, RangeRequest, RangeResponse, StreamError, WatchCreateRequest,
        WatchRequest, WatchResponse,
    },
    table::Table,
};
use crate::{
    clock,
    http::HttpError,
    sync::{Mutex, lock},
    view::{BoxError, Publisher},
};

/// How many keys a page has, and the longest one in bytes. If it is longer, a page of fewer keys is asked for.
const PAGE: i64 = 512;
const LONGEST_PAGE: usize = 8 << 20;

/// How often what is listed may be compacted before it can be watched.
const COMPACTED: usize = 3;

/// After this time a table is made anew, whatever the watch has told, and sooner one that has not all keys.
const LISTED_FOR: Duration = Duration::from_secs(600);
const CUT_FOR: Duration = Duration::from_secs(30);

/// What is published: the table is changed in place, and each change is published anew.
pub(super) type Shared = Arc<Mutex<Table>>;

/// Follows all keys that begin like this, until that fails.
pub(super) async fn follow(gateway: &Gateway, beginning: &str, publisher: &Publisher<Shared>) -> BoxError {
    let following = Following { gateway, beginning, range: Range::of(beginning), publisher };
    let (mut compacted, mut was_short) = (0, false);
    loop {
        let again = following.once(was_short).await;
        was_short = matches!(again, Ok(Again::Short));
        match again {
            Ok(Again::Old) => compacted = 0,
            Ok(Again::Short) => gateway.leave_current(),
            Ok(Again::Compacted { watched: true }) => compacted = 1,
            Ok(Again::Compacted { watched: false }) => compacted += 1,
            Err(error) => {
                gateway.leave_current();
                return error;
            }
        }
        if compacted >= COMPACTED {
            return "etcd compacts what it has listed before that can be watched".into();
        }
    }
}

/// Why it is listed again.
enum Again {
    Compacted {
        watched: bool,
    },
    Old,
    /// The watch was lost soon, and told nothing.
    Short,
}

struct Following<'a> {
    gateway: &'a Gateway,
    beginning: &'a str,
    range: Range,
    publisher: &'a Publisher<Shared>,
}

impl Following<'_> {
    /// Lists and watches. What is listed is fresh: where the watch is lost soon it may be listed again at once, but not twice in a
    /// row, nor where it was refused; else lists would be made as fast as they fail.
    async fn once(&self, was_short: bool) -> Result<Again, BoxError> {
        let Some((table, revision)) = self.list().await? else {
            return Ok(Again::Compacted { watched: false });
        };
        let listed = clock::now();
        let table = Arc::new(Mutex::new(table));
        self.publisher.set(table.clone());
        let (error, refused) = match self.begin(table, revision, listed).await {
            Ok((_, Some(again))) => return Ok(again),
            Ok((mut watch, None)) => match watch.run().await {
                Err(error) if !watch.watched => (error, false),
                ended => return ended,
            },
            Err(error) => {
                let lost =
                    matches!(error.downcast_ref(), Some(GatewayError::Http(_) | GatewayError::Nobody(_)));
                (error, !lost)
            }
        };
        let left = self.gateway.silence().saturating_sub(listed.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        if !refused && !was_short {
            tracing::debug!(etcd = ?self.gateway, %error, "a watch was lost soon; it is listed again");
            return Ok(Again::Short);
        }
        clock::sleep(left).await;
        Err(error)
    }

    /// Begins to watch what comes after a list.
    async fn begin(
        &self,
        table: Shared,
        revision: i64,
        listed: Instant,
    ) -> Result<(Watch<'_>, Option<Again>), BoxError> {
        let asks = WatchRequest {
            create_request: WatchCreateRequest {
                key: Base64(self.range.from.clone()),
                range_end: Base64(self.range.to.clone()),
                start_revision: Int(revision + 1),
                progress_notify: true,
                fragment: true,
            },
        };
        let lines = self.gateway.stream("/v3/watch", &asks).await?;
        let mut watch =
            Watch { following: self, lines, table, revision, looked: revision, listed, watched: false };
        let again = watch.begin().await?;
        Ok((watch, again))
    }

    /// All keys, page by page, at the revision of the first page; `None` if that was compacted meanwhile.
    async fn list(&self) -> Result<Option<(Table, i64)>, GatewayError> {
        let mut table = Table::new(self.beginning);
        let (mut from, mut revision, mut limit) = (self.range.from.clone(), 0, PAGE);
        loop {
            let asks = RangeRequest {
                key: Base64(from.clone()),
                range_end: Base64(self.range.to.clone()),
                limit: Int(limit),
                revision: Int(revision),
                ..RangeRequest::default()
            };
            let page: RangeResponse = match self.gateway.call("/v3/kv/range", &asks, LONGEST_PAGE).await {
                Ok(page) => page,
                Err(GatewayError::Http(HttpError::TooLong { .. })) if limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                Err(error) if error.code() == Some(code::OUT_OF_RANGE) && revision > 0 => return Ok(None),
                Err(error) => return Err(error),
            };
            if revision == 0 {
                revision = page.header.revision.0;
            }
            for entry in &page.kvs {
                table.put(&entry.key.0, &entry.value.0);
            }
            let last = page.kvs.into_iter().last().filter(|last| last.key.0 >= from);
            match last {
                Some(last) if page.more && table.keys().is_some() => {
                    from = last.key.0;
                    from.push(0);
                }
                _ => return Ok(Some((table, revision))),
            }
        }
    }
}

struct Watch<'a> {
    following: &'a Following<'a>,
    lines: Lines,
    table: Shared,
    /// Everything up to here is in the table.
    revision: i64,
    /// At this revision etcd had nothing else.
    looked: i64,
    listed: Instant,
    /// Whether the watch has told anything.
    watched: bool,
}

impl Watch<'_> {
    /// Waits for the first thing that is told.
    async fn begin(&mut self) -> Result<Option<Again>, BoxError> {
        let first = self.lines.object::<WatchResponse>(self.following.gateway.silence()).await?;
        let first = first.ok_or("the watch ended before it began")?;
        self.take(first.result, first.error)
    }

    async fn run(&mut self) -> Result<Again, BoxError> {
        let silence = self.following.gateway.silence();
        let mut look_at = clock::now() + silence;
        // Whether etcd has something that the watch has not told, since the last look.
        let mut owes = false;
        loop {
            let left = look_at.saturating_duration_since(clock::now());
            match clock::within(left, self.lines.object::<WatchResponse>(Duration::MAX)).await {
                Some(told) => {
                    let told = told?.ok_or("the watch has ended")?;
                    let before = self.revision;
                    if let Some(again) = self.take(told.result, told.error)? {
                        return Ok(again);
                    }
                    owes &= self.revision == before;
                }
                None => {
                    let news = self.has_news().await?;
                    if news && owes {
                        return Err("the watch is dead: it does not tell what has changed".into());
                    }
                    if !news {
                        self.following.publisher.confirm();
                    }
                    owes = news;
                    look_at = clock::now() + silence;
                }
            }
            let is_cut = lock(&self.table).keys().is_none();
            if self.listed.elapsed() >= if is_cut { CUT_FOR } else { LISTED_FOR } {
                return Ok(Again::Old);
            }
        }
    }

    /// Takes in what the watch tells.
    fn take(
        &mut self,
        told: Option<WatchResponse>,
        error: Option<StreamError>,
    ) -> Result<Option<Again>, BoxError> {
        if let Some(error) = error {
            return Err(format!("etcd ends the watch: {} (code {})", error.message, error.code).into());
        }
        let told = told.ok_or("what the watch tells has neither a result nor an error")?;
        if told.compact_revision.0 > 0 {
            return Ok(Some(Again::Compacted { watched: self.watched }));
        }
        if told.canceled {
            let reason =
                if told.cancel_reason.is_empty() { "it gives no reason" } else { &told.cancel_reason };
            return Err(format!("etcd cancels the watch: {reason}").into());
        }
        if told.events.is_empty() {
            if !told.created {
                self.following.publisher.confirm();
            }
            return Ok(None);
        }
        let mut table = lock(&self.table);
        for Event { kind, kv } in told.events {
            match kind {
                EventKind::Put => table.put(&kv.key.0, &kv.value.0),
                EventKind::Delete => table.delete(&kv.key.0),
            }
            self.revision = self.revision.max(kv.mod_revision.0);
        }
        drop(table);
        self.watched = true;
        self.following.publisher.set(self.table.clone());
        Ok(None)
    }

    /// Whether etcd has something else than the table. To count costs etcd little; only if anything at all has been written to
    /// it since the last look, it is asked whether that was here, for which it reads all of our keys.
    async fn has_news(&mut self) -> Result<bool, BoxError> {
        let has = self.look(true).await?;
        let now = has.header.revision.0;
        let before = self.revision.max(self.looked);
        if now < before {
            return Err(format!("etcd has gone back from revision {before} to {now}").into());
        }
        if now == self.looked && !self.lacks(&has) {
            return Ok(false);
        }
        let has = self.look(false).await?;
        let news = !has.kvs.is_empty() || self.lacks(&has);
        if !news {
            self.looked = has.header.revision.0;
        }
        Ok(news)
    }

    async fn look(&self, count_only: bool) -> Result<RangeResponse, GatewayError> {
        let range = &self.following.range;
        let asks = RangeRequest {
            key: Base64(range.from.clone()),
            range_end: Base64(range.to.clone()),
            limit: Int(1),
            min_mod_revision: Int(if count_only { 0 } else { self.revision + 1 }),
            keys_only: !count_only,
            count_only,
            ..RangeRequest::default()
        };
        self.following.gateway.call("/v3/kv/range", &asks, SMALL).await
    }

    /// Whether etcd has another number of keys than the table.
    fn lacks(&self, has: &RangeResponse) -> bool {
        let keys = lock(&self.table).keys();
        keys.is_some_and(|keys| i64::try_from(keys) != Ok(has.count.0))
    }
}
