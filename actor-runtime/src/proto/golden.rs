//! The frames as they are written down in `golden/*.hex`.

use std::{fmt::Write as _, fs, path::PathBuf};

use bytes::Bytes;

use super::{
    Frame, FrameReader, Part, StreamKind,
    record::take_varint,
    samples::{CHANGED, encode, frames, hex, regenerate, unhex},
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/proto/golden").join(name).with_extension("hex")
}

/// The bytes of a file: what stands behind `#` is for readers.
fn golden(name: &str) -> Vec<u8> {
    let text = fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("golden/{name}.hex: {error}"));
    unhex(&text.lines().map(|line| line.split('#').next().unwrap_or("")).collect::<String>())
}

/// The bytes of a frame, a line for each part.
fn annotated(name: &str, bytes: &[u8]) -> String {
    let mut text = format!("# {name}\n");
    let mut line = |bytes: &[u8], what: &str| {
        let _ = writeln!(text, "{:<24} # {what}", hex(bytes));
    };
    line(&bytes[..4], "length of what follows");
    line(&bytes[4..5], "kind");
    line(&bytes[5..7], "length of the header");
    let header = usize::from(u16::from_le_bytes([bytes[5], bytes[6]]));
    let (mut rest, body) = bytes[7..].split_at(header);
    while !rest.is_empty() {
        let before = rest;
        let tag = take_varint(&mut rest).unwrap();
        let length = usize::try_from(take_varint(&mut rest).unwrap()).unwrap();
        rest = &rest[length..];
        line(&before[..before.len() - rest.len()], &format!("record {tag}, {length} bytes"));
    }
    if !body.is_empty() {
        line(body, "body");
    }
    text
}

fn decode(bytes: &[u8]) -> Frame {
    let mut frames = Vec::new();
    FrameReader::default().read(Bytes::copy_from_slice(bytes), &mut frames).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn every_frame_is_written_and_read_as_it_is_written_down() {
    for (name, frame) in frames() {
        let encoded = encode(&frame);
        if regenerate() && !file(name).exists() {
            fs::write(file(name), annotated(name, &encoded)).unwrap();
        }
        let golden = golden(name);
        assert_eq!(hex(&encoded), hex(&golden), "golden/{name}.hex: encoded, written down\n{CHANGED}");
        let decoded = format!("{:?}", decode(&golden));
        assert_eq!(decoded, format!("{frame:?}"), "golden/{name}.hex: decoded, meant\n{CHANGED}");
    }
}

#[test]
fn every_file_and_every_kind_of_frame_is_among_them() {
    let mut kinds: Vec<u8> = frames().iter().map(|(_, frame)| encode(frame)[4]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20]);
    let files = fs::read_dir(file("streams").parent().unwrap()).unwrap().count();
    assert_eq!(files, frames().len() + 1, "a file of golden/ that no test reads");
}

#[test]
fn every_kind_of_stream_begins_as_it_is_written_down() {
    let kinds = [
        StreamKind::Control,
        StreamKind::Lane,
        StreamKind::CallBody(300),
        StreamKind::ReplyBody(1 << 40),
        StreamKind::Item(Part::Arguments, 300, 1),
        StreamKind::Item(Part::Reply, 1 << 40, 300),
    ];
    let lines: Vec<String> =
        kinds.iter().map(|kind| format!("{:<24} # {kind:?}", hex(&kind.encode()))).collect();
    if regenerate() && !file("streams").exists() {
        fs::write(file("streams"), format!("# the first bytes of streams\n{}\n", lines.join("\n"))).unwrap();
    }
    let all: Vec<u8> = kinds.iter().flat_map(|kind| kind.encode()).collect();
    assert_eq!(hex(&all), hex(&golden("streams")), "golden/streams.hex\n{CHANGED}");
    for kind in kinds {
        let encoded = kind.encode();
        for length in 0..encoded.len() {
            assert_eq!(StreamKind::decode(&mut encoded.slice(..length)), Ok(None));
        }
        let mut with_body = [&encoded[..], b"body"].concat().into();
        assert_eq!(StreamKind::decode(&mut with_body), Ok(Some(kind)));
        assert_eq!(&with_body[..], b"body");
    }
}

#[test]
fn the_codes_of_failures_are_written_down() {
    use crate::call::{Delivery, FailureKind as Kind};
    let kinds = [
        Kind::NotFound,
        Kind::Stale,
        Kind::Unreachable,
        Kind::ConnectionLost,
        Kind::DeadlineExceeded,
        Kind::Cancelled,
        Kind::Overloaded,
        Kind::Stopped,
        Kind::Panicked,
        Kind::Cycle,
        Kind::SchemaMismatch,
        Kind::Unimplemented,
        Kind::Malformed,
        Kind::TooLarge,
        Kind::Unauthenticated,
        Kind::Denied,
        Kind::AmbiguousNode,
        Kind::Internal,
    ];
    for (code, kind) in (1..).zip(kinds) {
        assert_eq!(kind.code(), code, "{kind:?}\n{CHANGED}");
    }
    let deliveries = [Delivery::NotDelivered, Delivery::Unknown, Delivery::Executed];
    assert_eq!(deliveries.map(Delivery::code), [1, 2, 3], "{CHANGED}");
}
