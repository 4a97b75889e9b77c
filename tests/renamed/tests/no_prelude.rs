//! Generated code names everything by an absolute path: it compiles where there is no prelude at all.
#![no_implicit_prelude]

use ::renamed::{CallError, FailureKind, actor_service, message};
use ::std::iter::{IntoIterator as _, Iterator as _};
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
    fn count(&self, n: u64) -> impl ::renamed::prelude::Stream<Item = u64> {
        ::renamed::prelude::stream::iter(0..n)
    }
    async fn odd(
        &mut self,
        all: ::renamed::Streaming<u64>,
    ) -> ::std::result::Result<impl ::renamed::prelude::Stream<Item = u64>, Odd>;
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

    async fn odd(
        &mut self,
        all: ::renamed::Streaming<u64>,
    ) -> ::std::result::Result<impl ::renamed::prelude::Stream<Item = u64>, Odd> {
        let numbers: Vec<::std::result::Result<u64, ::renamed::Failure>> =
            ::renamed::prelude::StreamExt::collect(all).await;
        let odd = numbers.into_iter().flatten().filter(|n| !n.is_multiple_of(2));
        ::std::result::Result::Ok(::renamed::prelude::stream::iter(odd))
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
        let odd = numbers.odd(::renamed::prelude::stream::iter(0..6)).await.unwrap();
        let odd: Vec<u64> = ::renamed::prelude::TryStreamExt::try_collect(odd).await.unwrap();
        assert_eq!(odd, [1, 3, 5]);
        let count = numbers.count(2).await.unwrap();
        let count: Vec<u64> = ::renamed::prelude::TryStreamExt::try_collect(count).await.unwrap();
        assert_eq!(count, [0, 1]);
        let nobody = NumbersClient::on(&fixture.node, &fixture.resolver, "nobody");
        match nobody.forget().await {
            ::std::result::Result::Err(failure) => assert_eq!(failure.kind(), FailureKind::NotFound),
            ::std::result::Result::Ok(()) => panic!("nobody answers"),
        }
    });
}
