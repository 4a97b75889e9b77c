//! The attributes without a value: which do not go with the method, or with each other.

use syn::{Attribute, FnArg, Receiver, ReceiverKind, ReturnType, Signature, TraitItemFn};

use crate::{
    attributes::{Ours, ours},
    refusals::Refusals,
    streams,
};

/// Checks the attributes of a method.
pub(super) fn check(item: &TraitItemFn, refusals: &mut Refusals) {
    let find = |wanted| item.attrs.iter().find(|attribute| ours(attribute.path()) == Some(wanted));
    let exclusive =
        matches!(item.sig.receiver(), Some(Receiver { kind: ReceiverKind::Reference(_, _, Some(_)), .. }));
    if let (Some(_), Some(dedup)) = (find(Ours::Idempotent), find(Ours::Dedup)) {
        refusals.refuse(
            dedup,
            "an `#[idempotent]` method may run twice, so there is nothing to remember; keep one of the two",
        );
    }
    if let Some(oneway) = find(Ours::Oneway) {
        self::oneway(oneway, &item.sig, refusals);
        for repeated in [find(Ours::Idempotent), find(Ours::Dedup)].into_iter().flatten() {
            refusals.refuse(
                repeated,
                "a `#[oneway]` call has no reply to wait for, so it is not repeated once it was accepted; remove one of the two",
            );
        }
    }
    let takes_a_stream = item.sig.inputs.iter().find_map(|input| match input {
        FnArg::Typed(argument) => streams::argument(&argument.ty).map(|_| &argument.ty),
        FnArg::Receiver(_) => None,
    });
    if let (Some(repeated), Some(_)) = (find(Ours::Idempotent).or(find(Ours::Dedup)), takes_a_stream) {
        refusals.refuse(
            repeated,
            "what was read of a stream cannot be sent again, so the call cannot be repeated; remove the attribute",
        );
    }
    if let (Some(dedup), ReturnType::Type(_, ty)) = (find(Ours::Dedup), &item.sig.output)
        && streams::in_reply(ty).is_some()
    {
        refusals.refuse(
            dedup,
            "a stream cannot be remembered and given a second time; remove the attribute, or return a `Vec<T>`",
        );
    }
    if let (Some(cancel_safe), false) = (find(Ours::CancelSafe), exclusive) {
        refusals.refuse(
            cancel_safe,
            "a `&self` turn is dropped anyway when its caller leaves; `#[cancel_safe]` is for `&mut self` methods",
        );
    }
}

fn oneway(attribute: &Attribute, signature: &Signature, refusals: &mut Refusals) {
    if let ReturnType::Type(_, ty) = &signature.output
        && !matches!(&**ty, syn::Type::Tuple(tuple) if tuple.elems.is_empty())
    {
        refusals.refuse(
            attribute,
            format_args!(
                "a `#[oneway]` method has no reply; remove the return type of `{}`, or the attribute",
                signature.ident
            ),
        );
    }
}
