//! What an output has to tell, until somebody asks.

use std::collections::VecDeque;
use std::net::SocketAddr;

use corelay_codecs::container::mpegts::analysis;
use tracing::Level;

use crate::channel::describe_alarm;

/// Something happened to an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputEvent {
    /// It is open; or datagrams leave again.
    Opened {
        /// The address that they are sent from.
        local: SocketAddr,
    },
    /// It cannot be opened, or no longer be sent on. It is tried until datagrams leave again.
    Lost(String),
    /// An alarm was raised or cleared.
    Alarm(analysis::Event),
}

impl OutputEvent {
    /// How it is logged, and in which words: what is said of the output.
    pub fn describe(&self) -> (Level, String) {
        match self {
            Self::Opened { local } => (Level::INFO, format!("sends from {local}")),
            Self::Lost(why) => (Level::WARN, format!("is lost: {why}")),
            Self::Alarm(alarm) => describe_alarm(alarm),
        }
    }
}

/// The newest events, in order.
#[derive(Debug, Default)]
pub(super) struct Events(VecDeque<OutputEvent>);

impl Events {
    /// The oldest is forgotten when nobody asks.
    pub(super) fn push(&mut self, event: OutputEvent) {
        if self.0.len() >= EVENTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<OutputEvent> {
        self.0.pop_front()
    }
}

/// Many times what one turn brings.
const EVENTS_MAX: usize = 16;
