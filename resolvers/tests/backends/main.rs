//! Each resolver against a backend that is real, or as faithful as can be had on one machine.

#[cfg(feature = "kubernetes")]
mod cluster;
#[cfg(feature = "gce")]
mod gce;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "gce")]
mod project;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod standin;
#[cfg(any(feature = "gce", feature = "kubernetes"))]
mod watched;
