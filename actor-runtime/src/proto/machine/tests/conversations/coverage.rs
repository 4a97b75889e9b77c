//! That nothing of the wire is missing in the recordings.
//!
//! What there is, the reader itself says: a frame is known if it is not skipped, and a record of it is known if it is
//! found malformed. Whoever adds one has to record a conversation with it.

use std::{collections::BTreeSet, fs};

use super::{folder, player::split, scripts::conversations};
use crate::proto::{
    Frame, FrameError, FrameReader,
    record::ReadRecords,
    samples::{encode, frames, raw, unhex},
};

fn read(kind: u8, header: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut frames = Vec::new();
    FrameReader::default().read(raw(kind, header, &[]).into(), &mut frames)?;
    Ok(frames.pop())
}

/// The kinds of frames that are not skipped.
fn known_kinds() -> BTreeSet<u8> {
    (0..=u8::MAX).filter(|kind| !matches!(read(*kind, &[]), Ok(None))).collect()
}

/// The records that are not skipped: the kind of the frame, the tag.
fn known_records() -> BTreeSet<(u8, u64)> {
    // No text, no number, nothing that has so many bytes.
    const MALFORMED: [u8; 3] = [0xff; 3];
    let mut known = BTreeSet::new();
    for (name, frame) in frames() {
        let encoded = encode(&frame);
        let (kind, header, _) = split(&encoded)[0];
        for tag in 0..0x80 {
            let header = [header, &[tag, 3], &MALFORMED].concat();
            match read(kind, &header) {
                Ok(Some(_)) => {}
                Err(FrameError::Record(malformed)) if malformed == u64::from(tag) => {
                    known.insert((kind, malformed));
                }
                other => panic!("{name} with a malformed record {tag}: {other:?}"),
            }
        }
    }
    known
}

/// A frame in a recording: the side that sent it, its kind, the tags of its records.
type Recorded = (usize, u8, Vec<u64>);

fn recorded(name: &str) -> Vec<Recorded> {
    let text = fs::read_to_string(folder().join(name).with_extension("txt")).unwrap();
    let mut recorded = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        let [_, side, "control" | "lane", bytes] = parts[..] else { continue };
        for (kind, header, _) in split(&unhex(bytes)) {
            let tags = ReadRecords(header).map(|record| record.unwrap().0).collect();
            recorded.push((side.parse().unwrap(), kind, tags));
        }
    }
    recorded
}

#[test]
fn every_file_is_played() {
    let files: BTreeSet<_> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
    let played: BTreeSet<_> =
        conversations().iter().map(|conversation| format!("{}.txt", conversation.name).into()).collect();
    assert_eq!(files, played, "recordings; those that are played");
}

#[test]
fn every_frame_and_every_record_is_in_a_recording() {
    let all: Vec<Recorded> =
        conversations().iter().flat_map(|conversation| recorded(conversation.name)).collect();
    let kinds: BTreeSet<u8> = all.iter().map(|(_, kind, _)| *kind).collect();
    let missing: Vec<u8> = known_kinds().difference(&kinds).copied().collect();
    assert!(missing.is_empty(), "frames that no conversation has: {missing:?}");
    let records: BTreeSet<(u8, u64)> =
        all.iter().flat_map(|(_, kind, tags)| tags.iter().map(|tag| (*kind, *tag))).collect();
    let missing: Vec<(u8, u64)> = known_records().difference(&records).copied().collect();
    assert!(missing.is_empty(), "records (frame, tag) that no conversation has: {missing:?}");
}

#[test]
fn what_there_is_is_found() {
    assert_eq!(
        known_kinds().into_iter().collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20]
    );
    let records = known_records();
    let tags =
        |kind: u8| records.iter().filter(|(of, _)| *of == kind).map(|(_, tag)| *tag).collect::<Vec<_>>();
    let all: Vec<_> = known_kinds().into_iter().map(|kind| (kind, tags(kind))).collect();
    // As docs/wire.md has them.
    let documented = [
        (1, vec![3, 4, 5, 8]),
        (2, vec![8]),
        (3, vec![1, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        (4, vec![1]),
        (5, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 11]),
        (6, vec![1, 5, 6]),
        (7, vec![1, 10, 11]),
        (8, vec![1, 3, 4, 5, 6, 7, 8, 9, 10]),
        (9, vec![1, 10, 12, 13]),
        (10, vec![1, 10]),
        (16, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (17, vec![1, 2]),
        (18, vec![1]),
        (19, vec![1, 3]),
        (20, vec![4]),
    ];
    assert_eq!(all, documented);
}

#[test]
fn a_side_of_a_later_release_has_something_unknown_in_every_frame() {
    for (name, later, kinds) in [
        ("a-caller-of-a-later-release", 0, &[1, 2, 3, 4, 16, 17, 18, 20, 99][..]),
        ("a-server-of-a-later-release", 1, &[1, 2, 3, 5, 6, 16, 17, 19, 20, 99]),
    ] {
        let mut unknown = BTreeSet::new();
        for (side, kind, tags) in recorded(name) {
            assert_eq!(tags.contains(&77), side == later, "{name}, side {side}, a frame of kind {kind}");
            unknown.extend((side == later).then_some(kind));
        }
        assert_eq!(unknown.into_iter().collect::<Vec<_>>(), kinds, "{name}");
    }
}
