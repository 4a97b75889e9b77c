//! An actor with a typed client, in one process: `cargo run --example quickstart`.
//!
//! The address `loopback:0` has every call encoded and decoded, as between processes.

use std::error::Error;

use actor_runtime::prelude::*;

#[message]
#[derive(Debug)]
enum CalcError {
    DivideByZero,
}

/// A calculator that remembers.
#[actor_service]
trait Calculator {
    /// Fails with a typed error that the caller gets back as itself.
    async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError>;
    /// `&mut self`: runs alone, in order. `&self` methods may overlap each other.
    async fn accumulate(&mut self, by: i64) -> i64;
    /// A streaming reply.
    fn count_to(&self, n: u64) -> impl Stream<Item = u64>;
}

#[derive(Default)]
struct Desk {
    total: i64,
}

#[actor_service]
impl Calculator for Desk {
    async fn divide(&self, a: f64, b: f64) -> Result<f64, CalcError> {
        if b == 0.0 { Err(CalcError::DivideByZero) } else { Ok(a / b) }
    }

    async fn accumulate(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }

    fn count_to(&self, n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n)
    }
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = ActorServer::bind("loopback:0").await?;
    server.register("calc", Desk::default())?;

    let calc = CalculatorClient::new(&FixedResolver::new([("calc", server.address())]), "calc");
    println!("accumulate(2)  = {}", calc.accumulate(2).timeout(Duration::from_secs(1)).await?);
    println!("accumulate(40) = {}", calc.accumulate(40).await?);
    println!("divide(1, 4)   = {}", calc.divide(1.0, 4.0).await?);
    if let Err(CallError::Application(error)) = calc.divide(1.0, 0.0).await {
        println!("divide(1, 0)   = {error:?}, the actor's own error");
    }
    let mut numbers = calc.count_to(3).await?;
    while let Some(n) = numbers.try_next().await? {
        println!("count_to(3)    : {n}");
    }

    server.shutdown(Duration::from_secs(5)).await?;
    if let Err(failure) = calc.accumulate(1).await {
        println!("after shutdown : {failure}");
    }
    Ok(())
}
