//! Frames by hand, as a peer writes them that is not of this project, or means harm.

/// The kinds of frames.
pub mod kind {
    /// Gives a number to an actor.
    pub const BIND: u8 = 1;
    /// A call.
    pub const CALL: u8 = 3;
    /// Nobody waits for the call any more.
    pub const CANCEL: u8 = 4;
    /// The end of a call.
    pub const REPLY: u8 = 5;
    /// Room for more calls.
    pub const CREDIT: u8 = 6;
    /// The first frame.
    pub const HELLO: u8 = 16;
    /// A service that the sender serves.
    pub const SERVICE: u8 = 17;
}

/// What a stream begins with.
pub mod stream {
    /// The control stream.
    pub const CONTROL: u64 = 1;
    /// The lane.
    pub const LANE: u64 = 2;
    /// The body of a call; the number of the call follows.
    pub const CALL_BODY: u64 = 3;
}

/// A frame: its length, kind, header and body.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: u8,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Frame {
    /// A frame without records.
    #[must_use]
    pub fn new(kind: u8) -> Self {
        Self { kind, header: Vec::new(), body: Vec::new() }
    }

    /// Adds a record.
    #[must_use]
    pub fn bytes(mut self, tag: u64, value: &[u8]) -> Self {
        self.header.extend(varint(tag));
        self.header.extend(varint(value.len() as u64));
        self.header.extend(value);
        self
    }

    /// Adds a record that is a number.
    #[must_use]
    pub fn number(self, tag: u64, value: u64) -> Self {
        self.bytes(tag, &varint(value))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The bytes of the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = 3 + self.header.len() + self.body.len();
        let mut out = (length as u32).to_le_bytes().to_vec();
        out.push(self.kind);
        out.extend((self.header.len() as u16).to_le_bytes());
        out.extend(&self.header);
        out.extend(&self.body);
        out
    }
}

/// The first frame of a node that speaks these versions.
#[must_use]
pub fn hello(oldest: u64, newest: u64) -> Frame {
    Frame::new(kind::HELLO)
        .bytes(0, b"actor/w\n")
        .number(1, oldest)
        .number(2, newest)
        .bytes(3, &7_u64.to_le_bytes())
        .number(5, 1024)
        .number(6, 4 << 20)
        .number(7, 64 << 20)
        .number(8, 4096)
        .number(9, 64 << 20)
}

/// Gives a number to an actor.
#[must_use]
pub fn bind(target: u64, name: &str) -> Frame {
    Frame::new(kind::BIND).number(8, target).bytes(3, b"<local>").bytes(4, name.as_bytes())
}

/// A call of an actor that was bound.
#[must_use]
pub fn call(number: u64, method: u32, target: u64, body: &[u8]) -> Frame {
    Frame::new(kind::CALL).number(1, number).bytes(2, &method.to_le_bytes()).number(8, target).body(body)
}

/// A call whose body comes on a stream of its own.
#[must_use]
pub fn large_call(number: u64, method: u32, target: u64, length: u64) -> Frame {
    call(number, method, target, &[]).number(11, length)
}

/// Nobody waits for the call any more.
#[must_use]
pub fn cancel(number: u64) -> Frame {
    Frame::new(kind::CANCEL).number(1, number)
}

/// A reply.
#[must_use]
pub fn reply(call: u64, body: &[u8]) -> Frame {
    Frame::new(kind::REPLY).number(1, call).bytes(2, &[0]).body(body)
}

/// A number as it is written: seven bits a byte, the lowest first.
#[must_use]
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Frames out of a stream's bytes: each with its kind, its records and its body.
#[derive(Debug, Default)]
pub struct Read(Vec<u8>);

/// A frame that was read.
#[derive(Clone, Debug)]
pub struct Got {
    /// Its kind.
    pub kind: u8,
    /// Its records, in order.
    pub records: Vec<(u64, Vec<u8>)>,
    /// What follows them.
    pub body: Vec<u8>,
}

impl Got {
    /// The record with this tag as a number.
    #[must_use]
    pub fn number(&self, tag: u64) -> Option<u64> {
        let (_, value) = self.records.iter().find(|(found, _)| *found == tag)?;
        read_varint(value).map(|(number, _)| number)
    }

    /// The record with this tag as text.
    #[must_use]
    pub fn text(&self, tag: u64) -> String {
        let value = self.records.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.clone());
        String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
    }
}

impl Read {
    /// Takes what came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// The next frame, if it is complete.
    pub fn frame(&mut self) -> Option<Got> {
        let length = u32::from_le_bytes(*self.0.first_chunk()?) as usize;
        if self.0.len() < 4 + length {
            return None;
        }
        let frame: Vec<u8> = self.0.drain(..4 + length).skip(4).collect();
        let header = usize::from(u16::from_le_bytes([frame[1], frame[2]]));
        let (mut rest, body) = frame[3..].split_at(header);
        let mut records = Vec::new();
        while let Some((tag, after)) = read_varint(rest) {
            let (length, after) = read_varint(after)?;
            let (value, after) = after.split_at_checked(length as usize)?;
            records.push((tag, value.to_vec()));
            rest = after;
        }
        Some(Got { kind: frame[0], records, body: body.to_vec() })
    }
}

fn read_varint(mut rest: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        rest = after;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}
