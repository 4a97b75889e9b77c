//! Collects what is wrong with the user's item, so that every mistake of a trait is reported by one compilation.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Item;

/// The refusals of one item, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Refusals(Option<syn::Error>);

impl Refusals {
    /// Refuses `tokens`; the text says the rule and what to write instead.
    pub(crate) fn refuse(&mut self, tokens: impl ToTokens, text: impl Display) {
        self.add(syn::Error::new_spanned(tokens, text));
    }

    /// Adds what a parser said.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Whether nothing was refused.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` for each refusal.
    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.0.map(syn::Error::into_compile_error).unwrap_or_default()
    }
}

/// The keyword of an item, to point at where an attribute stands on an item of the wrong kind.
pub(crate) fn keyword(item: &Item) -> TokenStream {
    match item {
        Item::Const(item) => item.const_token.to_token_stream(),
        Item::Enum(item) => item.enum_token.to_token_stream(),
        Item::ExternCrate(item) => item.extern_token.to_token_stream(),
        Item::Fn(item) => item.sig.fn_token.to_token_stream(),
        Item::ForeignMod(item) => item.abi.to_token_stream(),
        Item::Impl(item) => item.impl_token.to_token_stream(),
        Item::Mod(item) => item.mod_token.to_token_stream(),
        Item::Static(item) => item.static_token.to_token_stream(),
        Item::Struct(item) => item.struct_token.to_token_stream(),
        Item::Trait(item) => item.trait_token.to_token_stream(),
        Item::TraitAlias(item) => item.trait_token.to_token_stream(),
        Item::Type(item) => item.type_token.to_token_stream(),
        Item::Union(item) => item.union_token.to_token_stream(),
        Item::Use(item) => item.use_token.to_token_stream(),
        other => other.to_token_stream(),
    }
}

#[cfg(test)]
impl Refusals {
    /// Each refusal as its text and the source that it is about.
    pub(crate) fn into_texts(self) -> Vec<(String, String)> {
        let errors = self.0.into_iter().flatten();
        errors.map(|error| (error.to_string(), error.span().source_text().unwrap_or_default())).collect()
    }
}
