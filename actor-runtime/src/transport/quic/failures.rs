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
            let detail = format!(
                "the TLS handshake with {far} failed: {}; do both sides trust the same authority?",
                error.reason
            );
            (FailureKind::Unauthenticated, detail)
        }
        ConnectionError::ConnectionClosed(close) if (0x100..0x200).contains(&u64::from(close.error_code)) => {
            let said = String::from_utf8_lossy(&close.reason);
            let detail = format!(
                "{far} refused this node's certificate or its settings of TLS ({} {said}); do both sides trust the same authority?",
                close.error_code
            );
            (FailureKind::Unauthenticated, detail)
        }
        ConnectionError::LocallyClosed => {
            (FailureKind::Stopped, "this node closed the connection".to_owned())
        }
        error => (FailureKind::ConnectionLost, format!("the connection to {far} broke: {error}")),
    }
}

/// Why no connection was made.
pub(super) fn dial(far: &str, error: &ConnectionError, idle: Duration) -> Failure {
    let (kind, detail) = match error {
        ConnectionError::TimedOut => {
            (FailureKind::Unreachable, format!("nothing answered at {far} within {idle:?}"))
        }
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
