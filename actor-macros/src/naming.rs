//! The names that follow from a method's name, and the id that names it on the wire.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;

/// The name without `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// `add_all` becomes `AddAll`: the variant of a method in `FooRequest` and `FooResponse`. Keeps the span.
pub(crate) fn variant(method: &Ident) -> Ident {
    let name = plain(method);
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            camel.extend(first.to_uppercase());
            camel.push_str(letters.as_str());
        }
    }
    // `self_` would give the keyword, `_1` a number, and `__` nothing at all.
    if camel == "Self" {
        camel.push('_');
    }
    if camel.chars().next().is_none_or(char::is_numeric) {
        camel.insert(0, '_');
    }
    if camel == "_" {
        camel.push('_');
    }
    Ident::new(&camel, method.span())
}

/// `add_all` becomes `__ADD_ALL`: the hidden constant that holds the method's description. Keeps the span.
pub(crate) fn constant(method: &Ident) -> Ident {
    format_ident!("__{}", plain(method).to_uppercase(), span = method.span())
}

/// `add_all` becomes `__id_add_all`: the hidden constant that holds the method's id.
///
/// It cannot be `__ADD_ALL_ID`, which is what a method `add_all_id` has for its description.
pub(crate) fn id_constant(method: &Ident) -> Ident {
    format_ident!("__id_{}", plain(method), span = method.span())
}

/// The id of a method on the wire, as `service::method_id` of the runtime computes it: 64-bit FNV-1a, folded to 32.
///
/// Only for telling the user about a collision at the right place; generated code asks the runtime.
pub(crate) fn method_id(service: &str, method: &str) -> u32 {
    let hash = [service, "/", method]
        .iter()
        .flat_map(|part| part.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn ident(name: &str) -> Ident {
        match name.strip_prefix("r#") {
            Some(raw) => Ident::new_raw(raw, Span::call_site()),
            None => Ident::new(name, Span::call_site()),
        }
    }

    #[test]
    fn variants_are_camel_case_and_always_identifiers() {
        for (method, expected) in [
            ("divide", "Divide"),
            ("add_all", "AddAll"),
            ("r#type", "Type"),
            ("_hidden", "Hidden"),
            ("addAll", "AddAll"),
            ("self_", "Self_"),
            ("_1", "_1"),
            ("__", "__"),
            ("éa_b", "ÉaB"),
        ] {
            let variant = variant(&ident(method));
            assert_eq!(variant, expected);
            assert!(syn::parse_str::<Ident>(&variant.to_string()).is_ok(), "{variant}");
        }
    }

    #[test]
    fn constants_of_different_methods_differ() {
        let names = ["get", "get_id", "id_get", "id"].map(ident);
        let mut constants: Vec<_> =
            names.iter().flat_map(|name| [constant(name), id_constant(name)]).collect();
        constants.sort();
        constants.dedup();
        assert_eq!(constants.len(), 8);
        assert_eq!(constant(&ident("r#type")), "__TYPE");
    }

    #[test]
    fn the_id_is_the_published_hash() {
        // FNV-1a of "foo/bar", folded: computed with the reference implementation of the runtime.
        let hash = b"foo/bar".iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
        });
        assert_eq!(method_id("foo", "bar"), (hash ^ (hash >> 32)) as u32);
    }
}
