//! Impls of service traits: what the attribute can stand on.

use syn::{ImplItem, ItemImpl};

use crate::{attributes, refusals::Refusals, text};

/// Checks an impl of a service trait. Whether it fits the trait is for the compiler to say.
pub(crate) fn implementation(item: &ItemImpl, refusals: &mut Refusals) {
    if item.trait_.is_none() {
        refusals.refuse(
            &item.self_ty,
            format_args!(
                "`#[actor_service]` marks the impl of a service trait; write `impl Trait for {}`, or remove the attribute",
                text::of(&item.self_ty)
            ),
        );
    }
    if let Some(token) = &item.unsafety {
        refusals.refuse(token, "a service trait is never `unsafe`; remove `unsafe`");
    }
    if let Some(token) = &item.modifiers.defaultness {
        refusals.refuse(token, "an actor implements its service for good; remove `default`");
    }
    if let Some(token) = &item.modifiers.polarity {
        refusals.refuse(token, "an actor implements its service; remove `!`, or remove the impl");
    }
    for item in &item.items {
        if let ImplItem::Fn(item) = item {
            helpers(item, refusals);
        }
    }
}

/// Our attributes describe the service, so that they have no place on one of its actors.
fn helpers(item: &syn::ImplItemFn, refusals: &mut Refusals) {
    for attribute in item.attrs.iter().filter(|attribute| attributes::ours(attribute.path()).is_some()) {
        let name = text::of(attribute.path());
        refusals.refuse(
            attribute,
            format_args!(
                "`#[{name}]` belongs on the method in the trait, where clients see it; move it there"
            ),
        );
    }
}
