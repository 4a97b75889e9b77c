//! A name server of our own: Knot DNS, with one zone that can be changed.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
};

use actor_resolvers::DnsResolver;
use actor_runtime::{Namespace, Resolver};
use tokio::net::UdpSocket;

use crate::server::{Folder, Server, free_port, program, until};

/// The zone.
pub(super) const DOMAIN: &str = "actors.test";

/// Its first lines. Records that say nothing else, and answers that there are none, are right for a second.
const HEAD: &str = "$ORIGIN actors.test.\n$TTL 1\n@ NS ns\nns A 127.0.0.1\nready A 127.0.0.1\n";

pub(super) struct Knot {
    server: Server,
    folder: Folder,
    knotd: PathBuf,
    address: SocketAddr,
    serial: u32,
}

impl Knot {
    /// Serves these records, when it gives a value; `None` if the program is not installed.
    pub(super) async fn start(records: &str) -> Option<Self> {
        let knotd = program("knotd", "ACTOR_KNOTD")?;
        let folder = Folder::new("knot");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let path = folder.path().display();
        let configuration = format!(
            "server:\n  rundir: \"{path}\"\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: \"{path}\"\nlog:\n  - target: stderr\n    any: info\n\
             control:\n  listen: \"{path}/control\"\nzone:\n  - domain: {DOMAIN}\n    storage: \"{path}\"\n    \
             file: zone\n    zonefile-load: whole\n    journal-content: none\n",
            address.ip(),
            address.port(),
        );
        fs::write(folder.path().join("knot.conf"), configuration).expect("a configuration");
        fs::write(folder.path().join("zone"), zone(1, records)).expect("a zone");
        let server = run(&knotd, &folder);
        let knot = Self { server, folder, knotd, address, serial: 1 };
        knot.is_ready().await;
        Some(knot)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn resolver(&self) -> DnsResolver {
        DnsResolver::with_servers([self.address]).domain(DOMAIN)
    }

    /// Serves other records, when it returns.
    pub(super) fn change(&mut self, records: &str) {
        self.serial += 1;
        fs::write(self.folder.path().join("zone"), zone(self.serial, records)).expect("a zone");
        let knotc = self.knotd.with_file_name("knotc");
        let control = self.folder.path().join("control");
        let mut command = Command::new(knotc);
        command.arg("-s").arg(control).args(["-b", "zone-reload", DOMAIN]);
        let output = command.output().expect("knotc");
        assert!(output.status.success(), "{output:?}");
    }

    /// Does nothing from now on.
    pub(super) fn freeze(&self) {
        self.server.freeze();
    }

    /// Goes on.
    pub(super) fn thaw(&self) {
        self.server.thaw();
    }

    pub(super) fn stop(&mut self) {
        self.server.kill();
    }

    /// Begins again, with these records.
    pub(super) async fn restart(&mut self, records: &str) {
        self.serial += 1;
        fs::write(self.folder.path().join("zone"), zone(self.serial, records)).expect("a zone");
        self.server = run(&self.knotd, &self.folder);
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        until("the name server answers", async || {
            let resolver = self.resolver().port(1).patience(std::time::Duration::from_millis(200));
            let found = resolver.resolve(&Namespace::local(), "ready").await;
            found.is_ok_and(|found| !found.is_empty())
        })
        .await;
    }
}

fn run(knotd: &PathBuf, folder: &Folder) -> Server {
    let mut command = Command::new(knotd);
    command.arg("-c").arg(folder.path().join("knot.conf"));
    Server::start(command, &folder.path().join("log"))
}

fn zone(serial: u32, records: &str) -> String {
    let (head, rest) = HEAD.split_once("@ NS").expect("a head");
    format!("{head}@ SOA ns hostmaster {serial} 3600 600 86400 1\n@ NS{rest}{records}\n")
}

/// What a [`Relay`] makes of answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Makes {
    /// It passes them on.
    Nothing,
    /// It passes them on later.
    Late(std::time::Duration),
    /// It sends bytes by chance in their place.
    Chance,
    /// It has the right number before bytes by chance.
    Garbage,
    /// Their number is another one.
    OtherNumber,
    /// They answer another question.
    OtherQuestion,
    /// It sends the question back.
    Echo,
    /// They have no records, and say that they were cut.
    Cut,
    /// They say that the server failed.
    Failed,
    /// Some of their bytes, other than the number, are others.
    Flipped(u64),
}

impl Makes {
    pub(super) const NONSENSE: [Self; 7] = [
        Self::Chance,
        Self::Garbage,
        Self::OtherNumber,
        Self::OtherQuestion,
        Self::Echo,
        Self::Cut,
        Self::Failed,
    ];

    fn make(self, question: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
        let by_chance = |length: usize| (0..length).map(|at| (at * 151 + 77) as u8);
        match self {
            Self::Nothing | Self::Late(_) => {}
            Self::Chance => answer = by_chance(200).collect(),
            Self::Garbage => answer = answer[..4].iter().copied().chain(by_chance(200)).collect(),
            Self::OtherNumber => answer[0] ^= 0x55,
            // The first label of the name.
            Self::OtherQuestion => answer[14] = b'z',
            Self::Echo => answer = question.to_vec(),
            Self::Cut => {
                answer.truncate(12);
                answer.extend(&question[12..]);
                // One question and one additional record, as the question has them, and the flag of what was cut.
                answer[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
                answer[2] |= 0x02;
            }
            Self::Failed => {
                answer.truncate(12);
                answer.extend(&question[12..]);
                answer[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
                answer[3] = (answer[3] & 0xf0) | 2;
            }
            Self::Flipped(seed) => {
                let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                for _ in 0..=seed % 4 {
                    chance ^= chance << 13;
                    chance ^= chance >> 7;
                    chance ^= chance << 17;
                    let at = 2 + (chance >> 8) as usize % (answer.len() - 2);
                    answer[at] ^= (chance as u8).max(1);
                }
            }
        }
        answer
    }
}

/// Stands before a name server, UDP only. It ends with its value.
pub(super) struct Relay {
    address: SocketAddr,
    makes: tokio::sync::watch::Sender<Makes>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub(super) async fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let address = socket.local_addr().expect("its address");
        let makes = tokio::sync::watch::Sender::new(Makes::Nothing);
        let sees = makes.subscribe();
        let task = tokio::spawn(async move {
            let socket = std::sync::Arc::new(socket);
            let mut questions = tokio::task::JoinSet::new();
            let mut buffer = vec![0; 1 << 16];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.expect("a question");
                let (question, makes) = (buffer[..length].to_vec(), *sees.borrow());
                while questions.try_join_next().is_some() {}
                let socket = socket.clone();
                questions.spawn(async move {
                    let own = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
                    own.send_to(&question, server).await.expect("a question");
                    let mut answer = vec![0; 1 << 16];
                    let Ok(length) = own.recv(&mut answer).await else { return };
                    answer.truncate(length);
                    if let Makes::Late(time) = makes {
                        tokio::time::sleep(time).await;
                    }
                    drop(socket.send_to(&makes.make(&question, answer), from).await);
                });
            }
        });
        Self { address, makes, task }
    }

    pub(super) fn resolver(&self) -> DnsResolver {
        DnsResolver::with_servers([self.address]).domain(DOMAIN)
    }

    pub(super) fn set(&self, makes: Makes) {
        self.makes.send_replace(makes);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
