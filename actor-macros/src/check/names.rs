//! The names and ids of methods: what is generated from them must not collide.

use std::collections::HashMap;

use crate::{
    model::{Id, Method, Service},
    refusals::Refusals,
};

/// What the client itself offers.
const RESERVED: [&str; 4] = ["new", "on", "pool", "with_options"];

/// Checks that nothing generated from the names and ids of the methods collides.
pub(super) fn check(service: &Service, refusals: &mut Refusals) {
    let mut seen = Seen::default();
    for method in &service.methods {
        if RESERVED.contains(&&*method.name) {
            refusals.refuse(
                &method.ident,
                format_args!(
                    "`{}` is what `{}` itself offers; rename the method",
                    method.name, service.names.client
                ),
            );
        }
        seen.name(method, refusals);
        seen.id(method, refusals);
    }
}

/// The methods so far, by everything that has to be unique.
#[derive(Default)]
struct Seen<'a> {
    names: HashMap<&'a str, &'a Method>,
    variants: HashMap<String, &'a Method>,
    constants: HashMap<String, &'a Method>,
    ids: HashMap<u32, &'a Method>,
}

impl<'a> Seen<'a> {
    fn name(&mut self, method: &'a Method, refusals: &mut Refusals) {
        let same_name = self.names.insert(&method.name, method);
        let same_variant = self.variants.insert(method.variant.to_string(), method);
        let same_constant = self.constants.insert(method.constant.to_string(), method);
        if let Some(other) = same_name {
            if !exclude_each_other(method, other) {
                refusals.refuse(
                    &method.ident,
                    format_args!("there is a method `{}` already; rename one of them", method.name),
                );
            }
        } else if let Some(other) = same_variant {
            refusals.refuse(
                &method.ident,
                format_args!(
                    "`{}` and `{}` would both be called `{}` in the request; rename one of them",
                    other.name, method.name, method.variant
                ),
            );
        } else if let Some(other) = same_constant {
            refusals.refuse(
                &method.ident,
                format_args!(
                    "`{}` and `{}` differ only in case; rename one of them",
                    other.name, method.name
                ),
            );
        }
    }

    fn id(&mut self, method: &'a Method, refusals: &mut Refusals) {
        let Some(other) = self.ids.insert(method.id.value(), method) else { return };
        if other.name == method.name || exclude_each_other(method, other) {
            return;
        }
        match (&method.id, &other.id) {
            (Id::Explicit(id, literal), Id::Explicit(..)) => refusals.refuse(
                literal,
                format_args!("`{}` has the id {id} already; give one of them another", other.name),
            ),
            (id, _) => refusals.refuse(&method.ident, format_args!(
                "`{}` and `{}` have the same id {} on the wire; give one of them another with `#[id = …]`",
                other.name,
                method.name,
                id.value()
            )),
        }
    }
}

/// Two methods that are both conditional may be alternatives. If both are there after all, the compiler says so.
fn exclude_each_other(a: &Method, b: &Method) -> bool {
    a.attributes.is_configured() && b.attributes.is_configured()
}
