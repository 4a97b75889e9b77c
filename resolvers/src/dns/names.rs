//! The DNS names of actors.

use actor_runtime::Namespace;
use hickory_resolver::proto::rr::Name;

use crate::view::BoxError;

/// The longest name, without the dot at its end.
const MAX_NAME: usize = 253;

/// The longest label.
const MAX_LABEL: usize = 63;

const NAME: &str = "{name}";
const NAMESPACE: &str = "{namespace}";

/// How the DNS names of actors are made.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) template: Option<String>,
    pub(super) domain: Option<String>,
}

impl Names {
    /// The name of an actor.
    ///
    /// # Errors
    /// If the actor's name or its namespace is no label, if the namespace has upper case, if the template has no place for it, or if the template or the
    /// domain is none.
    pub(super) fn of(&self, namespace: &Namespace, name: &str, of_host: bool) -> Result<Name, BoxError> {
        let template = match (&self.template, &self.domain) {
            (Some(template), _) => template,
            (None, None) => return Err("DNS names need a domain: call `DnsResolver::domain`".into()),
            (None, Some(_)) if of_host => "{name}.{namespace}",
            (None, Some(_)) => "_{name}._udp.{namespace}",
        };
        if !template.contains(NAME) {
            return Err(format!("the template {template:?} has no {NAME} in it").into());
        }
        let is_local = *namespace == Namespace::local();
        if !is_local && !template.contains(NAMESPACE) {
            let text = format!(
                "the template {template:?} has no {NAMESPACE} in it, so it has no place for {namespace}"
            );
            return Err(text.into());
        }
        is_label("the actor's name", name)?;
        if !is_local && template.contains(NAMESPACE) {
            is_label("the namespace", namespace.as_str())?;
            if namespace.as_str().contains(|c: char| c.is_ascii_uppercase()) {
                let text = format!(
                    "the namespace {:?} has an upper-case letter, which DNS does not tell from the lower-case one: two \
                     namespaces would be one",
                    namespace.as_str()
                );
                return Err(text.into());
            }
        }
        let mut text = String::new();
        for label in without_dot(template).split('.') {
            if label.contains(NAME) && label.contains(NAMESPACE) {
                return Err(
                    format!("the template {template:?} has {NAME} and {NAMESPACE} in one label").into()
                );
            }
            if is_local && label == NAMESPACE {
                continue;
            }
            if is_local && label.contains(NAMESPACE) {
                let text =
                    format!("{namespace} has no label to stand in {label:?} of the template {template:?}");
                return Err(text.into());
            }
            let label = label.replace(NAME, name).replace(NAMESPACE, namespace.as_str());
            is_label(&format!("in the template {template:?}"), &label)?;
            text.push_str(&label);
            text.push('.');
        }
        if let Some(domain) = &self.domain {
            for label in without_dot(domain).split('.') {
                is_label(&format!("in the domain {domain:?}"), label)?;
                text.push_str(label);
                text.push('.');
            }
        }
        if text.len() > MAX_NAME + 1 {
            let bytes = text.len() - 1;
            return Err(format!(
                "{text:?} is no DNS name: it has {bytes} bytes, where {MAX_NAME} are the most"
            )
            .into());
        }
        Ok(Name::from_ascii(text.to_ascii_lowercase())?)
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_label(what: &str, label: &str) -> Result<(), BoxError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if label.is_empty() || label.len() > MAX_LABEL || !label.chars().all(fits) {
        let text = format!(
            "{what}: {label:?} is no DNS label, which has 1 to {MAX_LABEL} letters, digits, `-` and `_`"
        );
        return Err(text.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(template: Option<&str>, domain: Option<&str>) -> Names {
        Names { template: template.map(str::to_owned), domain: domain.map(str::to_owned) }
    }

    fn of(names: &Names, namespace: &str, name: &str) -> Result<String, String> {
        let namespace = Namespace::new(namespace).expect("a namespace");
        let name = names.of(&namespace, name, false).map_err(|error| error.to_string())?;
        assert!(name.is_fqdn());
        Ok(name.to_ascii())
    }

    #[test]
    fn names_have_their_namespace_as_a_label_and_the_local_one_has_none() {
        for domain in ["cluster.example", "Cluster.Example."] {
            let names = names(None, Some(domain));
            assert_eq!(of(&names, "<local>", "calc").unwrap(), "_calc._udp.cluster.example.");
            assert_eq!(of(&names, "training", "Calc").unwrap(), "_calc._udp.training.cluster.example.");
        }
        let names = names(None, Some("svc.cluster.local"));
        let host = names.of(&Namespace::new("training").unwrap(), "calc", true).unwrap();
        assert_eq!(host.to_ascii(), "calc.training.svc.cluster.local.");
    }

    #[test]
    fn templates_stand_alone_or_before_the_domain() {
        let alone = names(Some("_{name}._udp.{namespace}.example."), None);
        assert_eq!(of(&alone, "training", "calc").unwrap(), "_calc._udp.training.example.");
        let before = names(Some("{name}.actors"), Some("example"));
        assert_eq!(of(&before, "<local>", "calc").unwrap(), "calc.actors.example.");
    }

    #[test]
    fn what_has_no_name_is_refused_with_the_reason() {
        let usual = names(None, Some("example"));
        let fixed = names(Some("{name}.example"), None);
        let prefixed = names(Some("{name}.in-{namespace}.example"), None);
        let both = names(Some("{name}-{namespace}.example"), None);
        let none = names(Some("calc.example"), None);
        let odd = names(Some("{name}.{cluster}.example"), None);
        let long = format!("{}.example", ["d".repeat(63), "d".repeat(63), "d".repeat(63)].join("."));
        let cases = [
            (of(&names(None, None), "<local>", "calc"), "call `DnsResolver::domain`"),
            (of(&usual, "<local>", "a.b"), "the actor's name: \"a.b\" is no DNS label"),
            (of(&usual, "<local>", ""), "the actor's name: \"\" is no DNS label"),
            (of(&usual, "<local>", "größe"), "is no DNS label"),
            (of(&usual, "<local>", &"x".repeat(63)), "is no DNS label"),
            (of(&usual, "job:7", "calc"), "the namespace: \"job:7\" is no DNS label"),
            (of(&usual, "Training", "calc"), "the namespace \"Training\" has an upper-case letter"),
            (of(&fixed, "training", "calc"), "has no place for training"),
            (of(&prefixed, "<local>", "calc"), "<local> has no label to stand in \"in-{namespace}\""),
            (of(&both, "training", "calc"), "in one label"),
            (of(&none, "<local>", "calc"), "has no {name} in it"),
            (of(&odd, "<local>", "calc"), "in the template"),
            (of(&names(None, Some("a..b")), "<local>", "calc"), "in the domain \"a..b\""),
            (of(&names(None, Some(&long)), "<local>", &"x".repeat(60)), "where 253 are the most"),
        ];
        for (got, reason) in cases {
            let got = got.expect_err(reason);
            assert!(got.contains(reason), "{got}");
        }
    }
}
