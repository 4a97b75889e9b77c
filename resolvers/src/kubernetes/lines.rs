//! The lines of an answer that does not end, whatever the pieces it comes in.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{
    clock,
    http::{HttpError, Pieces},
};

/// The longest line: one event with one slice.
const LONGEST: usize = 4 << 20;

pub(super) struct Lines {
    pieces: Pieces,
    begun: BytesMut,
    /// How much of `begun` is known to have no end of a line.
    looked: usize,
}

/// Why there is no further line.
#[derive(Debug)]
pub(super) enum NoLine {
    /// The answer has ended after a whole line.
    End,
    /// The answer broke off: what it said before is whole.
    Broken(HttpError),
    Failed(String),
}

impl Lines {
    pub(super) fn new(pieces: Pieces) -> Self {
        Self { pieces, begun: BytesMut::new(), looked: 0 }
    }

    /// The next line that is not empty. If there is none within `time`, that is a failure.
    pub(super) async fn next(&mut self, time: Duration) -> Result<Bytes, NoLine> {
        let next = clock::within(time, self.line(time)).await;
        next.unwrap_or_else(|| Err(NoLine::Failed(format!("the watch said nothing for {time:?}"))))
    }

    async fn line(&mut self, time: Duration) -> Result<Bytes, NoLine> {
        loop {
            if let Some(end) = self.begun[self.looked..].iter().position(|byte| *byte == b'\n') {
                let line = self.begun.split_to(self.looked + end + 1).freeze();
                self.looked = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
                continue;
            }
            self.looked = self.begun.len();
            match self.pieces.next(time).await {
                Ok(Some(piece)) if self.begun.len() + piece.len() > LONGEST => {
                    return Err(NoLine::Failed(format!("an event of the watch has over {LONGEST} bytes")));
                }
                Ok(Some(piece)) => self.begun.extend_from_slice(&piece),
                // A line that was begun is told again by the next watch.
                Ok(None) => return Err(NoLine::End),
                Err(error @ HttpError::Broken { .. }) => return Err(NoLine::Broken(error)),
                Err(error) => return Err(NoLine::Failed(error.to_string())),
            }
        }
    }
}
