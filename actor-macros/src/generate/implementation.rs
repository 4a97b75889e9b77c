//! `impl Actor`, which an impl of a service trait brings along; and what a part asks of the user's own.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ItemImpl, spanned::Spanned};

use crate::model::Paths;

/// `impl Actor` for an actor with one service, beside the impl of its trait.
pub(crate) fn implementation(item: &ItemImpl, paths: &Paths) -> TokenStream {
    let Some((contract, _)) = &item.trait_ else { return TokenStream::new() };
    let (root, service, actor) = (&paths.root, &paths.service, &item.self_ty);
    let (generics, _, clause) = item.generics.split_for_impl();
    // For a generic actor the bounds of the impl may hold only because the trait asks for these too.
    let bounds = (!item.generics.params.is_empty()).then(|| quote!(Self: ::core::marker::Send + 'static,));
    let clause = match clause.map(|clause| &clause.predicates) {
        Some(predicates) => {
            let predicates = predicates.iter();
            quote!(where #(#predicates,)* #bounds)
        }
        None => bounds.map(|bounds| quote!(where #bounds)).unwrap_or_default(),
    };
    let allow = super::allow();
    // If the trait is no service, that is where to look.
    let span = Span::call_site().located_at(contract.span());
    quote_spanned! {span=>
        #allow
        #[automatically_derived]
        impl #generics #root::Actor for #actor #clause {
            type Services = (<dyn #contract as #service::Contract>::Service,);
        }
    }
}

/// Asks the user's `impl Actor` whether it lists no other service with an id of this one, so that a collision is an
/// error here, and not only where the whole program is built. Of a generic actor there is nothing to ask.
pub(crate) fn part(item: &ItemImpl, paths: &Paths) -> TokenStream {
    let Some((contract, _)) = &item.trait_ else { return TokenStream::new() };
    if !item.generics.params.is_empty() {
        return TokenStream::new();
    }
    let (service, actor) = (&paths.service, &item.self_ty);
    let allow = super::allow();
    let span = Span::call_site().located_at(contract.span());
    quote_spanned! {span=>
        #allow
        const _: () = #service::check_part::<#actor>(
            <<dyn #contract as #service::Contract>::Service as #service::Service>::METHODS
        );
    }
}
