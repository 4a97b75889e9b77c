//! What is told of credentials that cannot be had.
//!
//! A plugin has secrets in its arguments, its environment and its output, and kube's errors show them. None of these is told.

use std::error::Error;

use kube::{Config, client::AuthError, config::KubeconfigError};

/// How many characters are told of what somebody else says.
const LONGEST: usize = 200;

/// The program that gives the credentials, if one does.
pub(super) fn program(config: &Config) -> Option<String> {
    let user = &config.auth_info;
    let of_provider = || user.auth_provider.as_ref()?.config.get("cmd-path");
    let program = user.exec.as_ref().and_then(|exec| exec.command.as_ref()).or_else(of_provider)?;
    Some(cut(program))
}

/// Why there are no credentials.
pub(super) fn reason(error: &(dyn Error + 'static), program: Option<&str>) -> String {
    let error = match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Auth(error)) => Some(error),
        _ => error.downcast_ref::<AuthError>(),
    }
    .ok_or_else(|| cut(&error.to_string()));
    let plugin = || format!("the plugin {:?} of the kubeconfig", program.unwrap_or("without a name"));
    match error {
        Ok(AuthError::AuthExecRun { out, .. }) => format!("{} failed: {}", plugin(), out.status),
        Ok(AuthError::AuthExecStart(error)) => format!("{} cannot be started: {error}", plugin()),
        Ok(AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_)) => {
            format!("{} gives what is not understood", plugin())
        }
        Ok(AuthError::MalformedTokenExpirationDate(_)) => {
            format!("{} gives a token whose end is not a time", plugin())
        }
        Ok(other) => cut(&other.to_string()),
        Err(text) => text,
    }
}

/// Why a kubeconfig is none. kube's text shows the lines around the place.
pub(super) fn unread(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("the kubeconfig is not understood at line {}", place.line()),
            None => "the kubeconfig is not understood".to_owned(),
        },
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
