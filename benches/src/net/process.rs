//! The processes of a measurement: the server that a client starts, what either uses, and their end.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use tokio::sync::oneshot;

use super::{
    SERVE,
    arguments::PeerName,
    peers::{Peer, with_peer},
    trust::Identity,
};

/// A server has this long to end by itself once it is told to.
const GRACE: Duration = Duration::from_secs(2);

/// A server in a process of its own, which ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program once more, tells it who it is, and waits until it says where it listens.
    pub(crate) fn start(peer: PeerName, identity: &Identity, place: Option<Place>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args([SERVE, &peer.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Self { child: command.spawn()?, address: (Ipv4Addr::LOCALHOST, 0).into() };
        if let Some(place) = place {
            // Before it knows who it is it has no threads, and those that it makes are where it is.
            place.pin(Pid::from_child(&server.child).into())?;
        }
        identity.write(server.child.stdin.as_mut().expect("it is piped"))?;
        let mut line = String::new();
        BufReader::new(server.child.stdout.take().expect("it is piped")).read_line(&mut line)?;
        let port = line.trim_end().parse().map_err(|_| io::Error::other("the server did not start"))?;
        server.address.set_port(port);
        Ok(server)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = wait(&mut self.child, GRACE) {
            eprintln!("the server did not end by itself: {error}");
        }
    }
}

/// Waits for the process to end, and ends it when the time is over. True if it ended well.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The server's process: reads who it is, says its port, and lives until its standard input closes.
pub(crate) fn serve(peer: PeerName) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let identity = Identity::read(&mut input)?;
    drop(input);
    with_peer!(peer, serve_peer(identity))
}

fn serve_peer<P: Peer>(identity: Identity) -> io::Result<()> {
    let (end, ended) = oneshot::channel();
    thread::spawn(move || {
        // Nothing more is said, so either result is the end.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = end.send(());
    });
    let places = P::places()?;
    let on = places.handles();
    places.run(async move {
        let address = P::serve(on, identity).await?;
        let mut output = io::stdout();
        writeln!(output, "{}", address.port())?;
        output.flush()?;
        let _ = ended.await;
        Ok(())
    })
}

/// Time on a processor of all threads of a process that live, exact but for the tick that is under way.
pub(crate) fn cpu_time(process: u32) -> io::Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += line.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

/// A processor for a process alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The first of those that it has.
    First,
    Last,
}

impl Place {
    /// Leaves one processor to a process, else this one, and to the threads that it starts.
    pub(crate) fn pin(self, process: Option<Pid>) -> io::Result<()> {
        let allowed = sched_getaffinity(process)?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let cpu = match self {
            Self::First => allowed.next(),
            Self::Last => allowed.next_back(),
        };
        let mut one = CpuSet::new();
        one.set(cpu.ok_or_else(|| io::Error::other("no processor"))?);
        Ok(sched_setaffinity(process, &one)?)
    }
}
