//! `/api/v1/channels`: the channels at a glance; and what has become of one, in `/api/v1/streams`.

use std::borrow::Cow;
use std::collections::HashMap;

use corelay_codecs::container::mpegts::splice;
use serde::Serialize;

use super::place;
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
    url: Cow<'a, str>,
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
    let sending = channel.links.iter().filter(|link| !link.is_input);
    let lost = channel.outputs.iter().filter(|output| output.why.is_some()).count();
    Channel {
        name: channel.key.to_string(),
        stream: id.map(|id| id.to_string()).unwrap_or_default(),
        relay: is_relay(&channel.key),
        open: channel.is_open,
        inputs: channel.inputs.len(),
        on_air: on_air.map(|source| OnAir {
            input: source.number,
            url: place::shown(&source.input.url),
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
