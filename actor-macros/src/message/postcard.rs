//! The serde attributes that ask for what postcard cannot do, and so would fail with the first call.
//!
//! Only where serde takes them; elsewhere serde refuses them itself.

use std::fmt::Display;

use proc_macro2::Ident;
use syn::{Attribute, Fields, ItemEnum, ItemStruct, Meta, Token, parse::Parser, punctuated::Punctuated};

use crate::{attributes, refusals::Refusals};

/// Refuses them on a struct and its fields.
pub(super) fn check_struct(item: &ItemStruct, refusals: &mut Refusals) {
    attributes(&item.attrs, Place::Item("struct"), refusals);
    fields(&item.fields, refusals);
}

/// Refuses them on an enum, its variants and their fields.
pub(super) fn check_enum(item: &ItemEnum, refusals: &mut Refusals) {
    attributes(&item.attrs, Place::Item("enum"), refusals);
    let count = item.variants.len();
    for (at, variant) in item.variants.iter().enumerate() {
        attributes(&variant.attrs, Place::Variant { last: at + 1 == count }, refusals);
        fields(&variant.fields, refusals);
    }
}

fn fields(fields: &Fields, refusals: &mut Refusals) {
    for field in fields {
        attributes(&field.attrs, Place::Field, refusals);
    }
}

/// What the attributes stand on.
#[derive(Clone, Copy)]
enum Place {
    /// The item, by its keyword.
    Item(&'static str),
    Variant {
        /// Whether none stands behind it.
        last: bool,
    },
    Field,
}

fn attributes(attributes: &[Attribute], place: Place, refusals: &mut Refusals) {
    let mut names = Vec::new();
    for attribute in attributes {
        collect(&attribute.meta, &mut names);
    }
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    // One without the other; together they are `skip`.
    let lone = has("skip_serializing") != has("skip_deserializing") && !has("skip");
    for name in &names {
        if let Some((why, instead)) = refusal(&name.to_string(), place, lone) {
            refuse(name, why, instead, refusals);
        }
    }
}

fn refuse(name: &Ident, why: &str, instead: impl Display, refusals: &mut Refusals) {
    refusals.refuse(name, format_args!("calls are encoded with postcard, which {why}; {instead}"));
}

/// What postcard does instead, and what to write instead.
fn refusal(name: &str, place: Place, lone: bool) -> Option<(&'static str, String)> {
    let (why, instead) = match (name, place) {
        ("tag" | "content", Place::Item(item)) => (
            "writes a variant as its number, and no names by which a tag could be found",
            format!("write the {item} without `{name}`"),
        ),
        ("untagged", Place::Item(_) | Place::Variant { .. }) => (
            "cannot tell from the bytes what they are, and reads a variant by its number",
            "write the enum without `untagged`".to_owned(),
        ),
        ("flatten", Place::Field) => (
            "writes no names by which the fields could be told apart",
            "put the fields in themselves, or send the field as it is, without `flatten`".to_owned(),
        ),
        ("skip_serializing_if", Place::Field) => (
            "writes fields without their names, so that none may be missing",
            "always send the field, as an `Option` if it may have no value".to_owned(),
        ),
        ("skip_serializing" | "skip_deserializing", Place::Field) if lone => (
            "writes fields without their names, so that both sides have to leave out the same ones",
            format!("write `skip` instead of `{name}`"),
        ),
        // Not simply `skip`: serde counts skipped variants when it writes the number, and not when it reads it.
        ("skip", Place::Variant { last: false }) => (
            "writes a variant as its number, which serde counts with skipped variants when it writes, and without \
             them when it reads",
            "put the variant last".to_owned(),
        ),
        ("skip_serializing" | "skip_deserializing", Place::Variant { .. }) if lone => (
            "writes a variant as its number, so that both sides have to leave out the same ones",
            format!("write `skip` instead of `{name}`, and put the variant last"),
        ),
        _ => return None,
    };
    Some((why, instead))
}

/// The names in a `#[serde(…)]`, also in a conditional one. What serde would not understand is left to serde.
fn collect(meta: &Meta, names: &mut Vec<Ident>) {
    if let Some((_, metas)) = attributes::conditional(meta) {
        metas.iter().for_each(|meta| collect(meta, names));
    } else if let Meta::List(list) = meta
        && list.path.is_ident("serde")
        && let Ok(metas) = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone())
    {
        names.extend(metas.iter().filter_map(|meta| meta.path().get_ident().cloned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_variant_has_to_be_the_last() {
        assert_eq!(refused("enum E { A, #[serde(skip)] B }"), []);
        let [(name, text)] = &refused("enum E { #[serde(skip)] A, B }")[..] else { panic!("one refusal") };
        assert!(name == "skip" && text.ends_with("; put the variant last"), "{name}: {text}");
    }

    /// Each refused name, and the text without what they all begin with.
    fn refused(source: &str) -> Vec<(String, String)> {
        let mut refusals = Refusals::default();
        match syn::parse_str(source).unwrap() {
            syn::Item::Struct(item) => check_struct(&item, &mut refusals),
            syn::Item::Enum(item) => check_enum(&item, &mut refusals),
            _ => panic!("a struct or an enum"),
        }
        let refusals = refusals.into_texts().into_iter().map(|(text, name)| {
            let text = text.strip_prefix("calls are encoded with postcard, which ").unwrap();
            (name, text.to_owned())
        });
        refusals.collect()
    }

    fn names(source: &str) -> Vec<String> {
        refused(source).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_postcard_cannot_do_is_refused_with_what_to_write_instead() {
        for (source, name, instead) in [
            ("#[serde(tag = \"t\")] enum E {}", "tag", "write the enum without `tag`"),
            ("#[serde(tag = \"t\")] struct S {}", "tag", "write the struct without `tag`"),
            ("#[serde(content = \"c\")] enum E {}", "content", "write the enum without `content`"),
            ("#[serde(untagged)] enum E {}", "untagged", "write the enum without `untagged`"),
            ("enum E { A, #[serde(untagged)] B(u8) }", "untagged", "write the enum without `untagged`"),
            (
                "struct S { #[serde(flatten)] a: A }",
                "flatten",
                "put the fields in themselves, or send the field as it is, without `flatten`",
            ),
            (
                "struct S(#[serde(default, skip_serializing_if = \"no\")] A);",
                "skip_serializing_if",
                "always send the field, as an `Option` if it may have no value",
            ),
            (
                "struct S { #[serde(skip_serializing)] a: A }",
                "skip_serializing",
                "write `skip` instead of `skip_serializing`",
            ),
            (
                "enum E { A { #[serde(skip_deserializing)] a: A } }",
                "skip_deserializing",
                "write `skip` instead of `skip_deserializing`",
            ),
            (
                "enum E { #[serde(skip_serializing)] A, B }",
                "skip_serializing",
                "write `skip` instead of `skip_serializing`, and put the variant last",
            ),
            (
                "struct S { #[cfg_attr(unix, cfg_attr(test, serde(flatten)))] a: A }",
                "flatten",
                "put the fields in themselves, or send the field as it is, without `flatten`",
            ),
        ] {
            let [(refused, text)] = &refused(source)[..] else { panic!("{source}") };
            assert_eq!(refused, name, "{source}");
            assert_eq!(text.rsplit_once("; ").unwrap().1, instead, "{source}");
        }
    }

    #[test]
    fn all_are_refused_at_once() {
        let source = "#[serde(tag = \"t\", content = \"c\")] #[serde(rename_all = \"x\")] enum E {
            #[serde(skip_deserializing)] A { #[serde(flatten)] a: A, #[serde(skip_serializing)] b: B },
            B(#[serde(skip_serializing_if = \"f\")] u8),
        }";
        assert_eq!(
            names(source),
            ["tag", "content", "skip_deserializing", "flatten", "skip_serializing", "skip_serializing_if"]
        );
    }

    #[test]
    fn other_attributes_are_left_to_serde() {
        for source in [
            "#[serde(rename = \"tag\", rename_all(serialize = \"x\"), deny_unknown_fields)] struct S;",
            "#[serde(transparent, bound = \"\", try_from = \"A\", into = \"A\")] struct S(u8);",
            "struct S { #[serde(skip)] a: A, #[serde(default, rename = \"flatten\", with = \"w\")] b: B }",
            "struct S { #[serde(skip_serializing, skip_deserializing)] a: A }",
            "struct S { #[serde(skip_serializing)] #[serde(skip_deserializing)] a: A }",
            "enum E { #[serde(other)] B, #[serde(alias = \"D\")] C, #[serde(skip)] A }",
            "#[other(tag = \"t\")] struct S { #[other(flatten)] a: A, #[doc(hidden)] b: B }",
            // Serde refuses them here.
            "#[serde(flatten)] struct S { #[serde(tag = \"t\")] a: A }",
            "#[serde(tag = )] struct S;",
        ] {
            assert_eq!(names(source), [""; 0], "{source}");
        }
    }
}
