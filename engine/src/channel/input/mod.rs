//! One input of a channel: what comes, as whole packets, and everything that is known of it.
//!
//! - [`Input`]: a group or port that is received here (UDP and RTP), or a connection whose packets its
//!   driver hands over ([`Input::feed`]).
//! - [`Watch`]: looks at the packets; [`Health`] for the selector.
//! - `port`: the socket and what happens to it; `unwrap`: datagrams into packets; `presence`: tables and
//!   tracks of the program.
//!
//! Invariants
//! - Nothing blocks, and nothing is allocated per datagram once it runs.
//! - Packets are handed over in the order in which they were sent, as far as RTP tells it, each run of
//!   raw datagrams as one slice.
//! - Raw datagrams wait for nothing. RTP waits for what is missing, as long as its window says.

mod events;
mod port;
mod presence;
mod snapshot;
#[cfg(test)]
mod tests;
mod unwrap;
mod watch;

use std::io;

use corelay_codecs::container::mpegts::analysis::{self, TimeSource};
use corelay_codecs::container::rtp::ReorderSettings;
use corelay_config::{Endpoint, Failover, Iptv, MediaUrl};

use crate::channel::select::Health;
use crate::clock::Micros;
use crate::net::Backoff;
use crate::net::udp::{Inbox, UdpSource};
use events::Events;
use port::Port;
use unwrap::Unwrapper;

pub use events::InputEvent;
pub use snapshot::{InputSnapshot, InputState, SocketSnapshot};
pub use unwrap::DatagramCounters;
pub use watch::Watch;

/// What the inputs of a channel have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSettings {
    /// How often groups are joined anew whose URL does not say, in seconds; 0: never.
    pub rejoin_s: u32,
    /// The shortest wait before a socket that failed is opened again.
    pub retry_min_ms: u64,
    /// The longest such wait.
    pub retry_max_ms: u64,
    /// A longer pause is a silence: what follows is a new beginning.
    pub silence_ms: u64,
    /// How RTP is put into order.
    pub reorder: ReorderSettings,
    /// How packets are measured. Time comes from the stream for connections, whatever is said here.
    pub analysis: analysis::Settings,
}

impl InputSettings {
    /// What the configuration says.
    pub fn new(iptv: &Iptv, failover: &Failover) -> Self {
        Self {
            rejoin_s: iptv.rejoin_s,
            retry_min_ms: iptv.retry_min_ms,
            retry_max_ms: iptv.retry_max_ms,
            silence_ms: failover.silence_ms,
            reorder: ReorderSettings::default(),
            analysis: analysis::Settings::default(),
        }
    }
}

/// Whether a receive has taken everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more: receive again soon, without waiting for the descriptor.
    More,
    /// The descriptor will be reported when there is more.
    Drained,
}

/// See the module.
///
/// [`open`](Self::open), and watch the descriptor that [`poll_event`](Self::poll_event) tells of;
/// [`receive`](Self::receive) when it is readable; [`handle_timeout`](Self::handle_timeout) at
/// [`next_due`](Self::next_due); `poll_event` until it is `None` after each of them.
#[derive(Debug)]
pub struct Input {
    url: String,
    watch: Watch,
    unwrapper: Unwrapper,
    /// `None`: fed by a connection.
    port: Option<Port>,
    events: Events,
    /// The packets of several messages, kept for its memory.
    gathered: Vec<u8>,
    is_open: bool,
    care_at: Micros,
}

impl Input {
    /// An input that is closed. `seed` makes inputs differ that do the same things at the same times.
    pub fn new(url: &MediaUrl, settings: &InputSettings, seed: u64) -> Self {
        let InputSettings { retry_min_ms, retry_max_ms, .. } = *settings;
        let mut analysis = settings.analysis;
        let port = match &url.endpoint {
            Endpoint::Udp(place) | Endpoint::Rtp(place) => {
                let backoff = Backoff::new(retry_min_ms, retry_max_ms, seed);
                let rejoin_s = url.options.renew_s.unwrap_or(settings.rejoin_s);
                let source = UdpSource::new(place, &url.options);
                Some(Port::new(source, rejoin_s, backoff, seed))
            }
            _ => {
                analysis.time = TimeSource::Pcr;
                None
            }
        };
        Self {
            url: url.shown().to_string(),
            watch: Watch::new(analysis, url.options.program_number, settings.silence_ms),
            unwrapper: Unwrapper::new(settings.reorder),
            port,
            events: Events::default(),
            gathered: Vec::new(),
            is_open: false,
            care_at: Micros(u64::MAX),
        }
    }

    /// Opens the socket, and from then on keeps it open. An input that is fed is only watched from here
    /// on.
    pub fn open(&mut self, now: Micros) {
        if self.is_open {
            return;
        }
        (self.is_open, self.care_at) = (true, now.after_millis(CARE_MS));
        self.events.await_packets();
        if let Some(port) = &mut self.port {
            port.open(now, &mut self.events);
        }
    }

    /// Closes the socket and leaves the group.
    pub fn close(&mut self) {
        (self.is_open, self.care_at) = (false, Micros(u64::MAX));
        // What waits belongs to a time that is over.
        self.unwrapper.handle_timeout(Micros(u64::MAX), &mut |_| {});
        if let Some(port) = &mut self.port {
            port.close();
        }
    }

    /// It was opened, and not closed since; the socket may be lost all the same.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes what the socket has, and hands over its packets: 188 bytes each, any number at a time, in
    /// order.
    ///
    /// Cost: a system call for each 16 messages, 8 calls at most.
    pub fn receive(
        &mut self,
        inbox: &mut Inbox,
        now: Micros,
        take: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let progress = self.receive_batches(inbox, now, take);
        self.tell_if_heard(now);
        progress
    }

    fn receive_batches(
        &mut self,
        inbox: &mut Inbox,
        now: Micros,
        take: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let Some(port) = &mut self.port else { return Progress::Drained };
        for _ in 0..BATCHES_A_TURN {
            let Some(socket) = port.socket() else { return Progress::Drained };
            let batch = match socket.receive(inbox) {
                Ok(batch) => batch,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Drained;
                }
                Err(error) => {
                    port.receive_failed(&error, now, &mut self.events);
                    continue;
                }
            };
            // Several messages are put together, so that what they go through is gone through once.
            let is_one = batch.count() == 1;
            let Self { unwrapper, watch, gathered, .. } = self;
            for run in batch.runs() {
                unwrapper.run(run, now, &mut |packets| match is_one {
                    true => {
                        watch.packets(packets, now);
                        take(packets);
                    }
                    false => gathered.extend_from_slice(packets),
                });
            }
            if !gathered.is_empty() {
                watch.packets(gathered, now);
                take(gathered);
                gathered.clear();
            }
            if !batch.is_full() {
                return Progress::Drained;
            }
        }
        Progress::More
    }

    /// Takes packets of a connection: 188 bytes each, any number.
    pub fn feed(&mut self, packets: &[u8], now: Micros, take: &mut dyn FnMut(&[u8])) {
        self.watch.packets(packets, now);
        take(packets);
        self.tell_if_heard(now);
    }

    /// The connection that feeds it has found bytes that are no packets.
    pub fn report_sync_loss(&mut self, now: Micros) {
        self.watch.report_sync_loss(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while it is closed.
    pub fn next_due(&self) -> Option<Micros> {
        if !self.is_open {
            return None;
        }
        let retry = self.port.as_ref().and_then(Port::retry_at);
        let times = [Some(self.care_at), retry, self.unwrapper.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// Does what is due: hands over what has waited for long enough, opens a socket that was lost, joins
    /// anew, notices silence.
    pub fn handle_timeout(&mut self, now: Micros, take: &mut dyn FnMut(&[u8])) {
        if !self.is_open {
            return;
        }
        self.unwrapper.handle_timeout(now, &mut |packets| {
            self.watch.packets(packets, now);
            take(packets);
        });
        self.tell_if_heard(now);
        let is_care_due = self.care_at <= now;
        if let Some(port) = &mut self.port
            && (is_care_due || port.retry_at().is_some_and(|at| at <= now))
        {
            let foreign = self.unwrapper.counters().foreign;
            port.keep(self.watch.last_packet(), foreign, now, &mut self.events);
        }
        if is_care_due {
            self.care_at = now.after_millis(CARE_MS);
            self.watch.tick(now);
        }
    }

    /// What happened, in order; alarms behind the rest.
    pub fn poll_event(&mut self) -> Option<InputEvent> {
        self.events.pop().or_else(|| self.watch.poll_alarm().map(InputEvent::Alarm))
    }

    /// What the selector wants to know.
    pub fn health(&mut self, now: Micros) -> Health {
        self.watch.health(now)
    }

    /// The URL as it was configured.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Measurement and tables.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    fn tell_if_heard(&mut self, now: Micros) {
        if self.watch.last_packet() == Some(now) {
            self.events.heard();
        }
    }
}

/// Receives of one turn: 128 messages, so that one input does not keep the others waiting.
const BATCHES_A_TURN: usize = 8;
/// How often an input is looked after.
const CARE_MS: u64 = 250;
