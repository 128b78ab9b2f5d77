//! The channels of one core.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use corelay_config::Config;
use slab::Slab;
use tracing::Level;

use super::links::LinkRequest;
use super::one::{Channel, Environment};
use super::output::EARLY_US;
use super::relay::relay_channel;
use super::snapshot::ChannelSnapshot;
use crate::clock::Micros;
use crate::driver::link::{LinkEvent, LinkId};
use crate::hub::{ConnectionId, Notice, StreamKey};
use crate::mesh::CoreIndex;
use crate::net::udp::Inbox;

/// See the module.
pub struct Channels {
    core: CoreIndex,
    cores: usize,
    config: Arc<Config>,
    slots: Slab<Slot>,
    by_key: HashMap<StreamKey, usize>,
    /// When a channel has something to do; an entry counts if its channel says the same.
    timers: BinaryHeap<Reverse<(Micros, usize)>>,
    /// Channels whose time has come, kept for its memory.
    due: Vec<usize>,
    /// Inputs with more to read, for the next turn.
    unread: Vec<(usize, usize)>,
    inbox: Inbox,
    /// What is to be asked for of links.
    requests: VecDeque<LinkRequest>,
    /// Which channel a link is for.
    links: HashMap<LinkId, usize>,
    relays: usize,
    serial: u32,
    last_link: u64,
}

struct Slot {
    channel: Channel,
    serial: u32,
    is_relay: bool,
    timer_at: Option<Micros>,
}

impl Channels {
    /// The channels of core `core` of `cores`: none before [`Self::start`].
    pub fn new(core: CoreIndex, cores: usize, config: Arc<Config>) -> Self {
        Self {
            core,
            cores,
            config,
            slots: Slab::new(),
            by_key: HashMap::new(),
            timers: BinaryHeap::new(),
            due: Vec::new(),
            unread: Vec::new(),
            inbox: Inbox::new(),
            requests: VecDeque::new(),
            links: HashMap::new(),
            relays: 0,
            serial: 0,
            last_link: 0,
        }
    }

    /// Starts the configured channels whose streams this core owns.
    pub fn start(&mut self, env: &mut Environment<'_>) {
        let config = Arc::clone(&self.config);
        for channel in &config.channels {
            let key = StreamKey::new(&channel.app, &channel.name);
            if key.owner(self.cores) == self.core {
                self.add(key, channel.clone(), false, env);
            }
        }
    }

    /// Ends all of them.
    pub fn end(&mut self, env: &mut Environment<'_>) {
        for slot in self.slots.iter().map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.remove(slot, env);
        }
    }

    /// Takes what an input's socket has, as far as one turn may.
    pub fn receive(&mut self, slot: u32, input: usize, env: &mut Environment<'_>) {
        let slot = (slot & !CHANNEL_BIT) as usize;
        let Some(found) = self.slots.get_mut(slot) else { return };
        if found.channel.receive(input, &mut self.inbox, env) {
            self.unread.push((slot, input));
        }
        self.settle(slot);
    }

    /// Goes on where the last turn had no time for more.
    pub fn receive_rest(&mut self, env: &mut Environment<'_>) {
        for (slot, input) in std::mem::take(&mut self.unread) {
            self.receive(slot as u32, input, env);
        }
    }

    /// True when an input has more than one turn could take.
    pub fn has_rest(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Takes what a link has to tell.
    pub fn handle_link(&mut self, id: LinkId, event: &LinkEvent, env: &mut Environment<'_>) {
        let Some(&slot) = self.links.get(&id) else { return };
        if let Some(found) = self.slots.get_mut(slot) {
            found.channel.handle_link(id, event, env);
            self.settle(slot);
        }
    }

    /// What is to be asked for of links.
    pub fn poll_link(&mut self) -> Option<LinkRequest> {
        self.requests.pop_front()
    }

    /// Takes what the hub says to a channel, or to all of them.
    pub fn handle_notice(&mut self, id: ConnectionId, notice: Notice, env: &mut Environment<'_>) {
        if let Notice::Wanted(key) = notice {
            return self.open_relay(key, env);
        }
        let slot = (id.slot & !CHANNEL_BIT) as usize;
        if let Some(found) = self.slots.get_mut(slot).filter(|found| found.serial == id.serial) {
            found.channel.handle_notice(notice, env);
            self.settle(slot);
        }
    }

    /// Looks at all inputs; once a tick.
    pub fn tick(&mut self, env: &mut Environment<'_>) {
        for slot in 0..self.slots.capacity() {
            if let Some(found) = self.slots.get_mut(slot) {
                found.channel.decide(env);
                self.settle(slot);
            }
        }
    }

    /// Does what is due, and what paced outputs may send early.
    pub fn handle_timeouts(&mut self, env: &mut Environment<'_>) {
        let until = Micros(env.now.0 + EARLY_US);
        let mut due = std::mem::take(&mut self.due);
        while let Some(&Reverse((at, slot))) = self.timers.peek().filter(|next| next.0.0 <= until) {
            self.timers.pop();
            if let Some(found) = self.slots.get_mut(slot).filter(|it| it.timer_at == Some(at)) {
                found.timer_at = None;
                due.push(slot);
            }
        }
        for slot in due.drain(..) {
            let Some(found) = self.slots.get_mut(slot) else { continue };
            let is_closed = found.channel.handle_timeout(env);
            if is_closed && found.is_relay {
                self.remove(slot, env);
            } else {
                self.settle(slot);
            }
        }
        self.due = due;
    }

    /// When something is due.
    pub fn next_due(&self) -> Option<Micros> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// For the API; `tables`: with all tables and PIDs.
    pub fn snapshots(&mut self, tables: bool, now: Micros) -> Vec<ChannelSnapshot> {
        self.slots.iter_mut().map(|(_, slot)| slot.channel.snapshot(tables, now)).collect()
    }

    /// Somebody watches a stream that a relay can bring.
    fn open_relay(&mut self, key: StreamKey, env: &mut Environment<'_>) {
        if self.by_key.contains_key(&key) {
            return;
        }
        let share = self.config.iptv.udpxy.channels_max.div_ceil(self.cores);
        let Some(channel) = relay_channel(&key, &self.config) else { return };
        if self.relays >= share {
            let line = format!("no relay for {key}: there are udpxy.channels_max others");
            return env.logger.core(Level::WARN, line);
        }
        self.relays += 1;
        self.add(key, channel, true, env);
    }

    fn add(
        &mut self,
        key: StreamKey,
        settings: corelay_config::Channel,
        is_relay: bool,
        env: &mut Environment<'_>,
    ) {
        self.serial = self.serial.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let id =
            ConnectionId { core: self.core, slot: CHANNEL_BIT | slot as u32, serial: self.serial };
        let channel = Channel::new(id, Arc::new(settings), &self.config, env.now);
        let found = entry.insert(Slot { channel, serial: self.serial, is_relay, timer_at: None });
        found.channel.start(env);
        self.by_key.insert(key, slot);
        self.settle(slot);
    }

    fn remove(&mut self, slot: usize, env: &mut Environment<'_>) {
        self.slots[slot].channel.end(env);
        self.settle(slot);
        let slot = self.slots.remove(slot);
        self.by_key.remove(slot.channel.key());
        self.relays -= usize::from(slot.is_relay);
    }

    /// Takes note of what a channel wants next.
    fn settle(&mut self, slot: usize) {
        let Some(found) = self.slots.get_mut(slot) else { return };
        let last_link = &mut self.last_link;
        let mut new_id = || {
            *last_link += 1;
            LinkId(*last_link)
        };
        while let Some(request) = found.channel.poll_link(&mut new_id) {
            match &request {
                LinkRequest::Open(id, _) => self.links.insert(*id, slot),
                LinkRequest::Close(id) => self.links.remove(id),
            };
            self.requests.push_back(request);
        }
        let due = found.channel.next_due();
        if let Some(at) = due.filter(|at| found.timer_at.is_none_or(|timer| *at < timer)) {
            found.timer_at = Some(at);
            self.timers.push(Reverse((at, slot)));
        }
    }
}

/// The token of an input's socket in its core's poller.
pub(super) fn input_token(channel: ConnectionId, input: usize) -> u64 {
    u64::from(channel.slot) << 32 | input as u64
}

/// Set in the slots of channels, which no connection has.
pub const CHANNEL_BIT: u32 = 1 << 31;
/// The slot of all channels of a core together.
pub const ALL_CHANNELS: u32 = u32::MAX - 2;
