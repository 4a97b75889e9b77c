//! DNS servers, and one question to them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{ConnectionConfig, NameServerConfig, ResolverOpts},
    net::{
        DnsError, NetError, NoRecords,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer},
    },
    proto::{
        op::{DnsRequestOptions, DnsResponse, Query, ResponseCode},
        rr::{Name, RecordType},
    },
    system_conf,
};

use super::answer::{Answer, Chased, MOST_ALIASES, chase};
use crate::{clock, view::BoxError};

/// Where the system's servers stand.
const SYSTEM: &str = "/etc/resolv.conf";

/// How long it may take to read that.
const PATIENCE: Duration = Duration::from_secs(5);

/// The servers of the system.
pub(super) async fn of_system() -> Result<Vec<SocketAddr>, BoxError> {
    let reading = clock::spawn_blocking(|| std::fs::read(SYSTEM));
    let text = clock::within(PATIENCE, reading)
        .await
        .ok_or_else(|| format!("{SYSTEM} is not read within {PATIENCE:?}"))?;
    let text = text?.map_err(|error| format!("{SYSTEM} cannot be read: {error}"))?;
    servers_in(&text).map_err(|error| format!("{SYSTEM}: {error}").into())
}

fn servers_in(text: &[u8]) -> Result<Vec<SocketAddr>, NetError> {
    let (config, _) = system_conf::parse_resolv_conf(text)?;
    let ports =
        |server: &NameServerConfig| Some(SocketAddr::new(server.ip, server.connections.first()?.port));
    Ok(config.name_servers().iter().filter_map(ports).collect())
}

/// Servers that know the same.
pub(super) struct Servers {
    servers: Vec<Server>,
    patience: Duration,
    /// The one that answered last.
    preferred: AtomicUsize,
}

struct Server {
    address: SocketAddr,
    /// Asks over UDP, and over TCP when the answer does not fit.
    handle: NameServerPool<TokioRuntimeProvider>,
}

impl Servers {
    pub(super) fn new(
        addresses: Vec<SocketAddr>,
        patience: Duration,
        preferred: usize,
    ) -> Result<Self, BoxError> {
        if addresses.is_empty() {
            return Err("there is no DNS server to ask".into());
        }
        // Whoever asks is no more patient, and says who was silent.
        let timeout = patience + Duration::from_millis(100);
        let server = |address: SocketAddr| {
            let mut options = ResolverOpts::default();
            (options.timeout, options.num_concurrent_reqs) = (timeout, 1);
            let context = PoolContext::new(options, TlsConfig::new()?);
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            let config = NameServerConfig::new(address.ip(), true, connections.into());
            let provider = TokioRuntimeProvider::default();
            let handle = NameServerPool::from_config([config], Arc::new(context), provider);
            Ok::<_, NetError>(Server { address, handle })
        };
        let servers = addresses.into_iter().map(server).collect::<Result<_, _>>()?;
        Ok(Self { servers, patience, preferred: AtomicUsize::new(preferred) })
    }

    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The records of a name, through its aliases. No records are an answer, too.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Answer, BoxError> {
        let (mut at, mut ttl) = (name.clone(), u32::MAX);
        for _ in 0..MOST_ALIASES {
            let response = match self.ask_any(&at, kind).await? {
                Ok(response) => response,
                Err(seconds) => return Ok(Answer { ttl: ttl.min(seconds), ..Answer::default() }),
            };
            match chase(&response.answers, &at, kind) {
                Chased::Found(records, seconds) => {
                    let additional = response.into_message().additionals;
                    return Ok(Answer { records, additional, ttl: ttl.min(seconds) });
                }
                Chased::Alias(next, seconds) => (at, ttl) = (next, ttl.min(seconds)),
                Chased::Nothing => {
                    return Err(
                        format!("the answer for {at} ({kind}) has records of other names only").into()
                    );
                }
            }
        }
        Err(format!("{name} has more than {MOST_ALIASES} aliases").into())
    }

    /// The answer of the first server that gives one, or for how many seconds there is nothing.
    async fn ask_any(&self, name: &Name, kind: RecordType) -> Result<Result<DnsResponse, u32>, BoxError> {
        let mut reasons = Vec::new();
        let preferred = self.preferred();
        for place in (0..self.servers.len()).map(|place| (preferred + place) % self.servers.len()) {
            let server = &self.servers[place];
            let mut options = DnsRequestOptions::default();
            options.use_edns = true;
            let asked = server.handle.lookup(Query::query(name.clone(), kind), options).first_answer();
            let reason = match clock::within(self.patience, asked).await {
                Some(answer) => match judge(answer) {
                    Ok(answer) => {
                        self.preferred.store(place, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(reason) => reason,
                },
                None => format!("it gave no answer within {:?}", self.patience),
            };
            reasons.push(format!("{}: {reason}", server.address));
        }
        Err(format!("the records of {name} ({kind}) are not known: {}", reasons.join("; ")).into())
    }
}

/// The answer, or for how many seconds there is nothing; else why that is no answer.
fn judge(answer: Result<DnsResponse, NetError>) -> Result<Result<DnsResponse, u32>, String> {
    match answer {
        Ok(response) => match response.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(Ok(response)),
            code => Err(format!("it answers {code}")),
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { soa: None, ns: Some(_), .. }))) => {
            Err("it refers to other servers; ask one that answers by itself".to_owned())
        }
        // Without the authority's word for it nobody may rely on it for long.
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Ok(Err(none.negative_ttl.unwrap_or(0))),
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(format!("it answers {code}")),
        Err(NetError::Timeout) => Err("it gave no answer in time".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_a_system_are_read_and_none_is_an_error() {
        let servers = servers_in(b"search example\nnameserver 127.0.0.53\nnameserver ::1\n").unwrap();
        assert_eq!(servers, ["127.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert!(servers_in(b"search example\n").is_err());
        assert!(Servers::new(Vec::new(), Duration::from_secs(1), 0).is_err());
    }
}
