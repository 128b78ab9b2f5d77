//! The loop of a core.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use corelay_config::Idle;
use rtrb::Consumer;
use slab::Slab;
use tokio::sync::oneshot;
use tracing::Level;

use super::links::Links;
use super::secure::Secure;
use super::turn::Next;
use super::wheel::Wheel;
use super::{Ending, ListenerSpec, Look, Protocols, Shard, ShardSnapshot, tick};
use crate::app::Applications;
use crate::channel::{CHANNEL_BIT, Channels};
use crate::clock::{Clock, Micros};
use crate::control::{Resolved, Resolver};
use crate::hub::{ConnectionId, Control, Hub, HubParts, Inbox, Left, Media};
use crate::limits::Limits;
use crate::log::Logger;
use crate::mesh::{CoreIndex, Port};
use crate::net;
use crate::rt::{self, Doorbell, Poller, Ready, Watch};
use crate::stats::{CoreStats, Failure};

/// What the control thread asks of a core.
pub enum Request {
    /// What the core holds, for the API.
    Snapshot {
        /// How much of it.
        look: Look,
        /// Where the answer goes.
        answer: oneshot::Sender<ShardSnapshot>,
    },
    /// The answer to a question of the core's resolver.
    Resolved(Resolved),
    /// Send everybody home, and end within this many milliseconds.
    Stop {
        /// The deadline.
        deadline_ms: u64,
    },
}

/// What a core is made of. Everything in it may be moved to the core's thread.
pub struct CoreParts {
    /// Its line to the other cores.
    pub mesh: Port<Control, Media>,
    /// How many cores there are.
    pub cores: usize,
    /// Its doorbell.
    pub bell: Doorbell,
    /// Requests of the control thread.
    pub requests: Consumer<Request>,
    /// Resolves names for it.
    pub resolver: Resolver,
    /// The server's clock.
    pub clock: Clock,
    /// The settings.
    pub config: Arc<corelay_config::Config>,
    /// The memory ceiling that all cores share.
    pub budget: Arc<crate::hub::Budget>,
    /// Who may do what.
    pub applications: Arc<Applications>,
    /// What protocols need of the settings.
    pub protocols: Arc<Protocols>,
    /// The limits that all cores share.
    pub limits: Arc<Limits>,
    /// The core's counters.
    pub stats: Arc<CoreStats>,
    /// The log.
    pub logger: Logger,
    /// The sockets it accepts on.
    pub listeners: Vec<ListenerSpec>,
    /// Established TLS connections go to the kernel.
    pub kernel_tls: bool,
}

/// Runs a core until it is asked to stop.
pub async fn run(parts: CoreParts) {
    match watch(&parts) {
        Ok(poller) => Core::new(parts, poller).run().await,
        Err(error) => {
            let mut logger = parts.logger;
            logger.core(Level::ERROR, format!("the core cannot watch its sockets: {error}"));
        }
    }
}

/// Watches what a core has from its birth.
fn watch(parts: &CoreParts) -> std::io::Result<Poller> {
    let poller = Poller::new()?;
    poller.registry().add(parts.bell.fd(), Token::Doorbell.encode(), Watch::Doorbell)?;
    watch_listeners(&poller, &parts.listeners)?;
    Ok(poller)
}

fn watch_listeners(poller: &Poller, listeners: &[ListenerSpec]) -> std::io::Result<()> {
    for (index, listener) in listeners.iter().enumerate() {
        let token = Token::Listener(index).encode();
        poller.registry().add(listener.socket.as_raw_fd(), token, Watch::Listener)?;
    }
    Ok(())
}

/// A core: its shard, and what the shard is driven by.
pub(super) struct Core {
    pub(super) shard: Shard,
    pub(super) links: Links,
    pub(super) poller: Poller,
    ready: Vec<Ready>,
    bell: Doorbell,
    requests: Consumer<Request>,
    inbox: Inbox,
    listeners: Vec<ListenerSpec>,
    pub(super) tcp: net::TcpOptions,
    /// How long an idle core looks for work before it sleeps.
    spin_us: u64,
    /// Time spent so.
    spun_us: u64,
    /// It is to run before everything else on its CPU.
    is_realtime: bool,
    /// Listeners rest until then: the process is out of descriptors.
    accept_again: Option<Micros>,
    /// When the core ends at the latest, once it has been asked to.
    stop_by: Option<Micros>,
}

impl Core {
    fn new(parts: CoreParts, poller: Poller) -> Self {
        let now = parts.clock.now();
        let hub = Hub::new(HubParts {
            mesh: parts.mesh,
            clock: parts.clock,
            config: Arc::clone(&parts.config),
            budget: parts.budget,
            stats: Arc::clone(&parts.stats),
            hls_key: parts.protocols.hls_key(),
        });
        let (core, config) = (hub.core(), Arc::clone(&parts.config));
        let shard = Shard {
            channels: Channels::new(core, parts.cores, config),
            registry: poller.registry().clone(),
            core,
            clock: parts.clock,
            hub,
            connections: Slab::new(),
            wheel: Wheel::new(now),
            applications: parts.applications,
            protocols: parts.protocols,
            limits: parts.limits,
            stats: parts.stats,
            logger: parts.logger,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            secure: Secure::new(&parts.config.tls, parts.kernel_tls),
            serial: 0,
            touched: Vec::new(),
            queue: Vec::new(),
            link_events: Vec::new(),
            at_leisure: Vec::new(),
            leisure_read: now,
            leisure_ms: parts.config.cores.unwatched_read_ms,
            flush_left: Left::Nothing,
            busy: tick::BusyMeter::default(),
            idle_swept: now,
            stopping: false,
        };
        shard.stats.tls_kernel.set(u64::from(parts.kernel_tls));
        let cores = &parts.config.cores;
        let links = Links::new(&parts.config, parts.resolver);
        Self {
            shard,
            links,
            poller,
            ready: Vec::new(),
            bell: parts.bell,
            requests: parts.requests,
            inbox: Inbox::default(),
            listeners: parts.listeners,
            tcp: net::TcpOptions::from_config(&parts.config.tcp),
            spin_us: if cores.idle == Idle::Spin { cores.spin_us } else { 0 },
            spun_us: 0,
            is_realtime: cores.realtime,
            accept_again: None,
            stop_by: None,
        }
    }

    async fn run(&mut self) {
        rt::set_precise_timers();
        if self.is_realtime
            && let Err(error) = rt::set_realtime()
        {
            let remedy = "give it CAP_SYS_NICE or LimitRTPRIO=1, or set cores.realtime to false";
            let line = format!("no real-time priority: {error}; {remedy}");
            self.shard.logger.core(Level::WARN, line);
        }
        let mut tick_at = self.shard.clock.now();
        self.shard.start_channels(tick_at);
        while !self.is_over() {
            self.wait(tick_at);
            let now = self.shard.clock.now();
            self.collect(now);
            self.shard.serve_queue(now);
            self.shard.hub.receive(now, &mut self.inbox);
            self.shard.run_channels(now);
            self.handle_requests(now);
            let is_tick = now >= tick_at;
            if is_tick {
                self.shard.tick(now, self.spun_us);
                self.accept_again(now);
                tick_at = Micros(now.0 + TICK_US);
            }
            self.serve_links(now, is_tick);
            self.shard.finish_turn(now);
            if is_tick {
                rt::let_io_in().await;
            }
        }
    }

    /// Waits until a socket is ready, another core rings, a flush is due, or it is time for the tick.
    fn wait(&mut self, tick_at: Micros) {
        let until = match self.shard.next_turn() {
            Next::Now => Micros(0),
            Next::At(due) => due.min(tick_at),
            Next::Tick => tick_at,
        };
        let now = self.shard.clock.now();
        if until <= now {
            self.poller.wait(Duration::ZERO);
            return;
        }
        if self.spin_us > 0 && self.spin(now, until) {
            return;
        }
        self.bell.about_to_sleep();
        let has_work = self.shard.hub.has_input() || !self.requests.is_empty();
        let left_us = if has_work { 0 } else { until.since(self.shard.clock.now()) };
        self.poller.wait(Duration::from_micros(left_us));
        self.bell.awake();
    }

    /// Looks for work without sleeping. True when there is some.
    fn spin(&mut self, from: Micros, until: Micros) -> bool {
        let until = until.min(Micros(from.0 + self.spin_us));
        let mut now = from;
        let mut found = false;
        while now < until && !found {
            found = self.poller.wait(Duration::ZERO)
                || self.shard.hub.has_input()
                || !self.requests.is_empty();
            now = self.shard.clock.now();
        }
        self.spun_us += now.since(from);
        found
    }

    /// Tells the shard what is ready, and accepts connections.
    fn collect(&mut self, now: Micros) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.extend(self.poller.ready());
        for one in ready.drain(..) {
            match Token::decode(one.token, self.shard.core) {
                Token::Connection(id) => self.shard.note_ready(id, one, now),
                Token::Listener(index) => self.accept(index, now),
                Token::Input(slot, input) => self.shard.receive(slot, input, now),
                Token::Doorbell => {}
            }
        }
        self.ready = ready;
    }

    /// Accepts what waits, as far as one turn may.
    fn accept(&mut self, index: usize, now: Micros) {
        let Self { listeners, tcp, shard, poller, .. } = self;
        let Some(listener) = listeners.get(index) else { return };
        for _ in 0..listener.accept_burst.max(1) {
            match net::accept(&listener.socket, tcp) {
                Ok(Some((socket, peer))) => {
                    let fd = socket.as_raw_fd();
                    let Ok(id) = shard.admit(listener, socket, peer) else { continue };
                    if let Err(error) =
                        poller.registry().add(fd, Token::Connection(id).encode(), Watch::Connection)
                    {
                        shard.close(id, Ending::Fault(Failure::Socket, error.to_string()), now);
                    }
                }
                Ok(None) => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Out of descriptors or memory: the queue stays, so a short rest is all there is
                    // to do.
                    shard.logger.core(Level::WARN, format!("cannot accept: {error}"));
                    self.accept_again = Some(now.after_millis(ACCEPT_REST_MS));
                    return self.forget_listeners();
                }
            }
        }
    }

    fn forget_listeners(&self) {
        self.listeners.iter().for_each(|one| self.poller.registry().remove(one.socket.as_raw_fd()));
    }

    /// Listens again after a rest.
    fn accept_again(&mut self, now: Micros) {
        if self.stop_by.is_none() && self.accept_again.is_some_and(|at| at <= now) {
            let again = watch_listeners(&self.poller, &self.listeners);
            self.accept_again = again.err().map(|_| now.after_millis(ACCEPT_REST_MS));
        }
    }

    /// Answers the control thread.
    fn handle_requests(&mut self, now: Micros) {
        while let Ok(request) = self.requests.pop() {
            match request {
                Request::Snapshot { look, answer } => {
                    // A caller that has gone away needs no answer.
                    let _ = answer.send(self.shard.snapshot(look));
                }
                Request::Resolved(resolved) => self.links.resolved(resolved, now, &mut self.shard),
                Request::Stop { deadline_ms } => {
                    let by = now.after_millis(deadline_ms);
                    match self.stop_by {
                        Some(earlier) => self.stop_by = Some(earlier.min(by)),
                        None => {
                            self.stop_by = Some(by);
                            self.forget_listeners();
                            self.links.clear();
                            self.shard.begin_stop(now);
                        }
                    }
                }
            }
        }
    }

    /// True when everybody has gone home, or had the time to.
    fn is_over(&self) -> bool {
        let gone = self.shard.connections.is_empty() && !self.shard.hub.has_input();
        self.stop_by.is_some_and(|by| gone || self.shard.clock.now() >= by)
    }
}

impl Shard {
    fn begin_stop(&mut self, now: Micros) {
        self.stopping = true;
        self.end_channels(now);
        self.hub.begin_stop(now);
        self.finish_turn(now);
        let ids: Vec<ConnectionId> = self.connections.iter().map(|(_, found)| found.id).collect();
        for id in ids {
            self.close(id, Ending::Done("the server is stopping".to_owned()), now);
        }
    }
}

/// What a watched descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Connection(ConnectionId),
    /// An input of a channel: the channel's slot, and which one.
    Input(u32, usize),
    Listener(usize),
    Doorbell,
}

impl Token {
    pub(super) fn encode(self) -> u64 {
        let (slot, number) = match self {
            Self::Connection(id) => (id.slot, id.serial),
            Self::Input(slot, input) => (slot, input as u32),
            Self::Listener(index) => (LISTENER_SLOT, index as u32),
            Self::Doorbell => (DOORBELL_SLOT, 0),
        };
        u64::from(slot) << 32 | u64::from(number)
    }

    fn decode(token: u64, core: CoreIndex) -> Self {
        let (slot, number) = ((token >> 32) as u32, token as u32);
        match slot {
            LISTENER_SLOT => Self::Listener(number as usize),
            DOORBELL_SLOT => Self::Doorbell,
            _ if slot & CHANNEL_BIT != 0 => Self::Input(slot, number as usize),
            _ => Self::Connection(ConnectionId { core, slot, serial: number }),
        }
    }
}

/// Slots that no connection has.
const LISTENER_SLOT: u32 = u32::MAX;
const DOORBELL_SLOT: u32 = u32::MAX - 1;
/// The read buffer of a core: large enough that a fast publisher is read in few calls.
const SCRATCH_BYTES: usize = 128 << 10;
/// The tick: timeouts and the busy share are coarser, and flushes have times of their own.
const TICK_US: u64 = 25_000;
const ACCEPT_REST_MS: u64 = 50;
