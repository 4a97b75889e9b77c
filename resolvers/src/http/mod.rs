//! Requests over HTTP, with a bound on every wait and every body.

mod error;
mod trust;

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, Uri, body::Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

pub(crate) use error::HttpError;
pub(crate) use trust::HttpTrust;

use crate::{clock, view::BoxError};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Makes requests, over connections that are kept. Clones share them.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    #[allow(dead_code, reason = "features decide which of them are read")]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    /// Connections over TLS trust what `trust` says.
    pub(crate) fn new(trust: HttpTrust) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(trust.config()?).https_or_http();
        let connector = tls.enable_http1().wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector),
        })
    }

    /// The whole answer to a request, of at most `most` bytes, in this time.
    ///
    /// # Cancel safety
    /// The future can be dropped; the request may have been served.
    pub(crate) async fn call(
        &self,
        request: Request<Bytes>,
        time: Duration,
        most: usize,
    ) -> Result<Answer, HttpError> {
        let uri = request.uri().clone();
        let whole = async {
            let mut opened = self.open(request, time).await?;
            let mut body = BytesMut::new();
            while let Some(part) = opened.body.next(time).await? {
                if most - body.len() < part.len() {
                    return Err(HttpError::TooLong { uri: uri.clone(), most });
                }
                body.extend_from_slice(&part);
            }
            Ok(Answer { status: opened.status, headers: opened.headers, body: body.freeze() })
        };
        clock::within(time, whole).await.unwrap_or_else(|| Err(HttpError::Slow { uri: uri.clone(), time }))
    }

    /// The beginning of an answer, in this time, and its body piece by piece.
    pub(crate) async fn open(&self, request: Request<Bytes>, time: Duration) -> Result<Opened, HttpError> {
        let uri = request.uri().clone();
        let answered = clock::within(time, self.client.request(request.map(Full::new))).await;
        match answered {
            Some(Ok(answer)) => {
                let (head, body) = answer.into_parts();
                let body = Pieces { uri, body };
                Ok(Opened { status: head.status, headers: head.headers, body })
            }
            Some(Err(error)) => Err(HttpError::Unreachable { uri, error: error.into() }),
            None => Err(HttpError::Slow { uri, time }),
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) status: StatusCode,
    #[allow(dead_code, reason = "features decide which of them are read")]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Pieces,
}

/// A body that is still coming.
#[derive(Debug)]
pub(crate) struct Pieces {
    uri: Uri,
    body: Incoming,
}

impl Pieces {
    /// The next piece, or `None` at the end. A silence of `time` is an error.
    ///
    /// # Cancel safety
    /// The future can be dropped: no piece is lost.
    pub(crate) async fn next(&mut self, time: Duration) -> Result<Option<Bytes>, HttpError> {
        loop {
            match clock::within(time, self.body.frame()).await {
                None => return Err(HttpError::Silent { uri: self.uri.clone(), time }),
                Some(None) => return Ok(None),
                Some(Some(Err(error))) => {
                    return Err(HttpError::Broken { uri: self.uri.clone(), error: error.into() });
                }
                Some(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}
