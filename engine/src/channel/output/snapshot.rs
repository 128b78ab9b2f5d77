//! Everything that is known of an output, for the API.

use std::net::SocketAddr;

use corelay_codecs::container::mpegts::{analysis, pace};
use corelay_config::Pace;

use super::{Output, OutputDrops};
use crate::net::udp::OutputCounters;

/// What an output is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// It is not wanted now.
    Closed,
    /// It cannot be opened, or was lost; it is tried again.
    Lost,
    /// What comes is sent.
    Open,
}

impl OutputState {
    /// The word in the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Open => "open",
        }
    }
}

/// One output.
#[derive(Clone, Debug)]
pub struct OutputSnapshot {
    /// As it was configured, without its query.
    pub url: String,
    /// What it is doing.
    pub state: OutputState,
    /// Why it is lost.
    pub why: Option<String>,
    /// How packets leave.
    pub pace: Pace,
    /// The address that datagrams are sent from, while it is open.
    pub local: Option<SocketAddr>,
    /// Times that it was opened.
    pub openings: u64,
    /// Of all openings.
    pub counters: OutputCounters,
    /// What was not sent.
    pub drops: OutputDrops,
    /// SSRC of RTP.
    pub ssrc: Option<u32>,
    /// The jitter buffer of a paced output.
    pub pacer: Option<pace::Counters>,
    /// Everything that is measured, if it is; in a summary, without the PIDs.
    pub analysis: Option<analysis::Snapshot>,
}

impl Output {
    /// Everything that is known now.
    ///
    /// Cost: a copy of what is known of every PID; for the API, not for every turn.
    pub fn snapshot(&self) -> OutputSnapshot {
        let analysis = self.watch.as_ref().map(|watch| watch.analyser().snapshot());
        OutputSnapshot { analysis, ..self.summary() }
    }

    /// What is known now, without that of the PIDs.
    ///
    /// Cost: a few allocations.
    pub fn summary(&self) -> OutputSnapshot {
        let why = self.port.why().map(str::to_owned);
        let state = match (self.is_open, &why) {
            (false, _) => OutputState::Closed,
            (true, Some(_)) => OutputState::Lost,
            (true, None) => OutputState::Open,
        };
        OutputSnapshot {
            url: self.url.clone(),
            state,
            why,
            pace: if self.paced.is_some() { Pace::Paced } else { Pace::Forward },
            local: self.port.local(),
            openings: self.port.openings(),
            counters: self.port.counters(),
            drops: self.port.drops(),
            ssrc: self.numbering.0.as_ref().map(|packetizer| packetizer.ssrc()),
            pacer: self.paced.as_ref().map(|paced| paced.counters()),
            analysis: self.watch.as_ref().map(|watch| watch.analyser().summary()),
        }
    }
}
