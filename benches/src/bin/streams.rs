//! Streams and cancelled calls between two processes: `cargo run --release -p benches --bin streams [-- --items N]`.
//!
//! The program starts itself once more as the server. Each row is the median of five rounds, with the least and the most.
//! A storm is calls that were sent, each dropped right after its first poll; when it is over, one call more has to come
//! back, behind all that the storm left.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::{
    error::Error,
    future::Future,
    io::{BufRead, BufReader},
    pin::pin,
    process::{Command, Stdio},
    task::{Context, Waker},
    time::Instant,
};

use actor_runtime::prelude::*;
use bytes::Bytes;

const ROUNDS: usize = 5;

#[actor_service]
trait Tap {
    fn numbers(&self, n: u64) -> impl Stream<Item = u64>;
    fn bytes(&self, n: u64, length: u64) -> impl Stream<Item = Bytes>;
    async fn sum(&self, numbers: Streaming<u64>) -> u64;
    /// Never ends by itself.
    async fn hang(&self);
    async fn ping(&self);
}

struct Source;

#[actor_service]
impl Tap for Source {
    fn numbers(&self, n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n)
    }

    fn bytes(&self, n: u64, length: u64) -> impl Stream<Item = Bytes> {
        let item = Bytes::from(vec![7; usize::try_from(length).unwrap_or_default()]);
        stream::iter((0..n).map(move |_| item.clone()))
    }

    async fn sum(&self, mut numbers: Streaming<u64>) -> u64 {
        let mut sum = 0;
        while let Some(Ok(number)) = numbers.next().await {
            sum += number;
        }
        sum
    }

    async fn hang(&self) {
        std::future::pending::<()>().await;
    }

    async fn ping(&self) {}
}

#[actor_runtime::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        let server = ActorServer::bind("127.0.0.1:0").await?;
        server.register("tap", Source)?;
        println!("{}", server.address());
        return Ok(server.run_until_signal(Duration::from_secs(5)).await?);
    }
    let items = match &arguments[..] {
        [option, number] if option == "--items" => number.parse()?,
        [] => 1_000_000,
        _ => return Err("there is one option, `--items N`".into()),
    };
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let tap = TapClient::new(&FixedResolver::new([("tap", address.trim())]), "tap");
    let measured = measure(&tap, items).await;
    server.kill()?;
    server.wait()?;
    measured
}

async fn measure(tap: &TapClient, items: u64) -> Result<(), Box<dyn Error>> {
    tap.ping().await?;
    let million = |count: u64, seconds: f64| count as f64 / seconds / 1e6;
    let mut rows: Vec<(&str, &str, Vec<f64>)> = vec![
        ("reply of u64", "M items/s", Vec::new()),
        ("argument of u64", "M items/s", Vec::new()),
        ("reply of 100 bytes", "M items/s", Vec::new()),
        ("reply of 64 KiB", "MiB/s", Vec::new()),
        ("storm of cancelled calls", "M calls/s", Vec::new()),
        ("one call behind the storm", "ms", Vec::new()),
    ];
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut numbers = tap.numbers(items).await?;
        let mut count = 0;
        while numbers.try_next().await?.is_some() {
            count += 1;
        }
        assert_eq!(count, items);
        rows[0].2.push(million(items, begun.elapsed().as_secs_f64()));

        let begun = Instant::now();
        assert_eq!(tap.sum(stream::iter(0..items)).await?, items * items.saturating_sub(1) / 2);
        rows[1].2.push(million(items, begun.elapsed().as_secs_f64()));

        for (row, count, length) in [(2, items, 100), (3, items / 500, 64 * 1024)] {
            let begun = Instant::now();
            let mut bodies = tap.bytes(count, length).await?;
            let mut bytes = 0;
            while let Some(body) = bodies.try_next().await? {
                bytes += body.len() as u64;
            }
            assert_eq!(bytes, count * length);
            let seconds = begun.elapsed().as_secs_f64();
            let mib = bytes as f64 / f64::from(1 << 20) / seconds;
            rows[row].2.push(if row == 2 { million(count, seconds) } else { mib });
        }

        let begun = Instant::now();
        let calls = items / 10;
        for _ in 0..calls {
            let call = pin!(tap.hang());
            let _ = call.poll(&mut Context::from_waker(Waker::noop()));
        }
        rows[4].2.push(million(calls, begun.elapsed().as_secs_f64()));
        let begun = Instant::now();
        tap.ping().await?;
        rows[5].2.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    println!("{items} items a stream, {} calls a storm, {ROUNDS} rounds", items / 10);
    for (name, unit, mut figures) in rows {
        figures.sort_unstable_by(f64::total_cmp);
        let (least, median, most) = (figures[0], figures[ROUNDS / 2], figures[ROUNDS - 1]);
        println!("{name:<28} {median:>8.2} {unit:<10} ({least:.2} to {most:.2})");
    }
    Ok(())
}
