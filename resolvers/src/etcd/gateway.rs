//! Requests to a cluster: one member at a time, the next one when that fails, with a token if the cluster wants one.

use std::{fmt, future::Future, time::Duration};

use bytes::Bytes;
use hyper::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    EtcdError, EtcdOptions,
    lines::Lines,
    messages::{AuthenticateRequest, AuthenticateResponse, Refusal, StreamError},
    options::User,
};
use crate::{
    http::{Http, HttpError},
    sync::{Mutex, lock},
};

/// The longest answer that is read, in bytes, unless the one who asks says otherwise.
pub(super) const SMALL: usize = 1 << 20;

/// The shortest time that a member has for its answer.
const SHORTEST: Duration = Duration::from_millis(100);

/// Codes with which etcd refuses.
pub(super) mod code {
    pub(in super::super) const INVALID_ARGUMENT: i64 = 3;
    pub(in super::super) const DEADLINE_EXCEEDED: i64 = 4;
    pub(in super::super) const NOT_FOUND: i64 = 5;
    pub(in super::super) const FAILED_PRECONDITION: i64 = 9;
    pub(in super::super) const OUT_OF_RANGE: i64 = 11;
    pub(in super::super) const UNAVAILABLE: i64 = 14;
    pub(in super::super) const UNAUTHENTICATED: i64 = 16;
}

/// A cluster.
pub(super) struct Gateway {
    http: Http,
    endpoints: Vec<String>,
    user: Option<User>,
    silence: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The member that is asked.
    current: usize,
    token: Option<HeaderValue>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum GatewayError {
    /// No member could be asked; this is what happened at each.
    Nobody(Vec<Self>),
    /// The request did not get through, or the answer did not.
    Http(HttpError),
    /// There is no gateway.
    NoGateway { at: String },
    /// What answers there is not etcd's gateway.
    NotEtcd { at: String, status: StatusCode, error: String, begins: String },
    /// etcd ends leases as soon as it has granted them.
    NoLease,
    /// etcd says no.
    Refused { at: String, path: &'static str, code: i64, message: String },
}

impl Gateway {
    pub(super) fn new(options: &EtcdOptions) -> Result<Self, EtcdError> {
        Ok(Self {
            http: options.http()?,
            endpoints: options.endpoints()?,
            user: options.user.clone(),
            silence: options.silence,
            state: Mutex::default(),
        })
    }

    /// How long an answer may take.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// How long each member may take, if all of them are to be asked within this time; not longer than the silence that is
    /// borne, and a tenth of a second at least.
    pub(super) fn share_of(&self, time: Duration) -> Duration {
        let members = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        (time / members.max(1)).clamp(SHORTEST, self.silence.max(SHORTEST))
    }

    /// The whole answer to a request, of at most `most` bytes. A request that fails may have been served, and is made once to
    /// each member; so it is one that may be made again.
    ///
    /// # Cancel safety
    /// The future can be dropped; the request may have been served.
    pub(super) async fn call<A: DeserializeOwned>(
        &self,
        path: &'static str,
        asks: &impl Serialize,
        most: usize,
    ) -> Result<A, GatewayError> {
        self.call_within(self.silence, path, asks, most).await
    }

    /// As [`call`](Self::call), and each member that is asked has this time.
    pub(super) async fn call_within<A: DeserializeOwned>(
        &self,
        time: Duration,
        path: &'static str,
        asks: &impl Serialize,
        most: usize,
    ) -> Result<A, GatewayError> {
        let asked = Asked { path, body: json(asks), most, time };
        self.each(&asked).await.map(|Whole(answer)| answer)
    }

    /// An answer that does not end, object by object.
    ///
    /// # Cancel safety
    /// As for [`call`](Self::call).
    pub(super) async fn stream(
        &self,
        path: &'static str,
        asks: &impl Serialize,
    ) -> Result<Lines, GatewayError> {
        self.each(&Asked { path, body: json(asks), most: SMALL, time: self.silence }).await
    }

    /// The members in turn, from the one that answered last, until one does not fail.
    async fn each<A: Reply>(&self, asked: &Asked) -> Result<A, GatewayError> {
        let mut failed = Vec::new();
        for _ in 0..self.endpoints.len() {
            let current = lock(&self.state).current;
            let at = &*self.endpoints[current];
            match self.with_token(at, asked).await {
                Err(error) if error.is_of_one_member() => {
                    failed.push(error);
                    self.leave(current);
                }
                answered => return answered,
            }
        }
        match failed.pop() {
            Some(only) if failed.is_empty() => Err(only),
            last => {
                failed.extend(last);
                Err(GatewayError::Nobody(failed))
            }
        }
    }

    /// Another member is asked from now on.
    pub(super) fn leave_current(&self) {
        let current = lock(&self.state).current;
        self.leave(current);
    }

    fn leave(&self, member: usize) {
        let mut state = lock(&self.state);
        if state.current == member {
            state.current = (member + 1) % self.endpoints.len();
        }
    }

    /// Asks with the token, and with a new one if that is refused.
    async fn with_token<A: Reply>(&self, at: &str, asked: &Asked) -> Result<A, GatewayError> {
        let Some(user) = &self.user else { return A::of(self, at, asked, None).await };
        let known = lock(&self.state).token.clone();
        if let Some(token) = known {
            match A::of(self, at, asked, Some(token)).await {
                Err(error) if error.is_of_the_token() => {}
                answered => return answered,
            }
        }
        let credentials = AuthenticateRequest { name: &user.name, password: &user.password };
        let asks =
            Asked { path: "/v3/auth/authenticate", body: json(&credentials), most: SMALL, time: asked.time };
        let token = match Whole::of(self, at, &asks, None).await {
            Ok(Whole(AuthenticateResponse { token })) => token,
            // It may be switched on later.
            Err(GatewayError::Refused { code: code::FAILED_PRECONDITION, .. }) => {
                return A::of(self, at, asked, None).await;
            }
            Err(error) => return Err(error),
        };
        let token = HeaderValue::try_from(token).ok().map(|mut token| {
            token.set_sensitive(true);
            token
        });
        lock(&self.state).token.clone_from(&token);
        A::of(self, at, asked, token).await
    }
}

/// A request to any member.
struct Asked {
    path: &'static str,
    body: Bytes,
    /// The longest answer that is read.
    most: usize,
    /// How long a member may take to answer.
    time: Duration,
}

/// What a member answers.
trait Reply: Sized {
    fn of(
        gateway: &Gateway,
        at: &str,
        asked: &Asked,
        token: Option<HeaderValue>,
    ) -> impl Future<Output = Result<Self, GatewayError>> + Send;
}

struct Whole<A>(A);

impl<A: DeserializeOwned> Reply for Whole<A> {
    async fn of(
        gateway: &Gateway,
        at: &str,
        asked: &Asked,
        token: Option<HeaderValue>,
    ) -> Result<Self, GatewayError> {
        let answer = gateway.http.call(asked.at(at, token), asked.time, asked.most).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(at, asked.path, answer.status, &answer.body));
        }
        let read = serde_json::from_slice(&answer.body);
        read.map(Whole).map_err(|error| not_etcd(at, answer.status, &error, &answer.body))
    }
}

impl Reply for Lines {
    async fn of(
        gateway: &Gateway,
        at: &str,
        asked: &Asked,
        token: Option<HeaderValue>,
    ) -> Result<Self, GatewayError> {
        let opened = gateway.http.open(asked.at(at, token), asked.time).await?;
        let mut lines = Self::new(opened.body, at);
        if opened.status == StatusCode::OK {
            return Ok(lines);
        }
        let line = lines.next(asked.time).await?.unwrap_or_default();
        Err(refused(at, asked.path, opened.status, &line))
    }
}

impl Asked {
    fn at(&self, at: &str, token: Option<HeaderValue>) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = Method::POST;
        // `EtcdOptions` has parsed the one, and the other is ours.
        *request.uri_mut() = format!("{at}{}", self.path).parse().unwrap_or_default();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        request
    }
}

fn json(value: &impl Serialize) -> Bytes {
    // Maps with keys that are no texts would be an error, and there are none.
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

/// What an answer says that is not 200.
fn refused(at: &str, path: &'static str, status: StatusCode, body: &[u8]) -> GatewayError {
    match serde_json::from_slice(body) {
        Ok(Refusal::Of { code, message } | Refusal::Streamed { error: StreamError { code, message } }) => {
            GatewayError::Refused { at: at.to_owned(), path, code, message }
        }
        Err(_) if status == StatusCode::NOT_FOUND => GatewayError::NoGateway { at: at.to_owned() },
        Err(_) => not_etcd(at, status, &"no refusal as etcd writes it", body),
    }
}

/// An answer that etcd would not give.
pub(super) fn not_etcd(at: &str, status: StatusCode, error: &dyn fmt::Display, body: &[u8]) -> GatewayError {
    let begins = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    GatewayError::NotEtcd { at: at.to_owned(), status, error: error.to_string(), begins }
}

impl GatewayError {
    /// Whether another member may do better.
    fn is_of_one_member(&self) -> bool {
        match self {
            Self::Nobody(_) | Self::NoLease => false,
            Self::Http(HttpError::TooLong { .. }) => false,
            Self::Http(_) | Self::NoGateway { .. } | Self::NotEtcd { .. } => true,
            Self::Refused { code, .. } => matches!(*code, code::UNAVAILABLE | code::DEADLINE_EXCEEDED),
        }
    }

    /// Whether another token may do better. One that is signed (`--auth-token jwt`) is too old as soon as any user or role has
    /// changed. etcd 3.4 takes that for a bad argument, 3.5 has another text for it and no code.
    fn is_of_the_token(&self) -> bool {
        let Self::Refused { code, message, .. } = self else { return false };
        let told = |text| message.contains(text);
        match *code {
            code::UNAUTHENTICATED => true,
            code::INVALID_ARGUMENT if told("user name is empty") => true,
            _ => told("revision of auth store is old") || told("revision in header is old"),
        }
    }

    /// The code of a refusal.
    pub(super) fn code(&self) -> Option<i64> {
        if let Self::Refused { code, .. } = self { Some(*code) } else { None }
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(errors) => {
                f.write_str("no member of etcd answers")?;
                for (number, error) in errors.iter().enumerate() {
                    let between = if number == 0 { ": " } else { "; " };
                    write!(f, "{between}{}", causes(error))?;
                }
                Ok(())
            }
            Self::Http(error) => error.fmt(f),
            Self::NoLease => f.write_str("etcd grants a lease, and does not know it a moment later"),
            Self::NoGateway { at } => write!(
                f,
                "{at} has no JSON gateway of etcd 3.4 or newer: start etcd without --enable-grpc-gateway=false, and \
                 give the port of its clients"
            ),
            Self::NotEtcd { at, status, error, begins } => write!(
                f,
                "what answers at {at} is not etcd's gateway: status {}, {error}, it begins with {begins:?}",
                status.as_u16()
            ),
            Self::Refused { at, path, code, message } => {
                write!(f, "etcd at {at} refuses {path}: {message}")?;
                let hint = match *code {
                    code::INVALID_ARGUMENT if message.contains("user name is empty") => {
                        "; give a user with `EtcdOptions::user`"
                    }
                    code::INVALID_ARGUMENT if message.contains("authentication failed") => {
                        "; see to the user's name and password"
                    }
                    _ => "",
                };
                f.write_str(hint)
            }
        }
    }
}

impl std::error::Error for GatewayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Http(error) = self { std::error::Error::source(error) } else { None }
    }
}

impl From<HttpError> for GatewayError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd at {}", self.endpoints.join(", "))
    }
}

/// An error with its causes, for a text.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
