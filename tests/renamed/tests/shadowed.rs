//! Names of the prelude may mean anything in the user's module: types that are sent, traits, functions, macros.
#![allow(dead_code, non_camel_case_types)]

use tests::on_each_path;

mod shadowed {
    use renamed::{actor_service, message};

    // The crates that generated code names; it means the real ones.
    mod core {}
    mod std {}

    // What it might name without a path.
    pub(super) trait Send {}
    pub(super) trait Sync {}
    pub(super) trait Sized {}
    pub(super) trait Future {}
    pub(super) trait Clone {}
    pub(super) trait Debug {}
    pub(super) trait Into {}
    pub(super) trait From {}
    pub(super) trait Drop {}
    pub(super) trait Default {}
    pub(super) trait Iterator {}
    pub(super) struct Box;
    pub(super) struct Failure;
    pub(super) struct CallError;
    pub(super) struct Call;
    pub(super) struct Client;
    pub(super) struct Node;
    pub(super) struct Bytes;
    pub(super) fn drop() {}
    pub(super) const __METHOD: () = ();
    #[allow(unused_macros)]
    macro_rules! assert {
        () => {};
    }
    #[allow(unused_macros)]
    macro_rules! concat {
        () => {};
    }

    /// A message, and nothing with text in it.
    #[message(crate = ::renamed)]
    #[derive(PartialEq, ::std::fmt::Debug)]
    pub(super) struct String(pub(super) u8);

    /// Two of something.
    #[message(crate = ::renamed)]
    #[derive(PartialEq, ::std::fmt::Debug)]
    pub(super) struct Vec<T>(pub(super) T, pub(super) T);

    /// With the variants' names turned round.
    #[message(crate = ::renamed)]
    #[derive(PartialEq, ::std::fmt::Debug)]
    pub(super) enum Option {
        None(u8),
        Some,
        Ok,
        Err,
    }
    #[allow(unused_imports)]
    pub(super) use self::Option::{Err, None, Ok, Some};

    #[actor_service(crate = ::renamed)]
    pub(super) trait Shadow {
        async fn turn(&mut self, option: Option, string: String, text: &str, vec: Vec<u8>) -> Vec<Option>;
        async fn check(&self, strings: &[String]) -> ::core::result::Result<Option, String>;
        async fn option(&self) -> ::core::option::Option<String>;
    }

    pub(super) struct Desk;

    #[actor_service(crate = ::renamed)]
    impl Shadow for Desk {
        async fn turn(&mut self, option: Option, string: String, text: &str, vec: Vec<u8>) -> Vec<Option> {
            Vec(option, None(string.0 + text.len() as u8 + vec.0 + vec.1))
        }

        async fn check(&self, strings: &[String]) -> ::core::result::Result<Option, String> {
            match strings {
                [] => ::core::result::Result::Ok(Err),
                [first, ..] => ::core::result::Result::Err(String(first.0)),
            }
        }

        async fn option(&self) -> ::core::option::Option<String> {
            ::core::option::Option::Some(String(3))
        }
    }
}

#[test]
fn a_module_may_give_every_name_another_meaning() {
    use shadowed::{Desk, Option as Turned, ShadowClient, String as Byte, Vec as Two};

    on_each_path(async |fixture| {
        fixture.register("desk", Desk);
        let desk = ShadowClient::on(&fixture.node, &fixture.resolver, "desk");
        let reply = desk.turn(Turned::Some, Byte(1), "ab", Two(3, 4)).await.unwrap();
        assert_eq!(reply, Two(Turned::Some, Turned::None(10)));
        assert_eq!(desk.check(&[]).await.unwrap(), Turned::Err);
        assert!(matches!(desk.check(&[Byte(9)]).await, Err(renamed::CallError::Application(Byte(9)))));
        assert_eq!(desk.option().await.unwrap(), Some(Byte(3)));
    });
}
