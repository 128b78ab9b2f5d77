//! What an input has to tell, until somebody asks.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use corelay_codecs::container::mpegts::analysis;

/// Something happened to an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// Its socket is open: watch the descriptor for input. When the socket is closed the descriptor
    /// leaves the set by itself.
    Opened {
        /// The descriptor.
        fd: RawFd,
        /// The interface, where there is a particular one.
        interface: Option<String>,
    },
    /// It cannot be opened, or no longer be received from. It is tried until it is open again.
    Lost(String),
    /// Open, and nothing comes: since when, where, and what to check.
    Silent(String),
    /// The first packets since it was opened, or was silent.
    Heard,
    /// The group could not be joined anew; the membership that there is goes on.
    RejoinFailed(String),
    /// An alarm was raised or cleared.
    Alarm(analysis::Event),
}

/// The newest events, in order.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<InputEvent>,
    /// The next packets are to be told of.
    is_packet_awaited: bool,
}

impl Events {
    /// The oldest is forgotten when nobody asks.
    pub(super) fn push(&mut self, event: InputEvent) {
        self.is_packet_awaited |=
            matches!(event, InputEvent::Opened { .. } | InputEvent::Silent(_));
        if self.queue.len() >= EVENTS_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(event);
    }

    /// The next packets are to be told of.
    pub(super) fn await_packets(&mut self) {
        self.is_packet_awaited = true;
    }

    /// Packets came.
    pub(super) fn heard(&mut self) {
        if std::mem::take(&mut self.is_packet_awaited) {
            self.push(InputEvent::Heard);
        }
    }

    pub(super) fn pop(&mut self) -> Option<InputEvent> {
        self.queue.pop_front()
    }
}

/// Many times what one turn brings.
const EVENTS_MAX: usize = 32;
