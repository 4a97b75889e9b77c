//! `#[actor_service]`: the way from the item to its expansion.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, ImplItem, Item, ItemImpl, ItemTrait, TraitItem, WherePredicate};

use crate::{
    attributes, check, generate,
    model::{Paths, Service},
    options::{self, Target},
    parse,
    refusals::{self, Refusals},
    streams,
};

/// Expands `#[actor_service(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Trait(item)) => contract(arguments, item),
        Ok(Item::Impl(item)) => implementation(arguments, item),
        Ok(other) => {
            let mut refusals = Refusals::default();
            refusals.refuse(
                refusals::keyword(&other),
                "`#[actor_service]` stands on a trait, which it makes a service, or on an impl of such a trait; move it there",
            );
            with_errors(item, refusals)
        }
        Err(error) => {
            let mut refusals = Refusals::default();
            refusals.add(error);
            with_errors(item, refusals)
        }
    }
}

fn contract(arguments: TokenStream, mut item: ItemTrait) -> TokenStream {
    let mut refusals = Refusals::default();
    let options = options::parse(arguments, Target::Trait, &mut refusals);
    let service = parse::service(&item, options, &mut refusals);
    check::service(&item, &service, &mut refusals);
    if refusals.is_empty() {
        return generate::service(&item, &service);
    }
    let placeholder = check::names_a_type(&item)
        .then(|| generate::placeholder(&Service { methods: Vec::new(), ..service }));
    for item in &mut item.items {
        if let TraitItem::Fn(item) = item {
            strip(&mut item.attrs);
            if placeholder.is_some() {
                let sized = syn::parse2::<WherePredicate>(quote!(Self: ::core::marker::Sized));
                item.sig.generics.make_where_clause().predicates.extend(sized);
            }
        }
    }
    // The compiler would go on to advise against the `async fn`s, which are what is wanted.
    with_errors(quote!(#[allow(async_fn_in_trait)] #item #placeholder), refusals)
}

fn implementation(arguments: TokenStream, mut item: ItemImpl) -> TokenStream {
    let mut refusals = Refusals::default();
    let options = options::parse(arguments, Target::Impl, &mut refusals);
    check::implementation(&item, &mut refusals);
    for member in &mut item.items {
        if let ImplItem::Fn(member) = member {
            strip(&mut member.attrs);
            streams::in_impl(member, &item.generics);
        }
    }
    // Also if something is refused, since a missing `impl Actor` would be one more error wherever the actor is used.
    let paths = Paths::new(options.runtime.as_ref());
    let actor = match (&item.modifiers.polarity, options.part) {
        (Some(_), _) => TokenStream::new(),
        (None, true) => generate::part(&item, &paths),
        (None, false) => generate::implementation(&item, &paths),
    };
    with_errors(quote!(#item #actor), refusals)
}

/// The item, and the refusals if there are any. The item stays, so that editors keep their knowledge of it and the
/// compiler does not report it as missing.
fn with_errors(item: TokenStream, refusals: Refusals) -> TokenStream {
    let errors = refusals.into_compile_errors();
    quote!(#item #errors)
}

/// Removes our attributes, which the compiler would look for.
fn strip(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| attributes::ours(attribute.path()).is_none());
}

#[cfg(test)]
mod tests;
