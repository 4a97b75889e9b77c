//! What the tests need of a server: its process with its log, a free port, folders, and a proxy before it that can be cut,
//! paused, slowed and made to forget connections.

use std::{
    env,
    fmt::Display,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    pin::pin,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Where this program is: what the variable says, or else the first of this name in the folders of programs. `None` is told
/// loudly, and is an error where the tests must have their backends (`ACTOR_BACKENDS=required`).
pub fn program(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Some(path.into());
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&folders).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("the program {name} is not installed, and {variable} does not say where it is"));
    }
    found
}

/// Says that a test was not run.
pub fn skip(reason: &str) {
    let required = env::var("ACTOR_BACKENDS").is_ok_and(|value| value == "required");
    assert!(!required, "ACTOR_BACKENDS=required, and {reason}");
    eprintln!("!!!! SKIPPED: {reason} !!!!");
}

/// `short`, or `long` when `ACTOR_LONG=1`.
pub fn short_or_long(short: Duration, long: Duration) -> Duration {
    if env::var("ACTOR_LONG").is_ok_and(|value| value == "1") { long } else { short }
}

/// A port of 127.0.0.1 that nobody listens at, and that no other test of this program gets. It is none of those that the system
/// gives to connections (from 32768 on), which would take it before the server does.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let own = std::process::id().wrapping_mul(101);
    let mut numbers = (0..PORTS).map(|_| {
        let number = own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(FIRST + number % PORTS).expect("a port")
    });
    let is_free = |port: &u16| {
        let at = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
    };
    numbers.find(is_free).expect("a port")
}

/// Asks again until the answer is yes; that is at most 30 seconds.
///
/// # Panics
/// If the answer stays no.
pub async fn until(what: &str, ask: impl AsyncFnMut() -> bool) {
    until_within(Duration::from_secs(30), what, ask).await;
}

/// As [`until`], with the time; gives how long it took.
pub async fn until_within(time: Duration, what: &str, mut ask: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    let asked = async {
        while !ask().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(time, asked).await.is_ok(), "not within {time:?}: {what}");
    began.elapsed()
}

/// The program of an example of this crate, which stands beside the tests'.
pub fn example(name: &str) -> PathBuf {
    let own = env::current_exe().expect("the path of this program");
    let folder = own.parent().and_then(Path::parent).expect("the folder of the profile");
    folder.join("examples").join(name)
}

/// A folder that ends with its value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The process of a server. It ends with its value; when the test fails, the end of its log is shown.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it; what it prints goes to this file.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let to = File::options().create(true).append(true).open(log).expect("a log");
        let errors = to.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(to).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Self { child, log: log.to_owned() }
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// It does nothing from now on, and its connections stay.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        drop(self.child.wait());
    }

    /// Ends it.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let done = Command::new("sh").args(["-c", &command]).status().expect("a shell");
        assert!(done.success(), "{command}: {done}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(40);
            let end: Vec<_> = log.lines().skip(from).collect();
            eprintln!("---- the end of {} ----\n{}\n----", self.log.display(), end.join("\n"));
        }
    }
}

/// What a [`Proxy`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// All goes through.
    #[default]
    Fair,
    /// Connections are ended, those that come too.
    Cut,
    /// Nothing goes through, and connections stay.
    Paused,
    /// What comes goes through this much later.
    Slow(Duration),
}

/// Stands between a client and a server. It ends with its value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Connections over which a client has said this let nothing through any more.
    forgotten: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn new(server: impl Display) -> Self {
        let server = server.to_string();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (weather, forgotten) = (watch::Sender::new(Weather::Fair), watch::Sender::new(None));
        let (sees, forgets) = (weather.clone(), forgotten.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                while connections.try_join_next().is_some() {}
                let connection = Connection { weather: sees.subscribe(), forgotten: forgets.subscribe() };
                connections.spawn(connection.run(client, server.clone()));
            }
        });
        Self { address, weather, forgotten, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The connections that there are, and over which a client has said this, stay open, and nothing goes through them any
    /// more. The others and new ones are as ever.
    pub fn forget(&self, said: &str) {
        self.forgotten.send_replace(Some(said.to_owned()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    weather: watch::Receiver<Weather>,
    forgotten: watch::Receiver<Option<String>>,
}

impl Connection {
    async fn run(self, client: TcpStream, server: String) {
        let Self { weather, mut forgotten } = self;
        forgotten.borrow_and_update();
        let mut cut = weather.clone();
        let (said, said_there) = (watch::Sender::new(String::new()), watch::Sender::new(String::new()));
        let forward = async {
            let Ok(server) = TcpStream::connect(server).await else { return };
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let there = copy(from_client, to_server, weather.clone(), &said);
            let back = copy(from_server, to_client, weather.clone(), &said_there);
            tokio::join!(there, back);
        };
        let is_forgotten = async {
            while forgotten.changed().await.is_ok() {
                let needle = forgotten.borrow_and_update().clone().unwrap_or_default();
                if said.borrow().contains(&needle) {
                    return;
                }
            }
        };
        let mut forward = pin!(forward);
        tokio::select! {
            biased;
            () = is_forgotten => {}
            () = &mut forward => return,
            _ = cut.wait_for(|weather| *weather == Weather::Cut) => return,
        }
        // The connections live in `forward`, which is not asked any more.
        drop(cut.wait_for(|weather| *weather == Weather::Cut).await);
    }
}

/// Passes on what comes, and keeps what has been said.
async fn copy(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    said: &watch::Sender<String>,
) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut piece).await.unwrap_or(0);
        said.send_modify(|said| {
            if said.len() < 1 << 20 {
                said.push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        let passes = weather.wait_for(|weather| *weather != Weather::Paused).await.map(|weather| *weather);
        if let Ok(Weather::Slow(time)) = passes {
            sleep(time).await;
        }
        if length == 0 || to.write_all(&piece[..length]).await.is_err() {
            return drop(to.shutdown().await);
        }
    }
}
