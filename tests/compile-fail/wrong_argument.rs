//! A client's methods have the types of the trait.

use actor_runtime::prelude::*;

#[actor_service]
trait Store {
    async fn put(&mut self, key: &str, value: u8);
    async fn size(&self) -> usize;
}

async fn call(store: &StoreClient) -> Result<(), Failure> {
    store.put(7, 7).await?;
    store.put("seven".to_owned(), 7).await?;
    store.put("seven").await?;
    let _: String = store.size().await?;
    Ok(())
}

fn main() {}
