//! A server for HTTP on loopback that says what a test wants.

use std::{collections::BTreeMap, convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{HeaderMap, Request, Response, body::Frame, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// A part of the query, or nothing.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.query.get(name).map_or("", |value| value)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What goes out.
pub(crate) enum Reply {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Piece by piece; an error breaks the connection off.
    Pieces(BoxStream<'static, io::Result<Bytes>>),
    /// There is no answer.
    Never,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Whole {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Whole { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Whole { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    /// The same piece for ever.
    pub(crate) fn endless(piece: &str) -> Self {
        let piece = Bytes::from(piece.to_owned());
        Self::Pieces(stream::repeat_with(move || Ok(piece.clone())).boxed())
    }
}

/// Answers on loopback until it is dropped; its connections end with it.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl StandIn {
    #[cfg(feature = "gce")]
    pub(crate) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), None, answer).await
    }

    /// Answers here, over TLS if it is given.
    pub(crate) async fn start_at<F, A>(address: SocketAddr, tls: Option<TlsAcceptor>, answer: F) -> Self
    where
        F: Fn(Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("it listens");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, Arc::new(answer)));
        Self { address, _tasks: tasks }
    }
}

async fn accept<F, A>(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<F>)
where
    F: Fn(Asked) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (tls, answer) = (tls.clone(), answer.clone());
        stream.set_nodelay(true).expect("it is open");
        connections.spawn(async move {
            match tls {
                None => serve(stream, answer).await,
                Some(tls) => secured(stream, tls, answer).await,
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn secured<F, A>(stream: TcpStream, tls: TlsAcceptor, answer: Arc<F>)
where
    F: Fn(Asked) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    if let Ok(stream) = tls.accept(stream).await {
        serve(stream, answer).await;
    }
}

async fn serve<S, F, A>(stream: S, answer: Arc<F>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Asked) -> A + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let answered = answer(asked(&request));
        async move { Ok::<_, Infallible>(response(answered.await).await) }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

fn asked<B>(request: &Request<B>) -> Asked {
    let query = request.uri().query().unwrap_or_default().split('&').filter_map(|part| part.split_once('='));
    Asked {
        path: request.uri().path().to_owned(),
        query: query.map(|(name, value)| (name.to_owned(), plain(value))).collect(),
        headers: request.headers().clone(),
    }
}

/// Without the escapes of a query.
fn plain(text: &str) -> String {
    let (mut plain, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => plain.push((high * 16 + low) as u8),
                _ => panic!("{text:?} is not escaped as it should be"),
            },
            byte => plain.push(byte),
        }
    }
    String::from_utf8(plain).expect("it is text")
}

async fn response(reply: Reply) -> Response<Body> {
    let (status, headers, body) = match reply {
        Reply::Whole { status, headers, body } => {
            (status, headers, Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync())
        }
        Reply::Pieces(pieces) => {
            (200, Vec::new(), StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync())
        }
        Reply::Never => std::future::pending().await,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().expect("a header"));
    }
    response
}
