//! A shard: everything one core owns, and its run loop.
//!
//! A core runs one loop (`run`): wait for sockets, other cores or time; serve what is ready; flush; again.
//! What one turn has no time for goes on in the next, with a look at the sockets in between.
//!
//! Invariants
//! - A turn ends with `finish_turn`: notices handed over, logs flushed, bells rung.
//! - A connection that has something to do stands in the list of them, once.

mod channels;
mod connection;
mod links;
mod listen;
mod outbox;
mod run;
mod secure;
mod snapshot;
mod tick;
mod turn;
mod wheel;

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use slab::Slab;
use tracing::Level;

pub use connection::{Connection, Ending};
pub use listen::{ListenerSpec, Protocol, Protocols};
pub use outbox::Outbox;
pub use run::{CoreParts, Request, run};
pub use snapshot::{ClientSnapshot, Look, ShardSnapshot};

use crate::app::Applications;
use crate::channel::Channels;
use crate::clock::{Clock, Micros};
use crate::driver::link::{LinkEvent, LinkEvents};
use crate::driver::{Activity, Context, Driver};
use crate::hub::{ConnectionId, Hub, Left};
use crate::limits::Limits;
use crate::log::Logger;
use crate::mesh::CoreIndex;
use crate::net::tls;
use crate::rt::Registry;
use crate::stats::{CoreStats, Failure};
use connection::Closing;
use secure::Secure;
use wheel::Wheel;

/// See the module.
pub struct Shard {
    core: CoreIndex,
    clock: Clock,
    hub: Hub,
    channels: Channels,
    /// What the core watches.
    registry: Registry,
    connections: Slab<Connection>,
    wheel: Wheel<ConnectionId>,
    applications: Arc<Applications>,
    protocols: Arc<Protocols>,
    limits: Arc<Limits>,
    stats: Arc<CoreStats>,
    logger: Logger,
    /// Where every socket is read into: a session takes all of it before the next one reads.
    scratch: Box<[u8]>,
    /// What its TLS connections share.
    secure: Secure,
    serial: u32,
    /// Connections that notices have changed, kept between turns for its memory.
    touched: Vec<ConnectionId>,
    /// Connections that have something to do.
    queue: Vec<ConnectionId>,
    /// Publishers that nobody watches.
    at_leisure: Vec<ConnectionId>,
    leisure_read: Micros,
    leisure_ms: u64,
    /// What connections that we opened have told.
    link_events: LinkEvents,
    /// What the last flush has left to do.
    flush_left: Left,
    busy: tick::BusyMeter,
    idle_swept: Micros,
    stopping: bool,
}

impl Shard {
    /// Takes a connection in; its socket must be watched under the id given.
    ///
    /// # Errors
    /// The limit that stands against it.
    fn admit(
        &mut self,
        listener: &ListenerSpec,
        socket: OwnedFd,
        peer: SocketAddr,
    ) -> Result<ConnectionId, Failure> {
        self.stats.accepted.add(1);
        let admitted = if self.stopping {
            Err(Failure::TooManyConnections)
        } else {
            self.limits.connect(peer.ip())
        };
        if let Err(failure) = admitted {
            self.stats.count_failure(failure);
            let why = match failure {
                Failure::TooManyFromAddress => "its address has connections_per_ip_max connections",
                _ if self.stopping => "the server is stopping",
                _ => "the server has connections_max connections",
            };
            self.logger.core(Level::WARN, format!("refused {peer}: {why}"));
            return Err(failure);
        }
        let now = self.clock.now();
        let protocol = listener.protocol;
        let tls = listener.tls.as_ref().map(|entrance| tls::Stream::new(entrance.config()));
        let tls = tls.transpose().map_err(|error| {
            self.limits.disconnect(peer.ip());
            self.logger.core(Level::ERROR, format!("refused {peer}: {error}"));
            Failure::Tls
        })?;
        self.serial = self.serial.wrapping_add(1);
        let entry = self.connections.vacant_entry();
        let id = ConnectionId { core: self.core, slot: entry.key() as u32, serial: self.serial };
        let driver = self.protocols.driver(protocol, now);
        let write_timeout_ms = self.protocols.write_timeout_ms(protocol);
        let mut connection = Connection::new(id, (socket, peer), driver, write_timeout_ms, now);
        if let Some(tls) = tls {
            connection.is_secure = true;
            connection.handshake_by = Some(self.secure.handshake_by(now));
            connection.tls = Some(Box::new(tls));
            self.stats.tls_connections.add(1);
        }
        entry.insert(connection);
        self.stats.connections.set(self.connections.len() as u64);
        self.logger.connection(Level::DEBUG, id, format!("accepted {peer}"));
        self.schedule(id);
        Ok(id)
    }

    /// Forgets a connection that is over, and closes its socket.
    fn remove(&mut self, id: ConnectionId) {
        if self.connection(id).is_none() {
            return;
        }
        let mut connection = self.connections.remove(id.slot as usize);
        if connection.driver.link_end(&Ending::Peer).is_none() {
            self.limits.disconnect(connection.peer.ip());
        }
        self.stats.tls_connections.sub(u64::from(connection.is_secure));
        self.stats.connections.set(self.connections.len() as u64);
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize).filter(|found| found.id == id)
    }

    /// Calls the driver of a connection that is not being closed, and closes it if the driver says so.
    fn with_driver(
        &mut self,
        id: ConnectionId,
        now: Micros,
        call: impl FnOnce(&mut Driver, &mut Context<'_>) -> Result<(), Ending>,
    ) {
        let Some((driver, mut context)) = self.split(id, now) else { return };
        if let Err(ending) = call(driver, &mut context) {
            self.close(id, ending, now);
        }
    }

    /// A connection's driver, and what it may use.
    fn split(&mut self, id: ConnectionId, now: Micros) -> Option<(&mut Driver, Context<'_>)> {
        let connection = self.connections.get_mut(id.slot as usize)?;
        if connection.id != id || connection.closing.is_some() {
            return None;
        }
        let context = Context {
            hub: &mut self.hub,
            applications: &self.applications,
            limits: &self.limits,
            stats: &self.stats,
            logger: &mut self.logger,
            now,
            id,
            peer: connection.peer,
            fd: connection.socket.as_raw_fd(),
            is_secure: connection.is_secure,
            delivery: connection.delivery(),
            links: &mut self.link_events,
            outbox: &mut connection.outbox,
            shared: &mut connection.shared,
        };
        Some((&mut connection.driver, context))
    }

    /// Begins the end of a connection: it leaves the hub at once, and gets the time of a write to read
    /// what is still for it.
    fn close(&mut self, id: ConnectionId, ending: Ending, now: Micros) {
        let Some((driver, mut context)) = self.split(id, now) else { return };
        let Activity { role, stream, .. } = driver.activity();
        driver.close(&mut context);
        let link_end = driver.link_end(&ending);
        let (level, text) = match &ending {
            Ending::Peer => (Level::INFO, "closed by the peer".to_owned()),
            Ending::Done(why) => (Level::INFO, format!("closed: {why}")),
            Ending::Fault(failure, why) => {
                context.stats.count_failure(*failure);
                (Level::WARN, format!("closed for {}: {why}", failure.label()))
            }
        };
        let peer = context.peer;
        let did = if role.is_empty() { String::new() } else { format!(", {role} of {stream}") };
        // What becomes of a link is said where its attempts are counted; a player of HLS comes for a
        // playlist and goes.
        let is_quiet = link_end.is_some() || (role.is_empty() && level == Level::INFO);
        let level = if is_quiet { Level::DEBUG } else { level };
        context.log(level, format!("{text} ({peer}{did})"));
        context.links.extend(link_end.map(|(link, end)| (link, LinkEvent::Ended(end))));
        let Some(connection) = self.connection(id) else { return };
        let gone = matches!(ending, Ending::Peer | Ending::Fault(Failure::Socket, _));
        let is_handshaking = connection.is_handshaking();
        // Without keys there is no way to say anything.
        if gone || is_handshaking || matches!(ending, Ending::Fault(Failure::Tls, _)) {
            connection.outbox.clear();
        }
        let until = if gone { now } else { now.after_millis(LAST_WORDS_MS) };
        connection.closing = Some(Closing { until, shut: false });
        if gone && is_handshaking {
            self.stats.count_refusal(tls::Refusal::Gone);
        }
        self.enqueue(id);
        self.schedule(id);
    }

    /// Has a connection served in the next turn.
    fn enqueue(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else { return };
        if connection.id == id && !connection.queued {
            connection.queued = true;
            self.queue.push(id);
        }
    }

    /// Puts a connection's next deadline into the wheel, unless an earlier entry is there.
    fn schedule(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else { return };
        let Some(at) = connection.deadline().filter(|_| connection.id == id) else { return };
        if connection.timer_at.is_none_or(|have| at < have) {
            connection.timer_at = Some(at);
            self.wheel.insert(at, id);
        }
    }
}

/// How long a peer may take to read the reply that ends its connection.
const LAST_WORDS_MS: u64 = 2_000;
