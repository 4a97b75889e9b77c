//! The signature of a method: what qualifies it, what it is called on, and what it takes.

use syn::{
    Attribute, FnArg, GenericParam, Pat, PatType, Receiver, ReceiverKind, ReturnType, Safety, Signature,
    TraitItemFn,
};

use super::{flags, later, types};
use crate::{later::is_reply_to, naming, refusals::Refusals, streams};

/// Checks the signature of a method.
pub(super) fn check(item: &TraitItemFn, refusals: &mut Refusals) {
    let signature = &item.sig;
    flags::check(item, refusals);
    later::check(item, refusals);
    if let Some(token) = &item.modifiers.defaultness {
        refusals.refuse(
            token,
            "a service method cannot be `default`; remove `default`: a body alone makes it optional",
        );
    }
    qualifiers(signature, refusals);
    generics(signature, refusals);
    receiver(signature, refusals);
    let mut names: Vec<String> = Vec::new();
    let mut streamed = false;
    for input in &signature.inputs {
        if let FnArg::Typed(input) = input {
            argument(input, item.default.is_some(), &mut names, refusals);
            if streams::argument(&input.ty).is_some() && std::mem::replace(&mut streamed, true) {
                refusals.refuse(
                    &input.ty,
                    "a method takes one stream: nothing says how the items of two would come together; send an enum of both in one stream",
                );
            }
        }
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        types::reply(ty, refusals);
    }
}

fn qualifiers(signature: &Signature, refusals: &mut Refusals) {
    if let Some(token) = &signature.constness {
        refusals
            .refuse(token, "a service method cannot be `const`: it runs when a call arrives; remove `const`");
    }
    match &signature.safety {
        Safety::Unsafe(token) => refusals.refuse(
            token,
            "a service method cannot be `unsafe`: its callers may be other programs; remove `unsafe`, and check the arguments in the body",
        ),
        Safety::Safe(token) => refusals.refuse(token, "a service method is always safe; remove `safe`"),
        Safety::Default => {}
    }
    if let Some(abi) = &signature.abi {
        refusals.refuse(abi, "a service method has no ABI: it is called by message; remove `extern`");
    }
    if let Some(variadic) = &signature.variadic {
        refusals.refuse(variadic, "a service method cannot be variadic; take a `Vec<T>` or a `&[T]`");
    }
    // A method that returns a stream may do so at once.
    if signature.asyncness.is_none() && !types::returns_stream(&signature.output) {
        refusals.refuse(
            signature.fn_token,
            format_args!("a service method is asynchronous; write `async fn {}`", signature.ident),
        );
    }
}

fn generics(signature: &Signature, refusals: &mut Refusals) {
    for parameter in &signature.generics.params {
        match parameter {
            GenericParam::Type(parameter) => refusals.refuse(
                parameter,
                "a service method cannot be generic: the type is not known where the call arrives; write the concrete type, or an enum of the possible ones",
            ),
            GenericParam::Const(parameter) => refusals.refuse(
                parameter,
                "a service method cannot be generic: the constant is not known where the call arrives; make it an argument, or take a `Vec<T>`",
            ),
            GenericParam::Lifetime(parameter) => refusals.refuse(
                parameter,
                "a service method has no lifetimes: a reply cannot borrow from a message; remove it: arguments may be `&str`, `&[T]` or `&T`",
            ),
        }
    }
    if let Some(clause) = &signature.generics.where_clause {
        refusals.refuse(
            clause,
            "a service method cannot have a `where` clause; remove it, and use types that fulfil it",
        );
    }
}

fn receiver(signature: &Signature, refusals: &mut Refusals) {
    let Some(receiver) = signature.receiver() else {
        let comma = if signature.inputs.is_empty() { "" } else { ", …" };
        refusals.refuse(
            &signature.ident,
            format_args!(
                "a service method is called on an actor; write `async fn {0}(&self{comma})`, or `&mut self` if it changes the actor",
                signature.ident
            ),
        );
        return;
    };
    attributes(&receiver.attrs, refusals);
    match &receiver.kind {
        ReceiverKind::Reference(_, None, _) => {}
        ReceiverKind::Reference(_, Some(lifetime), _) => refusals.refuse(
            lifetime,
            "a service method has no lifetimes: a reply cannot borrow from the actor; write `&self` or `&mut self`",
        ),
        _ => refuse_receiver(receiver, refusals),
    }
}

fn refuse_receiver(receiver: &Receiver, refusals: &mut Refusals) {
    let (rule, instead) = match (&receiver.kind, &receiver.mutability) {
        (ReceiverKind::Typed(..), _) => {
            ("the runtime owns the actor and lends it to each call", "`&self` or `&mut self`")
        }
        (_, Some(_)) => ("a call cannot consume its actor", "`&mut self`"),
        _ => ("a call cannot consume its actor", "`&self`, or `&mut self` if it changes the actor"),
    };
    // The attributes in front are refused on their own.
    let tokens = Receiver { attrs: Vec::new(), ..receiver.clone() };
    refusals.refuse(tokens, format_args!("{rule}; write {instead}"));
}

fn argument(input: &PatType, has_body: bool, names: &mut Vec<String>, refusals: &mut Refusals) {
    attributes(&input.attrs, refusals);
    match &*input.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            if let (Some(token), false) = (&pattern.mutability, has_body) {
                refusals.refuse(
                    token,
                    format_args!("`mut` is a matter of the body, and there is none here; write `{}`", pattern.ident),
                );
            }
            let name = naming::plain(&pattern.ident);
            if names.contains(&name) {
                refusals.refuse(&pattern.ident, format_args!("two arguments are called `{name}`; rename one of them"));
            }
            names.push(name);
        }
        Pat::Wild(pattern) => refusals.refuse(
            pattern,
            "an argument needs a name, which is a part of the service's description; write one, such as `_unused`",
        ),
        pattern => refusals.refuse(
            pattern,
            "an argument is a plain name, which is a part of the service's description; take it apart in the body",
        ),
    }
    if !is_reply_to(&input.ty) {
        types::argument(&input.ty, refusals);
    }
}

fn attributes(attributes: &[Attribute], refusals: &mut Refusals) {
    for attribute in attributes {
        refusals.refuse(
            attribute,
            "an argument cannot have attributes: all callers send the same arguments; put the attribute on the method, or on a field of the argument's type",
        );
    }
}
