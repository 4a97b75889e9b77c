//! What quinn says, as callers are told.

use std::time::Duration;

use quinn::{ConnectError, ConnectionError};

use super::super::Link;
use crate::{
    call::{Delivery, Failure, FailureKind},
    proto::CloseCode,
};

/// How a connection ended; what is not a farewell is logged.
pub(super) fn tell(link: &Link, error: &ConnectionError, idle: Duration) {
    let peer = link.far();
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
            let cause = String::from_utf8_lossy(&close.reason);
            if code == CloseCode::Done.code() {
                tracing::debug!(%peer, %cause, "a connection ended");
            } else {
                tracing::warn!(%peer, %cause, "the other side broke a connection off");
            }
            link.closed_by_peer(code, &cause);
        }
        ConnectionError::LocallyClosed => match link.closing() {
            // Logged when it was broken off.
            Some(closing) if closing.code != CloseCode::Done => {
                let reason = format!("the connection to {peer} was broken off: {}", closing.reason);
                link.lost(FailureKind::ConnectionLost, &reason);
            }
            _ => link.lost(FailureKind::Stopped, "this node closed the connection"),
        },
        error => {
            let (kind, reason) = reason(peer, error, idle);
            tracing::warn!(%peer, cause = %reason, "lost a connection");
            link.lost(kind, &reason);
        }
    }
}

fn reason(far: &str, error: &ConnectionError, idle: Duration) -> (FailureKind, String) {
    match error {
        ConnectionError::TimedOut => {
            (FailureKind::ConnectionLost, format!("nothing was heard from {far} for {idle:?}"))
        }
        ConnectionError::Reset => {
            (FailureKind::ConnectionLost, format!("{far} does not know the connection; it was started anew"))
        }
        // TLS alerts: RFC 9001, section 4.8.
        ConnectionError::TransportError(error) if (0x100..0x200).contains(&u64::from(error.code)) => {
            let detail = format!("this node refused {far}: {}; {}", error.reason, hint(&error.reason));
            (FailureKind::Unauthenticated, detail)
        }
        ConnectionError::ConnectionClosed(close) if (0x100..0x200).contains(&u64::from(close.error_code)) => {
            let said = String::from_utf8_lossy(&close.reason);
            let detail = format!("{far} refused what this node proves itself with: {said}; {}", hint(&said));
            (FailureKind::Unauthenticated, detail)
        }
        ConnectionError::LocallyClosed => {
            (FailureKind::Stopped, "this node closed the connection".to_owned())
        }
        error => (FailureKind::ConnectionLost, format!("the connection to {far} broke: {error}")),
    }
}

/// What to do about a handshake that was refused for this reason, as rustls puts it.
fn hint(reason: &str) -> &'static str {
    if ["UnknownIssuer", "BadSignature"].iter().any(|word| reason.contains(word)) {
        "the certificate is of another authority than the one that refused it believes; authorities of the same name are \
         different ones too"
    } else if reason.contains("expired") || reason.contains("not valid yet") {
        "issue a new certificate, or set the clocks right"
    } else if reason.contains("not valid for name") {
        "issue the certificate for the name that is dialled, dial one of its names, or give all nodes one `server_name`"
    } else {
        "do both sides trust the same authority?"
    }
}

/// Why no connection was made.
pub(super) fn dial(far: &str, error: &ConnectionError, idle: Duration) -> Failure {
    let (kind, detail) = match error {
        ConnectionError::TimedOut => (
            FailureKind::Unreachable,
            format!("nothing answered at {far} within {idle:?}; does the server run?"),
        ),
        ConnectionError::ApplicationClosed(close) => {
            let said = String::from_utf8_lossy(&close.reason);
            (FailureKind::Unreachable, format!("{far} closed the connection: {said}"))
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            (FailureKind::Unreachable, format!("{far} takes no more connections now"))
        }
        error => match reason(far, error, idle) {
            (FailureKind::Unauthenticated, detail) => (FailureKind::Unauthenticated, detail),
            (_, detail) => (FailureKind::Unreachable, detail),
        },
    };
    Failure::new(kind, Delivery::NotDelivered, detail)
}

pub(super) fn connect(far: &str, error: &ConnectError) -> Failure {
    let detail = format!("no connection to {far} can be made: {error}");
    Failure::new(FailureKind::Unreachable, Delivery::NotDelivered, detail)
}
