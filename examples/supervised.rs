//! An actor that fails is started again: the same id, the same queue, a fresh state.
//!
//!     cargo run -p examples --example supervised

use actor_runtime::{
    prelude::*,
    supervise::{Child, Strategy, Supervisor},
};

/// Counts words, and does not like numbers.
#[actor_service]
trait Words {
    async fn count(&mut self, text: String) -> usize;
}

#[derive(Default)]
struct Reader {
    total: usize,
}

#[actor_service]
impl Words for Reader {
    async fn count(&mut self, text: String) -> usize {
        assert!(!text.contains(char::is_numeric), "{text:?} has a number in it");
        self.total += text.split_whitespace().count();
        self.total
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder().build()?;
    let supervisor = Supervisor::new(Strategy::OneForOne)
        .intensity(3, Duration::from_secs(5))
        .backoff(Duration::from_millis(10), Duration::from_secs(1))
        .child(Child::new("reader", Reader::default))
        .start(&node)?;
    let reader = supervisor.child("reader").ok_or("it has a reader")?;
    let words: WordsClient = reader.client();

    println!("{} words", words.count("one two three".into()).await?);
    if let Err(failure) = words.count("4 5 6".into()).await {
        println!("{failure}");
    }
    // Queued while the next reader is made.
    println!("{} words", words.count("seven eight".into()).await?);
    println!("{}", node.actors());
    println!("the end: {}", supervisor.stop(Duration::from_secs(1)).await);
    Ok(())
}
