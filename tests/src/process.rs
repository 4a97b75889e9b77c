//! Servers in processes of their own, and what can be done to them.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test's helper may panic as the test may"
)]

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use actor_runtime::{Authority, Config, FixedResolver, Identity, Node, Trust, prelude::*};

use crate::{
    PostClient, Window,
    ledger::{self, Book},
};

/// A server that was started; ended with this.
#[derive(Debug)]
pub struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

/// What a server of this cluster shows to others.
#[must_use]
pub fn identity(authority: &Authority) -> Identity {
    authority.issue(["actor://test/server", "127.0.0.1", "localhost"]).expect("names")
}

impl Server {
    /// Starts this program as a server that listens there. It may take a moment until it does:
    /// [`address`](Self::address) waits for that.
    #[must_use]
    pub fn start(program: &Path, authority: &Authority, identity: &Identity, listen: &str) -> Self {
        Self::run(Command::new(program).args(["serve", listen]), authority, identity)
    }

    /// The same with a [`Ledger`](crate::ledger::Ledger), which appends to this file.
    #[must_use]
    pub fn ledger(
        program: &Path,
        authority: &Authority,
        identity: &Identity,
        listen: &str,
        file: &Path,
    ) -> Self {
        Self::run(Command::new(program).args(["keep", listen]).arg(file), authority, identity)
    }

    fn run(command: &mut Command, authority: &Authority, identity: &Identity) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program is there");
        let mut input = child.stdin.take().expect("it is piped");
        let text =
            [authority.certificate_pem(), MARK.to_owned(), identity.certificate_pem(), identity.key_pem()];
        input.write_all(text.concat().as_bytes()).expect("it reads");
        drop(input);
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out, address: String::new() }
    }

    /// Where it listens.
    pub fn address(&mut self) -> &str {
        if self.address.is_empty() {
            self.out.read_line(&mut self.address).expect("it writes");
            self.address.truncate(self.address.trim_end().len());
        }
        &self.address
    }

    /// A client of its actor.
    pub fn client(&mut self, node: &Node) -> PostClient {
        PostClient::on(node, &FixedResolver::new([("post", self.address())]), "post")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// SIGSTOP.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("there is a `kill`").success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is ours")
    }

    /// How many bytes of memory it has.
    #[must_use]
    pub fn resident(&self) -> u64 {
        resident(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many bytes of memory a process has.
#[must_use]
pub fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Stands between what the server believes and what it shows.
const MARK: &str = "====\n";

/// Is that server, until it is asked to end.
///
/// # Errors
/// What keeps it from serving.
pub async fn serve(listen: &str) -> Result<(), Box<dyn Error>> {
    run(listen, Config::default(), "post", Window::default()).await
}

/// Is that server with a ledger.
///
/// # Errors
/// What keeps it from serving.
pub async fn keep(listen: &str, file: &str) -> Result<(), Box<dyn Error>> {
    run(listen, ledger::config(), "ledger", Book::open(Path::new(file), ledger::HOLD)?).await
}

async fn run(listen: &str, config: Config, name: &str, actor: impl Actor) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let (authority, shows) = text.split_once(MARK).ok_or("no trust on the standard input")?;
    let trust = Trust::builder()
        .authority_pem(authority)
        .identity(Identity::from_pem(shows, shows)?)
        .server_name("localhost")
        .build()?;
    let node = Node::builder().trust(trust).config(config).build()?;
    let server = ActorServer::builder(listen).node(&node).advertise("127.0.0.1").bind().await?;
    server.register(name, actor)?;
    println!("{}", server.address());
    Ok(server.run_until_signal(Duration::from_secs(5)).await?)
}
