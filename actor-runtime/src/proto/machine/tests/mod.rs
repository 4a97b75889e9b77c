//! Two machines against each other, and one against whatever there may be.

mod conversations;
mod hostile;
mod pair;
mod places;
mod properties;
mod streams;
