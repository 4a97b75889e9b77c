//! Conversations as they were recorded, in `proto/conversations/v1`: each side is played against the recording of the
//! other one, and has to send what it sent then and to understand what it understood.
//!
//! A line is `time side stream hex` for bytes that a side sends, `time side ! event` for what it makes of the last
//! bytes of the other one. Times are microseconds. Who the sides are and what they do is in [`scripts`]; each of them is
//! a machine, also the one that speaks for another release. [`coverage`] finds what no conversation has.

mod coverage;
mod player;
mod scripts;

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use super::pair::start;
use crate::proto::samples::{CHANGED, regenerate, unhex};
use player::Player;
use scripts::{Act, Conversation, conversations};

#[test]
fn recorded_conversations_go_as_they_went() {
    for conversation in conversations() {
        let name = conversation.name;
        let file = folder().join(name).with_extension("txt");
        if regenerate() {
            let recorded = record(&conversation);
            if let Ok(before) = fs::read_to_string(&file) {
                // The names in the code may change, and what an event is printed as; the bytes may not.
                let bytes = |text: &str| -> Vec<String> {
                    text.lines().filter(|line| !line.contains(" ! ")).map(str::to_owned).collect()
                };
                assert_eq!(bytes(&recorded), bytes(&before), "{name}\n{CHANGED}");
            }
            fs::write(&file, recorded).unwrap();
        }
        let recording = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for role in [0, 1] {
            replay(&conversation, &recording, role);
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/proto/conversations/v1")
}

/// Plays a conversation with two machines and writes down what happens.
fn record(conversation: &Conversation) -> String {
    let base = start();
    let mut players = [0, 1].map(|side| Player::new(base, conversation, side));
    let mut text = String::new();
    let mut turn = |at: u64, side: usize, act: Option<&Act>| {
        let now = base + Duration::from_micros(at);
        let mut queue: Vec<(usize, String)> = Vec::new();
        let lines = match act {
            Some(act) => players[side].act(now, act),
            None => players[side].sent(),
        };
        queue.extend(lines.into_iter().map(|line| (side, line)));
        while !queue.is_empty() {
            let (from, line) = queue.remove(0);
            let _ = writeln!(text, "{at} {from} {line}");
            let (stream, bytes) = line.split_once(' ').unwrap();
            for event in players[1 - from].take(now, stream, &unhex(bytes)) {
                let _ = writeln!(text, "{at} {} {event}", 1 - from);
            }
            queue.extend(players[1 - from].sent().into_iter().map(|line| (1 - from, line)));
        }
    };
    turn(0, 0, None);
    turn(0, 1, None);
    for (step, (side, act)) in (1..).zip(&conversation.script) {
        turn(step * 100, *side, Some(act));
    }
    text
}

/// Plays one side against the recording: it has to say its lines.
fn replay(conversation: &Conversation, recording: &str, role: usize) {
    let (name, base) = (conversation.name, start());
    let mut player = Player::new(base, conversation, role);
    let (mut said, mut understood) = (player.sent(), Vec::new());
    let mut at = 0;
    let mut acts = (1_u64..).zip(&conversation.script).peekable();
    for line in recording.lines() {
        let mut parts = line.splitn(3, ' ');
        let (time, side) = (parts.next().unwrap(), parts.next().unwrap());
        let (time, side): (u64, usize) = (time.parse().unwrap(), side.parse().unwrap());
        let rest = parts.next().unwrap();
        while let Some((step, (of, act))) = acts.next_if(|(step, _)| step * 100 <= time) {
            at = step * 100;
            if *of == role {
                said.extend(player.act(base + Duration::from_micros(at), act));
            }
        }
        at = at.max(time);
        if side == role {
            let queue = if rest.starts_with('!') { &mut understood } else { &mut said };
            assert!(!queue.is_empty(), "{name}, side {role}: it was silent, recorded is\n{line}\n{CHANGED}");
            assert_eq!(queue.remove(0), rest, "{name}, side {role}: said, recorded\n{CHANGED}");
        } else if !rest.starts_with('!') {
            let (stream, bytes) = rest.split_once(' ').unwrap();
            let now = base + Duration::from_micros(at);
            understood.extend(player.take(now, stream, &unhex(bytes)));
            said.extend(player.sent());
        }
    }
    said.append(&mut understood);
    assert!(said.is_empty(), "{name}, side {role}: it says more than it did\n{said:?}\n{CHANGED}");
    assert_eq!(
        acts.next().map(|(step, _)| step),
        None,
        "{name}, side {role}: the recording is over before the script"
    );
    assert_eq!(player.machine.version(), conversation.version, "{name}, side {role}");
}
