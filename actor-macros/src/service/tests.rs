//! The refusals, each with its text and the source that it is about, and what is left of a refused item.

use super::*;

/// The refusals of a trait.
fn refusals(source: &str) -> Vec<(String, String)> {
    let item: ItemTrait = syn::parse_str(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut refusals = Refusals::default();
    let service = parse::service(&item, options::Options::default(), &mut refusals);
    check::service(&item, &service, &mut refusals);
    refusals.into_texts()
}

/// Checks that a trait has one refusal.
#[track_caller]
fn refused(source: &str, span: &str, text: &str) {
    assert_eq!(refusals(source), [(text.to_owned(), span.to_owned())], "{source}");
}

/// Checks that a trait with this method has one refusal.
#[track_caller]
fn refused_method(method: &str, span: &str, text: &str) {
    refused(&format!("trait T {{ {method} }}"), span, text);
}

#[test]
fn traits() {
    let generic = "a service trait cannot be generic: its methods have one meaning on the wire; use concrete types, or write one trait for each type";
    refused("trait T<A> {}", "<A>", generic);
    refused("trait T<'a> {}", "<'a>", generic);
    refused("trait T<const N: usize> {}", "<const N: usize>", generic);
    refused(
        "trait T where u8: Copy {}",
        "where u8: Copy",
        "a service trait cannot have a `where` clause; write what actors must implement as a supertrait: `trait Foo: Bar`",
    );
    refused(
        "unsafe trait T {}",
        "unsafe",
        "a service trait cannot be `unsafe`: its callers may be other programs; remove `unsafe`, and check arguments in the methods",
    );
    refused("auto trait T {}", "auto", "a service trait cannot be `auto`; remove `auto`");
    for name in
        ["Sized", "Clone", "Copy", "Default", "PartialEq", "Eq", "PartialOrd", "Ord", "std::hash::Hash"]
    {
        let last = name.rsplit(':').next().unwrap();
        refused(
            &format!("trait T: Debug + {name} + 'static {{}}"),
            name,
            &format!(
                "`dyn T` names the service, and `{last}` as a supertrait rules it out; remove it here, and ask for it where it is needed"
            ),
        );
    }
    for accepted in
        ["trait T {}", "trait T: Send + Debug + 'static {}", "pub(crate) trait T: self::Other<u8> {}"]
    {
        assert_eq!(refusals(accepted), []);
    }
}

#[test]
fn members() {
    refused(
        "trait T { type A; }",
        "type A;",
        "a service trait cannot have associated types: clients know the trait and not the actor; write the concrete type in the methods",
    );
    refused(
        "trait T { const A: u8; }",
        "const A: u8;",
        "a service trait cannot have associated constants: clients know the trait and not the actor; write a method, or a constant outside",
    );
    refused(
        "trait T { methods!(); }",
        "methods!();",
        "a macro in a service trait cannot be seen through; write the methods that it stands for",
    );
}

#[test]
fn qualifiers() {
    refused_method("fn f(&self);", "fn", "a service method is asynchronous; write `async fn f`");
    refused_method(
        "async unsafe fn f(&self);",
        "unsafe",
        "a service method cannot be `unsafe`: its callers may be other programs; remove `unsafe`, and check the arguments in the body",
    );
    refused_method(
        "const async fn f(&self);",
        "const",
        "a service method cannot be `const`: it runs when a call arrives; remove `const`",
    );
    refused_method(
        "async extern \"C\" fn f(&self);",
        "extern \"C\"",
        "a service method has no ABI: it is called by message; remove `extern`",
    );
    refused_method(
        "async fn f(&self, ...);",
        "...",
        "a service method cannot be variadic; take a `Vec<T>` or a `&[T]`",
    );
}

#[test]
fn generics() {
    refused_method(
        "async fn f<A: Send>(&self);",
        "A: Send",
        "a service method cannot be generic: the type is not known where the call arrives; write the concrete type, or an enum of the possible ones",
    );
    refused_method(
        "async fn f<const N: usize>(&self);",
        "const N: usize",
        "a service method cannot be generic: the constant is not known where the call arrives; make it an argument, or take a `Vec<T>`",
    );
    refused_method(
        "async fn f<'a>(&self);",
        "'a",
        "a service method has no lifetimes: a reply cannot borrow from a message; remove it: arguments may be `&str`, `&[T]` or `&T`",
    );
    refused_method(
        "async fn f(&self) where u8: Copy;",
        "where u8: Copy",
        "a service method cannot have a `where` clause; remove it, and use types that fulfil it",
    );
}

#[test]
fn receivers() {
    let owned = "a call cannot consume its actor; write `&self`, or `&mut self` if it changes the actor";
    let typed = "the runtime owns the actor and lends it to each call; write `&self` or `&mut self`";
    refused_method(
        "async fn f();",
        "f",
        "a service method is called on an actor; write `async fn f(&self)`, or `&mut self` if it changes the actor",
    );
    refused_method(
        "async fn f(a: u8);",
        "f",
        "a service method is called on an actor; write `async fn f(&self, …)`, or `&mut self` if it changes the actor",
    );
    refused_method("async fn f(self);", "self", owned);
    refused_method(
        "async fn f(mut self) {}",
        "mut self",
        "a call cannot consume its actor; write `&mut self`",
    );
    refused_method("async fn f(self: Arc<Self>);", "self: Arc<Self>", typed);
    refused_method("async fn f(self: &Self);", "self: &Self", typed);
    refused_method(
        "async fn f(&'a mut self);",
        "'a",
        "a service method has no lifetimes: a reply cannot borrow from the actor; write `&self` or `&mut self`",
    );
}

#[test]
fn arguments() {
    let plain = "an argument is a plain name, which is a part of the service's description; take it apart in the body";
    let attribute = "an argument cannot have attributes: all callers send the same arguments; put the attribute on the method, or on a field of the argument's type";
    refused_method("async fn f(&self, (a, b): (u8, u8)) {}", "(a, b)", plain);
    refused_method("async fn f(&self, ref a: u8) {}", "ref a", plain);
    refused_method("async fn f(&self, P { x }: P) {}", "P { x }", plain);
    refused_method(
        "async fn f(&self, _: u8);",
        "_",
        "an argument needs a name, which is a part of the service's description; write one, such as `_unused`",
    );
    refused_method(
        "async fn f(&self, mut a: u8);",
        "mut",
        "`mut` is a matter of the body, and there is none here; write `a`",
    );
    refused_method("async fn f(&self, #[cfg(unix)] a: u8);", "#[cfg(unix)]", attribute);
    refused_method("async fn f(#[cfg(unix)] &self);", "#[cfg(unix)]", attribute);
    refused_method(
        "async fn f(&self, a: u8, r#a: u8);",
        "r#a",
        "two arguments are called `a`; rename one of them",
    );
    assert_eq!(refusals("trait T { async fn f(&self, mut a: u8) { a += 1; } }"), []);
}

#[test]
fn argument_types() {
    let part = "only a whole argument can be borrowed, not a part of it; write an owned type here, such as `String` or `Vec<T>`";
    let lifetime = "an argument has no lifetimes: what arrives is owned by the call; write `&str`, `&[T]`, `&T`, or an owned type";
    let object = "a trait object cannot be sent: the other side does not know its type; write a concrete type, or an enum of the possible ones";
    let concrete = "an argument has one concrete type, which is a part of the service's description; write it instead of `impl …`";
    let actor = "`Self` is the actor, which stays where it runs; write the concrete type of what is sent";
    let function = "a function pointer means nothing in another process; send data that says what to do, such as an enum";
    let mutable = "an argument is sent to the actor and cannot be changed there; take `T` or `&T`, and return what changed";
    let infer = "the type is a part of the service's description and cannot be inferred; write it";
    for (ty, span, text) in [
        ("impl Into<String>", "impl Into<String>", concrete),
        ("Vec<impl Into<String>>", "impl Into<String>", concrete),
        ("&impl Display", "impl Display", concrete),
        (
            "impl Stream<Item = u8>",
            "impl Stream<Item = u8>",
            "the handler has to see that its caller broke off: what it reads are `Result<T, Failure>`; write `Streaming<T>`, for which callers pass any `impl Stream<Item = T>`",
        ),
        ("&mut u8", "&mut u8", mutable),
        ("&mut [u8]", "&mut [u8]", mutable),
        ("&'a str", "'a", lifetime),
        ("&'static str", "'static", lifetime),
        ("Cow<'_, str>", "'_", lifetime),
        ("Option<&str>", "&str", part),
        ("Vec<&str>", "&str", part),
        ("(u8, &u8)", "&u8", part),
        ("&[&str]", "&str", part),
        ("&&str", "&str", part),
        ("[&u8; 2]", "&u8", part),
        ("Box<dyn Any>", "dyn Any", object),
        ("&dyn Any", "dyn Any", object),
        ("dyn Any + Send", "dyn Any + Send", object),
        ("fn(u8) -> u8", "fn(u8) -> u8", function),
        ("Option<fn()>", "fn()", function),
        ("*const u8", "*const u8", "a raw pointer means nothing in another process; send the value"),
        ("_", "_", infer),
        ("Vec<_>", "_", infer),
        ("!", "!", "no caller has a value of type `!`; remove the argument"),
        ("ty!()", "ty!()", "a macro cannot be seen through here; write the type that it stands for"),
        ("Self", "Self", actor),
        ("Self::Item", "Self", actor),
        ("Vec<<Self as X>::Y>", "Self", actor),
        ("[u8; Self::N]", "Self", actor),
        ("[u8; { Self::N }]", "Self", actor),
        ("[u8]", "[u8]", "a slice has no size of its own; write `Vec<T>` or `&[T]`"),
        ("str", "str", "`str` has no size of its own; write `String` or `&str`"),
    ] {
        refused_method(&format!("async fn f(&self, a: {ty});"), span, text);
    }
    for ty in [
        "&str",
        "&[u8]",
        "&Vec<T>",
        "&(u8, u8)",
        "Box<str>",
        "Arc<[u8]>",
        "[u8; N]",
        "<A as B>::C",
        "()",
        "(&str)",
    ] {
        assert_eq!(refusals(&format!("trait T {{ async fn f(&self, a: {ty}); }}")), [], "{ty}");
    }
    for ty in ["Cow<'static, str>", "&Cow<'static, [u8]>", "Vec<Name<'static>>"] {
        assert_eq!(refusals(&format!("trait T {{ async fn f(&self, a: {ty}) -> Cow<'static, str>; }}")), []);
    }
}

#[test]
fn reply_types() {
    let borrowed = "a reply cannot borrow: it is sent to the caller; return an owned type, such as `String`";
    let stream = "a stream is a whole reply, or the `Ok` of one; write `impl Stream<Item = T>` or `Result<impl Stream<Item = T>, E>`";
    let concrete = "a reply has one concrete type, which is a part of the service's description; write it instead of `impl …`";
    for (method, span, text) in [
        ("async fn f(&self) -> &str;", "&str", borrowed),
        ("async fn f(&self) -> Cow<'_, str>;", "'_", borrowed),
        ("async fn f(&self) -> Option<&u8>;", "&u8", borrowed),
        ("async fn f(&self) -> Result<u8, &'static str>;", "&'static str", borrowed),
        ("async fn f(&self) -> impl Display;", "impl Display", concrete),
        ("async fn f(&self) -> Result<impl Display, E>;", "impl Display", concrete),
        ("async fn f(&self) -> Vec<impl Stream<Item = u8>>;", "impl Stream<Item = u8>", stream),
        (
            "async fn f(&self) -> Option<impl futures::Stream<Item = u8> + Send>;",
            "impl futures::Stream<Item = u8> + Send",
            stream,
        ),
        ("async fn f(&self) -> Result<u8, impl Stream<Item = u8>>;", "impl Stream<Item = u8>", stream),
        ("async fn f(&self) -> Streaming<u8>;", "Streaming<u8>", stream),
        (
            "fn f(&self) -> impl Stream;",
            "impl Stream",
            "the items of a stream have one type; write `impl Stream<Item = T>`",
        ),
        (
            "async fn f(&self) -> Box<dyn Error>;",
            "dyn Error",
            "a trait object cannot be sent: the other side does not know its type; write a concrete type, or an enum of the possible ones",
        ),
        (
            "async fn f(&self) -> !;",
            "!",
            "a call ends with a reply; write no type, or the type that is returned",
        ),
        (
            "async fn f(&self) -> Self;",
            "Self",
            "`Self` is the actor, which stays where it runs; write the concrete type of what is sent",
        ),
        ("async fn f(&self) -> [u8];", "[u8]", "a slice has no size of its own; write `Vec<T>`"),
        ("async fn f(&self) -> str;", "str", "`str` has no size of its own; write `String`"),
    ] {
        refused_method(method, span, text);
    }
}

#[test]
fn names_and_ids() {
    for name in ["new", "on", "pool", "with_options"] {
        refused_method(
            &format!("async fn {name}(&self);"),
            name,
            &format!("`{name}` is what `TClient` itself offers; rename the method"),
        );
    }
    refused_method(
        "async fn f(&self); async fn r#f(&mut self);",
        "r#f",
        "there is a method `f` already; rename one of them",
    );
    refused_method(
        "async fn add_one(&self); async fn add__one(&self);",
        "add__one",
        "`add_one` and `add__one` would both be called `AddOne` in the request; rename one of them",
    );
    refused_method(
        "async fn fooBar(&self); async fn foobar(&self);",
        "foobar",
        "`fooBar` and `foobar` differ only in case; rename one of them",
    );
    refused_method(
        "#[id = 7] async fn f(&self); #[id = 7] async fn g(&self);",
        "7",
        "`f` has the id 7 already; give one of them another",
    );
    let id = crate::naming::method_id("T", "f");
    refused_method(
        &format!("async fn f(&self); #[id = {id}] async fn g(&self);"),
        "g",
        &format!("`f` and `g` have the same id {id} on the wire; give one of them another with `#[id = …]`"),
    );
    let alternatives = "trait T { #[cfg(unix)] #[id = 1] async fn f(&self); #[cfg(windows)] #[id = 1] async fn f(&self, a: u8); }";
    assert_eq!(refusals(alternatives), []);
}

#[test]
fn all_mistakes_of_a_trait_are_reported_at_once() {
    let texts = refusals(
        "trait T<A>: Clone {
            type B;
            #[id = 0] #[oneway]
            fn new<C>(self: Box<Self>, (a, b): (u8, &u8), c: Vec<&str>) -> &str;
            async fn ok(&self);
            async fn f();
        }",
    );
    let spans: Vec<_> = texts.iter().map(|(_, span)| &**span).collect();
    assert_eq!(
        spans,
        [
            "0",
            "<A>",
            "Clone",
            "type B;",
            "#[oneway]",
            "fn",
            "C",
            "self: Box<Self>",
            "(a, b)",
            "&u8",
            "&str",
            "&str",
            "f",
            "new"
        ]
    );
}

#[test]
fn a_refused_trait_stays_without_our_attributes() {
    let expansion = expand(
        "speed = 3".parse().unwrap(),
        "/// Docs.\npub trait T { #[id = 7] #[inline] async fn new(&self, a: u8) -> u8 { a } #[timeout = \"x\"] type A; }"
            .parse()
            .unwrap(),
    );
    let file = syn::parse2::<syn::File>(expansion).unwrap();
    let text = prettyplease::unparse(&file);
    assert!(text.starts_with(
        "#[allow(async_fn_in_trait)]\n/// Docs.\npub trait T {\n    #[inline]\n    async fn new(&self, a: u8) -> u8 {\n        a\n    }\n"
    ), "{text}");
    assert_eq!(text.matches("compile_error").count(), 3, "{text}");
}

#[test]
fn impls() {
    let check = |source: &str| {
        let mut refusals = Refusals::default();
        check::implementation(&syn::parse_str(source).unwrap(), &mut refusals);
        refusals.into_texts()
    };
    for (source, span, text) in [
        (
            "impl Desk<u8> {}",
            "Desk<u8>",
            "`#[actor_service]` marks the impl of a service trait; write `impl Trait for Desk<u8>`, or remove the attribute",
        ),
        ("unsafe impl T for Desk {}", "unsafe", "a service trait is never `unsafe`; remove `unsafe`"),
        (
            "default impl T for Desk {}",
            "default",
            "an actor implements its service for good; remove `default`",
        ),
        ("impl !T for Desk {}", "!", "an actor implements its service; remove `!`, or remove the impl"),
        (
            "impl T for Desk { #[timeout = \"1s\"] async fn f(&self) {} }",
            "#[timeout = \"1s\"]",
            "`#[timeout]` belongs on the method in the trait, where clients see it; move it there",
        ),
    ] {
        assert_eq!(check(source), [(text.to_owned(), span.to_owned())], "{source}");
    }
    assert_eq!(check("impl<A: B> path::T for Desk<A> where A: C {}"), []);
    let expansion =
        expand("name = \"x\"".parse().unwrap(), "impl T for Desk {}".parse().unwrap()).to_string();
    assert!(
        expansion.starts_with("impl T for Desk { }") && expansion.contains("compile_error"),
        "{expansion}"
    );
}

#[test]
fn other_items() {
    let text = "`#[actor_service]` stands on a trait, which it makes a service, or on an impl of such a trait; move it there";
    for item in
        ["struct S ;", "enum E { }", "fn f () { }", "mod m { }", "union U { a : u8 }", "type A = u8 ;"]
    {
        let expansion = expand(TokenStream::new(), item.parse().unwrap()).to_string();
        assert!(expansion.starts_with(item), "{expansion}");
        assert!(expansion.contains(&format!("{text:?}")), "{expansion}");
    }
}

#[test]
fn an_item_that_cannot_be_read_stays_too() {
    let expansion = expand(TokenStream::new(), "trait T { async fn f(&self) }".parse().unwrap()).to_string();
    assert!(expansion.starts_with("trait T") && expansion.contains("compile_error"), "{expansion}");
}

#[test]
fn answers_that_come_later() {
    refused_method(
        "async fn f(&self, reply: ReplyTo<u8>, key: u8);",
        "reply: ReplyTo<u8>",
        "callers do not pass the `ReplyTo`, and it is the last argument; move it behind the others",
    );
    refused_method(
        "async fn f(&self, one: ReplyTo<u8>, other: rt::ReplyTo<u8>);",
        "ReplyTo<u8>",
        "a call is answered once; keep one `ReplyTo`",
    );
    refused_method(
        "async fn f(&self, reply: ReplyTo<u8>) -> u8;",
        "u8",
        "`f` answers through its `ReplyTo`; remove the return type, or return the answer and remove the `ReplyTo`",
    );
    refused_method(
        "#[oneway] async fn f(&self, reply: ReplyTo<u8>);",
        "#[oneway]",
        "a `#[oneway]` method has no reply; remove the attribute, or the `ReplyTo`",
    );
    let nothing = "a `ReplyTo` says what is answered; write `ReplyTo<T>`, with the type that callers get";
    refused_method("async fn f(&self, reply: ReplyTo);", "ReplyTo", nothing);
    refused_method("async fn f(&self, reply: ReplyTo<u8, u8>);", "ReplyTo<u8, u8>", nothing);
    refused_method(
        "async fn f(&self, reply: ReplyTo<&str>);",
        "&str",
        "a reply cannot borrow: it is sent to the caller; return an owned type, such as `String`",
    );
    for accepted in [
        "trait T { async fn f(&mut self, key: &str, reply: ReplyTo<Vec<u8>>); }",
        "trait T { async fn f(&self, reply: rt::ReplyTo<Result<(), E>>) { drop(reply) } }",
    ] {
        assert_eq!(refusals(accepted), []);
    }
}
