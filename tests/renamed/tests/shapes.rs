//! Where a trait may stand, who may see it, and what its methods may be called.

use renamed::{CallError, actor_service, message};
use tests::on_each_path;

/// From a macro of this crate, whose names come from its caller and from itself.
macro_rules! echo {
    ($name:ident { $($method:ident: $ty:ty),* }) => {
        #[actor_service(crate = ::renamed)]
        trait $name {
            $(async fn $method(&self, value: $ty) -> $ty { value })*
        }

        struct Mirror;

        #[actor_service(crate = ::renamed)]
        impl $name for Mirror {}
    };
}

mod echo {
    use renamed::actor_service;

    echo!(Echo { text: String, number: (u8, Option<u64>) });

    #[test]
    fn a_macro_of_the_same_crate_makes_a_service() {
        super::on_each_path(async |fixture| {
            fixture.register("mirror", Mirror);
            let mirror = EchoClient::on(&fixture.node, &fixture.resolver, "mirror");
            assert_eq!(mirror.text("a".to_owned()).await.unwrap(), "a");
            assert_eq!(mirror.number((1, Some(2))).await.unwrap(), (1, Some(2)));
        });
    }
}

mod counter {
    tests_renamed::counter!(pub(crate) trait Counter for Tally: u64, add);

    #[test]
    fn a_macro_of_another_crate_makes_a_service() {
        super::on_each_path(async |fixture| {
            fixture.register("tally", Tally::default());
            let tally = CounterClient::on(&fixture.node, &fixture.resolver, "tally");
            assert_eq!(tally.add(2, &[3, 4]).await.unwrap(), 14);
            assert_eq!(tally.total().await.unwrap(), 14);
        });
    }

    #[test]
    fn it_makes_one_in_a_function_too() {
        tests_renamed::counter!(trait Product for Tally: u8, multiply);

        super::on_each_path(async |fixture| {
            fixture.register("tally", Tally::default());
            let tally = ProductClient::on(&fixture.node, &fixture.resolver, "tally");
            assert_eq!(tally.multiply(2, &[5]).await.unwrap(), 10);
        });
    }
}

#[test]
fn a_trait_may_stand_in_a_function_with_its_types() {
    #[message(crate = ::renamed)]
    #[derive(Debug, PartialEq)]
    struct Local {
        n: u8,
    }

    #[actor_service(crate = ::renamed)]
    trait Inner {
        async fn next(&mut self, local: &Local) -> Local;
    }

    struct Desk;

    #[actor_service(crate = ::renamed)]
    impl Inner for Desk {
        async fn next(&mut self, local: &Local) -> Local {
            Local { n: local.n + 1 }
        }
    }

    on_each_path(async |fixture| {
        fixture.register("desk", Desk);
        let desk = InnerClient::on(&fixture.node, &fixture.resolver, "desk");
        assert_eq!(desk.next(&Local { n: 1 }).await.unwrap(), Local { n: 2 });
    });
}

mod names {
    use renamed::actor_service;

    #[actor_service(crate = ::renamed)]
    #[expect(non_snake_case, reason = "the name of a variant that is a keyword")]
    trait r#Raw {
        async fn r#type(&self, r#fn: u8, r#in: &str) -> String;
        async fn r#match(&mut self, r#self_: u8) -> u8;
        async fn self_(&self) -> u8;
        // What generated code might call its own.
        async fn request(&self, client: u8, out: u8, id: &str, decoder: u8, value: u8, error: u8) -> u8;
        async fn call(&self, call: &[u8], body: u8, actor: u8, status: u8) -> u8;
        async fn clone(&self) -> u8;
        async fn decode(&self, encode: u8) -> u8;
        async fn Upper(&self) -> u8;
    }

    struct Desk(u8);

    #[actor_service(crate = ::renamed)]
    impl r#Raw for Desk {
        async fn r#type(&self, r#fn: u8, r#in: &str) -> String {
            format!("{}{}", r#fn, r#in)
        }

        async fn r#match(&mut self, r#self_: u8) -> u8 {
            self.0 += r#self_;
            self.0
        }

        async fn self_(&self) -> u8 {
            self.0
        }

        async fn request(&self, client: u8, out: u8, id: &str, decoder: u8, value: u8, error: u8) -> u8 {
            client + out + id.len() as u8 + decoder + value + error
        }

        async fn call(&self, call: &[u8], body: u8, actor: u8, status: u8) -> u8 {
            call.len() as u8 + body + actor + status
        }

        async fn clone(&self) -> u8 {
            7
        }

        async fn decode(&self, encode: u8) -> u8 {
            encode
        }

        async fn Upper(&self) -> u8 {
            8
        }
    }

    #[test]
    fn any_name_will_do_for_methods_and_arguments() {
        super::on_each_path(async |fixture| {
            fixture.register("desk", Desk(1));
            let desk = RawClient::on(&fixture.node, &fixture.resolver, "desk");
            assert_eq!(desk.r#type(1, "a").await.unwrap(), "1a");
            assert_eq!(desk.r#match(4).await.unwrap(), 5);
            assert_eq!(desk.self_().await.unwrap(), 5);
            assert_eq!(desk.request(1, 2, "abc", 4, 5, 6).await.unwrap(), 21);
            assert_eq!(desk.call(&[0; 2], 3, 4, 5).await.unwrap(), 14);
            assert_eq!(RawClient::clone(&desk).await.unwrap(), 7);
            assert_eq!(desk.decode(3).await.unwrap(), 3);
            assert_eq!(desk.Upper().await.unwrap(), 8);
        });
    }

    #[test]
    fn the_wire_knows_names_without_their_marks() {
        use renamed::service::Service;

        assert_eq!(RawService::NAME, "Raw");
        let names: Vec<_> = RawService::METHODS.iter().map(|method| method.name).collect();
        assert_eq!(names[..3], ["type", "match", "self_"]);
        assert_eq!(RawService::METHODS[0].arguments[0].name, "fn");
    }
}

#[actor_service(crate = ::renamed)]
trait Conditional {
    async fn always(&self) -> u8;
    #[cfg(test)]
    async fn here(&mut self, n: &u8) -> Result<u8, String>;
    #[cfg(not(test))]
    async fn elsewhere(&self, n: NoSuchType) -> NoSuchType;
    #[cfg_attr(test, cfg(any()))]
    async fn nowhere(&self) -> NoSuchType;
    #[cfg(test)]
    async fn either(&self) -> u8;
    #[cfg(not(test))]
    async fn either(&self) -> NoSuchType;
}

struct Switch;

#[actor_service(crate = ::renamed)]
impl Conditional for Switch {
    async fn always(&self) -> u8 {
        1
    }

    #[cfg(test)]
    async fn here(&mut self, n: &u8) -> Result<u8, String> {
        n.checked_sub(1).ok_or_else(|| "zero".to_owned())
    }

    async fn either(&self) -> u8 {
        3
    }
}

#[test]
fn methods_come_and_go_with_their_condition() {
    use renamed::service::Service;

    on_each_path(async |fixture| {
        fixture.register("switch", Switch);
        let switch = ConditionalClient::on(&fixture.node, &fixture.resolver, "switch");
        assert_eq!(switch.always().await.unwrap(), 1);
        assert_eq!(switch.here(&3).await.unwrap(), 2);
        assert!(matches!(switch.here(&0).await, Err(CallError::Application(zero)) if zero == "zero"));
        assert_eq!(switch.either().await.unwrap(), 3);
    });
    assert_eq!(ConditionalService::METHODS.len(), 3);
}

/// A service of methods that nothing is left of.
#[actor_service(crate = ::renamed)]
trait Empty {
    #[cfg(any())]
    async fn nowhere(&self) -> NoSuchType;
}

struct Nothing;

#[actor_service(crate = ::renamed)]
impl Empty for Nothing {}

#[test]
fn a_service_may_be_left_without_methods() {
    use renamed::service::Service;

    assert_eq!(EmptyService::METHODS.len(), 0);
    on_each_path(async |fixture| fixture.register("nothing", Nothing));
}

mod aliases {
    use renamed::{actor_service, message};

    /// An error of this module.
    #[message(crate = ::renamed)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Error(pub(crate) String);

    /// One parameter, as in many crates.
    pub(crate) type Result<T> = ::std::result::Result<T, Error>;

    /// None at all.
    pub(crate) mod fixed {
        pub(crate) type Result = super::Result<u8>;
    }

    #[actor_service(crate = ::renamed)]
    pub(crate) trait Aliased {
        async fn one(&self, ok: bool) -> Result<u8>;
        async fn none(&self, ok: bool) -> fixed::Result;
        async fn both(&self, ok: bool) -> ::std::result::Result<u8, Error>;
        /// The body stands in the trait, and awaits.
        async fn default(&self, ok: bool) -> Result<u8> {
            let one = self.one(ok).await?;
            Ok(one + self.both(true).await?)
        }
    }
}

mod elsewhere {
    use super::aliases::{Aliased, Error, fixed};
    use renamed::actor_service;

    pub(super) struct Desk;

    #[actor_service(crate = ::renamed)]
    impl Aliased for Desk {
        async fn one(&self, ok: bool) -> super::aliases::Result<u8> {
            if ok { Ok(1) } else { Err(Error("one".to_owned())) }
        }

        async fn none(&self, ok: bool) -> fixed::Result {
            if ok { Ok(2) } else { Err(Error("none".to_owned())) }
        }

        async fn both(&self, ok: bool) -> Result<u8, Error> {
            if ok { Ok(3) } else { Err(Error("both".to_owned())) }
        }
    }
}

#[test]
fn aliases_of_result_are_results_and_bodies_may_stand_in_the_trait() {
    use aliases::{AliasedClient, Error};

    fn application(text: &str) -> Option<Error> {
        Some(Error(text.to_owned()))
    }
    fn error(result: Result<u8, CallError<Error>>) -> Option<Error> {
        match result {
            Err(CallError::Application(error)) => Some(error),
            _ => None,
        }
    }

    on_each_path(async |fixture| {
        fixture.register("desk", elsewhere::Desk);
        let desk = AliasedClient::on(&fixture.node, &fixture.resolver, "desk");
        assert_eq!(desk.one(true).await.unwrap(), 1);
        assert_eq!(desk.none(true).await.unwrap(), 2);
        assert_eq!(desk.both(true).await.unwrap(), 3);
        assert_eq!(desk.default(true).await.unwrap(), 4);
        assert_eq!(error(desk.one(false).await), application("one"));
        assert_eq!(error(desk.none(false).await), application("none"));
        assert_eq!(error(desk.both(false).await), application("both"));
        assert_eq!(error(desk.default(false).await), application("one"));
    });
}

#[test]
#[expect(deprecated, reason = "calling what is deprecated is the test")]
fn a_crate_that_denies_every_lint_has_services_too() {
    use tests_renamed::{Account, LedgerClient, Refusal};

    on_each_path(async |fixture| {
        fixture.register("account", Account::new(10));
        let account = LedgerClient::on(&fixture.node, &fixture.resolver, "account");
        assert_eq!(account.take(4, "rent").await.unwrap(), 6);
        let refused = account.take(7, "car").await;
        assert!(matches!(refused, Err(CallError::Application(Refusal::Overdrawn { balance: 6 }))));
        assert_eq!(account.lines().await.unwrap(), ["rent: 4"]);
        assert_eq!(account.balance().await.unwrap(), 0);
    });
}
