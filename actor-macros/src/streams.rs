//! Streams in signatures: `impl Stream<Item = T>` in a reply, `Streaming<T>` as an argument.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    AngleBracketedGenericArguments, GenericArgument, GenericParam, Generics, ImplItemFn, PathArguments,
    PathSegment, ReturnType, Type, TypeImplTrait, TypeParamBound, parse_quote,
};

use crate::model::peel;

/// The stream in a reply: the whole of it, or the `Ok` of a `Result`.
pub(crate) fn in_reply(ty: &Type) -> Option<&TypeImplTrait> {
    let first = |ty: &'_ Type| matches!(peel(ty), Type::ImplTrait(ty) if is_stream(ty));
    match peel(ty) {
        Type::ImplTrait(ty) if is_stream(ty) => Some(ty),
        Type::Path(path) => {
            let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            match arguments.args.first()? {
                GenericArgument::Type(ty) if first(ty) => match peel(ty) {
                    Type::ImplTrait(ty) => Some(ty),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether this is `impl Stream<…>`.
pub(crate) fn is_stream(ty: &TypeImplTrait) -> bool {
    bound(ty).is_some()
}

/// The `T` of `impl Stream<Item = T>`.
pub(crate) fn item(ty: &TypeImplTrait) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &bound(ty)?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assigned) if assigned.ident == "Item" => Some(&assigned.ty),
        _ => None,
    })
}

/// The `T` of an argument `Streaming<T>`.
pub(crate) fn argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = peel(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Streaming")?;
    match &last.arguments {
        PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) if args.len() == 1 => {
            match args.first()? {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The reply as its caller has it: `Streaming<T>` in the place of the stream.
pub(crate) fn received(reply: &Type, streaming: &TokenStream) -> Option<Type> {
    let item = in_reply(reply).and_then(item)?;
    Some(replaced(reply, &parse_quote!(#streaming<#item>)))
}

/// The reply of a trait's method, whose stream outlives the turn and may go to another thread.
pub(crate) fn in_trait(reply: &Type) -> Option<Type> {
    let stream = in_reply(reply)?;
    Some(replaced(reply, &bounded(stream, &quote!(Self))))
}

/// The same in an impl: the stream borrows nothing of the actor.
pub(crate) fn in_impl(item: &mut ImplItemFn, generics: &Generics) {
    let ReturnType::Type(_, ty) = &mut item.sig.output else { return };
    let Some(stream) = in_reply(ty) else { return };
    if stream.bounds.iter().any(|bound| matches!(bound, TypeParamBound::PreciseCapture(_))) {
        return;
    }
    let captured = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => Some(&parameter.ident),
        GenericParam::Const(parameter) => Some(&parameter.ident),
        GenericParam::Lifetime(_) => None,
    });
    let bounded = bounded(stream, &quote!(#(#captured),*));
    **ty = replaced(ty, &bounded);
}

fn bounded(stream: &TypeImplTrait, captured: &TokenStream) -> Type {
    let bounds = &stream.bounds;
    Type::Verbatim(quote!(impl #bounds + ::core::marker::Send + 'static + use<#captured>))
}

fn replaced(reply: &Type, by: &Type) -> Type {
    let Type::Path(path) = peel(reply) else { return by.clone() };
    let mut path = path.clone();
    if let Some(PathSegment { arguments: PathArguments::AngleBracketed(arguments), .. }) =
        path.path.segments.last_mut()
        && let Some(first) = arguments.args.first_mut()
    {
        *first = GenericArgument::Type(by.clone());
    }
    Type::Path(path)
}

fn bound(ty: &TypeImplTrait) -> Option<&PathSegment> {
    ty.bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().filter(|last| last.ident == "Stream"),
        _ => None,
    })
}

/// Tokens of a type, for texts.
pub(crate) fn written(output: &ReturnType) -> TokenStream {
    match output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    }
}
