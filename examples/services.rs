//! One actor, three services, each with a client of its own: `cargo run --example services`.

use std::error::Error;

use actor_runtime::prelude::*;

/// What everybody may do.
#[actor_service]
trait Board {
    async fn post(&mut self, author: &str, text: &str) -> usize;
    async fn latest(&self, count: usize) -> Vec<String>;
}

/// What only the moderator does.
#[actor_service]
trait Moderation {
    async fn remove(&mut self, author: &str) -> usize;
}

/// What the monitoring asks.
#[actor_service]
trait Statistics {
    async fn size(&self) -> usize;
}

#[derive(Default)]
struct Wall {
    posts: Vec<(String, String)>,
}

impl Actor for Wall {
    type Services = (BoardService, ModerationService, StatisticsService);
}

#[actor_service(part)]
impl Board for Wall {
    async fn post(&mut self, author: &str, text: &str) -> usize {
        self.posts.push((author.to_owned(), text.to_owned()));
        self.posts.len()
    }

    async fn latest(&self, count: usize) -> Vec<String> {
        self.posts.iter().rev().take(count).map(|(author, text)| format!("{author}: {text}")).collect()
    }
}

#[actor_service(part)]
impl Moderation for Wall {
    async fn remove(&mut self, author: &str) -> usize {
        let before = self.posts.len();
        self.posts.retain(|(by, _)| by != author);
        before - self.posts.len()
    }
}

#[actor_service(part)]
impl Statistics for Wall {
    async fn size(&self) -> usize {
        self.posts.len()
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    server.register("wall", Wall::default())?;
    let resolver = server.resolver();
    let board = BoardClient::new(&resolver, "wall");
    let moderation = ModerationClient::new(&resolver, "wall");
    let statistics = StatisticsClient::new(&resolver, "wall");

    for (author, text) in [("ada", "hello"), ("spam", "buy!"), ("bob", "hi ada"), ("spam", "buy now!")] {
        board.post(author, text).await?;
    }
    println!("{} posts, the latest: {:?}", statistics.size().await?, board.latest(2).await?);
    println!("{} removed", moderation.remove("spam").await?);
    println!("{} posts, the latest: {:?}", statistics.size().await?, board.latest(2).await?);

    println!("\nwhat the actor can be asked:");
    use actor_runtime::service::Service;
    for service in
        [BoardService::description(), ModerationService::description(), StatisticsService::description()]
    {
        for method in &service.methods {
            println!("  {:10} {:016x} {}", service.name, method.fingerprint, method.signature);
        }
    }
    server.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}
