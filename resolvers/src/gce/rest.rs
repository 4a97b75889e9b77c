//! `instances.list` of the Compute Engine API, version 1, page by page.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use actor_runtime::BoxFuture;
use bytes::Bytes;
use hyper::{Request, StatusCode, header::AUTHORIZATION};
use serde::Deserialize;
use serde_json::Value;

use super::{GceApi, GceError, GceInstance, token::Tokens};
use crate::{
    escaped::escaped,
    holdoff::retry_after,
    http::{Answer, Http, HttpError},
};

/// How long a page may take.
const TIME: Duration = Duration::from_secs(20);

/// The largest page.
const LARGEST_PAGE: usize = 32 << 20;

/// How many instances are asked for at a time, the most that the API gives. Fewer, if that makes too large a page: an instance
/// may have half a megabyte of metadata.
pub(super) const PAGE: usize = 500;

/// How much is kept of a value of metadata. Ports and namespaces are shorter.
const LONGEST_VALUE: usize = 200;

/// How many pages one list has at most; some may be nearly empty.
const MOST_PAGES: usize = 200;

/// What is asked for of each instance.
const FIELDS: &str = "items(name,status,metadata/items,networkInterfaces/networkIP),nextPageToken";

pub(super) struct Rest {
    pub(super) http: Http,
    pub(super) endpoint: String,
    pub(super) tokens: Tokens,
    /// How many instances are asked for at a time.
    pub(super) page: AtomicUsize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Value>,
    #[serde(default)]
    next_page_token: String,
}

impl GceApi for Rest {
    fn list_instances<'a>(
        &'a self,
        project: &'a str,
        zone: &'a str,
    ) -> BoxFuture<'a, Result<Vec<GceInstance>, GceError>> {
        Box::pin(self.list(project, zone))
    }
}

impl Rest {
    async fn list(&self, project: &str, zone: &str) -> Result<Vec<GceInstance>, GceError> {
        let fields = escaped(FIELDS);
        let uri = format!(
            "{}/compute/v1/projects/{project}/zones/{zone}/instances?filter=status%3DRUNNING&fields={fields}",
            self.endpoint
        );
        let (mut instances, mut token) = (Vec::new(), String::new());
        for _ in 0..MOST_PAGES {
            let from =
                if token.is_empty() { String::new() } else { format!("&pageToken={}", escaped(&token)) };
            let page = self.page(&format!("{uri}{from}"), project, zone).await?;
            instances.extend(page.items.iter().map(instance));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(instances);
            }
        }
        Err(GceError::new(format!("the list of instances has over {MOST_PAGES} pages")))
    }

    async fn page(&self, uri: &str, project: &str, zone: &str) -> Result<Page, GceError> {
        let mut answer = self.asked(uri).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            answer = self.asked(uri).await?;
        }
        if answer.status != StatusCode::OK {
            return Err(refused(&answer, project, zone));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| GceError::new(format!("the answer is not a list of instances: {error}")))
    }

    async fn asked(&self, uri: &str) -> Result<Answer, GceError> {
        loop {
            let authorization = self.tokens.authorization().await?;
            let size = self.page.load(Relaxed);
            let request = Request::get(format!("{uri}&maxResults={size}"));
            let request = request.header(AUTHORIZATION, &authorization).body(Bytes::new());
            match self.http.call(request.map_err(GceError::new)?, TIME, LARGEST_PAGE).await {
                Ok(answer) => {
                    if answer.status == StatusCode::UNAUTHORIZED {
                        self.tokens.forget(&authorization).await;
                    }
                    return Ok(answer);
                }
                Err(HttpError::TooLong { .. }) if size > 1 => self.page.store(size / 2, Relaxed),
                Err(error) => return Err(GceError::new(error)),
            }
        }
    }
}

/// What there is of an instance. What is missing is found out when it matters.
fn instance(item: &Value) -> GceInstance {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let entries = item.pointer("/metadata/items").and_then(Value::as_array);
    let entries = entries.into_iter().flatten();
    let entries = entries.filter_map(|entry| {
        let (key, value) = (text(entry.get("key"))?, entry.get("value")?.as_str()?);
        Some((key, value.chars().take(LONGEST_VALUE).collect()))
    });
    GceInstance {
        name: text(item.get("name")).unwrap_or_default(),
        status: text(item.get("status")).unwrap_or_default(),
        internal_ip: text(item.pointer("/networkInterfaces/0/networkIP")),
        metadata: entries.collect(),
    }
}

/// The error of Google's APIs.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Cause>,
    /// Where newer parts of the API tell the reason.
    #[serde(default)]
    details: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
}

fn refused(answer: &Answer, project: &str, zone: &str) -> GceError {
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let plain = String::from_utf8_lossy(&answer.body);
    let says = if refusal.error.message.is_empty() { &*plain } else { &*refusal.error.message };
    let says: String = says.chars().take(500).collect();
    let is_quota = |cause: &Cause| {
        matches!(
            &*cause.reason,
            "rateLimitExceeded"
                | "userRateLimitExceeded"
                | "quotaExceeded"
                | "dailyLimitExceeded"
                | "RATE_LIMIT_EXCEEDED"
        )
    };
    let status = answer.status;
    let is_quota = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::FORBIDDEN
            && refusal.error.errors.iter().chain(&refusal.error.details).any(is_quota);
    if is_quota {
        let text = format!("the quota of project {project:?} for requests is used up ({says})");
        return GceError::too_many_requests(text, retry_after(&answer.headers));
    }
    GceError::new(match status {
        StatusCode::UNAUTHORIZED => format!("the token is not accepted, nor was a new one ({says})"),
        StatusCode::FORBIDDEN => format!(
            "not allowed to list the instances of project {project:?}, zone {zone:?}: give the service account the role \
             roles/compute.viewer, and the machine the scope https://www.googleapis.com/auth/compute.readonly ({says})"
        ),
        StatusCode::NOT_FOUND => {
            format!(
                "there is no project {project:?}, or it has no zone {zone:?}; a zone is like europe-west1-b ({says})"
            )
        }
        status => format!("the list of instances was answered with {status} ({says})"),
    })
}
