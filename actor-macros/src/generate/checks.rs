//! A question to the compiler about each type that is sent, asked before any other that has to do with it.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::model::{Argument, Form, Method, Reply, Service};

/// Asks the compiler whether every type can be sent, in the same words as the rest of generated code, so that the
/// compiler reports what cannot once, where the user wrote it, and first.
pub(super) fn expand(service: &Service) -> Option<TokenStream> {
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
        Form::Slice(inner) | Form::Reference(inner) => Some(inner.to_token_stream()),
        Form::Str => None,
    }
}
