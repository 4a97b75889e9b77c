use std::{fmt, time::Duration};

use hyper::Uri;

use crate::view::BoxError;

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// No connection, or it ended before the answer began.
    Unreachable { uri: Uri, error: BoxError },
    /// The answer ended before its end.
    Broken { uri: Uri, error: BoxError },
    /// The answer was not there in time.
    Slow { uri: Uri, time: Duration },
    /// Nothing came for this long.
    Silent { uri: Uri, time: Duration },
    /// The answer is longer than what is read of one.
    TooLong { uri: Uri, most: usize },
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { uri, .. } => write!(f, "{} cannot be reached", place(uri)),
            Self::Broken { uri, .. } => write!(f, "the answer of {} broke off", place(uri)),
            Self::Slow { uri, time } => write!(f, "{} did not answer within {time:?}", place(uri)),
            Self::Silent { uri, time } => write!(f, "{} said nothing for {time:?}", place(uri)),
            Self::TooLong { uri, most } => write!(f, "the answer of {} has over {most} bytes", place(uri)),
        }
    }
}

impl std::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { error, .. } | Self::Broken { error, .. } => Some(&**error),
            Self::Slow { .. } | Self::Silent { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// The address without what may be secret in it.
fn place(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", uri.path())
}
