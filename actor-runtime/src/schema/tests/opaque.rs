//! Invariants 1 and 3: every type gives a schema, and what could not be learned is named, never guessed.
