//! Fingerprints of methods and services, learned once a process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    Method, MethodDescription,
    method::{FNV_OFFSET, fnv1a},
};
use crate::{proto::ServiceDigest, schema::Schema};

/// What is known of a method's arguments and reply.
#[derive(Clone, Copy)]
struct Known {
    fingerprint: u64,
    has_client: bool,
}

/// What the arguments and the reply of a method look like, as a number.
pub(crate) fn of(method: &'static Method) -> u64 {
    known(method).fingerprint
}

/// Those of these methods whose arguments, reply or items have clients in them, by their ids. Mostly none.
pub(crate) fn with_clients(methods: impl Iterator<Item = &'static Method>) -> Box<[u32]> {
    methods.filter(|method| known(method).has_client).map(|method| method.id).collect()
}

fn known(method: &'static Method) -> Known {
    static KNOWN: Mutex<Option<HashMap<usize, Known>>> = Mutex::new(None);
    let key = std::ptr::from_ref(method) as usize;
    let all = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all().as_ref().and_then(|known| known.get(&key).copied()) {
        return known;
    }
    // Not under the lock: this runs code of the types of arguments.
    let description = MethodDescription::of(method);
    let arguments = description.arguments.iter().map(|argument| &argument.schema);
    let ends = [Some(&description.reply), description.error.as_ref()].into_iter().flatten();
    let has_client = arguments.chain(ends).any(Schema::has_client);
    let known = Known { fingerprint: description.fingerprint, has_client };
    all().get_or_insert_default().insert(key, known);
    known
}

/// One number for all methods of a service: two sides with the same one need not compare them one by one.
pub(crate) fn digest(methods: &[&'static Method]) -> u64 {
    let mut pairs: Vec<(u32, u64)> = methods.iter().map(|method| (method.id, of(method))).collect();
    pairs.sort_unstable();
    pairs.iter().fold(FNV_OFFSET, |hash, (id, fingerprint)| {
        fnv1a(fnv1a(hash, &id.to_le_bytes()), &fingerprint.to_le_bytes())
    })
}

/// The digest of each of these services.
pub(crate) fn digests(services: &[&[&'static Method]]) -> Vec<ServiceDigest> {
    let named = services.iter().filter_map(|methods| Some((methods.first()?.service, methods)));
    named.map(|(name, methods)| ServiceDigest { name: name.to_owned(), digest: digest(methods) }).collect()
}
