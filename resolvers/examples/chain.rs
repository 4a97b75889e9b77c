//! A file, if it is there, over what the program knows by itself:
//! `cargo run -p actor-resolvers --features file --example chain`.

use std::{error::Error, fs};

use actor_resolvers::{ChainResolver, FileResolver};
use actor_runtime::{FixedResolver, Namespace, Resolver};

async fn ask(resolver: &ChainResolver, name: &str) {
    match resolver.resolve(&Namespace::local(), name).await {
        Ok(found) => {
            let endpoints: Vec<_> = found.endpoints.iter().map(ToString::to_string).collect();
            println!("  {name}: {}", endpoints.join(", "));
            for entry in &found.rejected {
                println!("    although {entry}");
            }
        }
        Err(error) => println!("  {error}"),
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("chain-{}.toml", std::process::id()));
    let usual = FixedResolver::new([("calc", "10.0.0.1:7000"), ("store", "10.0.0.1:7001")]);
    let file = FileResolver::new(&path);
    let first = ChainResolver::first_answer().and(file.clone()).and(usual.clone());
    let merged = ChainResolver::merged().and(file).and(usual);

    println!("without the file, the first answer is that of the program:");
    ask(&first, "calc").await;
    println!("what nobody has may be in the file, which cannot be read:");
    ask(&first, "other").await;

    fs::write(&path, "[calc]\nendpoints = [\"127.0.0.1:7000\"]\n")?;
    println!("the file has calc, so it is asked first, and knows no store:");
    let mut watched = first.watch(&Namespace::local(), "calc");
    while let Some(found) = futures::StreamExt::next(&mut watched).await {
        if found.is_ok_and(|found| found.endpoints.iter().any(|at| at.to_string().contains("127.0.0.1"))) {
            break;
        }
    }
    ask(&first, "calc").await;
    ask(&first, "store").await;
    println!("merged, both are members:");
    ask(&merged, "calc").await;

    fs::remove_file(&path)?;
    Ok(())
}
