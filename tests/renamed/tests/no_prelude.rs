//! Generated code names everything by an absolute path: it compiles where there is no prelude at all.
#![no_implicit_prelude]

use ::renamed::{CallError, FailureKind, actor_service, message};
use ::std::{assert, assert_eq, borrow::ToOwned, matches, panic, primitive::*, string::String, vec::Vec};

#[message(crate = ::renamed)]
#[derive(::std::fmt::Debug, ::std::cmp::PartialEq)]
enum Odd {
    Number(u64),
}

#[actor_service(crate = ::renamed)]
trait Numbers {
    async fn half(&self, n: u64) -> ::std::result::Result<u64, Odd>;
    async fn join(&mut self, words: &[String], with: &str) -> String;
    async fn seen(&self) -> Vec<String>;
    #[timeout = "2s"]
    #[id = 9]
    async fn forget(&mut self) {}
}

struct Desk {
    words: Vec<String>,
}

#[actor_service(crate = ::renamed)]
impl Numbers for Desk {
    async fn half(&self, n: u64) -> ::std::result::Result<u64, Odd> {
        if n.is_multiple_of(2) {
            ::std::result::Result::Ok(n / 2)
        } else {
            ::std::result::Result::Err(Odd::Number(n))
        }
    }

    async fn join(&mut self, words: &[String], with: &str) -> String {
        let joined = words.join(with);
        self.words.push(::std::clone::Clone::clone(&joined));
        joined
    }

    async fn seen(&self) -> Vec<String> {
        ::std::clone::Clone::clone(&self.words)
    }
}

#[::std::prelude::v1::test]
fn calls_work_without_a_prelude() {
    ::tests::on_each_path(async |fixture| {
        fixture.register("numbers", Desk { words: Vec::new() });
        let numbers = NumbersClient::on(&fixture.node, &fixture.resolver, "numbers");
        assert_eq!(numbers.half(8).await.unwrap(), 4);
        assert!(matches!(
            numbers.half(7).await,
            ::std::result::Result::Err(CallError::Application(Odd::Number(7)))
        ));
        let words = ["a".to_owned(), "b".to_owned()];
        assert_eq!(numbers.join(&words, "-").await.unwrap(), "a-b");
        assert_eq!(numbers.seen().await.unwrap(), ["a-b"]);
        numbers.forget().await.unwrap();
        let nobody = NumbersClient::on(&fixture.node, &fixture.resolver, "nobody");
        match nobody.forget().await {
            ::std::result::Result::Err(failure) => assert_eq!(failure.kind(), FailureKind::NotFound),
            ::std::result::Result::Ok(()) => panic!("nobody answers"),
        }
    });
}
