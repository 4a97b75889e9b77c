//! What names and namespaces of actors mean in Kubernetes.
//!
//! ```text
//!   Namespace   a user's entry · <local>: the own one · else the same name      never two into one
//!   name        a user's function · else the same name                          a DNS label, or refused
//! ```

use std::{collections::BTreeMap, fmt};

use actor_runtime::Namespace;

use super::builder::KubernetesError;
use crate::view::BoxError;

/// A user's function from the name of an actor to that of its service.
pub(super) type ServiceOf = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What is followed: one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// `service "calc" in namespace "prod"`.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {:?} in namespace {:?}", self.name, self.namespace)
    }
}

pub(super) struct Names {
    own: String,
    entries: BTreeMap<Namespace, String>,
    service_of: Option<ServiceOf>,
}

impl Names {
    pub(super) fn new(
        own: String,
        given: Vec<(Namespace, String)>,
        service_of: Option<ServiceOf>,
    ) -> Result<Self, KubernetesError> {
        let own = own.trim().to_owned();
        let mut entries = BTreeMap::<Namespace, String>::new();
        for (namespace, there) in given {
            if !is_label(&there) {
                return Err(KubernetesError::new(not_a_label("namespace", &there)));
            }
            if let Some((other, _)) =
                entries.iter().find(|(other, used)| **used == there && **other != namespace)
            {
                return Err(KubernetesError::new(format!(
                    "the Kubernetes namespace {there:?} is given for {other} and for {namespace}; two namespaces of \
                     actors would be one"
                )));
            }
            entries.insert(namespace, there);
        }
        if !is_label(&own) && !entries.contains_key(&Namespace::local()) {
            return Err(KubernetesError::new(not_a_label("namespace", &own)));
        }
        Ok(Self { own, entries, service_of })
    }

    pub(super) fn service(&self, namespace: &Namespace, name: &str) -> Result<Service, BoxError> {
        let namespace = self.place(namespace)?;
        let service = match &self.service_of {
            None => name.to_owned(),
            Some(function) => function(name)
                .ok_or_else(|| format!("the function that was given says that {name:?} has no service"))?,
        };
        if !is_label(&service) {
            let hint = "give a function from names of actors to services, `KubernetesBuilder::service_of`";
            return Err(format!("{}; {hint}", not_a_label("service", &service)).into());
        }
        Ok(Service { namespace, name: service })
    }

    fn place(&self, namespace: &Namespace) -> Result<String, BoxError> {
        if let Some(there) = self.entries.get(namespace) {
            return Ok(there.clone());
        }
        let local = Namespace::local();
        let there = if *namespace == local { &*self.own } else { namespace.as_str() };
        if !is_label(there) {
            return Err(not_a_label("namespace", there).into());
        }
        let entry = self.entries.iter().find(|(_, used)| *used == there).map(|(other, _)| other);
        let means_local = *namespace != local && there == self.own && !self.entries.contains_key(&local);
        match entry.or(means_local.then_some(&local)) {
            None => Ok(there.to_owned()),
            Some(other) => Err(format!(
                "the Kubernetes namespace {there:?} is that of {other}, and two namespaces of actors are never one; say \
                 which is meant with `KubernetesBuilder::map_namespace`"
            )
            .into()),
        }
    }
}

fn not_a_label(what: &str, text: &str) -> String {
    format!(
        "{text:?} cannot be the name of a {what} in Kubernetes: that has 1 to 63 of a-z, 0-9 and '-', and begins and ends \
         with a letter or digit"
    )
}

/// RFC 1123, as Kubernetes has it.
fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str) -> Namespace {
        Namespace::new(name).expect("it is one")
    }

    fn names(entries: &[(&str, &str)]) -> Result<Names, KubernetesError> {
        let entries = entries.iter().map(|(from, to)| (namespace(from), (*to).to_owned())).collect();
        Names::new("prod".to_owned(), entries, None)
    }

    fn place(names: &Names, asked: &str) -> Result<String, String> {
        names.place(&namespace(asked)).map_err(|error| error.to_string())
    }

    #[test]
    fn local_is_the_own_namespace_and_others_have_their_names() {
        let names = names(&[]).unwrap();
        assert_eq!(place(&names, "<local>").unwrap(), "prod");
        assert_eq!(place(&names, "job-7").unwrap(), "job-7");
        assert!(place(&names, "Job_7").unwrap_err().contains("\"Job_7\" cannot be the name of a namespace"));
    }

    #[test]
    fn two_namespaces_are_never_one_by_accident() {
        let names_of = names;
        let error = place(&names_of(&[]).unwrap(), "prod").unwrap_err();
        assert!(error.contains("is that of <local>") && error.contains("map_namespace"), "{error}");
        let names = names_of(&[("prod", "prod")]).unwrap();
        assert_eq!(place(&names, "prod").unwrap(), "prod");
        assert!(place(&names, "<local>").unwrap_err().contains("is that of prod"));
        let names = names_of(&[("<local>", "other"), ("job", "batch")]).unwrap();
        assert_eq!(place(&names, "<local>").unwrap(), "other");
        assert_eq!(place(&names, "prod").unwrap(), "prod");
        assert!(place(&names, "other").is_err());
        assert!(place(&names, "batch").unwrap_err().contains("is that of job"));
        let error = names_of(&[("a", "batch"), ("b", "batch")]).err().unwrap().to_string();
        assert!(error.contains("given for a and for b"), "{error}");
    }

    #[test]
    fn a_name_that_cannot_be_a_dns_label_is_refused() {
        let names = names(&[]).unwrap();
        let local = Namespace::local();
        assert_eq!(names.service(&local, "calc-2").unwrap().name, "calc-2");
        for bad in ["", "Calc", "a_b", "a.b", "-a", "a-", "a/../b", &"x".repeat(64)] {
            let error = names.service(&local, bad).unwrap_err().to_string();
            assert!(
                error.contains("cannot be the name of a service") && error.contains("service_of"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_users_function_maps_names_and_may_refuse_some() {
        let service_of: ServiceOf = Box::new(|name| Some(name.strip_prefix("job/")?.replace('_', "-")));
        let names = Names::new("prod".to_owned(), Vec::new(), Some(service_of)).unwrap();
        let local = Namespace::local();
        assert_eq!(names.service(&local, "job/my_calc").unwrap().name, "my-calc");
        assert!(names.service(&local, "calc").unwrap_err().to_string().contains("\"calc\" has no service"));
        assert!(names.service(&local, "job/A").unwrap_err().to_string().contains("cannot be"));
    }
}
