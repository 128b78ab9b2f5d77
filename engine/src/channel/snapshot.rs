//! What the API shows of a channel.

use corelay_codecs::container::mpegts::splice;

use super::input::InputSnapshot;
use super::links::Leg;
use super::output::OutputSnapshot;
use crate::hub::StreamKey;

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelSnapshot {
    /// Application and name of its stream.
    pub key: StreamKey,
    /// Its inputs are open.
    pub is_open: bool,
    /// Index of the input on air.
    pub current: usize,
    /// How long it has been, in milliseconds.
    pub current_for_ms: u64,
    /// Its inputs, in order of preference.
    pub inputs: Vec<InputSnapshot>,
    /// Its datagram outputs.
    pub outputs: Vec<OutputSnapshot>,
    /// Its connections.
    pub links: Vec<LinkSnapshot>,
    /// Switches from one input to another since it was started.
    pub switch_count: u64,
    /// The newest of them, oldest first.
    pub switches: Vec<SwitchSnapshot>,
    /// What was done so that counters and clocks continue.
    pub splices: splice::Counters,
}

/// A switch from one input to another.
#[derive(Clone, Debug)]
pub struct SwitchSnapshot {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// Index of the input that was left.
    pub from: usize,
    /// Index of the input that took over.
    pub to: usize,
    /// Why.
    pub why: String,
}

/// An input or output that is a connection.
#[derive(Clone, Debug)]
pub struct LinkSnapshot {
    /// Where it leads, without its query.
    pub url: String,
    /// The input or output that it is for.
    pub leg: Leg,
    /// The other side has accepted it.
    pub is_connected: bool,
    /// How often it was there.
    pub connections: u64,
    /// Why it is not, once it was lost or could not be had.
    pub why: Option<String>,
}

impl LinkSnapshot {
    /// It brings packets; otherwise it is sent the stream.
    pub fn is_input(&self) -> bool {
        matches!(self.leg, Leg::Input(_))
    }
}
