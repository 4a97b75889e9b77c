//! Sorts the attributes of a trait or a method: which are ours, and where each of the others goes.
//!
//! | place | what goes there |
//! |---|---|
//! | the trait and its methods | everything that is not ours |
//! | the client and its methods | `cfg`, `doc`, `deprecated`, `must_use`, `allow` (also for `expect`) |
//! | variants of `FooRequest`, `FooResponse` | `cfg`, `doc`, `deprecated`, `allow` (also for `expect`) |
//! | constants, array elements, match arms | `cfg` |
//!
//! `expect` becomes `allow` in copies, because what is expected happens in the original. A `cfg_attr` goes where the
//! attributes in it go.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, parse::Parser, punctuated::Punctuated};

/// The attributes of a trait or a method that are not ours.
pub(crate) struct Attributes(Vec<Attribute>);

/// A place that attributes are copied to.
#[derive(Clone, Copy)]
enum Place {
    Client,
    Variant,
    Configured,
}

impl Attributes {
    /// Keeps what `is_ours` does not claim.
    pub(crate) fn new(attributes: &[Attribute]) -> Self {
        Self(attributes.iter().filter(|attribute| ours(attribute.path()).is_none()).cloned().collect())
    }

    /// All of them, each in front of the item even if it was written inside.
    pub(crate) fn original(&self) -> TokenStream {
        self.0.iter().map(|Attribute { meta, .. }| quote!(#[#meta])).collect()
    }

    /// For the client and its methods.
    pub(crate) fn client(&self) -> TokenStream {
        self.at(Place::Client)
    }

    /// For the variants of a method.
    pub(crate) fn variant(&self) -> TokenStream {
        self.at(Place::Variant)
    }

    /// The conditions alone.
    pub(crate) fn cfg(&self) -> TokenStream {
        self.at(Place::Configured)
    }

    /// Whether there is a condition.
    pub(crate) fn is_configured(&self) -> bool {
        !self.cfg().is_empty()
    }

    /// Whether there is a documentation comment.
    pub(crate) fn is_documented(&self) -> bool {
        self.0
            .iter()
            .any(|attribute| matches!(&attribute.meta, Meta::NameValue(value) if value.path.is_ident("doc")))
    }

    pub(crate) fn is_deprecated(&self) -> bool {
        self.0.iter().any(|attribute| attribute.path().is_ident("deprecated"))
    }

    /// The documentation as an expression: a literal, or a `concat!` where a part of it comes from a macro.
    pub(crate) fn docs(&self) -> TokenStream {
        let values = self.0.iter().filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(value) if value.path.is_ident("doc") => Some(&value.value),
            _ => None,
        });
        let parts: Vec<_> = values
            .map(|value| match value {
                Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Ok(unindented(&line.value())),
                other => Err(other),
            })
            .collect();
        let lines: Result<Vec<&str>, ()> = parts.iter().map(|part| part.as_deref().map_err(drop)).collect();
        match lines {
            Ok(lines) => lines.join("\n").trim().to_token_stream(),
            Err(()) => {
                let parts = parts.iter().map(|part| match part {
                    Ok(line) => line.to_token_stream(),
                    Err(expression) => expression.to_token_stream(),
                });
                quote!(::core::concat!(#(#parts, "\n"),*))
            }
        }
    }

    fn at(&self, place: Place) -> TokenStream {
        let metas = self.0.iter().filter_map(|attribute| at(&attribute.meta, place));
        metas.map(|meta| quote!(#[#meta])).collect()
    }
}

/// What remains of an attribute at a place.
fn at(meta: &Meta, place: Place) -> Option<TokenStream> {
    let name = meta.path().get_ident()?.to_string();
    match (&*name, place) {
        ("cfg", _)
        | ("doc" | "deprecated" | "allow", Place::Client | Place::Variant)
        | ("must_use", Place::Client) => Some(meta.to_token_stream()),
        ("expect", Place::Client | Place::Variant) => match meta {
            Meta::List(list) => {
                let lints = &list.tokens;
                Some(quote!(allow(#lints)))
            }
            _ => None,
        },
        ("cfg_attr", _) => {
            let (condition, metas) = conditional(meta)?;
            let kept: Vec<_> = metas.iter().filter_map(|meta| at(meta, place)).collect();
            if kept.is_empty() { None } else { Some(quote!(cfg_attr(#condition, #(#kept),*))) }
        }
        _ => None,
    }
}

/// The condition of a `cfg_attr` and the attributes in it.
pub(crate) fn conditional(meta: &Meta) -> Option<(Meta, Vec<Meta>)> {
    let Meta::List(list) = meta else { return None };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let metas = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(list.tokens.clone()).ok()?;
    let mut metas = metas.into_iter();
    Some((metas.next()?, metas.collect()))
}

/// An attribute of a method that belongs to us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    Id,
    Timeout,
    Idempotent,
    Dedup,
    Oneway,
    CancelSafe,
    /// Settled in the grammar, but nothing stands behind it.
    Reserved,
}

/// Whether an attribute with this path is ours.
pub(crate) fn ours(path: &syn::Path) -> Option<Ours> {
    match &*path.get_ident()?.to_string() {
        "id" => Some(Ours::Id),
        "timeout" => Some(Ours::Timeout),
        "idempotent" => Some(Ours::Idempotent),
        "dedup" => Some(Ours::Dedup),
        "oneway" => Some(Ours::Oneway),
        "cancel_safe" => Some(Ours::CancelSafe),
        "since" => Some(Ours::Reserved),
        _ => None,
    }
}

/// A line of documentation without the space that follows `///`.
fn unindented(line: &str) -> String {
    line.strip_prefix(' ').unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(source: &str) -> Attributes {
        let attributes = Attribute::parse_outer.parse_str(source).unwrap();
        Attributes::new(&attributes)
    }

    fn text(tokens: impl ToTokens) -> String {
        tokens.to_token_stream().to_string().replace(' ', "")
    }

    #[test]
    fn each_place_gets_what_makes_sense_there() {
        let all = attributes(
            "#[cfg(unix)] #[id = 3] #[deprecated = \"no\"] #[must_use] #[expect(unused)] #[allow(dead_code)] #[inline] #[timeout = \"1s\"]",
        );
        assert_eq!(
            text(all.original()),
            "#[cfg(unix)]#[deprecated=\"no\"]#[must_use]#[expect(unused)]#[allow(dead_code)]#[inline]"
        );
        assert_eq!(
            text(all.client()),
            "#[cfg(unix)]#[deprecated=\"no\"]#[must_use]#[allow(unused)]#[allow(dead_code)]"
        );
        assert_eq!(
            text(all.variant()),
            "#[cfg(unix)]#[deprecated=\"no\"]#[allow(unused)]#[allow(dead_code)]"
        );
        assert_eq!(text(all.cfg()), "#[cfg(unix)]");
        assert!(all.is_configured() && all.is_deprecated());
    }

    #[test]
    fn a_conditional_attribute_goes_where_its_content_goes() {
        let all = attributes(
            "#[cfg_attr(unix, cfg(feature = \"x\"), must_use, inline)] #[cfg_attr(windows, inline)]",
        );
        assert_eq!(text(all.client()), "#[cfg_attr(unix,cfg(feature=\"x\"),must_use)]");
        assert_eq!(text(all.cfg()), "#[cfg_attr(unix,cfg(feature=\"x\"))]");
    }

    #[test]
    fn documentation_is_one_string() {
        assert_eq!(attributes("/// One.\n///\n///     two\n").docs().to_string(), "\"One.\\n\\n    two\"");
        assert_eq!(attributes("#[inline]").docs().to_string(), "\"\"");
        let included = attributes("/// One.\n#[doc = include_str!(\"x.md\")]").docs();
        assert_eq!(text(included), "::core::concat!(\"One.\",\"\\n\",include_str!(\"x.md\"),\"\\n\")");
    }
}
