//! One viewer: a cursor into an egress log.

use std::os::fd::RawFd;

use super::message::ConnectionId;
use crate::clock::Micros;

/// A viewer's handle in the hub of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriberId {
    /// Its place in that hub's table.
    pub slot: u32,
    /// Tells it from an earlier one there.
    pub serial: u32,
}

/// What a subscriber is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first entry point of the stream.
    Waiting,
    /// Nothing: it gets what is appended.
    Running,
    /// Room in its socket.
    Blocked,
    /// An entry point at or after its place, having lost the thread.
    Lost,
    /// Its own `resume`.
    Paused,
}

/// How a subscriber is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The log's bytes as they are, straight to the socket.
    Shared,
    /// The log's bytes as they are, encrypted by its connection (TLS).
    Encrypted,
    /// The log's chunks, copied by its connection, which frames them anew: for another RTMP message stream,
    /// or a stream of HTTP/2.
    Copied,
}

/// See the module. Bytes of memory per viewer are the point of this type: keep it small.
#[derive(Debug)]
pub struct Subscriber {
    /// Its handle.
    pub id: SubscriberId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its socket, valid as long as the connection lives; the connection unsubscribes before it closes.
    pub fd: RawFd,
    /// Next byte of the log to send.
    pub at: u64,
    /// End of the chunk that `at` is in the middle of; not above `at` when it is at a boundary.
    pub chunk_end: u64,
    /// See [`State`].
    pub state: State,
    /// It has been told that its play starts.
    pub started: bool,
    /// How long it waits for that if nobody publishes.
    pub wait_until: Micros,
    /// See [`Delivery`].
    pub delivery: Delivery,
    /// The connection has private bytes to send first: only it may send.
    pub held: bool,
    /// Skips in the present window, and when that began.
    pub skips: u32,
    /// See `skips`.
    pub skips_since: Micros,
}

impl Subscriber {
    /// True when a flush may send to it directly.
    pub fn is_ready(&self) -> bool {
        self.state == State::Running && !self.held && self.delivery == Delivery::Shared
    }

    /// True when part of a chunk was sent.
    pub fn is_inside_chunk(&self) -> bool {
        self.chunk_end > self.at
    }

    /// Waits for an entry point, be it the newest one in the log.
    pub fn wait_anywhere(&mut self) {
        self.state = if self.started { State::Lost } else { State::Waiting };
        (self.at, self.chunk_end) = (0, 0);
    }

    /// True when its connection may read the log for it.
    pub fn is_readable(&self) -> bool {
        self.state == State::Running && !self.held && self.delivery == Delivery::Copied
    }

    /// True when its connection may encrypt the log for it.
    pub fn is_encryptable(&self) -> bool {
        self.state == State::Running && !self.held && self.delivery == Delivery::Encrypted
    }

    /// True when it gets nothing before the next entry point.
    pub fn waits_for_entry(&self) -> bool {
        matches!(self.state, State::Waiting | State::Lost)
    }

    /// True when it holds a place in the log that must not be trimmed unseen.
    pub fn holds_log(&self) -> bool {
        matches!(self.state, State::Running | State::Blocked)
    }
}
