//! Questions to the compiler about the types that are sent, asked at the place where the user wrote them.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{Argument, Form, Method, Reply, Service};

/// Asks the compiler whether every type can be sent, so that what cannot is reported where the user wrote it.
///
pub(super) fn expand(service: &Service) -> Option<TokenStream> {
    let private = &service.paths.private;
    let mut seen = HashSet::new();
    let checks = service.methods.iter().flat_map(|method| {
        let cfg = method.attributes.cfg();
        types(method).into_iter().map(move |ty| (cfg.clone(), ty))
    });
    let checks =
        checks.filter(|(cfg, ty)| seen.insert((cfg.to_string(), ty.to_string()))).map(|(cfg, ty)| {
            let check = quote_spanned!(ty.span()=> check_argument);
            quote!(#cfg #private::#check::<#ty>();)
        });
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
