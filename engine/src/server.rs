//! A server: its cores, its listeners, its control thread.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use corelay_config::{Config, Listener};

use crate::app::{Application, Applications};
use crate::clock::Clock;
use crate::control::{Control, CoreLink, Stop, resolvers};
use crate::hub::Budget;
use crate::limits::Limits;
use crate::log;
use crate::mesh::{self, Depths};
use crate::net::tls::{self, Acceptors, Entrance, LoadError};
use crate::net::{self, ListenError, TcpOptions};
use crate::preflight::{self, Unfit};
use crate::rt::{self, CoreHandle, CoreSpec, Doorbell};
use crate::shard::{CoreParts, ListenerSpec, Protocol, Protocols, run};
use crate::stats::CoreStats;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine cannot run it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It cannot listen where it should.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] LoadError),
    /// The operating system refused something else.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
    /// The key of HLS segments cannot be used.
    #[error(
        "cannot use the file {path} as hls.key: {why}; it must hold 16 bytes, as written by `head -c 16 /dev/urandom`"
    )]
    HlsKey {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A core's executor did not start.
    #[error("cannot start core {core} on CPU {cpu}: {why}")]
    Core {
        /// The core.
        core: usize,
        /// Its CPU.
        cpu: usize,
        /// What the reactor says.
        why: String,
    },
}

/// Puts a server together.
///
/// ```no_run
/// let config = corelay_config::Config::shipped();
/// let server = corelay::Server::builder(config).start()?;
/// server.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ServerBuilder {
    config: Config,
    applications: HashMap<String, Arc<dyn Application>>,
}

/// A running server.
pub struct Server {
    control: Control,
    cores: Vec<CoreHandle>,
    listening: Vec<(&'static str, SocketAddr)>,
}

impl Server {
    /// Begins to put a server together.
    pub fn builder(config: Config) -> ServerBuilder {
        ServerBuilder { config, applications: HashMap::new() }
    }

    /// What is listened on: protocol and address, with the ports that the kernel chose.
    pub fn listening(&self) -> &[(&'static str, SocketAddr)] {
        &self.listening
    }

    /// A handle that stops the server from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.control.stop_handle()
    }

    /// Runs the control plane on this thread until the server is stopped, by a signal or by its handle.
    ///
    /// # Errors
    /// A core died.
    pub fn run(self) -> Result<(), String> {
        self.control.run()?;
        self.cores.into_iter().try_for_each(CoreHandle::join)
    }
}

impl ServerBuilder {
    /// Gives an application code of its own.
    #[must_use]
    pub fn application(mut self, name: &str, application: Arc<dyn Application>) -> Self {
        self.applications.insert(name.to_owned(), application);
        self
    }

    /// Checks the machine, opens the listeners, starts the cores.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start(self) -> Result<Server, StartError> {
        let cpus = preflight::data_cpus(&self.config)?;
        preflight::check_host()?;
        for warning in preflight::warnings(&self.config) {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(self.config);
        let acceptors = Arc::new(Acceptors::load(&config)?);
        let kernel_tls = config.uses_tls() && uses_kernel(config.tls.kernel);
        let mut sockets = Listeners::open(&config, &acceptors, cpus.len())?;
        let admin = config.admin.listen.map(open_admin).transpose()?;
        let clock = Clock::start();
        let bells = cpus.iter().map(|_| Doorbell::new()).collect::<io::Result<Vec<_>>>()?;
        let depths = Depths {
            control_slots: config.cores.ring_control_slots,
            media_slots: config.cores.ring_media_slots,
        };
        let budget = Budget::new(config.memory.logs_bytes_max as u64);
        let applications = Arc::new(Applications::new(self.applications));
        let protocols = Arc::new(Protocols::new(&config, hls_key(&config)?));
        let limits = Arc::new(Limits::new(&config.limits));
        let (mut cores, mut links) = (Vec::new(), Vec::new());
        let (resolvers, questions) = resolvers(bells.len());
        for (index, mesh) in mesh::connect(&bells, depths).into_iter().enumerate() {
            let stats = Arc::new(CoreStats::default());
            let (logger, drain) = log::ring(Arc::clone(&stats));
            let (requests_in, requests) = rtrb::RingBuffer::new(REQUESTS);
            let parts = CoreParts {
                mesh,
                cores: cpus.len(),
                bell: bells[index].clone(),
                requests,
                resolver: resolvers[index].clone(),
                clock,
                config: Arc::clone(&config),
                budget: Arc::clone(&budget),
                applications: Arc::clone(&applications),
                protocols: Arc::clone(&protocols),
                limits: Arc::clone(&limits),
                stats: Arc::clone(&stats),
                logger,
                listeners: sockets.take(index),
                kernel_tls,
            };
            links.push(CoreLink::new(requests_in, bells[index].clone(), stats, drain));
            match start_core(index, cpus[index], parts) {
                Ok(core) => cores.push(core),
                Err(error) => {
                    links.iter_mut().for_each(CoreLink::stop_now);
                    // They serve nobody yet; how they end changes nothing about why we do.
                    cores.into_iter().for_each(|core| drop(core.join()));
                    return Err(error);
                }
            }
        }
        let mut listening = sockets.addresses;
        let name = if config.admin.tls.is_some() { "admin-https" } else { "admin" };
        listening.extend(admin.as_ref().map(|(_, address)| (name, *address)));
        let admin = admin.map(|(listener, _)| listener);
        let control = Control::new(config, links, budget, admin, acceptors, questions);
        Ok(Server { control, cores, listening })
    }
}

fn hls_key(config: &Config) -> Result<Option<[u8; 16]>, StartError> {
    let Some(path) = &config.hls.key else { return Ok(None) };
    let blame = |why: String| StartError::HlsKey { path: path.display().to_string(), why };
    let bytes = std::fs::read(path).map_err(|error| blame(error.to_string()))?;
    let key = bytes.as_slice().try_into();
    key.map(Some).map_err(|_| blame(format!("it holds {} bytes", bytes.len())))
}

/// The listening sockets of all cores.
struct Listeners {
    of_core: Vec<Vec<ListenerSpec>>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Listeners {
    fn open(config: &Config, acceptors: &Acceptors, cores: usize) -> Result<Self, ListenError> {
        let mut all = Self { of_core: (0..cores).map(|_| Vec::new()).collect(), addresses: vec![] };
        let tcp = TcpOptions::from_config(&config.tcp);
        let lists = [
            ("rtmp.listen", Protocol::Rtmp, &config.rtmp.listen),
            ("http.listen", Protocol::Http, &config.http.listen),
            ("iptv.udpxy.listen", Protocol::Http, &config.iptv.udpxy.listen),
            ("ts.listen", Protocol::Ts, &config.ts.listen),
        ];
        for (list, protocol, listeners) in lists {
            for (index, listener) in listeners.iter().enumerate() {
                let key = format!("{list}[{index}]");
                let entrance = |own| acceptors.entrance(&key, own, protocol.spoken());
                let tls = listener.tls.as_ref().map(entrance);
                all.add((protocol, tls), listener, config.tcp.accept_burst, &tcp)?;
            }
        }
        Ok(all)
    }

    fn add(
        &mut self,
        (protocol, tls): (Protocol, Option<Entrance>),
        listener: &Listener,
        accept_burst: usize,
        tcp: &TcpOptions,
    ) -> Result<(), ListenError> {
        let cores = match listener.cores.as_slice() {
            [] => (0..self.of_core.len()).collect(),
            some => some.to_vec(),
        };
        let bound = match net::bind(listener.address, cores.len(), tcp) {
            Ok(bound) => bound,
            // A machine without IPv6 can still run the shipped configuration.
            Err(ListenError::NoFamily(_)) if listener.address == any_v6(listener.address) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let name = if tls.is_some() { protocol.secure_name() } else { protocol.name() };
        self.addresses.push((name, bound.address));
        for (core, socket) in cores.into_iter().zip(bound.sockets) {
            let tls = tls.clone();
            self.of_core[core].push(ListenerSpec { protocol, socket, tls, accept_burst });
        }
        Ok(())
    }

    fn take(&mut self, core: usize) -> Vec<ListenerSpec> {
        std::mem::take(&mut self.of_core[core])
    }
}

fn any_v6(like: SocketAddr) -> SocketAddr {
    SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), like.port())
}

/// Looks whether the kernel can encrypt, and says what comes of it.
fn uses_kernel(is_wanted: bool) -> bool {
    match tls::kernel::probe() {
        Ok(()) if is_wanted => tracing::info!("TLS is encrypted by the kernel (tls.kernel)"),
        Ok(()) => tracing::info!("the kernel could encrypt TLS (tls.kernel = true)"),
        Err(error) if is_wanted => {
            tracing::warn!("the kernel does not encrypt TLS, so we do: {error}");
            return false;
        }
        Err(error) => tracing::debug!("the kernel does not encrypt TLS: {error}"),
    }
    is_wanted
}

/// The admin listener has no SO_REUSEPORT: a second instance is refused by the kernel.
fn open_admin(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), ListenError> {
    let blame = |error: io::Error| ListenError::from_io(address, error);
    let listener = std::net::TcpListener::bind(address).map_err(blame)?;
    listener.set_nonblocking(true).map_err(blame)?;
    let address = listener.local_addr().map_err(blame)?;
    Ok((listener, address))
}

fn start_core(core: usize, cpu: usize, parts: CoreParts) -> Result<CoreHandle, StartError> {
    let spec = CoreSpec { name: format!("core-{core}"), cpu };
    rt::spawn_core(spec, move || run(parts)).map_err(|why| StartError::Core { core, cpu, why })
}

/// Requests of the control thread that wait for one core; it asks for few at a time.
const REQUESTS: usize = 64;
