//! Two machines against each other.
