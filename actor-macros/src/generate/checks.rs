//! A question to the compiler about each type that is sent, asked before any other that has to do with it.

use std::collections::HashSet;

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::model::{Argument, Form, Method, Reply, Service};

/// What a user reads whose `Result` has another name.
pub(super) const ALIAS: &str = "this reply is a `Result` under another name: call the alias `Result`, or write `Result<T, E>` out, so that the caller gets `CallError<E>`";

/// All questions: first whether the types can be sent, then whether replies are what they look like.
pub(super) fn expand(service: &Service) -> impl Iterator<Item = TokenStream> {
    sent(service).into_iter().chain(plain(service))
}

/// Asks the compiler whether every type can be sent, in the same words as the rest of generated code, so that the
/// compiler reports what cannot once, where the user wrote it, and first.
fn sent(service: &Service) -> Option<TokenStream> {
    let message = &service.paths.message;
    let mut seen = HashSet::new();
    let checks = service.methods.iter().flat_map(|method| {
        let cfg = method.attributes.cfg();
        types(method).into_iter().map(move |ty| (cfg.clone(), ty))
    });
    let checks = checks
        .filter(|(cfg, ty)| seen.insert((cfg.to_string(), ty.to_string())))
        .map(|(cfg, ty)| quote!(#cfg let _ = <#ty as #message>::schema;));
    let checks: Vec<_> = checks.collect();
    // A constant in a type is looked at before the items around it, so that these errors come first.
    (!checks.is_empty()).then(|| quote!(const _: [(); { #(#checks)* 0 }] = [];))
}

/// Asks the compiler whether a reply that is not called `Result` is one all the same: the macro cannot see through an
/// alias, and the caller would get a `Result` inside of another.
fn plain(service: &Service) -> Option<TokenStream> {
    let private = &service.paths.private;
    let mut seen = HashSet::new();
    let replies = service.methods.iter().filter_map(|method| match &method.reply {
        Reply::Value(ty) if !is_unit(ty) => Some((method.attributes.cfg(), ty)),
        _ => None,
    });
    let checks =
        replies.filter(|(cfg, ty)| seen.insert((cfg.to_string(), ty.to_string()))).map(|(cfg, ty)| {
            let question = quote!(!<#private::PlainReply<#ty>>::IS_RESULT, #ALIAS);
            let (assert, question) = at(ty, &quote!(::core::assert!), question);
            quote!(#cfg const _: () = #assert #question;)
        });
    let checks: Vec<_> = checks.collect();
    (!checks.is_empty()).then(|| {
        quote! {
            const _: () = {
                use #private::NotResult as _;
                #(#checks)*
            };
        }
    })
}

/// Whether nothing is returned.
fn is_unit(ty: &TokenStream) -> bool {
    ty.to_string() == "()"
}

/// The call of a macro at the place of `ty`: the compiler points from a call's first token to its last.
fn at(ty: &TokenStream, callee: &TokenStream, arguments: TokenStream) -> (TokenStream, Group) {
    let place = |token: Option<TokenTree>| {
        let span = token.map_or_else(Span::call_site, |token| token.span());
        Span::call_site().located_at(span)
    };
    let (first, last) = (ty.clone().into_iter().next(), ty.clone().into_iter().last());
    let first = place(first);
    let callee = callee.clone().into_iter().map(|mut token| {
        token.set_span(first);
        token
    });
    let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
    arguments.set_span(place(last));
    (callee.collect(), arguments)
}

fn types(method: &Method) -> Vec<TokenStream> {
    let mut types: Vec<_> = method.arguments.iter().filter_map(argument).collect();
    match &method.reply {
        Reply::Value(ty) => types.push(ty.clone()),
        Reply::Result { ok, err, .. } => types.extend([ok.clone(), err.clone()]),
    }
    types
}

fn argument(argument: &Argument) -> Option<TokenStream> {
    match &argument.form {
        Form::Value => Some(argument.ty.to_token_stream()),
        Form::Stream(item) => Some(item.to_token_stream()),
        Form::Slice(inner) | Form::Reference(inner) => Some(inner.to_token_stream()),
        Form::Str => None,
    }
}
