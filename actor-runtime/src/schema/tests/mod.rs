//! What users of schemas rely on, by the numbers of the invariants in the module's documentation.

mod dynamic;
mod fingerprints;
mod learned;
mod opaque;
mod random;
mod reads_what_postcard_reads;
mod value;
mod zoo;
