//! An actor whose every effect is a line of a file, which survives it: what callers are told is held against that.

mod count;
mod run;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use actor_runtime::{Config, prelude::*};

pub use count::{Call, End, Figures, Kind, Line, lines};
pub(crate) use run::HOLD;
pub use run::{Fault, run};

/// Methods that do the same and differ in what their callers may expect.
#[actor_service]
pub trait Ledger {
    /// Done once at most: never tried again where it may have been done.
    async fn add(&mut self, id: u64, padding: bytes::Bytes) -> u64;
    /// May be done more than once.
    #[idempotent]
    async fn put(&mut self, id: u64, padding: bytes::Bytes) -> u64;
    /// Tried again, and done once at most.
    #[dedup]
    async fn append(&mut self, id: u64, padding: bytes::Bytes) -> u64;
}

/// The ledger. Each effect is appended to its file by one write, before the reply.
#[derive(Debug)]
pub struct Book {
    file: File,
    effects: u64,
    hold: Duration,
}

impl Book {
    /// Appends to this file, and holds each call for so long between its effect and its reply.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, hold: Duration) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, effects: 0, hold })
    }

    async fn write(&mut self, kind: Kind, id: u64) -> u64 {
        self.effects += 1;
        let line = Line { kind, id, process: std::process::id(), reply: self.effects };
        #[expect(clippy::expect_used, reason = "a ledger that cannot write is of no use to its test")]
        self.file.write_all(line.to_string().as_bytes()).expect("the file can be written");
        #[expect(clippy::disallowed_methods, reason = "it is the work that a call stands for")]
        tokio::time::sleep(self.hold).await;
        self.effects
    }
}

#[actor_service]
impl Ledger for Book {
    async fn add(&mut self, id: u64, _padding: bytes::Bytes) -> u64 {
        self.write(Kind::Add, id).await
    }

    async fn put(&mut self, id: u64, _padding: bytes::Bytes) -> u64 {
        self.write(Kind::Put, id).await
    }

    async fn append(&mut self, id: u64, _padding: bytes::Bytes) -> u64 {
        self.write(Kind::Append, id).await
    }
}

/// Connections that die soon, so that many do within a run.
#[must_use]
pub fn config() -> Config {
    Config {
        idle_timeout: Duration::from_millis(300),
        keep_alive: Duration::from_millis(100),
        ..Config::default()
    }
}
