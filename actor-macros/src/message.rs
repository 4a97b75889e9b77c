//! `#[message]`: serde's derives by the runtime's own path, so that users need not depend on serde.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Item, Meta, Path, Token, punctuated::Punctuated};

use crate::{
    model::Paths,
    options::{self, Target},
    refusals::{self, Refusals},
    text,
};

/// Expands `#[message(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut refusals = Refusals::default();
    let options = options::parse(arguments, Target::Message, &mut refusals);
    match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Struct(item)) => refuse_derives(&item.attrs, &mut refusals),
        Ok(Item::Enum(item)) => refuse_derives(&item.attrs, &mut refusals),
        Ok(other) => refusals.refuse(
            refusals::keyword(&other),
            "`#[message]` stands on a struct or an enum, which it makes fit to be sent; move it there",
        ),
        Err(error) => refusals.add(error),
    }
    if !refusals.is_empty() {
        let errors = refusals.into_compile_errors();
        return quote!(#item #errors);
    }
    let private = Paths::new(options.runtime.as_ref()).private;
    let serde = text::of(quote!(#private::serde));
    // Before the item, so that the derive comes before the `#[serde(…)]` attributes of the user.
    quote! {
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #[serde(crate = #serde)]
        #item
    }
}

fn refuse_derives(attributes: &[Attribute], refusals: &mut Refusals) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let Meta::List(list) = &attribute.meta else { continue };
        let Ok(derives) = list.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated) else {
            continue;
        };
        for derive in derives {
            let name = derive.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
            if matches!(&*name, "Serialize" | "Deserialize") {
                refusals.refuse(
                    derive.to_token_stream(),
                    format_args!("`#[message]` derives `{name}` already; remove it here"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> String {
        let file = expand(arguments.parse().unwrap(), item.parse().unwrap());
        prettyplease::unparse(&syn::parse2(file).unwrap())
    }

    #[test]
    fn derives_come_first_and_by_the_runtimes_path() {
        assert_eq!(
            expanded("", "/// Docs.\n#[serde(rename_all = \"snake_case\")] pub enum E<T> { A(T) }"),
            "#[derive(\n    ::actor_runtime::__private::serde::Serialize,\n    \
             ::actor_runtime::__private::serde::Deserialize\n)]\n\
             #[serde(crate = \"::actor_runtime::__private::serde\")]\n\
             /// Docs.\n#[serde(rename_all = \"snake_case\")]\npub enum E<T> {\n    A(T),\n}\n"
        );
        assert!(expanded("crate = self::rt", "struct S;").contains("crate = \"self::rt::__private::serde\""));
    }

    #[test]
    fn refusals_keep_the_item() {
        for (arguments, item, text) in [
            (
                "",
                "fn f() {}",
                "`#[message]` stands on a struct or an enum, which it makes fit to be sent; move it there",
            ),
            (
                "",
                "union U { a: u8 }",
                "`#[message]` stands on a struct or an enum, which it makes fit to be sent; move it there",
            ),
            (
                "",
                "#[derive(Debug, serde::Serialize)] struct S;",
                "`#[message]` derives `Serialize` already; remove it here",
            ),
            ("name = \"x\"", "struct S;", "unknown option `name`; `#[message]` takes `crate = path`"),
        ] {
            let expansion = expand(arguments.parse().unwrap(), item.parse().unwrap()).to_string();
            assert!(expansion.contains(&item.parse::<TokenStream>().unwrap().to_string()), "{expansion}");
            assert!(expansion.contains(&format!("{text:?}")), "{expansion}");
        }
    }
}
