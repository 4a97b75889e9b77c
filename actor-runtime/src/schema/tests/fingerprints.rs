//! Invariants 4 and 5.
