//! `#[message]`: serde's derives by the runtime's own path, so that users need not depend on serde.

mod postcard;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, Item, Meta, Path, Token, parse::Parser, punctuated::Punctuated};

use crate::{
    model::Paths,
    naming,
    options::{self, Options, Target},
    refusals::{self, Refusals},
    text,
};

/// Expands `#[message(arguments)] item`.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut refusals = Refusals::default();
    let options = options::parse(arguments, Target::Message, &mut refusals);
    let item = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Struct(mut item)) => {
            refuse_derives(&mut item.attrs, &mut refusals);
            postcard::check_struct(&item, &mut refusals);
            derived(&item, &item.ident, &options)
        }
        Ok(Item::Enum(mut item)) => {
            refuse_derives(&mut item.attrs, &mut refusals);
            postcard::check_enum(&item, &mut refusals);
            derived(&item, &item.ident, &options)
        }
        Ok(other) => {
            refusals.refuse(
                refusals::keyword(&other),
                "`#[message]` stands on a struct or an enum, which it makes fit to be sent; move it there",
            );
            item
        }
        Err(error) => {
            refusals.add(error);
            item
        }
    };
    let errors = refusals.into_compile_errors();
    quote!(#item #errors)
}

/// Also if something is refused, since a type that cannot be sent would be one more error wherever it is used.
fn derived(item: &impl ToTokens, name: &Ident, options: &Options) -> TokenStream {
    let private = Paths::new(options.runtime.as_ref()).private;
    let mut serde = text::of(quote!(#private::serde));
    // Serde takes the path as text, in which a macro's `$crate` means nothing; a name stands for it.
    let alias = serde.starts_with('$').then(|| {
        let alias = format_ident!("__serde_of_{}", naming::plain(name));
        serde = alias.to_string();
        quote! {
            #[allow(non_snake_case)]
            use #private::serde as #alias;
        }
    });
    // Before the item, so that the derive comes before the `#[serde(…)]` attributes of the user.
    quote! {
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #[serde(crate = #serde)]
        #item
        #alias
    }
}

/// Refuses the derives that `#[message]` writes itself, and removes them: their names may not even be in scope.
fn refuse_derives(attributes: &mut [Attribute], refusals: &mut Refusals) {
    for attribute in attributes.iter_mut().filter(|attribute| attribute.path().is_ident("derive")) {
        let Meta::List(list) = &mut attribute.meta else { continue };
        let parse = Punctuated::<Path, Token![,]>::parse_terminated;
        let Ok(derives) = parse.parse2(list.tokens.clone()) else { continue };
        let (ours, others): (Vec<_>, Vec<_>) = derives.into_iter().partition(is_ours);
        for derive in &ours {
            let name = derive.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
            refusals.refuse(derive, format_args!("`#[message]` derives `{name}` already; remove it here"));
        }
        if !ours.is_empty() {
            list.tokens = quote!(#(#others),*);
        }
    }
}

fn is_ours(derive: &Path) -> bool {
    derive.segments.last().is_some_and(|last| last.ident == "Serialize" || last.ident == "Deserialize")
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
            let kept = item.replace(", serde::Serialize", "");
            assert!(expansion.contains(&kept.parse::<TokenStream>().unwrap().to_string()), "{expansion}");
            assert!(expansion.contains(&format!("{text:?}")), "{expansion}");
        }
    }
}
