//! Bit rates: what connections and streams had sent and received when the cores were last asked.
//!
//! Invariants
//! - It is kept on the control thread, from what the cores answer anyway: they know no rates.
//! - It holds what is there now, and for a minute what was there; nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;
use smallvec::SmallVec;

use crate::shard::{ClientSnapshot, ShardSnapshot};

/// Bit rates in kbit/s over the last 30 s, named as SRS names them. What is younger is measured
/// since it began; what was not looked at for longer, since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rates {
    /// Received by the server.
    pub recv_30s: u64,
    /// Sent by the server.
    pub send_30s: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    clients: HashMap<String, Series>,
    streams: HashMap<u64, Series>,
}

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at_ms: u64,
    sent: u64,
    received: u64,
}

/// One connection's or stream's totals over time.
#[derive(Debug)]
struct Series {
    samples: SmallVec<[Sample; 8]>,
    latest: Sample,
}

impl History {
    /// Takes in what the cores hold `at_ms` milliseconds after the server started.
    pub(super) fn observe(&mut self, at_ms: u64, shards: &[ShardSnapshot]) {
        let mut sent_since: HashMap<&str, u64> = HashMap::new();
        for client in shards.iter().flat_map(|shard| &shard.clients) {
            let sent = self.observe_client(at_ms, client);
            if client.role == "play" {
                *sent_since.entry(&client.stream).or_default() += sent;
            }
        }
        for stream in shards.iter().flat_map(|shard| &shard.streams) {
            let age_ms = stream.publisher.as_ref().map_or(0, |publisher| publisher.active_ms);
            let series =
                self.streams.entry(stream.id).or_insert_with(|| Series::new(at_ms, age_ms));
            let more = sent_since.get(stream.key.to_string().as_str()).copied().unwrap_or(0);
            let sent = series.latest.sent.saturating_add(more);
            series.observe(Sample { at_ms, sent, received: stream.bytes });
        }
        self.clients.retain(|_, series| series.is_recent(at_ms));
        self.streams.retain(|_, series| series.is_recent(at_ms));
    }

    /// Bytes sent to the connection since the last look at it.
    fn observe_client(&mut self, at_ms: u64, client: &ClientSnapshot) -> u64 {
        let series = match self.clients.entry(client.id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Series::new(at_ms, client.alive_ms)),
        };
        let before = series.latest.sent;
        series.observe(Sample { at_ms, sent: client.send_bytes, received: client.recv_bytes });
        client.send_bytes.saturating_sub(before)
    }

    /// The rates of a connection.
    pub(super) fn client_rates(&self, id: &str) -> Rates {
        self.clients.get(id).map(Series::rates).unwrap_or_default()
    }

    /// The rates of a stream: from its publisher, and to its viewers together.
    pub(super) fn stream_rates(&self, id: u64) -> Rates {
        self.streams.get(&id).map(Series::rates).unwrap_or_default()
    }

    /// Bytes sent to the viewers of a stream, those that have left included as far as they were
    /// seen.
    pub(super) fn stream_sent(&self, id: u64) -> u64 {
        self.streams.get(&id).map_or(0, |series| series.latest.sent)
    }
}

impl Series {
    /// A series of something that began `age_ms` before `at_ms`, with totals of nothing.
    fn new(at_ms: u64, age_ms: u64) -> Self {
        let birth = Sample { at_ms: at_ms.saturating_sub(age_ms), ..Sample::default() };
        Self { samples: SmallVec::from_slice(&[birth]), latest: birth }
    }

    fn observe(&mut self, sample: Sample) {
        self.latest = sample;
        let age = |of: &Sample| sample.at_ms.saturating_sub(of.at_ms);
        if self.samples.last().is_none_or(|last| age(last) >= SPACING_MS) {
            self.samples.push(sample);
        }
        while self.samples.get(1).is_some_and(|second| age(second) >= WINDOW_MS) {
            self.samples.remove(0);
        }
    }

    fn rates(&self) -> Rates {
        let age = |of: &&Sample| self.latest.at_ms.saturating_sub(of.at_ms);
        let recent = |of: &&Sample| (AGE_MS_MIN..WINDOW_MS + SPACING_MS).contains(&age(of));
        let Some(base) = self.samples.iter().find(recent).or(self.samples.first()) else {
            return Rates::default();
        };
        // Bits per millisecond are kilobits per second.
        let rate = |from: u64, to: u64| {
            to.saturating_sub(from).saturating_mul(8).checked_div(age(&base)).unwrap_or(0)
        };
        Rates {
            recv_30s: rate(base.received, self.latest.received),
            send_30s: rate(base.sent, self.latest.sent),
        }
    }

    fn is_recent(&self, at_ms: u64) -> bool {
        at_ms.saturating_sub(self.latest.at_ms) < FORGET_MS
    }
}

/// What the names `recv_30s` and `send_30s` promise.
const WINDOW_MS: u64 = 30_000;
/// Looks closer together than this leave one sample: a series holds seven or so.
const SPACING_MS: u64 = 5_000;
/// A rate over less is noise: one picture more or less.
const AGE_MS_MIN: u64 = 1_000;
/// A core that does not answer for a moment does not lose its rates.
const FORGET_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn shard(sent: u64, received: u64, alive_ms: u64) -> ShardSnapshot {
        let mut shard = samples::shard(0);
        let mut viewer = samples::client("0-2", "play", "live/test");
        (viewer.send_bytes, viewer.alive_ms) = (sent, alive_ms);
        shard.clients.push(viewer);
        let mut stream = samples::stream(7, "live", "test");
        stream.bytes = received;
        stream.publisher.as_mut().unwrap().active_ms = alive_ms;
        shard.streams.push(stream);
        shard
    }

    #[test]
    fn what_is_seen_for_the_first_time_is_measured_since_it_began() {
        let mut history = History::default();
        history.observe(50_000, &[shard(1_000_000, 2_000_000, 8_000)]);
        assert_eq!(history.client_rates("0-2").send_30s, 1_000);
        assert_eq!(history.stream_rates(7), Rates { recv_30s: 2_000, send_30s: 1_000 });
        assert_eq!(history.stream_sent(7), 1_000_000);
    }

    #[test]
    fn a_rate_covers_the_last_thirty_seconds_only() {
        let mut history = History::default();
        // 8 Mbit/s for 100 s, then 800 kbit/s for 30 s, looked at every second.
        let mut sent = 0;
        for second in 1..=130 {
            sent += if second <= 100 { 1_000_000 } else { 100_000 };
            history.observe(second * 1_000, &[shard(sent, 0, second * 1_000)]);
        }
        assert_eq!(history.client_rates("0-2").send_30s, 800);
        assert_eq!(history.stream_rates(7).send_30s, 800);
        assert!(history.clients["0-2"].samples.len() <= 8, "{history:?}");
    }

    #[test]
    fn after_a_long_pause_a_rate_covers_the_pause_and_then_settles() {
        let mut history = History::default();
        history.observe(1_000, &[shard(0, 0, 1_000)]);
        history.observe(101_000, &[shard(10_000_000, 0, 101_000)]);
        history.observe(102_000, &[shard(10_100_000, 0, 102_000)]);
        assert_eq!(history.client_rates("0-2").send_30s, 800);
        history.observe(103_000, &[shard(10_100_000, 0, 103_000)]);
        assert_eq!(history.client_rates("0-2").send_30s, 400);
    }

    #[test]
    fn bytes_sent_to_viewers_that_left_stay_with_the_stream() {
        let mut history = History::default();
        history.observe(10_000, &[shard(5_000, 0, 9_000)]);
        let mut without = shard(0, 0, 10_000);
        without.clients.clear();
        history.observe(11_000, &[without]);
        assert_eq!(history.stream_sent(7), 5_000);
        let mut another = shard(0, 0, 12_000);
        another.clients[0].id = "0-3".to_owned();
        another.clients[0].send_bytes = 700;
        history.observe(12_000, &[another]);
        assert_eq!(history.stream_sent(7), 5_700);
    }

    #[test]
    fn what_is_gone_is_forgotten_after_a_minute() {
        let mut history = History::default();
        history.observe(10_000, &[shard(5_000, 0, 9_000)]);
        history.observe(69_999, &[]);
        assert_eq!((history.clients.len(), history.streams.len()), (1, 1));
        history.observe(70_000, &[]);
        assert_eq!((history.clients.len(), history.streams.len()), (0, 0));
    }

    #[test]
    fn something_unknown_or_just_begun_has_no_rate() {
        let mut history = History::default();
        history.observe(5_000, &[shard(5_000, 0, 0)]);
        assert_eq!(history.client_rates("0-2"), Rates::default());
        assert_eq!(history.client_rates("9-9"), Rates::default());
        assert_eq!(history.stream_rates(9), Rates::default());
    }
}
