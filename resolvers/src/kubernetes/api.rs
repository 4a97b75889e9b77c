//! The two questions that are put to the API server: a list, and a watch from a version on.

use std::time::Duration;

use hyper::{HeaderMap, StatusCode};
use kube::core::Status;
use serde::Deserialize;
use serde_json::Value;

use super::{access::Access, lines::Lines, names::Service};
use crate::{
    escaped::escaped,
    holdoff::retry_after,
    http::{Answer, Opened},
    view::BoxError,
};

/// How long the beginning of an answer may take, and a whole page.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// How many slices are asked for at a time.
const PAGE: usize = 20;

/// The largest page.
const LARGEST_PAGE: usize = 8 << 20;

/// The largest answer to what was refused.
const LARGEST_REFUSAL: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The version that was asked for is forgotten.
    Gone,
    /// The credentials are not accepted.
    Unknown(String),
    /// The server has too much to do.
    Busy {
        text: String,
        retry_after: Option<Duration>,
    },
    Refused(String),
    /// There was no answer, or none that can be understood.
    Failed(BoxError),
}

impl<E: Into<BoxError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl ApiError {
    pub(super) fn into_reason(self) -> BoxError {
        match self {
            Self::Gone => "the server forgets versions as soon as it has told them".into(),
            Self::Unknown(text) | Self::Busy { text, .. } | Self::Refused(text) => text.into(),
            Self::Failed(error) => error,
        }
    }
}

/// A list, as the API writes it; each item is read for itself.
#[derive(Deserialize)]
pub(super) struct List {
    pub(super) metadata: ListMeta,
    #[serde(default)]
    pub(super) items: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    #[serde(default)]
    pub(super) r#continue: String,
}

/// One page of the slices of a service, from the place on that the page before gave.
pub(super) async fn list(access: &Access, service: &Service, from: &str) -> Result<List, ApiError> {
    let mut path = format!("{}&limit={PAGE}", path(service));
    if !from.is_empty() {
        path.push_str("&continue=");
        path.push_str(&escaped(from));
    }
    let answer = access.http.call(access.request(&path).await?, ANSWER, LARGEST_PAGE).await?;
    if answer.status != StatusCode::OK {
        return Err(refused("list", service, &answer));
    }
    let list: List = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer to \"list\" is not a list of slices: {error}"))?;
    if list.metadata.resource_version.is_empty() {
        return Err("the answer to \"list\" has no resourceVersion".into());
    }
    Ok(list)
}

/// What happens to the slices of a service after a version, line by line, for this time.
pub(super) async fn watch(
    access: &Access,
    service: &Service,
    version: &str,
    time: Duration,
) -> Result<Lines, ApiError> {
    // The version is a text that the server made up.
    let (version, seconds) = (escaped(version), time.as_secs().max(1));
    let path = format!(
        "{}&watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}",
        path(service)
    );
    let Opened { status, headers, body } = access.http.open(access.request(&path).await?, ANSWER).await?;
    if status == StatusCode::OK {
        return Ok(Lines::new(body));
    }
    let body = refusal(body).await;
    Err(refused("watch", service, &Answer { status, headers, body }))
}

/// What a refusal says, as far as it is told in time.
async fn refusal(mut body: crate::http::Pieces) -> bytes::Bytes {
    let mut text = bytes::BytesMut::new();
    let read = async {
        while let Ok(Some(piece)) = body.next(ANSWER).await {
            text.extend_from_slice(&piece);
            if text.len() > LARGEST_REFUSAL {
                break;
            }
        }
    };
    crate::clock::within(ANSWER, read).await;
    text.freeze()
}

fn path(service: &Service) -> String {
    // Both are DNS labels.
    let Service { namespace, name } = service;
    format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
    )
}

/// What a status says that came as an answer, or within a watch.
pub(super) fn understood(verb: &str, service: &Service, status: &Status, headers: &HeaderMap) -> ApiError {
    let says = if status.message.is_empty() { "nothing more" } else { &*status.message };
    let says: String = says.chars().take(500).collect();
    let namespace = &service.namespace;
    let text = match status.code {
        403 => format!(
            "not allowed: \"{verb}\" of \"endpointslices\" in API group \"discovery.k8s.io\" in namespace {namespace:?}; \
             bind a role with the verbs list and watch to this account (the server says: {says})"
        ),
        401 => format!("the credentials are not accepted (the server says: {says})"),
        404 => format!(
            "there are no EndpointSlices of discovery.k8s.io/v1, which came with 1.21 (the server says: {says})"
        ),
        code => format!("\"{verb}\" of the slices of {service} was answered with {code}: {says}"),
    };
    match status.code {
        410 => ApiError::Gone,
        401 => ApiError::Unknown(text),
        429 | 503 => ApiError::Busy { text, retry_after: retry_after(headers) },
        _ => ApiError::Refused(text),
    }
}

fn refused(verb: &str, service: &Service, answer: &Answer) -> ApiError {
    let mut status: Status = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Status {
        message: String::from_utf8_lossy(&answer.body).into(),
        ..Status::default()
    });
    status.code = answer.status.as_u16();
    understood(verb, service, &status, &answer.headers)
}
