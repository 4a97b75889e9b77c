//! Actors in a file, which moves one of them to another server while it is called:
//! `cargo run -p actor-resolvers --features file --example file`.

use std::{error::Error, fs, path::Path};

use actor_resolvers::FileResolver;
use actor_runtime::{Address, prelude::*};

#[actor_service]
trait Desk {
    async fn whose(&self) -> String;
}

struct Clerk(&'static str);

#[actor_service]
impl Desk for Clerk {
    async fn whose(&self) -> String {
        self.0.to_owned()
    }
}

/// A new file beside the old one, renamed: nobody sees half of it.
fn write(path: &Path, address: &Address, name: &str) -> Result<(), Box<dyn Error>> {
    let text = format!("[desk]\nendpoints = [{{ address = \"{address}\", name = \"{name}\" }}]");
    println!("the file says now:\n{text}");
    fs::write(path.with_extension("new"), text)?;
    Ok(fs::rename(path.with_extension("new"), path)?)
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("127.0.0.1:0").await?;
    server.register("ada", Clerk("Ada"))?;
    server.register("grace", Clerk("Grace"))?;

    let path = std::env::temp_dir().join(format!("actors-{}.toml", std::process::id()));
    write(&path, &server.address(), "ada")?;
    let resolver = FileResolver::new(&path);
    println!("the desk is {}'s", DeskClient::new(&resolver, "desk").whose().await?);

    write(&path, &server.address(), "grace")?;
    let mut changes = resolver.watch(&Namespace::local(), "desk");
    while let Some(found) = changes.next().await {
        if found?.first().is_some_and(|endpoint| endpoint.name == "grace") {
            break;
        }
    }
    println!("the desk is {}'s", DeskClient::new(&resolver, "desk").whose().await?);

    fs::remove_file(&path)?;
    Ok(())
}
