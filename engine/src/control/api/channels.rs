//! `/api/v1/channels`: the channels at a glance; and what has become of one, in `/api/v1/streams`.

use std::collections::HashMap;

use corelay_codecs::container::mpegts::splice;
use serde::Serialize;

use super::sources::{self, Source, Sources};
use crate::channel::{ChannelSnapshot, SwitchSnapshot, is_relay};
use crate::hub::StreamKey;
use crate::shard::ShardSnapshot;

/// One channel.
#[derive(Debug, Serialize)]
pub(super) struct Channel<'a> {
    /// Application and name of its stream.
    name: String,
    /// Id of that stream; empty while there is none.
    stream: String,
    /// It was asked for by the address of its group, and goes with its last viewer.
    relay: bool,
    /// Its inputs are open.
    open: bool,
    inputs: usize,
    /// Null while it is not open, and where it has no inputs.
    on_air: Option<OnAir<'a>>,
    /// Switches since it was started.
    switches: u64,
    /// Raised now, of all inputs.
    alarms: Vec<Alarm>,
    outputs: usize,
    /// Outputs that cannot send now, connections included.
    outputs_lost: usize,
}

/// The input on air.
#[derive(Debug, Serialize)]
struct OnAir<'a> {
    /// Its number, from 1.
    input: usize,
    url: &'a str,
    state: &'static str,
    /// Of the last second.
    kbps: u64,
    /// How long it has been on air.
    since_ms: u64,
}

/// An alarm of TR 101 290 that is raised.
#[derive(Debug, Serialize)]
struct Alarm {
    /// Number of the input.
    input: usize,
    /// As in `1.4`.
    indicator: &'static str,
    name: &'static str,
}

/// What has become of a channel's inputs.
#[derive(Debug, Serialize)]
pub(super) struct Failover<'a> {
    /// Since it was started.
    switches: u64,
    /// How long its input has been on air.
    on_air_ms: u64,
    /// The newest switches, oldest first.
    last: Vec<Switch<'a>>,
    splices: Splices,
}

#[derive(Debug, Serialize)]
struct Switch<'a> {
    ago_ms: u64,
    /// Numbers of the inputs.
    from: usize,
    to: usize,
    why: &'a str,
}

/// What was done so that counters and clocks continue.
#[derive(Debug, Serialize)]
struct Splices {
    switches: u64,
    rewritten_packets: u64,
    /// What is added to the times of the input on air.
    clock_shift_ms: f64,
    versions_raised: u64,
    versions_not_raised: u64,
    /// Times that should have been changed and could not be.
    times_left: u64,
    /// Switches over which the clock could not be continued.
    discontinuities: u64,
}

/// All channels with what brings them, in the order of their names.
pub(super) fn sorted(shards: &[ShardSnapshot]) -> Vec<(&ChannelSnapshot, Sources<'_>)> {
    let all = sources::by_stream(shards);
    all.into_values().filter_map(|sources| Some((sources.channel?, sources))).collect()
}

/// The API's view of some channels.
pub(super) fn describe<'a>(
    channels: &[(&'a ChannelSnapshot, Sources<'a>)],
    shards: &'a [ShardSnapshot],
) -> Vec<Channel<'a>> {
    let streams = shards.iter().flat_map(|shard| &shard.streams);
    let ids: HashMap<&StreamKey, u64> = streams.map(|stream| (&stream.key, stream.id)).collect();
    let one = |(channel, sources): &(&'a ChannelSnapshot, Sources<'a>)| {
        one(channel, &sources.inputs(), ids.get(&channel.key).copied())
    };
    channels.iter().map(one).collect()
}

fn one<'a>(channel: &'a ChannelSnapshot, inputs: &[Source<'a>], id: Option<u64>) -> Channel<'a> {
    let on_air = inputs.iter().find(|source| source.is_on_air);
    let sending = channel.links.iter().filter(|link| !link.is_input());
    let lost = channel.outputs.iter().filter(|output| output.why.is_some()).count();
    Channel {
        name: channel.key.to_string(),
        stream: id.map(|id| id.to_string()).unwrap_or_default(),
        relay: is_relay(&channel.key),
        open: channel.is_open,
        inputs: channel.inputs.len(),
        on_air: on_air.map(|source| OnAir {
            input: source.number,
            url: &source.input.url,
            state: source.state(),
            kbps: source.kbps(),
            since_ms: channel.current_for_ms,
        }),
        switches: channel.switch_count,
        alarms: inputs.iter().flat_map(alarms).collect(),
        outputs: channel.outputs.len() + sending.clone().count(),
        outputs_lost: lost + sending.filter(|link| link.why.is_some()).count(),
    }
}

fn alarms<'a>(source: &Source<'a>) -> impl Iterator<Item = Alarm> + use<'a> {
    let raised = source.input.analysis.alarms.iter().filter(|alarm| alarm.is_raised);
    let input = source.number;
    raised.map(move |alarm| {
        let (indicator, name) = (alarm.indicator.number(), alarm.indicator.name());
        Alarm { input, indicator, name }
    })
}

impl<'a> Failover<'a> {
    pub(super) fn of(channel: &'a ChannelSnapshot) -> Self {
        let switch = |switch: &'a SwitchSnapshot| Switch {
            ago_ms: switch.ago_ms,
            from: switch.from + 1,
            to: switch.to + 1,
            why: &switch.why,
        };
        Self {
            switches: channel.switch_count,
            on_air_ms: if channel.is_open { channel.current_for_ms } else { 0 },
            last: channel.switches.iter().map(switch).collect(),
            splices: Splices::of(&channel.splices),
        }
    }
}

impl Splices {
    fn of(counters: &splice::Counters) -> Self {
        Self {
            switches: counters.switches,
            rewritten_packets: counters.rewritten_packets,
            clock_shift_ms: counters.clock_shift as f64 / TICKS_PER_MS,
            versions_raised: counters.versions_raised,
            versions_not_raised: counters.versions_not_raised,
            times_left: counters.times_left,
            discontinuities: counters.discontinuities,
        }
    }
}

/// The system clock's 27 MHz (ISO/IEC 13818-1 2.4.2.1).
const TICKS_PER_MS: f64 = 27_000.0;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{self, transport};
    use super::*;

    fn shown(shards: &[ShardSnapshot]) -> Vec<Value> {
        let channels = describe(&sorted(shards), shards);
        channels.iter().map(|channel| serde_json::to_value(channel).unwrap()).collect()
    }

    #[test]
    fn a_channel_is_shown_with_every_field() {
        assert_eq!(
            shown(&transport::headend()),
            [json!({
                "name": "iptv/news", "stream": "8", "relay": false, "open": true, "inputs": 2,
                "on_air": {"input": 1, "url": "rtp://eth1@239.1.1.1:5000#src=10.0.0.5",
                           "state": "receiving", "kbps": 4_000, "since_ms": 61_000},
                "switches": 2,
                "alarms": [{"input": 1, "indicator": "1.4", "name": "Continuity_count_error"}],
                "outputs": 2, "outputs_lost": 1,
            })]
        );
    }

    #[test]
    fn a_channel_that_is_closed_has_no_input_on_air_and_maybe_no_stream() {
        let mut shards = transport::headend();
        shards[0].channels[0].is_open = false;
        shards[0].streams.clear();
        let shown = &shown(&shards)[0];
        assert_eq!((&shown["open"], &shown["on_air"]), (&json!(false), &Value::Null));
        assert_eq!(shown["stream"], "");
    }

    #[test]
    fn a_channel_without_inputs_has_what_is_published_on_air() {
        let mut shards = vec![samples::shard(0), samples::shard(1)];
        let (key, input) = transport::publication("cam");
        let inputs = vec![];
        shards[0].channels.push(ChannelSnapshot {
            key: key.clone(),
            inputs,
            ..transport::channel()
        });
        shards[1].published.push((key, input));
        let shown = &shown(&shards)[0];
        assert_eq!((&shown["inputs"], &shown["on_air"]["input"]), (&json!(0), &json!(1)));
        assert_eq!(shown["on_air"]["url"], "tcp://192.0.2.1:5000");
    }

    #[test]
    fn channels_come_in_the_order_of_their_names_and_relays_are_marked() {
        let mut shards = vec![samples::shard(0), samples::shard(1)];
        for (shard, app, name) in [(0, "udp", "239.1.1.1:1234"), (1, "live", "b"), (0, "live", "a")]
        {
            let key = StreamKey::new(app, name);
            shards[shard].channels.push(ChannelSnapshot { key, ..transport::channel() });
        }
        let names: Vec<(Value, Value)> =
            shown(&shards).iter().map(|one| (one["name"].clone(), one["relay"].clone())).collect();
        let expected = [("live/a", false), ("live/b", false), ("udp/239.1.1.1:1234", true)];
        assert_eq!(names, expected.map(|(name, relay)| (json!(name), json!(relay))));
    }

    #[test]
    fn what_has_become_of_the_inputs_is_told_by_their_numbers() {
        let channel = transport::channel();
        assert_eq!(
            serde_json::to_value(Failover::of(&channel)).unwrap(),
            json!({
                "switches": 2, "on_air_ms": 61_000,
                "last": [
                    {"ago_ms": 90_000, "from": 1, "to": 2, "why": "no packets for 500 ms"},
                    {"ago_ms": 61_000, "from": 2, "to": 1,
                     "why": "the preferred input is good for 10000 ms"},
                ],
                "splices": {"switches": 2, "rewritten_packets": 0, "clock_shift_ms": 2.0,
                            "versions_raised": 0, "versions_not_raised": 0, "times_left": 0,
                            "discontinuities": 0},
            })
        );
    }
}
