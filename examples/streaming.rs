//! A model that streams its tokens, and a reader that has enough: `cargo run --example streaming`.
//!
//! The model stops where its reader stops: nothing is generated for nobody.

use std::error::Error;

use actor_runtime::prelude::*;

#[actor_service]
trait Model {
    /// Tokens that follow the prompt, as they are found.
    fn generate(&self, prompt: &str) -> impl Stream<Item = String>;
    /// How many words a text has, which is read as it comes.
    async fn count_words(&self, text: Streaming<String>) -> Result<usize, String>;
}

/// Says when a stream ends that holds it.
struct Generation(usize);

impl Drop for Generation {
    fn drop(&mut self) {
        println!("  the model stops after {} tokens", self.0);
    }
}

struct Parrot;

#[actor_service]
impl Model for Parrot {
    fn generate(&self, prompt: &str) -> impl Stream<Item = String> {
        let words: Vec<String> = prompt.split(' ').map(str::to_owned).collect();
        stream::unfold(Generation(0), move |mut so_far| {
            let token = words[so_far.0 % words.len()].clone();
            so_far.0 += 1;
            async { Some((token, so_far)) }
        })
    }

    async fn count_words(&self, mut text: Streaming<String>) -> Result<usize, String> {
        let mut words = 0;
        // A caller that breaks off is a failure here, and not the end of its text.
        while let Some(piece) = text.try_next().await.map_err(|failure| failure.to_string())? {
            words += piece.split_whitespace().count();
        }
        Ok(words)
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    server.register("parrot", Parrot)?;
    let model = ModelClient::new(&FixedResolver::new([("parrot", server.address())]), "parrot");
    let mut tokens = model.generate("to be or not").await?;
    for _ in 0..6 {
        println!("{}", tokens.try_next().await?.unwrap_or_default());
    }
    drop(tokens);
    let text = stream::iter(["to be", "or not to be"]).map(str::to_owned);
    println!("{} words", model.count_words(text).await?);
    server.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
