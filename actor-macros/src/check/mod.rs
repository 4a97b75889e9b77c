//! Every refusal, all at once: each is spanned on the offending token, and says the rule and what to write instead.
//!
//! | module | what it refuses |
//! |---|---|
//! | here | traits: generics, modifiers, supertraits, items that are not methods |
//! | `method` | signatures: receivers, generics, qualifiers, arguments |
//! | `flags` | attributes without a value that do not go together |
//! | `later` | a `ReplyTo` at the wrong place, or beside a reply |
//! | `types` | types that cannot travel |
//! | `names` | names and ids that collide |
//! | `implementation` | impls |

mod flags;
mod implementation;
mod later;
mod method;
mod names;
mod types;

use quote::ToTokens;
use syn::{ItemTrait, TraitItem, TypeParamBound};

pub(crate) use implementation::implementation;

use crate::{model::Service, refusals::Refusals};

/// Checks a trait that was read into `service`.
pub(crate) fn service(item: &ItemTrait, service: &Service, refusals: &mut Refusals) {
    modifiers(item, refusals);
    generics(item, refusals);
    for bound in &item.supertraits {
        supertrait(bound, &service.names.contract, refusals);
    }
    for item in &item.items {
        member(item, refusals);
    }
    names::check(service, refusals);
}

fn modifiers(item: &ItemTrait, refusals: &mut Refusals) {
    if let Some(token) = &item.unsafety {
        refusals.refuse(
            token,
            "a service trait cannot be `unsafe`: its callers may be other programs; remove `unsafe`, and check arguments in the methods",
        );
    }
    if let Some(token) = &item.modifiers.auto_token {
        refusals.refuse(token, "a service trait cannot be `auto`; remove `auto`");
    }
}

fn generics(item: &ItemTrait, refusals: &mut Refusals) {
    if !item.generics.params.is_empty() {
        refusals.refuse(
            &item.generics,
            "a service trait cannot be generic: its methods have one meaning on the wire; use concrete types, or write one trait for each type",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        refusals.refuse(
            clause,
            "a service trait cannot have a `where` clause; write what actors must implement as a supertrait: `trait Foo: Bar`",
        );
    }
}

/// `dyn Foo` names the service of `Foo`, so nothing may stop it from being a type.
fn supertrait(bound: &TypeParamBound, contract: &proc_macro2::Ident, refusals: &mut Refusals) {
    if let Some(name) = not_dyn(bound) {
        refusals.refuse(
            bound,
            format_args!(
                "`dyn {contract}` names the service, and `{name}` as a supertrait rules it out; remove it here, and ask for it where it is needed"
            ),
        );
    }
}

/// The name of a supertrait that is known to rule out `dyn`. For others it is the compiler that finds out.
fn not_dyn(bound: &TypeParamBound) -> Option<&proc_macro2::Ident> {
    const NOT_DYN: [&str; 9] =
        ["Sized", "Clone", "Copy", "Default", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash"];
    let TypeParamBound::Trait(bound) = bound else { return None };
    let name = &bound.path.segments.last()?.ident;
    (bound.maybe.is_none() && NOT_DYN.iter().any(|not_dyn| name == not_dyn)).then_some(name)
}

/// Whether `dyn Foo` is a type, refused or not, once the methods ask for `Self: Sized`.
pub(crate) fn names_a_type(item: &ItemTrait) -> bool {
    item.generics.params.is_empty()
        && item.generics.where_clause.is_none()
        && item.modifiers.auto_token.is_none()
        && item.supertraits.iter().all(|bound| not_dyn(bound).is_none())
        && item.items.iter().all(|item| matches!(item, TraitItem::Fn(_)))
}

fn member(item: &TraitItem, refusals: &mut Refusals) {
    match item {
        TraitItem::Fn(item) => method::check(item, refusals),
        TraitItem::Type(item) => refusals.refuse(
            item,
            "a service trait cannot have associated types: clients know the trait and not the actor; write the concrete type in the methods",
        ),
        TraitItem::Const(item) => refusals.refuse(
            item,
            "a service trait cannot have associated constants: clients know the trait and not the actor; write a method, or a constant outside",
        ),
        TraitItem::Macro(item) => refusals.refuse(
            item,
            "a macro in a service trait cannot be seen through; write the methods that it stands for",
        ),
        other => refusals.refuse(
            other.to_token_stream(),
            "a service trait has only methods; write `async fn name(&self, …) -> T;`",
        ),
    }
}
