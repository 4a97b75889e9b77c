//! The trait itself, and its tie to the service.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{AttrStyle, ItemTrait, ReturnType, TraitItem, TraitItemFn};

use crate::{
    attributes::Attributes,
    model::{Access, Method, Service},
    streams,
};

/// The trait, with methods that return `Send` futures.
///
/// An actor may implement them with `async fn`, and the compiler then finds what is not `Send` in the actor's method.
pub(super) fn expand(item: &ItemTrait, service: &Service) -> TokenStream {
    let (inner, outer): (Vec<_>, Vec<_>) =
        item.attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Inner(_)));
    let (vis, keyword, ident) = (&item.vis, &item.trait_token, &item.ident);
    let supertraits = item.supertraits.iter();
    // Only turns that may overlap share the actor between threads.
    let sync = service.has(Access::Shared).then(|| quote!(::core::marker::Sync+));
    let functions = item.items.iter().filter_map(|item| match item {
        TraitItem::Fn(item) => Some(item),
        _ => None,
    });
    let methods = functions.zip(&service.methods).map(|(item, model)| method(item, model));
    quote! {
        #(#outer)*
        #vis #keyword #ident: #(#supertraits +)* ::core::marker::Send + #sync 'static {
            #(#inner)*
            #(#methods)*
        }
    }
}

fn method(item: &TraitItemFn, model: &Method) -> TokenStream {
    let attributes = Attributes::new(&item.attrs).original();
    let (keyword, ident, inputs) = (&item.sig.fn_token, &item.sig.ident, &item.sig.inputs);
    let reply = match &item.sig.output {
        ReturnType::Type(_, ty) => streams::in_trait(ty).map(|ty| ty.to_token_stream()),
        ReturnType::Default => None,
    };
    let reply = reply.unwrap_or_else(|| model.output());
    let span = Span::call_site().located_at(ident.span());
    let body = match &item.default {
        Some(block) if !model.is_async => block.to_token_stream(),
        Some(block) => quote!({ async move #block }),
        None => quote!(;),
    };
    // `Self: Sized` keeps `dyn Foo` a type: it names the service where only the trait is known.
    let output = if model.is_async {
        quote_spanned!(span=> impl ::core::future::Future<Output = #reply> + ::core::marker::Send)
    } else {
        reply
    };
    quote_spanned! {span=>
        #attributes
        #keyword #ident(#inputs) -> #output
        where
            Self: ::core::marker::Sized
        #body
    }
}

/// Names the service by the trait.
pub(super) fn implementation(service: &Service) -> TokenStream {
    let (contract, marker) = (&service.names.contract, &service.names.service);
    let rt = &service.paths.service;
    quote! {
        #[automatically_derived]
        impl #rt::Contract for dyn #contract {
            type Service = #marker;
        }
    }
}
