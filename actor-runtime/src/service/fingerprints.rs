//! Fingerprints of methods and services, learned once a process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    Method, MethodDescription,
    method::{FNV_OFFSET, fnv1a},
};
use crate::proto::ServiceDigest;

/// What the arguments and the reply of a method look like, as a number.
pub(crate) fn of(method: &'static Method) -> u64 {
    static KNOWN: Mutex<Option<HashMap<usize, u64>>> = Mutex::new(None);
    let key = std::ptr::from_ref(method) as usize;
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fingerprint) = known().as_ref().and_then(|known| known.get(&key).copied()) {
        return fingerprint;
    }
    // Not under the lock: this runs code of the types of arguments.
    let fingerprint = MethodDescription::of(method).fingerprint;
    known().get_or_insert_default().insert(key, fingerprint);
    fingerprint
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
