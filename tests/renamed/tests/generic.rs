//! Code that is generic over clients, calls and actors.

use std::fmt::{Debug, Display};

use renamed::{
    Call, Failure, ServiceClient, actor_service, message,
    prelude::{Stream, stream},
    service::Service,
};
use tests::on_each_path;

/// Goes in front of a line.
#[message(crate = ::renamed)]
struct Prefix(String);

#[actor_service(crate = ::renamed)]
trait Board {
    async fn write(&mut self, line: &str) -> usize;
    async fn read(&self, lines: &[u32], prefix: &Prefix) -> Vec<String>;
    fn all(&self) -> impl Stream<Item = String>;
}

/// An actor with a parameter, an array and a bound in the `where` clause.
struct Desk<T, const N: usize>
where
    T: Display,
{
    mark: T,
    lines: [String; N],
    next: usize,
}

#[actor_service(crate = ::renamed)]
impl<T: Display + Send + Sync + 'static, const N: usize> Board for Desk<T, N>
where
    T: Debug,
{
    async fn write(&mut self, line: &str) -> usize {
        self.lines[self.next % N] = format!("{} {line}", self.mark);
        self.next += 1;
        self.next
    }

    async fn read(&self, lines: &[u32], prefix: &Prefix) -> Vec<String> {
        lines.iter().map(|line| format!("{}{}", prefix.0, self.lines[*line as usize % N])).collect()
    }

    fn all(&self) -> impl Stream<Item = String> {
        stream::iter(self.lines.clone())
    }
}

fn desk<T: Display, const N: usize>(mark: T) -> Desk<T, N> {
    Desk { mark, lines: [const { String::new() }; N], next: 0 }
}

/// What can be said of any client.
async fn introduce<C: ServiceClient>(client: &C) -> Result<String, Failure> {
    let pinned = client.clone().pinned().await?;
    let is_pinned = pinned.pinned_actor().is_some() && client.pinned_actor().is_none();
    Ok(format!("{} {} {is_pinned}", <C::Service as Service>::NAME, pinned.actor_name()))
}

/// Any method of any client, which outlives its caller.
#[expect(clippy::disallowed_methods, reason = "users spawn where they like")]
fn spawn<C, T>(client: &C, call: impl FnOnce(&C) -> Call<T>) -> tokio::task::JoinHandle<T>
where
    C: ServiceClient,
    T: Send + 'static,
{
    tokio::spawn(call(client))
}

#[test]
fn functions_are_generic_over_clients() {
    on_each_path(async |fixture| {
        fixture.register("board", desk::<_, 2>('-'));
        let board = BoardClient::on(&fixture.node, &fixture.resolver, "board");
        assert_eq!(introduce(&board).await.unwrap(), "Board board true");
        assert_eq!(spawn(&board, |board| board.write("a")).await.unwrap().unwrap(), 1);
        assert_eq!(board.read(&[0], &Prefix("> ".to_owned())).await.unwrap(), ["> - a"]);
    });
}

#[test]
fn a_call_outlives_what_its_arguments_borrow() {
    fn is_free<T: Send + 'static>(value: T) -> T {
        value
    }

    on_each_path(async |fixture| {
        fixture.register("board", desk::<_, 4>("*"));
        let board = BoardClient::on(&fixture.node, &fixture.resolver, "board");
        let written = {
            let line = "short-lived".to_owned();
            let call = is_free(board.write(&line));
            drop(line);
            spawn(&board, |_| call)
        };
        assert_eq!(written.await.unwrap().unwrap(), 1);
        let read = {
            let (lines, prefix) = (vec![0, 1], Prefix("# ".to_owned()));
            let call = is_free(board.read(&lines, &prefix));
            drop((lines, prefix));
            spawn(&board, |_| call)
        };
        drop(board);
        assert_eq!(read.await.unwrap().unwrap(), ["# * short-lived", "# "]);
    });
}

#[test]
fn actors_of_one_generic_type_are_told_apart() {
    on_each_path(async |fixture| {
        fixture.register("letters", desk::<_, 1>('a'));
        fixture.register("numbers", desk::<_, 3>(1));
        let letters = BoardClient::on(&fixture.node, &fixture.resolver, "letters");
        let numbers = BoardClient::on(&fixture.node, &fixture.resolver, "numbers");
        letters.write("x").await.unwrap();
        numbers.write("y").await.unwrap();
        assert_eq!(letters.read(&[0, 1], &Prefix(String::new())).await.unwrap(), ["a x", "a x"]);
        assert_eq!(numbers.read(&[0, 1], &Prefix(String::new())).await.unwrap(), ["1 y", ""]);
    });
}
