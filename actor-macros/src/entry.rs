//! `#[main]` and `#[test]`: an `async fn` that runs on a runtime of its own.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{AttrStyle, Attribute, ItemFn, ReturnType, Safety, Type};

use crate::{
    model::{Paths, peel},
    options::{self, Options, Target},
    refusals::{self, Refusals},
};

/// Which of the two attributes.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    Main,
    Test,
}

impl Entry {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "#[main]",
            Self::Test => "#[test]",
        }
    }
}

/// Expands `#[main(arguments)] item` or `#[test(arguments)] item`.
pub(crate) fn expand(entry: Entry, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut refusals = Refusals::default();
    let target = match entry {
        Entry::Main => Target::Main,
        Entry::Test => Target::Test,
    };
    let options = options::parse(arguments, target, &mut refusals);
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => {
            check(entry, &function, &mut refusals);
            // Also if something is refused: an `async fn main` as it stands would be refused again by the compiler.
            let function = generate(entry, &function, &options, refusals.is_empty());
            let errors = refusals.into_compile_errors();
            quote!(#function #errors)
        }
        Err(error) => {
            match syn::parse2::<syn::Item>(item.clone()) {
                Ok(other) => refusals.refuse(
                    refusals::keyword(&other),
                    format_args!("`{0}` stands on a function; write `{0} async fn …`", entry.name()),
                ),
                Err(_) => refusals.add(error),
            }
            let errors = refusals.into_compile_errors();
            quote!(#item #errors)
        }
    }
}

fn check(entry: Entry, function: &ItemFn, refusals: &mut Refusals) {
    let (name, signature) = (entry.name(), &function.sig);
    if signature.asyncness.is_none() {
        refusals.refuse(
            signature.fn_token,
            format_args!("`{name}` runs an asynchronous function; write `async fn {}`", signature.ident),
        );
    }
    if let Some(token) = &signature.constness {
        refusals.refuse(token, format_args!("a function under `{name}` cannot be `const`; remove `const`"));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        refusals.refuse(
            token,
            format_args!("a function under `{name}` cannot be `unsafe`; write an `unsafe` block inside"),
        );
    }
    if let Some(abi) = &signature.abi {
        refusals.refuse(abi, format_args!("a function under `{name}` has no ABI; remove `extern`"));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let (parameters, _, clause) = signature.generics.split_for_impl();
        refusals.refuse(
            quote!(#parameters #clause),
            format_args!(
                "a function under `{name}` cannot be generic: nobody calls it with types; use concrete types"
            ),
        );
    }
    if !signature.inputs.is_empty() || signature.variadic.is_some() {
        let (inputs, variadic) = (&signature.inputs, &signature.variadic);
        refusals.refuse(
            quote!(#inputs #variadic),
            format_args!("a function under `{name}` takes no arguments; remove them"),
        );
    }
    for attribute in function.attrs.iter().filter(|attribute| is_test(attribute)) {
        if let Entry::Test = entry {
            refusals
                .refuse(attribute, "`#[test]` of the runtime marks the test already; remove this attribute");
        }
    }
}

/// Whether this is the compiler's own `#[test]`, under one of its names.
fn is_test(attribute: &Attribute) -> bool {
    let path = crate::text::of(attribute.path());
    matches!(path.trim_start_matches("::"), "test" | "core::prelude::v1::test" | "std::prelude::v1::test")
}

fn generate(entry: Entry, function: &ItemFn, options: &Options, is_accepted: bool) -> TokenStream {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let private = Paths::new(options.runtime.as_ref()).private;
    let attributes = attrs.iter().map(|attribute| Attribute { style: AttrStyle::Outer, ..attribute.clone() });
    let (keyword, ident, output) = (&sig.fn_token, &sig.ident, &sig.output);
    // The type makes `?` and closing `Ok(())` work as in any function; `impl Trait` cannot be named.
    let ty = match output {
        ReturnType::Default => Some(quote!(())),
        ReturnType::Type(_, ty) => (!matches!(peel(ty), Type::ImplTrait(_))).then(|| ty.to_token_stream()),
    };
    let ty = ty.map(|ty| quote!(::<#ty>));
    let (marker, run) = match entry {
        Entry::Main => (None, quote!(main)),
        Entry::Test => {
            let run = if options.start_paused { quote!(test_paused) } else { quote!(test) };
            (is_accepted.then(|| quote!(#[::core::prelude::v1::test])), run)
        }
    };
    let (generics, inputs, clause) = (&sig.generics, &sig.inputs, &sig.generics.where_clause);
    quote! {
        #marker
        #(#attributes)*
        #vis #keyword #ident #generics(#inputs) #output #clause {
            #private::#run #ty (async move #block)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(entry: Entry, arguments: &str, item: &str) -> String {
        let file = expand(entry, arguments.parse().unwrap(), item.parse().unwrap());
        prettyplease::unparse(&syn::parse2(file).unwrap())
    }

    #[test]
    fn the_body_runs_inside() {
        assert_eq!(
            expanded(Entry::Main, "", "/// Docs.\nasync fn main() -> Result<(), E> { f()?; Ok(()) }"),
            "/// Docs.\nfn main() -> Result<(), E> {\n    ::actor_runtime::__private::main::<\n        Result<(), E>,\n    >(async move {\n        f()?;\n        Ok(())\n    })\n}\n"
        );
        assert_eq!(
            expanded(Entry::Test, "crate = rt", "#[should_panic] pub async fn fails() { panic!() }"),
            "#[::core::prelude::v1::test]\n#[should_panic]\npub fn fails() {\n    rt::__private::test::<()>(async move { panic!() })\n}\n"
        );
        assert!(
            expanded(Entry::Test, "start_paused = true", "async fn f() {}").contains("::test_paused::<()>(")
        );
        assert!(expanded(Entry::Test, "start_paused = false", "async fn f() {}").contains("::test::<()>("));
        let opaque = expanded(Entry::Main, "", "async fn main() -> impl Termination {}");
        assert!(opaque.contains("__private::main(async move {})"), "{opaque}");
    }

    #[test]
    fn refusals_are_reported_together() {
        let item: TokenStream = "const unsafe extern \"C\" fn main<T>(a: u8) where T: X {}".parse().unwrap();
        let mut refusals = Refusals::default();
        check(Entry::Main, &syn::parse2(item.clone()).unwrap(), &mut refusals);
        let name = "a function under `#[main]`";
        assert_eq!(
            refusals.into_texts(),
            [
                ("`#[main]` runs an asynchronous function; write `async fn main`".to_owned(), "fn"),
                (format!("{name} cannot be `const`; remove `const`"), "const"),
                (format!("{name} cannot be `unsafe`; write an `unsafe` block inside"), "unsafe"),
                (format!("{name} has no ABI; remove `extern`"), "extern \"C\""),
                (
                    format!("{name} cannot be generic: nobody calls it with types; use concrete types"),
                    "<T>(a: u8) where T: X"
                ),
                (format!("{name} takes no arguments; remove them"), "a: u8"),
            ]
            .map(|(text, span)| (text, span.to_owned()))
        );
        assert!(expand(Entry::Main, TokenStream::new(), item).to_string().contains("fn main < T >"));
    }

    #[test]
    fn other_items_and_a_second_test_attribute_are_refused() {
        for (entry, item, text) in [
            (Entry::Main, "struct S;", "`#[main]` stands on a function; write `#[main] async fn …`"),
            (Entry::Test, "mod m {}", "`#[test]` stands on a function; write `#[test] async fn …`"),
            (
                Entry::Test,
                "#[test] async fn f() {}",
                "`#[test]` of the runtime marks the test already; remove this attribute",
            ),
        ] {
            let expansion = expand(entry, TokenStream::new(), item.parse().unwrap()).to_string();
            assert!(expansion.contains(&format!("{text:?}")), "{expansion}");
        }
    }
}
