//! `ReplyTo<T>`: the argument by which a method answers later.

use syn::{FnArg, GenericArgument, PatType, PathArguments, Signature, Type};

use crate::model::peel;

/// The type of the reply, if the method answers later: of the last `ReplyTo<T>` among its arguments.
pub(crate) fn reply(signature: &Signature) -> Option<&Type> {
    arguments(signature).rev().find_map(|argument| answered(&argument.ty))
}

/// Whether this is a `ReplyTo`, complete or not.
pub(crate) fn is_reply_to(ty: &Type) -> bool {
    segment(ty).is_some()
}

/// The `T` of `ReplyTo<T>`.
pub(crate) fn answered(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment(ty)?.arguments else { return None };
    match arguments.args.iter().collect::<Vec<_>>()[..] {
        [GenericArgument::Type(ty)] => Some(ty),
        _ => None,
    }
}

/// The arguments without the receiver.
pub(crate) fn arguments(signature: &Signature) -> impl DoubleEndedIterator<Item = &PatType> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    })
}

fn segment(ty: &Type) -> Option<&syn::PathSegment> {
    match peel(ty) {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().filter(|last| last.ident == "ReplyTo")
        }
        _ => None,
    }
}
