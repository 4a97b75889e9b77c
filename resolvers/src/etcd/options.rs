use std::{fmt, time::Duration};

use hyper::{Uri, http::uri::PathAndQuery};

use super::keys::Keys;
use crate::{
    http::{Http, HttpTrust},
    view::BoxError,
};

/// Where an etcd cluster is, and how it is spoken to. etcd must be 3.4 or newer, and have its JSON gateway on
/// (`--enable-grpc-gateway`, which is so unless it was switched off).
///
/// ```
/// use actor_resolvers::EtcdOptions;
///
/// let three = EtcdOptions::new("http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379")
///     .prefix("/production/actors/")
///     .user("trainer", "a password");
/// ```
///
/// A text is enough where these are asked for: `EtcdResolver::new("http://127.0.0.1:2379")`.
#[derive(Clone)]
pub struct EtcdOptions {
    endpoints: Vec<String>,
    prefix: String,
    pub(super) user: Option<User>,
    trust: HttpTrust,
    pub(super) silence: Duration,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

impl EtcdOptions {
    /// The members of a cluster, as `http://host:port` or `https://host:port`, several with commas between. One is asked at a
    /// time, another one when it fails.
    pub fn new(endpoints: impl AsRef<str>) -> Self {
        let endpoints = endpoints.as_ref().split(',').map(|text| text.trim().to_owned());
        Self {
            endpoints: endpoints.filter(|text| !text.is_empty()).collect(),
            prefix: "/actors/".to_owned(),
            user: None,
            trust: HttpTrust::default(),
            silence: Duration::from_secs(5),
        }
    }

    /// What all keys begin with; `/actors/` unless this is called. A `/` is put at its end if it has none.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// For a cluster with authentication; where it is not switched on nobody is asked who he is. The user needs to read the prefix, and to write it where actors are announced.
    /// Certificates do not say who a user is here: etcd does not look at their names when it is asked over its gateway.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some(User { name: name.into(), password: password.into() });
        self
    }

    /// The authorities that vouch for the cluster, as PEM; those of the system unless this is called.
    #[must_use]
    pub fn authorities(mut self, pem: impl Into<String>) -> Self {
        self.trust.authorities = Some(pem.into());
        self
    }

    /// The certificate that is shown to the cluster, with its chain, and its key, each as PEM.
    #[must_use]
    pub fn identity(mut self, chain: impl Into<String>, key: impl Into<String>) -> Self {
        self.trust.identity = Some((chain.into(), key.into()));
        self
    }

    /// How long etcd may take to answer, and how often a watch that says nothing is looked after; five seconds unless this is
    /// called, a tenth of a second at least and an hour at most. That a watch has died in silence is known after three times this.
    #[must_use]
    pub fn silence(mut self, time: Duration) -> Self {
        self.silence = time.clamp(Duration::from_millis(100), Duration::from_secs(3600));
        self
    }

    pub(super) fn keys(&self) -> Result<Keys, EtcdError> {
        let prefix = &self.prefix;
        if prefix.is_empty() || prefix.len() > 255 || prefix.contains(char::is_control) {
            return Err(EtcdError::Prefix { prefix: prefix.clone() });
        }
        Ok(Keys::new(prefix))
    }

    pub(super) fn http(&self) -> Result<Http, EtcdError> {
        Http::new(self.trust.clone()).map_err(|error| EtcdError::Trust { error })
    }

    pub(super) fn endpoints(&self) -> Result<Vec<String>, EtcdError> {
        if self.endpoints.is_empty() {
            return Err(EtcdError::NoEndpoint);
        }
        if let Some(text) = self.after_a_user() {
            return Err(EtcdError::Endpoint { text });
        }
        self.endpoints.iter().map(|text| endpoint(text)).collect()
    }

    /// What is written after the last user, if there is any. A password may have a comma, and be in two endpoints.
    fn after_a_user(&self) -> Option<String> {
        let all = self.endpoints.join(", ");
        all.rsplit_once('@').map(|(_, after)| after.to_owned())
    }
}

/// `http://host:port`, without anything after it. There is no user in the text.
fn endpoint(text: &str) -> Result<String, EtcdError> {
    let bad = || EtcdError::Endpoint { text: text.to_owned() };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = whole.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or_else(bad)?;
    if uri.path_and_query().map_or("/", PathAndQuery::as_str) != "/" {
        return Err(bad());
    }
    Ok(format!("{scheme}://{authority}"))
}

impl From<&str> for EtcdOptions {
    fn from(endpoints: &str) -> Self {
        Self::new(endpoints)
    }
}

impl From<String> for EtcdOptions {
    fn from(endpoints: String) -> Self {
        Self::new(endpoints)
    }
}

/// Without what is secret.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.after_a_user().unwrap_or_else(|| self.endpoints.join(", "));
        write!(f, "etcd at {endpoints} under {:?}", self.prefix)
    }
}

/// What [`EtcdOptions`] say cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// There is no endpoint.
    #[error("no endpoint of etcd is given: write `http://127.0.0.1:2379`, several with commas between")]
    NoEndpoint,
    /// This is not the address of a member.
    #[error("{text:?} is not an endpoint of etcd: write `http://127.0.0.1:2379`, without a user and a path")]
    Endpoint {
        /// What is written, without the user in it.
        text: String,
    },
    /// Keys cannot begin with this.
    #[error("{prefix:?} cannot be a prefix: write 1 to 255 bytes without control characters")]
    Prefix {
        /// What is written.
        prefix: String,
    },
    /// The certificates or the key cannot be used.
    #[error("etcd cannot be reached with these certificates")]
    Trust {
        /// What is wrong with them.
        #[source]
        error: BoxError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_and_nothing_else() {
        let good = EtcdOptions::new("http://a:1, https://[::1]:2,127.0.0.1:2379, ").endpoints().unwrap();
        assert_eq!(good, ["http://a:1", "https://[::1]:2", "http://127.0.0.1:2379"]);
        for bad in ["ftp://a", "http://a/v3", "http://a?b", "http://", "a b"] {
            assert!(EtcdOptions::new(bad).endpoints().is_err(), "{bad}");
        }
        assert!(matches!(EtcdOptions::new(" , ").endpoints(), Err(EtcdError::NoEndpoint)));
    }

    #[test]
    fn no_secret_stands_in_a_text() {
        let options = EtcdOptions::new("http://a:1").user("u", "secret");
        assert_eq!(format!("{options:?}"), r#"etcd at http://a:1 under "/actors/""#);
        for bad in [
            "http://u:secret@a:1",
            "u:secret@a:1",
            "http://u:sec,ret@a:1",
            "http://u:secret,@a:1",
            "http://u:sec@ret@a:1",
            "http://b:2, http://u:secret/x@a:1",
            "http://u:sec@a:1, http://u:ret@a:1",
        ] {
            let options = EtcdOptions::new(bad);
            let error = options.endpoints().unwrap_err();
            for text in [format!("{options:?}"), format!("{error:?}"), format!("{error}")] {
                assert!(
                    !text.contains("sec") && !text.contains("ret") && text.contains("a:1"),
                    "{bad}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_prefix_has_an_end_and_can_be_read() {
        assert!(EtcdOptions::new("a").prefix("x").keys().is_ok());
        for bad in ["", "a\nb", &"x".repeat(256)] {
            assert!(EtcdOptions::new("a").prefix(bad).keys().is_err(), "{bad:?}");
        }
    }
}
