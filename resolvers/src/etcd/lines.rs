//! The objects of an answer that does not end: one a line.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use serde::de::DeserializeOwned;

use super::{
    gateway::{GatewayError, not_etcd},
    messages::Streamed,
};
use crate::http::Pieces;

/// The longest line that is read, in bytes. etcd is asked for pieces of about two MiB, which base64 makes longer.
const LONGEST: usize = 8 << 20;

pub(super) struct Lines {
    pieces: Pieces,
    at: String,
    /// What has come and was not given.
    rest: BytesMut,
    /// How much of it has no end of a line.
    searched: usize,
}

impl Lines {
    pub(super) fn new(pieces: Pieces, at: &str) -> Self {
        Self { pieces, at: at.to_owned(), rest: BytesMut::new(), searched: 0 }
    }

    /// The next object, or `None` at the end. A silence of `time` is an error.
    ///
    /// # Cancel safety
    /// The future can be dropped: nothing is lost.
    pub(super) async fn object<T: DeserializeOwned>(
        &mut self,
        time: Duration,
    ) -> Result<Option<Streamed<T>>, GatewayError> {
        let Some(line) = self.next(time).await? else { return Ok(None) };
        let read = serde_json::from_slice(&line);
        read.map(Some).map_err(|error| not_etcd(&self.at, StatusCode::OK, &error, &line))
    }

    /// The next line that is not empty, or `None` at the end. The last one needs no end.
    ///
    /// # Cancel safety
    /// As for [`object`](Self::object).
    pub(super) async fn next(&mut self, time: Duration) -> Result<Option<Bytes>, GatewayError> {
        loop {
            if let Some(at) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                let line = line.slice(..line.len() - 1);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.rest.len();
            if self.rest.len() > LONGEST {
                let error = format!("a line has over {LONGEST} bytes");
                return Err(not_etcd(&self.at, StatusCode::OK, &error, &self.rest));
            }
            match self.pieces.next(time).await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None if self.rest.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.rest.split().freeze()));
                }
            }
        }
    }
}
