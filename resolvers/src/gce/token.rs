//! Who we are to Compute Engine: a token, kept until shortly before it expires.

use std::{fmt, time::Duration};

use actor_runtime::BoxFuture;
use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use super::GceError;
use crate::{clock, http::Http, view::BoxError};

/// How long a token may take.
const TIME: Duration = Duration::from_secs(10);

/// The longest answer with a token.
const LONGEST: usize = 64 << 10;

/// How long before its end a token is not used any more. One that is shorter is used for half of its time.
const MARGIN: Duration = Duration::from_secs(60);

/// An access token of Google Cloud, and how long it is good for from now on.
#[derive(Clone)]
pub struct GceToken {
    text: String,
    good_for: Duration,
}

impl GceToken {
    /// This text, which stands after `Bearer`.
    pub fn new(text: impl Into<String>, good_for: Duration) -> Self {
        Self { text: text.into(), good_for }
    }
}

/// Without the token.
impl fmt::Debug for GceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token, good for {:?}", self.good_for)
    }
}

/// What gives a new token.
pub(super) type Source = Box<dyn Fn() -> BoxFuture<'static, Result<GceToken, GceError>> + Send + Sync>;

/// The present token.
pub(super) struct Tokens {
    source: Source,
    present: Mutex<Option<(String, Instant)>>,
}

impl Tokens {
    pub(super) fn new(source: Source) -> Self {
        Self { source, present: Mutex::default() }
    }

    /// The value of the header `Authorization`.
    pub(super) async fn authorization(&self) -> Result<String, GceError> {
        let mut present = self.present.lock().await;
        if let Some((text, until)) = &*present
            && clock::now() < *until
        {
            return Ok(text.clone());
        }
        *present = None;
        let given = clock::within(TIME, (self.source)()).await;
        let token =
            given.unwrap_or_else(|| Err(GceError::new(format!("there was no token within {TIME:?}"))))?;
        let text = format!("Bearer {}", token.text);
        let good_for = token.good_for.min(Duration::from_secs(24 * 60 * 60));
        let until = clock::now() + good_for.saturating_sub(MARGIN).max(good_for / 2);
        *present = Some((text.clone(), until));
        Ok(text)
    }

    /// This one was refused.
    pub(super) async fn forget(&self, authorization: &str) {
        self.present.lock().await.take_if(|(text, _)| text == authorization);
    }
}

/// The tokens that the metadata server gives to the machine's service account.
pub(super) fn of_metadata_server(http: Http, server: String) -> Source {
    Box::new(move || {
        let (http, server) = (http.clone(), server.clone());
        Box::pin(async move { asked(&http, &server).await.map_err(GceError::new) })
    })
}

async fn asked(http: &Http, server: &str) -> Result<GceToken, BoxError> {
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        expires_in: u64,
    }
    let hint = "outside of Google Cloud give tokens with `GceBuilder::token_by`";
    let uri = format!("{server}/computeMetadata/v1/instance/service-accounts/default/token");
    let request = Request::get(uri).header("Metadata-Flavor", "Google").body(Bytes::new())?;
    let answer = http.call(request, TIME, LONGEST).await;
    let answer = answer.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        format!("there is no token: {error}{cause}; {hint}")
    })?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err("there is no token: this machine has no service account".into()),
        status => return Err(format!("there is no token: the metadata server answered with {status}").into()),
    }
    let given: Given = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the metadata server gave something else than a token: {error}"))?;
    Ok(GceToken::new(given.access_token, Duration::from_secs(given.expires_in)))
}
