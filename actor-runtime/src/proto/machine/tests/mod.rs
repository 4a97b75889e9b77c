//! Two machines against each other, and one against whatever there may be.

mod pair;
mod properties;
