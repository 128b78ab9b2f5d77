//! What brings each stream: the inputs of its channel, and the connections that publish transport
//! streams under its name.
//!
//! Invariants
//! - Inputs are numbered from 1, as in the log: those of the channel in the order of preference,
//!   behind them what is published. A channel's input keeps its number.

use std::collections::BTreeMap;

use crate::channel::input::{InputSnapshot, InputState};
use crate::channel::{ChannelSnapshot, Leg, LinkSnapshot};
use crate::clock::Micros;
use crate::hub::StreamKey;
use crate::shard::ShardSnapshot;

/// What brings one stream.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Sources<'a> {
    /// Its channel.
    pub(in crate::control) channel: Option<&'a ChannelSnapshot>,
    /// What is published under its name.
    pub(in crate::control) published: Vec<&'a InputSnapshot>,
}

/// One input.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Source<'a> {
    /// From 1.
    pub(in crate::control) number: usize,
    /// What it gives is what viewers get.
    pub(in crate::control) is_on_air: bool,
    /// Its connection, if it is one that we make.
    pub(in crate::control) link: Option<&'a LinkSnapshot>,
    /// What is known of it.
    pub(in crate::control) input: &'a InputSnapshot,
}

/// Everything that brings or sends a transport stream, by stream.
pub(in crate::control) fn by_stream(shards: &[ShardSnapshot]) -> BTreeMap<&StreamKey, Sources<'_>> {
    let mut all: BTreeMap<&StreamKey, Sources<'_>> = BTreeMap::new();
    for shard in shards {
        for channel in &shard.channels {
            all.entry(&channel.key).or_default().channel = Some(channel);
        }
        for (key, input) in &shard.published {
            all.entry(key).or_default().published.push(input);
        }
    }
    all
}

impl<'a> Sources<'a> {
    /// Its inputs, in the order of their numbers.
    pub(in crate::control) fn inputs(&self) -> Vec<Source<'a>> {
        let mut inputs = Vec::new();
        if let Some(channel) = self.channel {
            for (index, input) in channel.inputs.iter().enumerate() {
                let is_on_air = channel.is_open && index == channel.current;
                let link = channel.links.iter().find(|link| link.leg == Leg::Input(index));
                inputs.push(Source { number: index + 1, is_on_air, link, input });
            }
        }
        let has_own = !inputs.is_empty();
        for (number, input) in (inputs.len() + 1..).zip(self.published.iter().copied()) {
            inputs.push(Source { number, is_on_air: !has_own, link: None, input });
        }
        inputs
    }

    /// The input that viewers get; where none is on air, the first one.
    pub(in crate::control) fn main(&self) -> Option<Source<'a>> {
        let inputs = self.inputs();
        inputs.iter().find(|source| source.is_on_air).or(inputs.first()).copied()
    }
}

impl<'a> Source<'a> {
    /// Packets come.
    pub(in crate::control) fn is_up(&self) -> bool {
        self.input.state == InputState::Receiving
    }

    /// What it is doing, in a word.
    pub(in crate::control) fn state(&self) -> &'static str {
        match (self.input.state, self.link) {
            (InputState::Silent, Some(link)) if !link.is_connected => match &link.why {
                Some(_) => InputState::Lost.label(),
                None => "connecting",
            },
            (state, _) => state.label(),
        }
    }

    /// Why it is lost, or its connection was.
    pub(in crate::control) fn why(&self) -> Option<&'a str> {
        let link = || self.link.filter(|link| !link.is_connected)?.why.as_deref();
        self.input.why.as_deref().or_else(link)
    }

    /// Arrival tells the time; otherwise the stream's own clock does, as for all connections.
    pub(in crate::control) fn is_by_arrival(&self) -> bool {
        self.input.socket.is_some()
    }

    /// How long nothing has come, in milliseconds, to a quarter of a second; `None` where that is
    /// not known.
    pub(in crate::control) fn quiet_ms(&self) -> Option<u64> {
        let InputSnapshot { state, health, analysis, .. } = self.input;
        // The analyser of a socket that is open is told the time; the one of a connection is not.
        let is_told = self.is_by_arrival() && *state != InputState::Closed;
        let last = health.last_packet.filter(|_| is_told)?;
        Some(Micros(analysis.at_us).millis_since(last))
    }

    /// Rate of the last second, in kbit/s.
    pub(in crate::control) fn kbps(&self) -> u64 {
        self.input.health.bitrate_kbps.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, transport};
    use super::*;

    #[test]
    fn what_is_published_has_the_numbers_behind_the_inputs_of_the_channel() {
        let mut shards = transport::headend();
        let (_, input) = transport::publication("news");
        shards.push(samples::shard(1));
        let key = StreamKey::new("iptv", "news");
        shards[1].published.push((key.clone(), input));
        let all = by_stream(&shards);
        let inputs = all[&key].inputs();
        let shown: Vec<_> = inputs.iter().map(|one| (one.number, one.is_on_air)).collect();
        assert_eq!(shown, [(1, true), (2, false), (3, false)]);
        assert_eq!(inputs[2].state(), "receiving");
    }

    #[test]
    fn an_input_has_the_connection_that_is_for_it() {
        let mut shards = transport::headend();
        let channel = &mut shards[0].channels[0];
        let another = InputSnapshot { url: "tcp://h:1".to_owned(), ..channel.inputs[1].clone() };
        channel.inputs.insert(0, another);
        let why = Some("refused".to_owned());
        let leg = Leg::Input(0);
        let down = LinkSnapshot { leg, is_connected: false, why, ..channel.links[0].clone() };
        channel.links[0].leg = Leg::Input(2);
        // Their order tells nothing.
        channel.links.push(down);
        let all = by_stream(&shards);
        let inputs = all.values().next().unwrap().inputs();
        let told: Vec<_> = inputs.iter().map(|one| (one.state(), one.why())).collect();
        assert_eq!(told, [("lost", Some("refused")), ("receiving", None), ("silent", None)]);
    }

    #[test]
    fn a_connection_that_never_was_there_is_connecting() {
        let mut shards = transport::headend();
        let link = &mut shards[0].channels[0].links[0];
        (link.is_connected, link.connections) = (false, 0);
        let all = by_stream(&shards);
        assert_eq!(all.values().next().unwrap().inputs()[1].state(), "connecting");
    }

    #[test]
    fn how_long_an_input_is_quiet_is_known_of_open_sockets() {
        let mut shards = transport::headend();
        let quiet = |shards: &[ShardSnapshot]| {
            let all = by_stream(shards);
            let inputs = all.values().next().unwrap().inputs();
            inputs.iter().map(Source::quiet_ms).collect::<Vec<_>>()
        };
        assert_eq!(quiet(&shards), [Some(100), None]);
        shards[0].channels[0].inputs[0].state = InputState::Closed;
        assert_eq!(quiet(&shards), [None, None]);
    }
}
