//! Each resolver against a backend that is real, or as faithful as can be had on one machine.
