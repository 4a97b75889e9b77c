//! The macro sees the name of an alias, and not what it stands for.

use actor_runtime::prelude::*;

mod store {
    pub type Fetched<T> = Result<T, String>;
}

type Stored = std::io::Result<u8>;
type Looked = Result<Option<u8>, String>;
type Counts = Vec<Result<u8, String>>;

#[actor_service]
trait Store {
    async fn get(&self, key: u8) -> store::Fetched<u8>;
    async fn look(&mut self) -> Looked;
    async fn again(&self) -> Looked;
    async fn counts(&self) -> Counts;
    async fn unsendable(&self) -> Stored;
    async fn size(&self) -> usize;
}

fn main() {}
