//! The links of a core: when each connects, and the connection it has.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use corelay_config::Config;

use super::connection::Connection;
use super::run::{Core, Token};
use super::{Ending, Shard};
use crate::channel::LinkRequest;
use crate::clock::Micros;
use crate::control::{Resolved, Resolver};
use crate::driver::Driver;
use crate::driver::link::{Dial, Dialer, LinkEnd, LinkEvent, LinkId, LinkKind, LinkSettings};
use crate::hub::ConnectionId;
use crate::net::{self, Backoff};
use crate::rt::Watch;
use crate::stats::Failure;

/// See the module.
pub(super) struct Links {
    links: BTreeMap<LinkId, Link>,
    settings: LinkSettings,
    resolver: Resolver,
    /// Shortest and longest pause before a connection is tried again.
    retry_ms: (u64, u64),
    seeds: RandomState,
    connections: u64,
}

struct Link {
    dialer: Dialer,
    connection: Option<ConnectionId>,
}

impl Links {
    pub(super) fn new(config: &Config, resolver: Resolver) -> Self {
        Self {
            links: BTreeMap::new(),
            settings: LinkSettings::from_config(config),
            resolver,
            retry_ms: (config.iptv.retry_min_ms, config.iptv.retry_max_ms),
            seeds: RandomState::new(),
            connections: 0,
        }
    }

    fn open(&mut self, id: LinkId, kind: LinkKind, now: Micros) {
        let (min_ms, max_ms) = self.retry_ms;
        let backoff = Backoff::new(min_ms, max_ms, self.seeds.hash_one(id));
        self.links.insert(id, Link { dialer: Dialer::new(kind, backoff, now), connection: None });
    }

    /// Closes a link, and its connection if it has one.
    fn close(&mut self, id: LinkId, shard: &mut Shard, now: Micros) {
        let connection = self.links.remove(&id).and_then(|link| link.connection);
        if let Some(connection) = connection {
            shard.close(connection, Ending::Done("it is not wanted any more".to_owned()), now);
        }
    }

    /// Connects no more.
    pub(super) fn clear(&mut self) {
        self.links.clear();
    }

    /// Takes an answer of the resolver.
    pub(super) fn resolved(&mut self, resolved: Resolved, now: Micros, shard: &mut Shard) {
        let id = LinkId(resolved.ticket);
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Err(why) = link.dialer.resolved(resolved.addresses, now) {
            shard.tell_link(id, &ended(why), now);
        }
    }

    /// Takes an event of a link's connection.
    fn handle(&mut self, id: LinkId, event: &LinkEvent, shard: &mut Shard, now: Micros) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let failure = link.dialer.handle(event, now);
        if !matches!(event, LinkEvent::Ended(_)) {
            return shard.tell_link(id, event, now);
        }
        // The end of one attempt among several is not the link's.
        link.connection = None;
        if let Some(why) = failure {
            shard.tell_link(id, &ended(why), now);
        }
    }
}

fn ended(why: String) -> LinkEvent {
    LinkEvent::Ended(LinkEnd { is_orderly: false, why })
}

impl Core {
    /// Hands over what links have told, opens and closes what channels ask for, and connects those whose
    /// time has come.
    pub(super) fn serve_links(&mut self, now: Micros, is_tick: bool) {
        let mut is_due = is_tick;
        while !self.shard.link_events.is_empty() {
            for (id, event) in std::mem::take(&mut self.shard.link_events) {
                is_due |= !matches!(event, LinkEvent::Packets(_));
                self.links.handle(id, &event, &mut self.shard, now);
            }
        }
        while let Some(request) = self.shard.channels.poll_link() {
            is_due = true;
            match request {
                LinkRequest::Open(id, kind) => self.links.open(id, kind, now),
                LinkRequest::Close(id) => self.links.close(id, &mut self.shard, now),
            }
        }
        if is_due {
            let ids: Vec<LinkId> = self.links.links.keys().copied().collect();
            ids.into_iter().for_each(|id| self.dial(id, now));
        }
    }

    fn dial(&mut self, id: LinkId, now: Micros) {
        while let Some(link) = self.links.links.get_mut(&id) {
            match link.dialer.poll(now) {
                Dial::Resolve(host, port) => {
                    if !self.links.resolver.ask(id.0, &host, port) {
                        link.dialer.not_asked(now);
                    }
                }
                Dial::Connect(address) => {
                    if let Err(error) = self.connect(id, address, now) {
                        let why = format!("cannot connect to {address}: {error}");
                        self.links.handle(id, &ended(why), &mut self.shard, now);
                    }
                }
                Dial::Wait(at) if at <= now => {}
                Dial::Wait(_) | Dial::Busy => return,
            }
        }
    }

    fn connect(&mut self, id: LinkId, address: SocketAddr, now: Micros) -> std::io::Result<()> {
        let socket = net::connect(address, &self.tcp)?;
        let fd = socket.as_raw_fd();
        self.links.connections += 1;
        let seed = self.links.seeds.hash_one(self.links.connections).to_ne_bytes();
        let Some(link) = self.links.links.get_mut(&id) else { return Ok(()) };
        let driver = link.dialer.kind().driver(id, &self.links.settings, seed, now);
        let connection = self.shard.adopt(driver, socket, address, now);
        link.connection = Some(connection);
        if let Err(error) = self.poller.registry().add(
            fd,
            Token::Connection(connection).encode(),
            Watch::Connection,
        ) {
            let ending = Ending::Fault(Failure::Socket, error.to_string());
            self.shard.close(connection, ending, now);
        }
        Ok(())
    }
}

impl Shard {
    /// Takes in a connection that we are opening.
    fn adopt(
        &mut self,
        driver: Driver,
        socket: OwnedFd,
        peer: SocketAddr,
        now: Micros,
    ) -> ConnectionId {
        self.serial = self.serial.wrapping_add(1);
        let write_timeout_ms = self.protocols.write_timeout_ms(super::Protocol::Ts);
        let entry = self.connections.vacant_entry();
        let id = ConnectionId { core: self.core, slot: entry.key() as u32, serial: self.serial };
        let mut connection = Connection::new(id, (socket, peer), driver, write_timeout_ms, now);
        connection.connecting = true;
        entry.insert(connection);
        self.stats.connections.set(self.connections.len() as u64);
        self.schedule(id);
        id
    }
}
