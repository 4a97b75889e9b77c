//! A service in a crate of the edition 2021, where `gen` is a name like any other.

use actor_runtime::prelude::*;

/// Why there is no number.
#[message]
#[derive(Debug, PartialEq)]
pub struct Spent(pub u32);

/// Numbers one after the other.
#[actor_service]
pub trait Source {
    /// The next one, up to `gen`.
    async fn gen(&mut self, gen: u32) -> Result<u32, Spent>;
    /// Those so far, with a title.
    async fn all(&self, title: &str, tail: &[u32]) -> (String, Vec<u32>);
    /// A body in the trait.
    async fn twice(&self, n: &u32) -> u32 {
        n * 2
    }
}

/// Counts up.
#[derive(Debug, Default)]
pub struct Counter(u32);

#[actor_service]
impl Source for Counter {
    async fn gen(&mut self, gen: u32) -> Result<u32, Spent> {
        if self.0 >= gen {
            return Err(Spent(self.0));
        }
        self.0 += 1;
        Ok(self.0)
    }

    async fn all(&self, title: &str, tail: &[u32]) -> (String, Vec<u32>) {
        (title.to_owned(), (1..=self.0).chain(tail.iter().copied()).collect())
    }
}
