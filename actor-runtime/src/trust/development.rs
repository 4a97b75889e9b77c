//! The development trust domain on disk.
//!
//! ```text
//!   development-trust/        0700
//!     trust.pem               0600  identity, authority, key of the identity: read at one go
//!     renew.lock              0600  only after a renewal
//! ```
//!
//! 1. The directory appears with all that is in it or not at all: it is written under another name and renamed. Who
//!    comes second finds the name taken and uses what is there.
//! 2. It is made anew under a lock, by a rename over `trust.pem`: a reader finds the old or the new one.
//! 3. The key of the authority is never written. Nobody can issue another identity.
//! 4. What others could have read or written is not used.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::{
    Authority, Identity, Trust, TrustError,
    authority::{Reach, from_now},
    identity,
};
use crate::node::clock;

const FILE: &str = "trust.pem";
const HOST: &str = "localhost";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = DAY.saturating_mul(3653);
/// It is made anew when it is valid for no longer than this.
const LAST_DAYS: Duration = DAY.saturating_mul(30);
/// Far more than three PEM sections need.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the environment says that it is.
pub(super) fn directory() -> Result<PathBuf, TrustError> {
    directory_from(cfg!(windows), |name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn directory_from(
    windows: bool,
    variable: impl Fn(&'static str) -> Option<OsString>,
) -> Result<PathBuf, TrustError> {
    // As the XDG specification has it, what is not absolute counts as not set.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if let Some(path) = variable("ACTOR_STATE_DIR").map(PathBuf::from) {
        if !path.is_absolute() {
            return Err(TrustError::RelativeStateDirectory { path });
        }
        path
    } else if windows {
        let path = absolute("LOCALAPPDATA");
        path.ok_or(TrustError::NoStateDirectory { variable: "LOCALAPPDATA" })?.join("actor")
    } else {
        let of_user = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        of_user.ok_or(TrustError::NoStateDirectory { variable: "HOME or ACTOR_STATE_DIR" })?.join("actor")
    };
    Ok(state.join("development-trust"))
}

/// What is there, made first or anew if need be.
pub(super) fn open(directory: &Path) -> Result<Trust, TrustError> {
    let found = match load(directory)? {
        Found::Good(trust) => return Ok(trust),
        Found::Old => renew(directory)?,
        Found::Nothing => create(directory, from_now(LIFETIME))?,
    };
    match found {
        Found::Good(trust) => Ok(trust),
        // A lifetime that is over at once: the clock was set, or the directory was removed just now.
        Found::Old => Err(broken(directory)(TrustError::Validity)),
        Found::Nothing => Err(broken(directory)(TrustError::NoCertificate)),
    }
}

enum Found {
    Nothing,
    Old,
    Good(Trust),
}

fn load(directory: &Path) -> Result<Found, TrustError> {
    // The link itself, if it is one: somebody else may own it.
    match fs::symlink_metadata(directory) {
        Ok(metadata) if metadata.is_dir() => check_owner(directory, &metadata)?,
        Ok(_) => {
            return Err(TrustError::file(directory)(io::ErrorKind::NotADirectory.into()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(TrustError::file(directory)(error)),
    }
    let path = directory.join(FILE);
    let fail = TrustError::file(&path);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(fail(error)),
    };
    check_owner(&path, &file.metadata().map_err(&fail)?)?;
    let mut pem = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut pem).map_err(&fail)?;
    read(&pem).map_err(broken(directory))
}

fn read(pem: &[u8]) -> Result<Found, TrustError> {
    let mut certificates = identity::certificates(pem)?;
    let authority =
        certificates.pop().filter(|_| certificates.len() == 1).ok_or(TrustError::NoCertificate)?;
    let key = identity::private_key(pem)?;
    let trust = Trust::builder()
        .identity(Identity::new(certificates, key)?)
        .authority_pem(identity::pem("CERTIFICATE", &authority))
        // Every loopback address has this certificate, those too that it does not name (127.0.0.2).
        .server_name(HOST)
        .development()
        .build()?;

    let now = clock::calendar();
    let good_at = |time| trust.is_valid_at(time, trust.identity().chain(), HOST);
    match (good_at(now), good_at(now + LAST_DAYS)) {
        (Ok(()), Ok(())) => Ok(Found::Good(trust)),
        (Ok(()), Err(_)) => Ok(Found::Old),
        (Err(error), _) if is_expiry(&error) => Ok(Found::Old),
        (Err(error), _) => Err(error),
    }
}

fn is_expiry(error: &TrustError) -> bool {
    use rustls::{CertificateError, Error};
    let TrustError::Certificate { source } = error else { return false };
    matches!(
        source.downcast_ref(),
        Some(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }))
    )
}

/// An authority whose key nobody keeps, and one identity.
fn generate(validity: Range<SystemTime>) -> Result<String, TrustError> {
    let authority = Authority::generate("actor development".into(), Reach::Loopback, validity.clone())?;
    let identity = authority.issue_during(validity, [HOST, "127.0.0.1", "::1"])?;
    Ok(identity.certificate_pem() + &authority.certificate_pem() + &identity.key_pem())
}

/// Makes the directory, or finds that somebody else just did.
fn create(directory: &Path, validity: Range<SystemTime>) -> Result<Found, TrustError> {
    let content = generate(validity)?;
    let state = directory.parent().unwrap_or(directory);
    make_private(true, state).map_err(TrustError::file(state))?;
    let fresh = loop {
        let fresh = state.join(unique(".development-trust"));
        match make_private(false, &fresh) {
            Ok(()) => break fresh,
            // Left behind by a process of the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(TrustError::file(&fresh)(error)),
        }
    };
    let placed = write_private(&fresh.join(FILE), &content)
        .and_then(|()| sync(&fresh))
        .and_then(|()| fs::rename(&fresh, directory))
        .and_then(|()| sync(state));
    let Err(error) = placed else { return load(directory) };
    let _ = fs::remove_dir_all(&fresh);
    match load(directory)? {
        Found::Nothing if !directory.exists() => Err(TrustError::file(directory)(error)),
        found => Ok(found),
    }
}

/// Writes another one in place of one whose time is over, unless somebody else just did.
fn renew(directory: &Path) -> Result<Found, TrustError> {
    let path = directory.join("renew.lock");
    let fail = TrustError::file(&path);
    let lock = private().create(true).truncate(false).write(true).open(&path).map_err(&fail)?;
    lock.lock().map_err(&fail)?;
    match load(directory)? {
        Found::Old => {}
        found => return Ok(found),
    }
    // Only who has the lock writes here, so what is there was left behind.
    let fresh = directory.join("trust.pem.new");
    let _ = fs::remove_file(&fresh);
    let placed = write_private(&fresh, &generate(from_now(LIFETIME))?)
        .and_then(|()| fs::rename(&fresh, directory.join(FILE)))
        .and_then(|()| sync(directory));
    if let Err(error) = placed {
        let _ = fs::remove_file(&fresh);
        return Err(TrustError::file(&fresh)(error));
    }
    load(directory)
}

fn broken(directory: &Path) -> impl Fn(TrustError) -> TrustError {
    move |source| TrustError::Broken { directory: directory.to_owned(), source: Box::new(source) }
}

/// A name that no other thread has, and no living process in the same process namespace.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}.{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file = private().create_new(true).write(true).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Options that make files which only their owner can use.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "a user's local data are private on Windows"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private(with_parents: bool, directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(with_parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Puts the entries of a directory on disk, where that can be asked for.
fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), TrustError> {
    use std::os::unix::fs::MetadataExt;

    // SAFETY: it takes nothing, changes nothing and cannot fail.
    let user = unsafe { libc::geteuid() };
    let mode = metadata.mode() & 0o777;
    if metadata.uid() != user {
        return Err(TrustError::Foreign { path: path.to_owned(), owner: metadata.uid() });
    }
    if mode & 0o077 != 0 {
        return Err(TrustError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Windows keeps a user's local data from others; nothing is asked here.
#[cfg(not(unix))]
fn check_owner(_: &Path, _: &fs::Metadata) -> Result<(), TrustError> {
    Ok(())
}

#[cfg(test)]
mod tests;
