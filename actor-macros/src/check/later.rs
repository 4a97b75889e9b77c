//! `ReplyTo<T>`: where it stands, and what it does not go with.

use syn::{ReturnType, TraitItemFn};

use super::types;
use crate::{
    attributes::{Ours, ours},
    later::{answered, arguments, is_reply_to},
    refusals::Refusals,
};

/// Checks the arguments of a method that are a `ReplyTo`.
pub(super) fn check(item: &TraitItemFn, refusals: &mut Refusals) {
    let all: Vec<_> = arguments(&item.sig).collect();
    let replies: Vec<_> = all.iter().filter(|argument| is_reply_to(&argument.ty)).collect();
    let Some((last, others)) = replies.split_last() else { return };
    for other in others {
        refusals.refuse(&other.ty, "a call is answered once; keep one `ReplyTo`");
    }
    if !all.last().is_some_and(|argument| is_reply_to(&argument.ty)) {
        refusals.refuse(
            last,
            "callers do not pass the `ReplyTo`, and it is the last argument; move it behind the others",
        );
    }
    for reply in &replies {
        match answered(&reply.ty) {
            Some(ty) => types::reply(ty, refusals),
            None => refusals.refuse(
                &reply.ty,
                "a `ReplyTo` says what is answered; write `ReplyTo<T>`, with the type that callers get",
            ),
        }
    }
    if let ReturnType::Type(_, ty) = &item.sig.output {
        refusals.refuse(
            ty,
            format_args!(
                "`{}` answers through its `ReplyTo`; remove the return type, or return the answer and remove the `ReplyTo`",
                item.sig.ident
            ),
        );
    }
    if let Some(oneway) = item.attrs.iter().find(|attribute| ours(attribute.path()) == Some(Ours::Oneway)) {
        refusals.refuse(oneway, "a `#[oneway]` method has no reply; remove the attribute, or the `ReplyTo`");
    }
}
