//! One channel: its inputs, the one on air, and where it goes.

use std::collections::VecDeque;
use std::sync::Arc;

use corelay_codecs::container::mpegts::analysis;
use corelay_codecs::container::mpegts::filter::ProgramFilter;
use corelay_codecs::{TrackFilter, TsBlock};
use corelay_config::{Config, Endpoint, MediaUrl, Opening, Standby};
use tracing::Level;

use super::input::{Input, InputEvent, InputSettings, Progress};
use super::links::{Leg, LinkRequest, Links, News};
use super::output::{Output, OutputSettings};
use super::path::{Path, Taken};
use super::select::{Decision, Health, Selector, Why};
use super::set::input_token;
use super::snapshot::{ChannelSnapshot, SwitchSnapshot};
use crate::clock::Micros;
use crate::driver::link::{LinkEvent, LinkId, LinkKind};
use crate::hub::{
    ConnectionId, Delivery, Egress, Form, Hub, Notice, PlayOptions, PublisherId, PublisherInfo,
    StreamKey, SubscriberId,
};
use crate::log::Logger;
use crate::net::udp::Inbox;
use crate::rt::{Registry, Watch};
use crate::stats::CoreStats;

/// What a channel may use of its core.
pub struct Environment<'a> {
    /// The streams.
    pub hub: &'a mut Hub,
    /// What the core watches.
    pub registry: &'a Registry,
    /// The log.
    pub logger: &'a mut Logger,
    /// The core's counters.
    pub stats: &'a CoreStats,
    /// The time of this turn.
    pub now: Micros,
}

/// See the module.
pub(super) struct Channel {
    /// Names it in the hub.
    id: ConnectionId,
    key: StreamKey,
    settings: Arc<corelay_config::Channel>,
    inputs: Vec<Source>,
    selector: Selector,
    /// What the inputs are like, kept for its memory.
    healths: Vec<Health>,
    links: Links,
    path: Path,
    publisher: Option<PublisherId>,
    /// Of a channel without inputs: its place as a viewer of what is published.
    tap: Option<SubscriberId>,
    is_open: bool,
    /// There were packets since it was opened: pushes have something to send.
    has_packets: bool,
    /// Without viewers: when it is closed.
    close_at: Option<Micros>,
    switches: VecDeque<Switch>,
    switch_count: u64,
}

/// An input, and what is done with its packets before anything else.
struct Source {
    input: Input,
    /// One program of several is wanted.
    filter: Option<ProgramFilter>,
    /// What the filter passed, kept for its memory.
    filtered: Vec<u8>,
}

/// A switch from one input to another.
struct Switch {
    at: Micros,
    from: usize,
    to: usize,
    why: Why,
}

impl Switch {
    fn snapshot(&self, now: Micros) -> SwitchSnapshot {
        let Self { at, from, to, why } = *self;
        SwitchSnapshot { ago_ms: now.millis_since(at), from, to, why: why.to_string() }
    }
}

impl Channel {
    /// A channel that is not open yet. `token` names an input in the core's poller.
    pub(super) fn new(
        id: ConnectionId,
        settings: Arc<corelay_config::Channel>,
        config: &Config,
        now: Micros,
    ) -> Self {
        let iptv = &config.iptv;
        let seed = u64::from(id.serial) << 32 | u64::from(id.slot);
        let input_settings = InputSettings::new(iptv, &settings.failover);
        let source = |(url, seed): (&MediaUrl, u64)| Source {
            input: Input::new(url, &input_settings, seed),
            filter: url.options.program_number.map(ProgramFilter::new),
            filtered: Vec::new(),
        };
        let inputs: Vec<Source> = settings.inputs.iter().zip(seed..).map(source).collect();
        let has_clock = settings.inputs.first().is_some_and(is_datagram);
        let output_settings = OutputSettings::new(iptv, has_clock);
        let outputs = settings.outputs.iter().zip(seed..);
        let outputs =
            outputs.filter_map(|(url, seed)| Output::new(url, &output_settings, seed)).collect();
        let wait = Micros::from_millis(iptv.block_ms);
        let key = StreamKey::new(&settings.app, &settings.name);
        let mut links = Links::default();
        for (index, url) in settings.inputs.iter().enumerate() {
            LinkKind::of_input(url).into_iter().for_each(|kind| links.add(Leg::Input(index), kind));
        }
        for (index, url) in settings.outputs.iter().enumerate() {
            let kind = LinkKind::of_output(url, &key);
            kind.into_iter().for_each(|kind| links.add(Leg::Output(index), kind));
        }
        Self {
            id,
            links,
            key,
            selector: Selector::new(inputs.len(), settings.failover, now),
            healths: Vec::with_capacity(inputs.len()),
            path: Path::new(inputs.len(), outputs, wait),
            inputs,
            settings,
            publisher: None,
            tap: None,
            is_open: false,
            has_packets: false,
            close_at: None,
            switches: VecDeque::new(),
            switch_count: 0,
        }
    }

    /// Its stream.
    pub(super) fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Takes its stream's name, and opens what is open always.
    pub(super) fn start(&mut self, env: &mut Environment<'_>) {
        if self.inputs.is_empty() {
            self.open_outputs(env);
            return self.tap(env);
        }
        let info = PublisherInfo {
            connection: self.id,
            peer: ([0, 0, 0, 0], 0).into(),
            protocol: "channel",
            agent: String::new(),
            url: self.settings.inputs[0].shown().to_string(),
            since: env.now,
        };
        self.publisher = Some(env.hub.publish(self.id, self.key.clone(), info, env.now));
        let is_wanted =
            self.settings.opening == Opening::Always || !self.settings.outputs.is_empty();
        if is_wanted {
            self.open(env);
        }
    }

    /// Gives everything back.
    pub(super) fn end(&mut self, env: &mut Environment<'_>) {
        self.close();
        if let Some(publisher) = self.publisher.take() {
            env.hub.unpublish(publisher, env.now);
        }
        if let Some(tap) = self.tap.take() {
            env.hub.stop(tap, env.now);
        }
    }

    fn open(&mut self, env: &mut Environment<'_>) {
        self.close_at = None;
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        self.selector = Selector::new(self.inputs.len(), self.settings.failover, env.now);
        self.path.begin_with(0);
        self.open_outputs(env);
        for index in 0..self.inputs.len() {
            if index == 0 || self.settings.standby == Standby::Warm {
                self.open_input(index, env);
            }
        }
    }

    fn open_outputs(&mut self, env: &mut Environment<'_>) {
        for index in 0..self.path.outputs.len() {
            self.path.outputs[index].open(env.now);
            self.tell_output(index, env);
        }
    }

    fn open_input(&mut self, index: usize, env: &mut Environment<'_>) {
        let source = &mut self.inputs[index];
        if !source.input.is_open() {
            source.input.open(env.now);
            self.links.want(Leg::Input(index), true);
            self.tell_input(index, env);
        }
    }

    fn close_input(&mut self, index: usize) {
        self.inputs[index].input.close();
        self.links.want(Leg::Input(index), false);
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        for source in &mut self.inputs {
            source.input.close();
        }
        self.links.want_none();
        self.has_packets = false;
        self.path.outputs.iter_mut().for_each(Output::close);
    }

    /// What is to be asked for of links.
    pub(super) fn poll_link(&mut self, new_id: impl FnOnce() -> LinkId) -> Option<LinkRequest> {
        self.links.poll(new_id)
    }

    /// Takes what an input's socket has. True when there is more.
    pub(super) fn receive(
        &mut self,
        index: usize,
        inbox: &mut Inbox,
        env: &mut Environment<'_>,
    ) -> bool {
        let Self { inputs, path, .. } = self;
        let Some(Source { input, filter, filtered, .. }) = inputs.get_mut(index) else {
            return false;
        };
        let (hub, now) = (&mut *env.hub, env.now);
        let mut taken = Taken::Yes;
        let progress = input.receive(inbox, now, &mut |packets| {
            taken = taken.or(pass(path, index, packets, filter, filtered, hub, now));
        });
        self.after_packets(index, taken, env);
        progress == Progress::More
    }

    /// Takes what a link has to tell.
    pub(super) fn handle_link(&mut self, id: LinkId, event: &LinkEvent, env: &mut Environment<'_>) {
        let Some(leg) = self.links.leg(id) else { return };
        match (leg, event) {
            (Leg::Input(index), LinkEvent::Packets(block)) => self.feed(index, block, env),
            // What a new connection brings is another stream than before.
            (Leg::Input(index), LinkEvent::Accepted) if self.path.current() == index => {
                self.path.continue_with_another(env.hub, env.now);
            }
            _ => {}
        }
        match self.links.note(id, event) {
            Some(News::Up) => self.log_leg(Level::INFO, leg, "is connected", env),
            Some(News::Down(why)) => {
                self.log_leg(Level::WARN, leg, &format!("is not connected: {why}"), env);
            }
            None => {}
        }
    }

    fn feed(&mut self, index: usize, block: &TsBlock, env: &mut Environment<'_>) {
        let Self { inputs, path, .. } = self;
        let Some(Source { input, filter, filtered, .. }) = inputs.get_mut(index) else { return };
        let (hub, now) = (&mut *env.hub, env.now);
        let mut taken = Taken::Yes;
        input.feed(block.bytes(), now, &mut |packets| {
            taken = taken.or(pass(path, index, packets, filter, filtered, hub, now));
        });
        self.after_packets(index, taken, env);
    }

    /// Takes what the hub has to say.
    pub(super) fn handle_notice(&mut self, notice: Notice, env: &mut Environment<'_>) {
        match notice {
            Notice::PublishAccepted(id) if self.publisher == Some(id) => {
                self.path.publish(Some(id));
            }
            Notice::PublishRefused(id, why) if self.publisher == Some(id) => {
                self.publisher = None;
                self.path.publish(None);
                self.log(Level::ERROR, &format!("has no stream for viewers: {why:?}"), env);
            }
            Notice::PublishEnded(id, _) if self.publisher == Some(id) => {
                self.publisher = None;
                self.path.publish(None);
            }
            Notice::Watched(id, watched) if self.publisher == Some(id) => {
                self.watched(watched, env);
            }
            Notice::PlayStarting { id, .. } if self.tap == Some(id) => {
                self.links.want_outputs(true);
                if self.path.outputs.is_empty() {
                    // Only its coming and going matters: the links have places of their own.
                    env.hub.pause(id);
                }
            }
            Notice::Private(id, bytes) if self.tap == Some(id) => {
                self.path.send(&bytes, env.now);
                env.hub.release(id);
                self.drain_tap(env);
            }
            Notice::Readable => self.drain_tap(env),
            Notice::PlayEnded(id, _) if self.tap == Some(id) => {
                env.hub.stop(id, env.now);
                self.links.want_outputs(false);
                self.tap(env);
            }
            // Behind the end of its publication, or for viewers with sockets.
            _ => {}
        }
    }

    /// Looks whether another input should be on air.
    pub(super) fn decide(&mut self, env: &mut Environment<'_>) {
        if !self.is_open || self.inputs.len() < 2 || self.selector.next_due() > env.now {
            return;
        }
        let Self { inputs, healths, .. } = self;
        healths.clear();
        healths.extend(inputs.iter_mut().map(|source| source.input.health(env.now)));
        match self.selector.decide(&self.healths, env.now) {
            Decision::Stay => self.path.prepare(None),
            Decision::Switch { to, at_entry_until, why } if env.now >= at_entry_until => {
                self.path.switch(to, env.hub, env.now);
                self.note_switch(to, why, env);
            }
            Decision::Switch { to, why, .. } => self.path.prepare(Some((to, why))),
        }
        if self.settings.standby == Standby::Cold {
            for index in 0..self.inputs.len() {
                match self.selector.wants_open(index) {
                    true => self.open_input(index, env),
                    false => self.close_input(index),
                }
            }
        }
    }

    /// Does what is due. True when a relay is over.
    pub(super) fn handle_timeout(&mut self, env: &mut Environment<'_>) -> bool {
        for index in 0..self.inputs.len() {
            let Self { inputs, path, .. } = self;
            let Source { input, filter, filtered, .. } = &mut inputs[index];
            let (hub, now) = (&mut *env.hub, env.now);
            let mut taken = Taken::Yes;
            input.handle_timeout(now, &mut |packets| {
                taken = taken.or(pass(path, index, packets, filter, filtered, hub, now));
            });
            self.after_packets(index, taken, env);
        }
        self.path.handle_timeout(env.hub, env.now);
        for index in 0..self.path.outputs.len() {
            self.tell_output(index, env);
        }
        if self.close_at.is_some_and(|at| at <= env.now) {
            self.close_at = None;
            self.close();
            self.path.forget(env.hub);
            self.log(Level::INFO, "is closed: nobody watches", env);
            return true;
        }
        false
    }

    /// When [`Self::handle_timeout`] must be called.
    pub(super) fn next_due(&self) -> Option<Micros> {
        let inputs = self.inputs.iter().filter_map(|source| source.input.next_due());
        let own = [self.path.next_due(), self.close_at];
        inputs.chain(own.into_iter().flatten()).min()
    }

    /// For the API; `tables`: with all tables and PIDs.
    pub(super) fn snapshot(&mut self, tables: bool, now: Micros) -> ChannelSnapshot {
        let input = |source: &mut Source| match tables {
            true => source.input.snapshot(now),
            false => source.input.summary(now),
        };
        let output = if tables { Output::snapshot } else { Output::summary };
        ChannelSnapshot {
            key: self.key.clone(),
            is_open: self.is_open,
            current: self.path.current(),
            current_for_ms: now.millis_since(self.selector.current_since()),
            inputs: self.inputs.iter_mut().map(input).collect(),
            outputs: self.path.outputs.iter().map(output).collect(),
            switch_count: self.switch_count,
            switches: self.switches.iter().map(|switch| switch.snapshot(now)).collect(),
            links: self.links.snapshots(),
            splices: self.path.splicer().counters(),
        }
    }

    fn watched(&mut self, watched: bool, env: &mut Environment<'_>) {
        if self.settings.opening == Opening::Always || !self.settings.outputs.is_empty() {
            return;
        }
        if watched {
            self.open(env);
        } else if self.is_open {
            self.close_at = Some(env.now.after_millis(self.settings.linger_ms));
        }
    }

    fn after_packets(&mut self, index: usize, taken: Taken, env: &mut Environment<'_>) {
        if let Taken::Switched(why) = taken {
            self.note_switch(index, why, env);
        }
        if !self.has_packets && self.path.has_packets() {
            self.has_packets = true;
            self.links.want_outputs(true);
        }
        self.tell_input(index, env);
    }

    fn note_switch(&mut self, to: usize, why: Why, env: &mut Environment<'_>) {
        let from = self.selector.current();
        self.selector.switched(to, env.now);
        self.switch_count += 1;
        env.stats.input_switches.add(1);
        if self.switches.len() >= SWITCHES_KEPT {
            self.switches.pop_front();
        }
        self.switches.push_back(Switch { at: env.now, from, to, why });
        let text = format!(
            "goes from input {} to input {} ({}): {why}",
            from + 1,
            to + 1,
            self.settings.inputs[to].shown()
        );
        self.log(Level::WARN, &text, env);
    }

    fn tell_input(&mut self, index: usize, env: &mut Environment<'_>) {
        while let Some(event) = self.inputs[index].input.poll_event() {
            let (level, text) = match event {
                InputEvent::Opened { fd, interface } => {
                    let token = input_token(self.id, index);
                    match env.registry.add(fd, token, Watch::Datagrams) {
                        Ok(()) => {
                            let on = interface.map_or(String::new(), |name| format!(" on {name}"));
                            (Level::INFO, format!("is open{on}"))
                        }
                        Err(error) => (Level::ERROR, format!("cannot be watched: {error}")),
                    }
                }
                InputEvent::Lost(why) => (Level::WARN, format!("is lost: {why}")),
                InputEvent::Silent(why) => (Level::WARN, why),
                InputEvent::Heard => (Level::INFO, "has packets".to_owned()),
                InputEvent::RejoinFailed(why) => {
                    (Level::WARN, format!("could not be joined anew: {why}"))
                }
                InputEvent::Alarm(alarm) => describe_alarm(&alarm),
            };
            self.log_leg(level, Leg::Input(index), &text, env);
        }
    }

    /// Writes a log line about an input or output.
    fn log_leg(&self, level: Level, leg: Leg, text: &str, env: &mut Environment<'_>) {
        let (kind, url) = match leg {
            Leg::Input(index) => ("input", &self.settings.inputs[index]),
            Leg::Output(index) => ("output", &self.settings.outputs[index]),
        };
        self.log(level, &format!("{kind} {} {text}", url.shown()), env);
    }

    fn tell_output(&mut self, index: usize, env: &mut Environment<'_>) {
        while let Some(event) = self.path.outputs[index].poll_event() {
            let (level, text) = event.describe();
            let url = self.path.outputs[index].url();
            env.logger.core(level, format!("channel {}: output {url} {text}", self.key));
        }
    }

    /// Watches what is published.
    fn tap(&mut self, env: &mut Environment<'_>) {
        let options = PlayOptions {
            egress: Egress::new(Form::HttpTs, TrackFilter::ALL),
            fd: -1,
            delivery: Delivery::Copied,
            wait_ms: WAIT_MS,
        };
        self.tap = env.hub.play(self.id, self.key.clone(), options, env.now);
    }

    fn drain_tap(&mut self, env: &mut Environment<'_>) {
        let Some(tap) = self.tap else { return };
        loop {
            let packets = env.hub.read(tap, TAP_BYTES);
            if packets.is_empty() {
                return;
            }
            self.path.send(&packets, env.now);
        }
    }

    fn log(&self, level: Level, text: &str, env: &mut Environment<'_>) {
        env.logger.core(level, format!("channel {} {text}", self.key));
    }
}

fn pass(
    path: &mut Path,
    index: usize,
    packets: &[u8],
    filter: &mut Option<ProgramFilter>,
    filtered: &mut Vec<u8>,
    hub: &mut Hub,
    now: Micros,
) -> Taken {
    match filter {
        None => path.take(index, packets, hub, now),
        Some(filter) => {
            filtered.clear();
            filter.push(packets, filtered);
            path.take(index, filtered, hub, now)
        }
    }
}

/// Level and words of an alarm: what is raised is a warning.
pub fn describe_alarm(alarm: &analysis::Event) -> (Level, String) {
    let of = alarm.pid.map_or(String::new(), |pid| format!(" of PID {pid}"));
    let (level, verb) = match alarm.change {
        analysis::Change::Raised { .. } => (Level::WARN, "raises"),
        analysis::Change::Cleared { .. } => (Level::INFO, "clears"),
    };
    let indicator = alarm.indicator;
    let text = format!("{verb} TR 101 290 {} {}{of}", indicator.number(), indicator.name());
    (level, text)
}

fn is_datagram(url: &MediaUrl) -> bool {
    matches!(url.endpoint, Endpoint::Udp(_) | Endpoint::Rtp(_))
}

/// Switches that the API remembers.
const SWITCHES_KEPT: usize = 16;
/// It waits for a publisher as long as it takes.
const WAIT_MS: u64 = 1 << 40;
/// Packets that are read from the stream's log at once.
const TAP_BYTES: u64 = 256 << 10;
