//! The options in the parentheses of an attribute: `#[actor_service(name = "…", crate = path, part)]`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{LitBool, LitStr, Path, parse::Parser};

use crate::refusals::Refusals;

/// What an attribute stands on, and so which options it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Trait,
    Impl,
    Message,
    Main,
    Test,
}

impl Target {
    fn known(self) -> &'static str {
        match self {
            Self::Trait => "`#[actor_service]` on a trait takes `name = \"…\"` and `crate = path`",
            Self::Impl => "`#[actor_service]` on an impl takes `part` and `crate = path`",
            Self::Message => "`#[message]` takes `crate = path`",
            Self::Main => "`#[main]` takes `crate = path`",
            Self::Test => "`#[test]` takes `start_paused = true` and `crate = path`",
        }
    }
}

/// The options that were given.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) runtime: Option<Path>,
    pub(crate) name: Option<String>,
    pub(crate) part: bool,
    pub(crate) start_paused: bool,
}

/// Reads the options of an attribute on `target`.
pub(crate) fn parse(tokens: TokenStream, target: Target, refusals: &mut Refusals) -> Options {
    let mut options = Options::default();
    let mut seen: Vec<String> = Vec::new();
    for option in split(tokens) {
        let Some(TokenTree::Ident(key)) = option.first() else {
            refusals.refuse(
                option.into_iter().collect::<TokenStream>(),
                format_args!("this is not an option; {}", target.known()),
            );
            continue;
        };
        let name = key.to_string();
        if seen.contains(&name) {
            refusals.refuse(key, format_args!("`{name}` is given twice; keep one of them"));
            continue;
        }
        let value = Value { key, rest: &option[1..] };
        match (&*name, target) {
            ("crate", _) => options.runtime = value.path(refusals),
            ("name", Target::Trait) => options.name = value.service_name(refusals),
            ("part", Target::Impl) => options.part = value.flag(refusals),
            ("start_paused", Target::Test) => options.start_paused = value.truth(refusals),
            ("name", Target::Impl) => refusals.refuse(
                key,
                "`name` belongs on the trait, where all its actors get it from: `#[actor_service(name = \"…\")] trait …`",
            ),
            ("part", Target::Trait) => refusals.refuse(
                key,
                "`part` belongs on an impl, where it leaves `impl Actor` to you: `#[actor_service(part)] impl …`",
            ),
            _ => refusals.refuse(key, format_args!("unknown option `{name}`; {}", target.known())),
        }
        seen.push(name);
    }
    options
}

/// The tokens between the commas.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut options = vec![Vec::new()];
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => options.push(Vec::new()),
            token => {
                if let Some(option) = options.last_mut() {
                    option.push(token);
                }
            }
        }
    }
    options.retain(|option| !option.is_empty());
    options
}

/// What follows the name of an option.
struct Value<'a> {
    key: &'a Ident,
    rest: &'a [TokenTree],
}

impl Value<'_> {
    fn flag(&self, refusals: &mut Refusals) -> bool {
        if !self.rest.is_empty() {
            refusals.refuse(self.rest(), format_args!("`{0}` has no value; write `{0}` alone", self.key));
        }
        true
    }

    fn truth(&self, refusals: &mut Refusals) -> bool {
        let literal = self.assigned().and_then(|value| syn::parse2::<LitBool>(value).ok());
        if literal.is_none() {
            refusals.refuse(self.all(), format_args!("`{0}` is true or false; write `{0} = true`", self.key));
        }
        literal.is_some_and(|literal| literal.value)
    }

    fn path(&self, refusals: &mut Refusals) -> Option<Path> {
        let path = self.assigned().and_then(|value| Path::parse_mod_style.parse2(value).ok());
        if path.is_none() {
            refusals.refuse(
                self.all(),
                "`crate` is the path of the runtime; write `crate = path::to::actor_runtime`",
            );
        }
        path
    }

    fn service_name(&self, refusals: &mut Refusals) -> Option<String> {
        let Some(literal) = self.assigned().and_then(|value| syn::parse2::<LitStr>(value).ok()) else {
            refusals.refuse(
                self.all(),
                "`name` is the service's name on the wire; write `name = \"billing.Calculator\"`",
            );
            return None;
        };
        let name = literal.value();
        if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            refusals.refuse(
                literal,
                "a service's name is not empty and has no `/`, space or control character in it; write one such as `billing.Calculator`",
            );
            return None;
        }
        Some(name)
    }

    /// The tokens behind `=`.
    fn assigned(&self) -> Option<TokenStream> {
        match self.rest {
            [TokenTree::Punct(punct), value @ ..] if punct.as_char() == '=' => {
                Some(value.iter().cloned().collect())
            }
            _ => None,
        }
    }

    fn rest(&self) -> TokenStream {
        self.rest.iter().cloned().collect()
    }

    fn all(&self) -> TokenStream {
        std::iter::once(TokenTree::Ident(self.key.clone())).chain(self.rest.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str, target: Target) -> Vec<(String, String)> {
        let mut refusals = Refusals::default();
        parse(source.parse().unwrap(), target, &mut refusals);
        refusals.into_texts()
    }

    #[test]
    fn options_are_read() {
        let mut refusals = Refusals::default();
        let options = parse(
            "name = \"billing.Calculator\", crate = self::rt,".parse().unwrap(),
            Target::Trait,
            &mut refusals,
        );
        assert!(refusals.is_empty());
        assert_eq!(options.name.as_deref(), Some("billing.Calculator"));
        assert_eq!(crate::text::of(options.runtime), "self::rt");
        assert!(parse("part".parse().unwrap(), Target::Impl, &mut refusals).part);
        assert!(parse("crate = crate".parse().unwrap(), Target::Message, &mut refusals).runtime.is_some());
    }

    #[test]
    fn mistakes_are_reported_together_and_at_their_place() {
        let known = "`#[actor_service]` on a trait takes `name = \"…\"` and `crate = path`";
        assert_eq!(
            texts("timeout = 3, name = \"a\", name = \"b\", 7", Target::Trait),
            [
                (format!("unknown option `timeout`; {known}"), "timeout".to_owned()),
                ("`name` is given twice; keep one of them".to_owned(), "name".to_owned()),
                (format!("this is not an option; {known}"), "7".to_owned()),
            ]
        );
        for (source, target, span) in [
            ("part", Target::Trait, "part"),
            ("name = \"a\"", Target::Impl, "name"),
            ("part = true", Target::Impl, "= true"),
            ("crate", Target::Impl, "crate"),
            ("crate = \"rt\"", Target::Main, "crate = \"rt\""),
            ("name = Foo", Target::Trait, "name = Foo"),
            ("name = \"\"", Target::Trait, "\"\""),
            ("name = \"a/b\"", Target::Trait, "\"a/b\""),
            ("name = \"a\"", Target::Message, "name"),
            ("flavor = \"x\"", Target::Test, "flavor"),
            ("start_paused", Target::Test, "start_paused"),
            ("start_paused = 1", Target::Test, "start_paused = 1"),
            ("start_paused = true", Target::Main, "start_paused"),
        ] {
            let texts = texts(source, target);
            assert_eq!(texts.len(), 1, "{source}");
            assert_eq!(texts[0].1, span);
        }
    }
}
