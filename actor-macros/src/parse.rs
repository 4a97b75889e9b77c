//! Tokens to model: reads a trait into a [`Service`].
//!
//! Reading is lenient. What cannot be expressed in the model is left out, and `check` refuses it at its place; the
//! only refusals from here are those of our own attributes, whose values the model holds.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Expr, ExprLit, FnArg, ItemTrait, Lit, LitStr, Meta, Pat, Receiver, ReceiverKind, ReturnType,
    Signature, TraitItem, TraitItemFn,
};

use crate::{
    attributes::{self, Attributes, Ours},
    later,
    model::{Access, Argument, Flags, Form, Id, Method, Names, Paths, Reply, Service, Timeout},
    naming,
    options::Options,
    refusals::Refusals,
    streams, text,
};

/// Reads a trait.
pub(crate) fn service(item: &ItemTrait, options: Options, refusals: &mut Refusals) -> Service {
    let paths = Paths::new(options.runtime.as_ref());
    let name = options.name.unwrap_or_else(|| naming::plain(&item.ident));
    let methods = item.items.iter().filter_map(|item| match item {
        TraitItem::Fn(item) => Some(method(item, &name, &paths, refusals)),
        _ => None,
    });
    Service {
        methods: methods.collect(),
        vis: item.vis.clone(),
        names: Names::new(&item.ident),
        attributes: Attributes::new(&item.attrs),
        name,
        paths,
    }
}

fn method(item: &TraitItemFn, service: &str, paths: &Paths, refusals: &mut Refusals) -> Method {
    let ident = &item.sig.ident;
    let name = naming::plain(ident);
    let ours = Helpers::read(&item.attrs, refusals);
    let id = ours.id.unwrap_or_else(|| Id::Hashed(naming::method_id(service, &name)));
    let root = &paths.root;
    let streamed = match &item.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => streams::received(ty, &quote!(#root::Streaming)),
    };
    Method {
        variant: naming::variant(ident),
        constant: naming::constant(ident),
        id_constant: naming::id_constant(ident),
        id,
        access: access(&item.sig),
        arguments: arguments(&item.sig).collect(),
        reply: match (later::reply(&item.sig), &item.sig.output) {
            (Some(ty), _) => Reply::of(ty, paths),
            (None, ReturnType::Default) => Reply::Value(quote!(())),
            (None, ReturnType::Type(_, ty)) => Reply::of(streamed.as_ref().unwrap_or(ty), paths),
        },
        later: later::reply(&item.sig).is_some(),
        is_stream: streamed.is_some(),
        is_async: item.sig.asyncness.is_some(),
        written: text::of(streams::written(&item.sig.output)),
        attributes: Attributes::new(&item.attrs),
        timeout: ours.timeout.unwrap_or(Timeout::Default),
        flags: ours.flags,
        signature: signature(&item.sig),
        ident: ident.clone(),
        name,
    }
}

fn access(signature: &Signature) -> Access {
    match signature.receiver() {
        Some(Receiver { kind: ReceiverKind::Reference(_, _, Some(_)), .. }) => Access::Exclusive,
        _ => Access::Shared,
    }
}

fn arguments(signature: &Signature) -> impl Iterator<Item = Argument> + '_ {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) if later::is_reply_to(&argument.ty) => None,
        FnArg::Typed(argument) => {
            let ident = argument_name(&argument.pat)?;
            Some(Argument {
                name: naming::plain(ident),
                ident: ident.clone(),
                form: Form::of(&argument.ty),
                ty: (*argument.ty).clone(),
            })
        }
        FnArg::Receiver(_) => None,
    })
}

fn argument_name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(pattern) => Some(&pattern.ident),
        _ => None,
    }
}

/// The signature as the caller sees it: without the `mut` in front of an argument.
fn signature(signature: &Signature) -> String {
    let mut signature = signature.clone();
    for input in &mut signature.inputs {
        if let FnArg::Typed(argument) = input
            && let Pat::Ident(pattern) = &mut *argument.pat
        {
            pattern.mutability = None;
        }
    }
    text::of(signature)
}

/// The values of the attributes that are ours.
#[derive(Default)]
struct Helpers {
    id: Option<Id>,
    timeout: Option<Timeout>,
    flags: Flags,
}

impl Helpers {
    fn read(attributes: &[Attribute], refusals: &mut Refusals) -> Self {
        let (mut helpers, mut seen) = (Self::default(), Vec::new());
        for attribute in attributes {
            refuse_conditional(&attribute.meta, refusals);
            let Some(ours) = attributes::ours(attribute.path()) else { continue };
            let name = text::of(attribute.path());
            if ours == Ours::Reserved {
                refusals.refuse(
                    attribute,
                    format_args!(
                        "`#[{name}]` is not supported yet; its name is reserved, so remove it for now"
                    ),
                );
            } else if seen.contains(&ours) {
                refusals.refuse(attribute, format_args!("`#[{name}]` is given twice; keep one of them"));
            } else {
                helpers.take(ours, attribute, refusals);
            }
            seen.push(ours);
        }
        helpers
    }

    fn take(&mut self, ours: Ours, attribute: &Attribute, refusals: &mut Refusals) {
        let flag = match ours {
            Ours::Id => return self.id = id(attribute, refusals),
            Ours::Timeout => return self.timeout = timeout(attribute, refusals),
            Ours::Idempotent => &mut self.flags.idempotent,
            Ours::Dedup => &mut self.flags.dedup,
            Ours::Oneway => &mut self.flags.oneway,
            Ours::CancelSafe => &mut self.flags.cancel_safe,
            Ours::Reserved => return,
        };
        *flag = true;
        if !matches!(attribute.meta, Meta::Path(_)) {
            let name = text::of(attribute.path());
            refusals.refuse(attribute, format_args!("`{name}` has no value; write `#[{name}]`"));
        }
    }
}

/// What names a method on the wire must not depend on how a program is built.
fn refuse_conditional(meta: &Meta, refusals: &mut Refusals) {
    for meta in attributes::conditional(meta).map(|(_, metas)| metas).unwrap_or_default() {
        if attributes::ours(meta.path()).is_some() {
            let name = text::of(meta.path());
            refusals.refuse(
                &meta,
                format_args!(
                    "`{name}` cannot stand in a `cfg_attr`; write `#[{name} …]` on the method itself"
                ),
            );
        }
        refuse_conditional(&meta, refusals);
    }
}

fn id(attribute: &Attribute, refusals: &mut Refusals) -> Option<Id> {
    let id = match assigned(attribute) {
        Some(Lit::Int(literal)) if matches!(literal.suffix(), "" | "u32") => {
            let id = literal.base10_parse::<u32>().ok();
            id.filter(|id| *id != 0).map(|id| Id::Explicit(id, literal.token()))
        }
        _ => None,
    };
    if id.is_none() {
        refusals.refuse(
            value_or_all(attribute),
            "an id is a whole number from 1 to 4294967295; write `#[id = 7]`",
        );
    }
    id
}

fn timeout(attribute: &Attribute, refusals: &mut Refusals) -> Option<Timeout> {
    let timeout = match assigned(attribute) {
        Some(Lit::Str(literal)) => duration(literal),
        _ => None,
    };
    if timeout.is_none() {
        refusals.refuse(
            value_or_all(attribute),
            "a timeout is a whole number of `ms`, `s` or `m` above zero, or `none`; write `#[timeout = \"500ms\"]`",
        );
    }
    timeout
}

fn duration(literal: &LitStr) -> Option<Timeout> {
    let value = literal.value();
    if value == "none" {
        return Some(Timeout::Never);
    }
    let unit = value.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = value.split_at(unit);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
    (millis != 0).then_some(Timeout::Millis(millis))
}

/// The literal of `#[name = literal]`.
fn assigned(attribute: &Attribute) -> Option<&Lit> {
    match &attribute.meta {
        Meta::NameValue(value) => match &value.value {
            Expr::Lit(ExprLit { lit, .. }) => Some(lit),
            _ => None,
        },
        _ => None,
    }
}

/// The value where there is one, since that is what is wrong; else the attribute.
fn value_or_all(attribute: &Attribute) -> TokenStream {
    match &attribute.meta {
        Meta::NameValue(value) => value.value.to_token_stream(),
        _ => attribute.to_token_stream(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> (Service, Vec<(String, String)>) {
        let mut refusals = Refusals::default();
        let service = service(&syn::parse_str(source).unwrap(), Options::default(), &mut refusals);
        (service, refusals.into_texts())
    }

    #[test]
    fn a_trait_becomes_a_service() {
        let (service, refusals) = read(
            "trait Calculator {
                #[id = 0x10] #[timeout = \"2s\"]
                async fn divide(&self, a: f64, b: &[f64]) -> Result<f64, CalcError>;
                #[timeout = \"none\"] #[cancel_safe] #[dedup]
                async fn r#type(&mut self, name: &str, mut r#in: &Point) {}
            }",
        );
        assert!(refusals.is_empty());
        assert_eq!(service.name, "Calculator");
        let [divide, typed] = &service.methods[..] else { panic!("two methods") };
        assert_eq!((divide.id.value(), divide.access == Access::Shared), (16, true));
        assert!(matches!(divide.timeout, Timeout::Millis(2_000)));
        assert!(matches!(&divide.arguments[1].form, Form::Slice(element) if text::of(element) == "f64"));
        assert!(matches!(&divide.reply, Reply::Result { ok, err, .. }
            if text::of(ok) == "f64" && text::of(err) == "CalcError"));
        assert_eq!(divide.signature, "async fn divide(&self, a: f64, b: &[f64]) -> Result<f64, CalcError>");
        assert_eq!((&*typed.name, typed.access == Access::Exclusive), ("type", true));
        assert_eq!(typed.id.value(), naming::method_id("Calculator", "type"));
        assert!(matches!(typed.timeout, Timeout::Never));
        assert!(typed.flags.cancel_safe && typed.flags.dedup && !typed.flags.oneway);
        assert!(matches!(typed.arguments[0].form, Form::Str));
        assert!(matches!(typed.arguments[1].form, Form::Reference(_)));
        assert_eq!(typed.arguments[1].name, "in");
        assert_eq!(typed.signature, "async fn r#type(&mut self, name: &str, r#in: &Point)");
    }

    #[test]
    fn an_alias_of_result_is_projected() {
        let (service, _) = read("trait T { async fn get(&self) -> io::Result<u8>; }");
        let Reply::Result { ok, err, .. } = &service.methods[0].reply else { panic!("a result") };
        assert_eq!(text::of(ok), "<io::Result<u8> as ::actor_runtime::__private::ResultType>::Ok");
        assert_eq!(text::of(err), "<io::Result<u8> as ::actor_runtime::__private::ResultType>::Err");
    }

    #[test]
    fn bad_values_of_our_attributes_are_refused_at_the_value() {
        let id = "an id is a whole number from 1 to 4294967295; write `#[id = 7]`";
        let timeout = "a timeout is a whole number of `ms`, `s` or `m` above zero, or `none`; write `#[timeout = \"500ms\"]`";
        let reserved =
            |name| format!("`#[{name}]` is not supported yet; its name is reserved, so remove it for now");
        let conditional = "`id` cannot stand in a `cfg_attr`; write `#[id …]` on the method itself";
        for (attribute, text, span) in [
            ("#[id = 0]", id, "0"),
            ("#[id = 4294967296]", id, "4294967296"),
            ("#[id = \"7\"]", id, "\"7\""),
            ("#[id = 7u64]", id, "7u64"),
            ("#[id = -1]", id, "-1"),
            ("#[id = 1 + 1]", id, "1 + 1"),
            ("#[id(7)]", id, "#[id(7)]"),
            ("#[id]", id, "#[id]"),
            ("#[id = 1] #[id = 2]", "`#[id]` is given twice; keep one of them", "#[id = 2]"),
            ("#[timeout = \"2 s\"]", timeout, "\"2 s\""),
            ("#[timeout = \"0s\"]", timeout, "\"0s\""),
            ("#[timeout = \"99999999999999999999s\"]", timeout, "\"99999999999999999999s\""),
            ("#[timeout = \"\"]", timeout, "\"\""),
            ("#[timeout = \"s\"]", timeout, "\"s\""),
            ("#[timeout = \"5\"]", timeout, "\"5\""),
            ("#[timeout = 5]", timeout, "5"),
            (
                "#[idempotent = true]",
                "`idempotent` has no value; write `#[idempotent]`",
                "#[idempotent = true]",
            ),
            ("#[dedup(3)]", "`dedup` has no value; write `#[dedup]`", "#[dedup(3)]"),
            ("#[oneway] #[oneway]", "`#[oneway]` is given twice; keep one of them", "#[oneway]"),
            ("#[since(2)]", &reserved("since"), "#[since(2)]"),
            ("#[cfg_attr(unix, id = 3)]", conditional, "id = 3"),
            ("#[cfg_attr(unix, cfg_attr(test, id = 3))]", conditional, "id = 3"),
        ] {
            let (_, refusals) = read(&format!("trait T {{ {attribute} async fn f(&self); }}"));
            assert_eq!(refusals, [(text.to_owned(), span.to_owned())], "{attribute}");
        }
    }
}
