//! One frame of every kind with every record, for tests.

use std::{num::NonZero, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{
    Bind, CallContext, CallHeader, Frame, Grants, Hello, Part, ReplyHeader, Room, ServiceDigest,
    ServiceTable, VERSIONS,
    call::{encode_cancel, encode_release},
    credit::Credit,
    hello::{encode_ask, encode_goodbye},
    items::{End, Items, encode_room, encode_stop},
    reply::{encode_reply, encode_stream_reply},
};
use crate::{
    actor_id::{ActorId, NodeId},
    call::{Delivery, Failure, FailureKind, Hop, Link, Metadata, WireReply},
    service::{Access, Status},
};

pub(super) fn id(node: u64, serial: u64) -> ActorId {
    ActorId { node: NodeId(node), serial }
}

pub(super) fn hello() -> Hello {
    Hello {
        versions: VERSIONS,
        node: NodeId(0x1122_3344_5566_7788),
        address: Some("10.0.0.7:4433".to_owned()),
        grants: Grants {
            calls: 1024,
            bytes: 4 << 20,
            total_bytes: 64 << 20,
            targets: 4096,
            message: 1 << 26,
        },
    }
}

pub(super) fn bind() -> Bind {
    Bind { target: 7, namespace: "job-7".into(), name: "calc".into(), actor: Some(id(9, 1)) }
}

pub(super) fn context() -> CallContext {
    let outer = Link::new(id(1, 2), "front".into(), "Front/ask".into(), Access::Exclusive, None);
    let inner = Link::new(id(3, 4), "middle".into(), "M/a".into(), Access::Shared, Some(Arc::new(outer)));
    let mut metadata = Metadata::new();
    metadata.insert("tenant", "a").unwrap();
    metadata.insert("zone", "").unwrap();
    CallContext {
        chain: Some(Arc::new(inner)),
        caller: Some(id(3, 4)),
        metadata: Some(Box::new(metadata)),
        number: 0,
        again: false,
        now: false,
    }
}

pub(super) fn call() -> CallHeader {
    CallHeader {
        call: 300,
        method: 0xdead_beef,
        target: 7,
        remaining: Some(Duration::from_micros(1_234_567)),
        arrived: None,
        body_length: None,
        after: None,
        stream: false,
        context: Some(Box::new(context())),
    }
}

pub(super) fn failure() -> Failure {
    let hops = vec![
        Hop { actor: "front".into(), method: "Front/ask".into() },
        Hop { actor: "middle".into(), method: "".into() },
    ];
    Failure::new(FailureKind::Cycle, Delivery::NotDelivered, "it comes back to \u{e4}")
        .about("Calculator/divide", "calc", "actor://10.0.0.7:4433/calc")
        .with_hops(hops)
}

/// Every kind of frame, under the name of its file.
pub(super) fn frames() -> Vec<(&'static str, Frame)> {
    let ended = |status, body: &'static [u8]| WireReply::Ended(status, Bytes::from_static(body));
    let reply =
        |call, body_length, reply| Frame::Reply(ReplyHeader { call, body_length, stream: false, reply });
    let begins =
        ReplyHeader { call: 300, body_length: None, stream: true, reply: ended(Status::Replied, b"") };
    let items = |large, items: &'static [u8]| {
        Frame::Items(Items { part: Part::Reply, call: 300, large, items: Bytes::from_static(items) })
    };
    let end = |part, failure| Frame::End(End { part, call: 300, failure });
    let bare = CallHeader { call: 1, method: 1, target: 1, ..CallHeader::default() };
    let now = CallHeader {
        context: Some(Box::new(CallContext { now: true, ..CallContext::default() })),
        ..bare.clone()
    };
    let large = CallHeader { body_length: Some(1 << 20), after: NonZero::new(299), ..call() };
    let again = CallHeader {
        context: Some(Box::new(CallContext { number: 300, again: true, ..context() })),
        ..call()
    };
    let methods = vec![(1, 0x0102_0304_0506_0708), (0xdead_beef, u64::MAX)];
    vec![
        ("bind", Frame::Bind(bind())),
        ("bind-whoever", Frame::Bind(Bind { actor: None, ..bind() })),
        ("release", Frame::Release(300)),
        ("call", Frame::Call(call(), Bytes::from_static(b"arguments"))),
        ("call-bare", Frame::Call(bare.clone(), Bytes::new())),
        ("call-again", Frame::Call(again, Bytes::from_static(b"arguments"))),
        ("call-now", Frame::Call(now, Bytes::from_static(b"arguments"))),
        ("call-large", Frame::Call(large, Bytes::new())),
        ("call-stream", Frame::Call(CallHeader { stream: true, ..bare.clone() }, Bytes::new())),
        ("cancel", Frame::Cancel(300)),
        ("reply", reply(300, None, ended(Status::Replied, b"value"))),
        ("reply-application-error", reply(1, None, ended(Status::ApplicationError, b"\x01"))),
        ("reply-large", reply(300, Some(40_000), ended(Status::Replied, b""))),
        ("reply-failed", reply(1 << 40, None, WireReply::Failed(failure()))),
        ("reply-stream", Frame::Reply(begins)),
        ("items", items(None, b"\x03one\x00\x05three")),
        ("items-large", items(Some(100_000), b"")),
        ("end", end(Part::Arguments, None)),
        ("end-failed", end(Part::Reply, Some(failure()))),
        ("room", Frame::Room(Part::Reply, 300, Room { items: 512, bytes: 70_000 })),
        ("stop", Frame::Stop(Part::Arguments, 300)),
        ("credit", Frame::Credit(Credit { target: 7, calls: 512, bytes: 70_000 })),
        ("hello", Frame::Hello(hello())),
        ("hello-of-a-client", Frame::Hello(Hello { address: None, ..hello() })),
        ("service", Frame::Service(ServiceDigest { name: "Calculator".into(), digest: 0x1234 })),
        ("ask", Frame::Ask("Calculator".into())),
        ("table", Frame::Table(ServiceTable { name: "Calculator".into(), methods: Some(methods) })),
        ("table-unknown", Frame::Table(ServiceTable { name: "Nothing".into(), methods: None })),
        ("goodbye", Frame::Goodbye("the node shuts down".into())),
    ]
}

/// Any frame as its sender writes it.
pub(super) fn encode(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    match frame {
        Frame::Bind(bind) => bind.encode(&mut out).unwrap(),
        Frame::Release(target) => encode_release(*target, &mut out),
        Frame::Call(header, body) => header
            .encode(
                &header.context.iter().flat_map(|context| context.encode()).collect::<Vec<u8>>(),
                body,
                &mut out,
            )
            .unwrap(),
        Frame::Cancel(call) => encode_cancel(*call, &mut out),
        Frame::Reply(ReplyHeader {
            call,
            body_length: Some(length),
            reply: WireReply::Ended(status, _),
            ..
        }) => {
            let body = Bytes::from(vec![0; usize::try_from(*length).unwrap()]);
            encode_reply(*call, &WireReply::Ended(*status, body), 0, &mut out).unwrap();
        }
        Frame::Reply(ReplyHeader { call, stream: true, .. }) => encode_stream_reply(*call, &mut out),
        Frame::Items(items) => items.encode(&mut out),
        Frame::End(end) => end.encode(&mut out),
        Frame::Room(part, call, room) => encode_room(*part, *call, *room, &mut out),
        Frame::Stop(part, call) => encode_stop(*part, *call, &mut out),
        Frame::Reply(ReplyHeader { call, reply, .. }) => {
            encode_reply(*call, reply, usize::MAX, &mut out).unwrap();
        }
        Frame::Credit(credit) => credit.encode(&mut out),
        Frame::Hello(hello) => hello.encode(&mut out).unwrap(),
        Frame::Service(service) => service.encode(&mut out).unwrap(),
        Frame::Ask(service) => encode_ask(service, &mut out).unwrap(),
        Frame::Table(table) => table.encode(&mut out).unwrap(),
        Frame::Goodbye(reason) => encode_goodbye(reason, &mut out),
    }
    out.freeze()
}

/// A frame of any kind, written by hand.
pub(super) fn raw(kind: u8, header: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(3 + header.len() + body.len()).unwrap();
    let header_length = u16::try_from(header.len()).unwrap();
    [&length.to_le_bytes()[..], &[kind], &header_length.to_le_bytes(), header, body].concat()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hex; white space is skipped.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hex digits only") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Whether files that hold the wire are to be written. Those that are there keep their bytes.
pub(super) fn regenerate() -> bool {
    std::env::var_os("ACTOR_WIRE_REGENERATE").is_some()
}

/// What somebody reads who has changed the wire.
pub(super) const CHANGED: &str = "\nThe wire has changed: peers of the last release would not understand this one.\n\
    If that was not meant, undo it. If it was, it needs a new version of the wire (docs/wire.md, \"Changing it\"): raise \
    `VERSIONS.newest`, keep speaking the version before, and write the files of the new version, in folders of their \
    own, with ACTOR_WIRE_REGENERATE=1. The bytes of a file of a released version never change; a new optional record \
    or frame gets a file of its own. Before the first release a file may be deleted and written again.\n";
