//! List, then watch: for as long as that goes well.

use std::{sync::Arc, time::Duration};

use hyper::HeaderMap;
use kube::core::WatchEvent;
use serde_json::Value;

use super::{
    Slices as Kubernetes,
    access::Access,
    api::{self, ApiError},
    lines::NoLine,
    names::Service,
    slices::Slices,
};
use crate::{
    clock,
    view::{BoxError, Publisher},
};

/// How long a list may take with all its pages.
const LIST: Duration = Duration::from_secs(60);

/// How many pages a list has at most; some may be nearly empty.
const MOST_PAGES: usize = 200;

/// A server that ends each watch at once is not asked more often than this.
const PACE: Duration = Duration::from_secs(1);

/// The pause of a server that has too much to do and does not say for how long.
const BUSY: Duration = Duration::from_secs(1);

/// How often in a row a list or a watch can come to nothing before that is a failure.
const PATIENCE: u32 = 2;

/// What is known of a service, and as of when.
struct Known {
    slices: Slices,
    version: String,
    /// Whether this is told once the watch serves, and not before.
    is_held: bool,
}

impl Known {
    /// The watch serves: what came of it is right.
    fn serves(&mut self, publisher: &Publisher<Slices>) {
        self.slices.mark_watched();
        if std::mem::take(&mut self.is_held) {
            publisher.set(self.slices.clone());
        }
    }

    /// The watch told of a change.
    fn tell(&mut self, publisher: &Publisher<Slices>) {
        self.is_held = true;
        self.serves(publisher);
    }
}

/// How a watch ended that went well.
enum End {
    /// Its time was over.
    Over,
    /// It broke off.
    Broken(BoxError),
}

pub(super) async fn follow(
    kubernetes: &Kubernetes,
    service: &Service,
    publisher: &Publisher<Slices>,
) -> BoxError {
    if let Err(reason) = kubernetes.accesses.holdoff.passed(publisher.last().is_some()).await {
        return reason.into();
    }
    let access = match kubernetes.accesses.present().await {
        Ok(access) => access,
        Err(error) => return error,
    };
    let error = followed(kubernetes, &access, service, publisher).await;
    match &error {
        ApiError::Busy { text, retry_after } => {
            kubernetes.accesses.holdoff.begin(retry_after.unwrap_or(BUSY), text);
        }
        // What was read of the files is out of date: a token, or an authority.
        ApiError::Unknown(_) => kubernetes.accesses.forget(&access),
        ApiError::Failed(error) if is_of_tls(&**error) => kubernetes.accesses.forget(&access),
        ApiError::Failed(_) => kubernetes.accesses.forget_old(&access),
        ApiError::Gone | ApiError::Refused(_) => {}
    }
    error.into_reason()
}

/// Whether TLS is why there is no connection. An `io::Error` has what it wraps beside its source.
fn is_of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|error| is_of_tls(error))
        || error.source().is_some_and(is_of_tls)
}

async fn followed(
    kubernetes: &Kubernetes,
    access: &Arc<Access>,
    service: &Service,
    publisher: &Publisher<Slices>,
) -> ApiError {
    let mut in_vain = 0;
    loop {
        match follow_from_list(kubernetes, access, service, publisher, &mut in_vain).await {
            ApiError::Gone if in_vain < PATIENCE => {
                in_vain += 1;
                clock::sleep(PACE).await;
            }
            error => return error,
        }
    }
}

/// Follows from a new list on, until a version is gone or worse.
async fn follow_from_list(
    kubernetes: &Kubernetes,
    access: &Access,
    service: &Service,
    publisher: &Publisher<Slices>,
    in_vain: &mut u32,
) -> ApiError {
    let listed = clock::within(LIST, listed(kubernetes, access, service)).await;
    let mut known =
        match listed.unwrap_or_else(|| Err(format!("there was no whole list within {LIST:?}").into())) {
            Ok(known) => known,
            Err(error) => return error,
        };
    // A server that lists and lets nobody watch is not one that has recovered.
    known.is_held = publisher.last().is_some_and(|last| !last.is_watched());
    if !known.is_held {
        publisher.set(known.slices.clone());
    }
    let mut broken = 0;
    loop {
        let (began, before) = (clock::now(), known.version.clone());
        match watched(kubernetes, access, service, publisher, &mut known).await {
            Err(error) => return error,
            Ok(end) => {
                let (is_new, lasted) = (known.version != before, began.elapsed());
                if is_new || PACE <= lasted {
                    (*in_vain, broken) = (0, 0);
                }
                let is_broken = matches!(end, End::Broken(_));
                match end {
                    End::Over => broken = 0,
                    End::Broken(error) if broken == PATIENCE => return error.into(),
                    End::Broken(_) => broken += 1,
                }
                // It may be that only this connection broke. Nothing else is asked for again at once.
                if is_new || !is_broken || broken > 1 {
                    clock::sleep(PACE.saturating_sub(lasted)).await;
                }
            }
        }
    }
}

async fn listed(kubernetes: &Kubernetes, access: &Access, service: &Service) -> Result<Known, ApiError> {
    let (mut slices, mut from) = (Slices::default(), String::new());
    for _ in 0..MOST_PAGES {
        let page = api::list(access, service, &from).await?;
        for (number, item) in page.items.unwrap_or_default().into_iter().enumerate() {
            let name = name(&item).unwrap_or_else(|| format!("{number} of the page at {from:?}"));
            slices.insert(name, item, &kubernetes.port_name);
        }
        from = page.metadata.r#continue;
        if !from.is_empty() && slices.is_full() {
            slices.cut();
            from.clear();
        }
        if from.is_empty() {
            return Ok(Known { slices, version: page.metadata.resource_version, is_held: false });
        }
    }
    Err(format!("the list of slices has over {MOST_PAGES} pages").into())
}

async fn watched(
    kubernetes: &Kubernetes,
    access: &Access,
    service: &Service,
    publisher: &Publisher<Slices>,
    known: &mut Known,
) -> Result<End, ApiError> {
    let time = kubernetes.silence - kubernetes.silence / 5;
    let mut lines = api::watch(access, service, &known.version, time).await?;
    if !known.is_held {
        publisher.confirm();
    }
    loop {
        let mut line = None;
        if !known.slices.is_watched() {
            line = clock::within(PACE, lines.next(kubernetes.silence)).await;
            if line.is_none() {
                known.serves(publisher);
            }
        }
        let line = match line {
            Some(line) => line,
            None => lines.next(kubernetes.silence).await,
        };
        let line = match line {
            Ok(line) => line,
            Err(NoLine::End) => {
                known.serves(publisher);
                return Ok(End::Over);
            }
            Err(NoLine::Broken(error)) => return Ok(End::Broken(error.into())),
            Err(NoLine::Failed(text)) => return Err(text.into()),
        };
        let event = serde_json::from_slice::<WatchEvent<Value>>(&line).map_err(|error| {
            let begin: String = String::from_utf8_lossy(&line).chars().take(100).collect();
            format!("{begin:?} is not an event of a watch: {error}")
        })?;
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let (name, version) = marked(&object)?;
                known.slices.insert(name, object, &kubernetes.port_name);
                known.version = version;
                known.tell(publisher);
            }
            WatchEvent::Deleted(object) => {
                let (name, version) = marked(&object)?;
                known.slices.remove(&name);
                known.version = version;
                known.tell(publisher);
            }
            WatchEvent::Bookmark(bookmark) => {
                known.version = bookmark.metadata.resource_version;
                known.serves(publisher);
                publisher.confirm();
            }
            WatchEvent::Error(status) => {
                return Err(api::understood("watch", service, &status, &HeaderMap::new()));
            }
        }
    }
}

fn name(object: &Value) -> Option<String> {
    Some(object.get("metadata")?.get("name")?.as_str()?.to_owned())
}

/// The name and the version of what an event tells of. Without them it cannot be said what has changed.
fn marked(object: &Value) -> Result<(String, String), ApiError> {
    let version = || Some(object.get("metadata")?.get("resourceVersion")?.as_str()?.to_owned());
    let marked = name(object).zip(version());
    marked.ok_or_else(|| "an event of the watch has no name or no resourceVersion".into())
}
