//! What a trait expands to: read back as Rust, and looked at item by item.

use proc_macro2::{Ident, LineColumn, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{File, ImplItem, Item, ItemEnum, ItemImpl, ItemTrait, TraitItem};

const CALCULATOR: &str = "
/// Adds up.
pub trait Calculator: Debug {
    /// Divides.
    async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError>;
    #[deprecated]
    #[id = 7]
    #[timeout = \"500ms\"]
    async fn accumulate(&mut self, by: i64) -> i64;
    #[cfg(feature = \"polite\")]
    #[must_use]
    async fn greet(&self, name: &str, tags: &[u8], at: &Point, r#type: u8) -> io::Result<()> { body(name) }
}";

fn expanded(arguments: &str, source: &str) -> TokenStream {
    crate::service::expand(arguments.parse().unwrap(), source.parse().unwrap())
}

fn file(source: &str) -> File {
    let expansion = expanded("", source);
    assert!(!expansion.to_string().contains("compile_error"), "{expansion}");
    syn::parse2(expansion).unwrap()
}

/// The text of an item without what is a matter of layout.
fn text(item: impl ToTokens) -> String {
    let file: File = syn::parse2(item.to_token_stream()).unwrap();
    compact(&prettyplease::unparse(&file))
}

fn compact(text: &str) -> String {
    let text: String = text.split_whitespace().collect();
    text.replace(",)", ")").replace(",>", ">").replace(",}", "}").replace(",{", "{")
}

#[track_caller]
fn same(actual: &str, expected: &str) {
    assert_eq!(actual, compact(expected));
}

#[track_caller]
fn has(actual: &str, part: &str) {
    assert!(actual.contains(&compact(part)), "{part}\nis not in\n{actual}");
}

fn contract(file: &File) -> &ItemTrait {
    file.items.iter().find_map(|item| if let Item::Trait(item) = item { Some(item) } else { None }).unwrap()
}

fn enumeration<'a>(file: &'a File, name: &str) -> &'a ItemEnum {
    let enums =
        file.items.iter().filter_map(|item| if let Item::Enum(item) = item { Some(item) } else { None });
    enums.into_iter().find(|item| item.ident == name).unwrap()
}

/// The impls, which stand in the last anonymous constant.
fn impls(file: &File) -> Vec<ItemImpl> {
    let Some(Item::Const(constant)) = file.items.last() else { panic!("a constant is last") };
    let syn::Expr::Block(block) = &*constant.expr else { panic!("its value is a block") };
    let items = block.block.stmts.iter().filter_map(|statement| match statement {
        syn::Stmt::Item(Item::Impl(item)) => Some(item.clone()),
        _ => None,
    });
    items.collect()
}

/// The impl of a trait, or the inherent impl of a type, by the last segment of its name.
fn implementation(file: &File, name: &str) -> ItemImpl {
    let found = impls(file).into_iter().find(|item| match &item.trait_ {
        Some((path, _)) => path.segments.last().is_some_and(|last| last.ident == name),
        None => item.self_ty.to_token_stream().to_string() == name,
    });
    found.unwrap_or_else(|| panic!("no impl of {name}"))
}

fn function(item: &ItemImpl, name: &str) -> String {
    let found = item.items.iter().find(|item| matches!(item, ImplItem::Fn(item) if item.sig.ident == name));
    text(ItemImpl { attrs: Vec::new(), items: vec![found.unwrap().clone()], ..item.clone() })
}

#[test]
fn futures_of_the_trait_are_send() {
    let file = file(CALCULATOR);
    same(
        &text(contract(&file)),
        "/// Adds up. \
         pub trait Calculator: Debug + ::core::marker::Send + ::core::marker::Sync + 'static { \
         /// Divides. \
         fn divide( &self, a: f64, b: f64, ) -> impl ::core::future::Future< Output = Result<f64, CalcError>, > + ::core::marker::Send \
         where Self: ::core::marker::Sized; \
         #[deprecated] \
         fn accumulate( &mut self, by: i64, ) -> impl ::core::future::Future<Output = i64> + ::core::marker::Send \
         where Self: ::core::marker::Sized; \
         #[cfg(feature = \"polite\")] #[must_use] \
         fn greet( &self, name: &str, tags: &[u8], at: &Point, r#type: u8, ) -> impl ::core::future::Future<Output = io::Result<()>> + ::core::marker::Send \
         where Self: ::core::marker::Sized, { async move { body(name) } } }",
    );
}

#[test]
fn sync_is_asked_for_only_where_turns_overlap() {
    let supertraits = |source| {
        let file = file(source);
        contract(&file).supertraits.to_token_stream().to_string().replace(' ', "")
    };
    assert_eq!(supertraits("trait T { async fn f(&mut self); }"), "::core::marker::Send+'static");
    assert_eq!(
        supertraits("trait T { async fn f(&self); }"),
        "::core::marker::Send+::core::marker::Sync+'static"
    );
    assert_eq!(supertraits("trait T: A + {}"), "A+::core::marker::Send+'static");
    let exclusive = file("trait T { async fn f(&mut self); }");
    assert!(!function(&implementation(&exclusive, "Serve"), "shared").contains(".get()"));
}

#[test]
fn the_user_sees_the_trait_and_four_items() {
    for (vis, source) in
        [("", "trait T {}"), ("pub ", "pub trait T {}"), ("pub (super) ", "pub(super) trait T {}")]
    {
        let file = file(source);
        let names = file.items.iter().filter_map(|item| match item {
            Item::Trait(item) => Some((item.vis.to_token_stream(), item.ident.to_string())),
            Item::Struct(item) => Some((item.vis.to_token_stream(), item.ident.to_string())),
            Item::Enum(item) => Some((item.vis.to_token_stream(), item.ident.to_string())),
            Item::Const(item) if item.ident == "_" => None,
            other => panic!("{}", other.to_token_stream()),
        });
        let names: Vec<_> =
            names.map(|(vis, name)| format!("{} {name}", vis).trim_start().to_owned()).collect();
        let expected =
            ["T", "TClient", "TService", "TRequest", "TResponse"].map(|name| format!("{vis}{name}"));
        assert_eq!(names, expected);
    }
}

#[test]
fn client_methods_make_calls() {
    let client = implementation(&file(CALCULATOR), "CalculatorClient");
    same(
        &function(&client, "accumulate"),
        "impl CalculatorClient { \
         #[deprecated] /// Calls `Calculator::accumulate`. \
         pub fn accumulate( &self, by: i64, ) -> ::actor_runtime::Call< ::core::result::Result<i64, ::actor_runtime::Failure>, > { \
         self.client .call::< CalculatorService, _, >( CalculatorService::__ACCUMULATE, CalculatorRequest::Accumulate { by }, \
         |__call| match ::actor_runtime::__private::take::<CalculatorService>(__call) { \
         ::core::result::Result::Ok(CalculatorResponse::Accumulate(__value)) => ::core::result::Result::Ok(__value), \
         ::core::result::Result::Ok(_) => { ::core::result::Result::Err( ::actor_runtime::__private::wrong_reply( CalculatorService::__ACCUMULATE, ), ) } \
         ::core::result::Result::Err(__error) => { ::core::result::Result::Err(__error) } }, ) } }",
    );
    let greet = function(&client, "greet");
    for part in [
        "#[cfg(feature = \"polite\")] #[must_use]",
        "pub fn greet( &self, name: &str, tags: &[u8], at: &Point, r#type: u8, )",
        "::actor_runtime::CallError< <io::Result< (), > as ::actor_runtime::__private::ResultType>::Err, >",
        ".call_encoded::<",
        "__out.unsized_argument(\"name\", name)?; <u8 as ::actor_runtime::__private::Message>::encode_slice(tags, __out, \"tags\")?; <Point as ::actor_runtime::__private::Message>::encode(at, __out, \"at\")?; <u8 as ::actor_runtime::__private::Message>::encode(&r#type, __out, \"type\")?;",
    ] {
        has(&greet, part);
    }
}

#[test]
fn requests_own_what_the_trait_borrows() {
    let file = file(CALCULATOR);
    let request = text(enumeration(&file, "CalculatorRequest"));
    has(
        &request,
        "#[cfg(feature = \"polite\")] /// Of `Calculator::greet`. Greet { \
             /// The argument `name`. name: ::actor_runtime::__private::String, \
             /// The argument `tags`. tags: ::actor_runtime::__private::Vec<u8>, \
             /// The argument `at`. at: Point, \
             /// The argument `type`. r#type: u8, }",
    );
    let response = text(enumeration(&file, "CalculatorResponse"));
    has(&response, "/// Divides. Divide(Result<f64, CalcError>),");
    has(&response, "Greet(io::Result<()>)");
}

#[test]
fn methods_are_described() {
    let file = file(CALCULATOR);
    let constants = text(implementation(&file, "CalculatorService"));
    for part in [
        "const __id_divide: u32 = ::actor_runtime::service::method_id( \"Calculator\", \"divide\", );",
        "const __id_accumulate: u32 = 7u32;",
        "::actor_runtime::service::Access::Exclusive",
        "::actor_runtime::service::Argument::new( \"by\", \"i64\", <i64 as ::actor_runtime::__private::Message>::schema, )",
        ".with_signature(\"async fn accumulate(&mut self, by: i64) -> i64\") .with_deprecated() .with_timeout(",
        "::actor_runtime::service::MethodTimeout::After( ::core::time::Duration::from_millis(500u64), )",
        "\"&[u8]\", <u8 as ::actor_runtime::__private::Message>::schema_vec",
        ".with_docs(\"Divides.\")",
    ] {
        has(&constants, part);
    }
    let service = text(implementation(&file, "Service"));
    has(&service, "const NAME: &'static str = \"Calculator\";");
    has(&service, "const DOCS: &'static str = \"Adds up.\";");
}

#[test]
fn the_condition_of_a_method_is_on_everything_that_is_there_for_it() {
    let conditional = file(
        "trait T { #[cfg(nightly)] async fn f(&self, a: &str) -> Result<u8, E>; async fn g(&mut self); }",
    );
    let plain = file("trait T { async fn g(&mut self); }");
    let without = strip(conditional.to_token_stream());
    // What is left without the condition is what a trait without the method gives, apart from what a trait that may
    // have a `&self` method has to ask for in any case.
    let asked_for = ["+::core::marker::Sync", "let__actor=__actor.get();"];
    let without = asked_for.iter().fold(compact(&without.to_string()), |text, part| text.replace(part, ""));
    same(&without, &plain.to_token_stream().to_string());
}

/// Evaluates `#[cfg(nightly)]` as false: removes it with the item, variant, arm or element behind it.
fn strip(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(token) = tokens.next() {
        let is_condition = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#')
            && tokens.peek().is_some_and(|next| next.to_string() == "[cfg (nightly)]");
        if !is_condition {
            kept.push(match token {
                TokenTree::Group(group) => {
                    proc_macro2::Group::new(group.delimiter(), strip(group.stream())).into()
                }
                other => other,
            });
            continue;
        }
        // Up to `;` or `,`, or a block that ends an item or an arm.
        tokens.next();
        let mut angles = 0_i32;
        let mut last = ' ';
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Punct(punct) => match punct.as_char() {
                    '<' => angles += 1,
                    '>' if last != '-' && last != '=' => angles -= 1,
                    ';' => break,
                    ',' if angles == 0 => break,
                    _ => {}
                },
                TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => {
                    let ends = |next: &TokenTree| matches!(next.to_string().as_str(), "," | ";" | "=");
                    if !tokens.peek().is_some_and(ends) {
                        break;
                    }
                }
                _ => {}
            }
            last = if let TokenTree::Punct(punct) = &token { punct.as_char() } else { ' ' };
        }
    }
    kept.into_iter().collect()
}

#[test]
fn names_lead_back_to_the_trait() {
    let expansion: File = syn::parse2(expanded("", CALCULATOR)).unwrap();
    let source: ItemTrait = syn::parse_str(CALCULATOR).unwrap();
    let start = |ident: &Ident| -> LineColumn { ident.span().start() };
    for name in ["CalculatorService", "CalculatorRequest", "CalculatorResponse"] {
        assert_eq!(start(&enumeration(&expansion, name).ident), start(&source.ident), "{name}");
    }
    let client = implementation(&expansion, "CalculatorClient");
    for item in &source.items {
        let TraitItem::Fn(method) = item else { continue };
        let ident = &method.sig.ident;
        let of_client = client.items.iter().find_map(|item| match item {
            ImplItem::Fn(item) if item.sig.ident == *ident => Some(&item.sig),
            _ => None,
        });
        let of_client = of_client.unwrap();
        assert_eq!(start(&of_client.ident), start(ident));
        let of_trait = contract(&expansion).items.iter().find_map(|item| match item {
            TraitItem::Fn(item) if item.sig.ident == *ident => Some(&item.sig.ident),
            _ => None,
        });
        assert_eq!(of_trait.map(start), Some(start(ident)));
        for (argument, expected) in of_client.inputs.iter().zip(&method.sig.inputs).skip(1) {
            let first =
                |argument: &syn::FnArg| argument.to_token_stream().into_iter().next().unwrap().span().start();
            assert_eq!(first(argument), first(expected));
        }
        let variant = super::super::naming::variant(ident);
        let variants = &enumeration(&expansion, "CalculatorRequest").variants;
        let variant = variants.iter().find(|found| found.ident == variant).unwrap();
        assert_eq!(start(&variant.ident), start(ident));
    }
}

#[test]
fn options_reach_what_is_generated() {
    let expansion = expanded("crate = self::rt, name = \"billing.Calculator\"", CALCULATOR).to_string();
    assert!(!expansion.contains(":: actor_runtime"), "{expansion}");
    assert!(expansion.contains("NAME : & 'static str = \"billing.Calculator\""));
    assert!(expansion.contains("self :: rt :: service :: method_id (\"billing.Calculator\" , \"divide\")"));
}

#[test]
fn every_path_is_absolute() {
    // Names that a user's module may give another meaning to.
    let shadowed =
        ["Option", "Some", "None", "Ok", "Err", "Send", "Sync", "Sized", "Clone", "Debug", "Into", "Future"];
    let source = "trait T { async fn f(&self, a: &str, b: &[u8]) -> u8; async fn g(&mut self, c: u8); }";
    fn walk(tokens: TokenStream, check: &mut dyn FnMut(&str, bool)) {
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => check(&ident.to_string(), colons == 2),
                TokenTree::Group(group) => walk(group.stream(), check),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                _ => {}
            }
            colons = 0;
        }
    }
    walk(expanded("", source), &mut |name, is_qualified| {
        assert!(is_qualified || !shadowed.contains(&name), "{name}");
    });
}

#[test]
fn an_impl_becomes_an_actor_unless_it_is_a_part() {
    let source = "impl<A: Store, const N: usize> path::Calculator for Desk<A, N> where A: Clone { async fn f(&self) {} }";
    let unchanged = source.parse::<TokenStream>().unwrap().to_string();
    let expansion = expanded("crate = rt", source);
    assert!(expansion.to_string().starts_with(&unchanged), "{expansion}");
    let file: File = syn::parse2(expansion).unwrap();
    let Some(Item::Impl(actor)) = file.items.last().cloned() else { panic!("an impl is last") };
    same(
        &text(ItemImpl { attrs: Vec::new(), ..actor }),
        "impl<A: Store, const N: usize> rt::Actor for Desk<A, N> \
         where A: Clone, Self: ::core::marker::Send + 'static, \
         { type Services = (<dyn path::Calculator as rt::service::Contract>::Service,); }",
    );
    assert_eq!(expanded("part", source).to_string(), unchanged);
    let plain = expanded("", "impl Calculator for Desk {}").to_string();
    assert!(!plain.contains("where"), "{plain}");
    let part = expanded("part", "impl Calculator for Desk {}").to_string();
    assert!(part.contains("check_part :: < Desk >") && !part.contains("impl :: "), "{part}");
}

#[test]
fn a_refused_trait_still_lets_its_impls_be_actors() {
    let expansion = expanded("", "trait T { async fn f(&self, a: Option<&str>); }").to_string();
    assert!(
        expansion
            .contains("async fn f (& self , a : Option < & str >) where Self : :: core :: marker :: Sized ;")
    );
    assert!(expansion.contains("Contract for dyn T"));
    assert!(!expansion.contains("TClient {"));
    // Where `dyn T` is no type, that would be an error of its own.
    for source in ["trait T<A> {}", "trait T: Clone {}", "trait T { type A; }", "auto trait T {}"] {
        let expansion = expanded("", source).to_string();
        assert!(!expansion.contains("dyn T >") && !expansion.contains("for dyn T"), "{expansion}");
    }
}

#[test]
fn each_type_is_checked_once() {
    let file =
        file("trait T { async fn f(&self, a: Vec<u8>, b: &[Vec<u8>], c: &str) -> Result<Vec<u8>, E>; }");
    let checks = file.items.iter().find_map(|item| match item {
        Item::Const(item) => Some(item.ty.to_token_stream().to_string()),
        _ => None,
    });
    let checks = checks.unwrap();
    assert_eq!(checks.matches(":: schema").count(), 2, "{checks}");
    assert!(checks.contains("< Vec < u8 > as") && checks.contains("< E as"), "{checks}");
}

#[test]
fn each_plain_reply_is_asked_whether_it_is_a_result() {
    let file = file(
        "trait T { async fn a(&self) -> Alias<u8>; async fn b(&self) -> Alias<u8>; async fn c(&self); \
         async fn d(&self) -> Result<u8, E>; #[cfg(unix)] async fn e(&self) -> r::Alias; }",
    );
    let mut constants = file.items.iter().filter_map(|item| match item {
        Item::Const(item) => Some(compact(&item.expr.to_token_stream().to_string())),
        _ => None,
    });
    let text = super::checks::ALIAS;
    let check = |cfg, ty| {
        format!(
            "{cfg} const _: () = ::core::assert!(!<::actor_runtime::__private::PlainReply<{ty}>>::IS_RESULT, {text:?});"
        )
    };
    same(
        &constants.nth(1).unwrap(),
        &format!(
            "{{ use ::actor_runtime::__private::NotResult as _; {} {} }}",
            check("", "Alias<u8>"),
            check("#[cfg(unix)]", "r::Alias")
        ),
    );
    let nothing_to_ask = expanded("", "trait T { async fn a(&self); async fn b(&self) -> Result<u8, E>; }");
    assert!(!nothing_to_ask.to_string().contains("IS_RESULT"), "{nothing_to_ask}");
}

#[test]
fn a_oneway_call_ends_with_its_acceptance() {
    let file = file("trait T { #[oneway] async fn f(&mut self, n: u8); }");
    has(
        &function(&implementation(&file, "TClient"), "f"),
        "fn f(&self, n: u8) -> ::actor_runtime::Call<::core::result::Result<(), ::actor_runtime::Failure>> { \
         self.client.call::<TService, _>(TService::__F, TRequest::F { n }, ::actor_runtime::__private::accepted) }",
    );
    has(&text(implementation(&file, "TService")), ".with_oneway()");
}

#[test]
fn a_method_that_answers_later_looks_to_callers_as_if_it_returned_the_answer() {
    let file = file("trait T { async fn f(&mut self, key: &str, reply: rt::ReplyTo<Result<u8, E>>); }");
    has(
        &text(contract(&file)),
        "fn f(&mut self, key: &str, reply: rt::ReplyTo<Result<u8, E>>) \
         -> impl ::core::future::Future<Output = ()> + ::core::marker::Send",
    );
    has(
        &function(&implementation(&file, "TClient"), "f"),
        "fn f(&self, key: &str) -> ::actor_runtime::Call<::core::result::Result<u8, ::actor_runtime::CallError<E>>>",
    );
    has(&text(enumeration(&file, "TResponse")), "F(Result<u8, E>)");
    let service = text(implementation(&file, "TService"));
    has(&service, ".with_later()");
    has(&service, "\"async fn f(&mut self, key: &str, reply: rt::ReplyTo<Result<u8, E>>)\"");
    has(
        &function(&implementation(&file, "Serve"), "exclusive"),
        "TRequest::F { key } => { \
         <__Actor as T>::f(__actor, &key, ::actor_runtime::__private::reply_to(|__call, __value, __limit| { \
         ::actor_runtime::__private::answer::<TService>(__call, TResponse::F(__value), __limit) })).await; \
         ::core::option::Option::None }",
    );
}
