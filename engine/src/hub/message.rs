//! What cores say to each other about streams, and what the hub says to connections.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use corelay_protocols::hls::{Event, Form, Presentation};

use super::hls::Answer;
use super::key::StreamKey;
use super::subscriber::SubscriberId;
use super::unit::{Prologue, Snapshot, Unit};
use crate::channel::{ALL_CHANNELS, CHANNEL_BIT};
use crate::clock::Micros;
use crate::mesh::CoreIndex;

/// A connection of one core: where it is kept, and a serial that tells it from an earlier one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The core that accepted it.
    pub core: CoreIndex,
    /// Its place in that core's table.
    pub slot: u32,
    /// Counts the connections of that core.
    pub serial: u32,
}

impl ConnectionId {
    /// All channels of a core together.
    pub fn channels(core: CoreIndex) -> Self {
        Self { core, slot: ALL_CHANNELS, serial: 0 }
    }

    /// It names a channel, or all of them, and not a connection.
    pub fn is_channel(self) -> bool {
        self.slot & CHANNEL_BIT != 0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.core.0, self.serial)
    }
}

/// A publication, named by the core that accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublisherId {
    /// The accepting core.
    pub core: CoreIndex,
    /// Its place in that core's table of publications.
    pub slot: u32,
    /// Counts the publications of that core.
    pub serial: u32,
}

/// A stream, named by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamUid {
    /// The owner.
    pub core: CoreIndex,
    /// Its place in the owner's table.
    pub slot: u32,
    /// Counts the streams of the owner.
    pub serial: u32,
}

/// Who publishes, for the API and the log.
#[derive(Clone, Debug)]
pub struct PublisherInfo {
    /// The connection.
    pub connection: ConnectionId,
    /// Its peer.
    pub peer: SocketAddr,
    /// Its protocol: `rtmp`.
    pub protocol: &'static str,
    /// What it calls itself (flashVer, User-Agent).
    pub agent: String,
    /// The URL it connected to.
    pub url: String,
    /// When it started.
    pub since: Micros,
}

/// Why a publication was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody publishes there, and the first one wins.
    NameTaken,
    /// The server has as many publishers as it may.
    TooMany,
    /// The server is stopping.
    Stopping,
}

/// Why a publication or a play was ended by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A newer publisher took the name.
    TakenOver,
    /// The publisher left and did not return in time.
    PublisherLeft,
    /// No publisher came in the time that a viewer waits.
    NoPublisher,
    /// The server is stopping.
    Stopping,
}

impl EndReason {
    /// For status texts and log lines.
    pub fn text(self) -> &'static str {
        match self {
            Self::TakenOver => "a newer publisher took the stream name",
            Self::PublisherLeft => "the publisher left",
            Self::NoPublisher => "no publisher came",
            Self::Stopping => "the server is stopping",
        }
    }
}

/// The control lane.
#[derive(Debug)]
pub enum Control {
    /// To the owner: a publisher asks for a stream.
    Publish {
        /// The stream.
        key: StreamKey,
        /// The publication.
        publisher: PublisherId,
        /// Who it is.
        info: Box<PublisherInfo>,
    },
    /// From the owner: go on.
    PublishAccepted {
        /// The publication.
        publisher: PublisherId,
        /// What to send its units to.
        stream: StreamUid,
        /// Some core subscribes.
        watched: bool,
    },
    /// From the owner: no.
    PublishRefused {
        /// The publication.
        publisher: PublisherId,
        /// Why.
        why: Refusal,
    },
    /// From the owner: the publication is over.
    PublishEnded {
        /// The publication.
        publisher: PublisherId,
        /// Why.
        why: EndReason,
    },
    /// From the owner: the stream has got its first viewers, or lost its last ones.
    Watched {
        /// The publication.
        publisher: PublisherId,
        /// Some core subscribes.
        watched: bool,
    },
    /// To the owner: the publisher leaves. Its last units may still be on their way.
    Unpublish {
        /// The stream.
        key: StreamKey,
        /// The publication.
        publisher: PublisherId,
        /// How many units it has sent: the stream takes that many before it lets it go.
        units: u64,
    },
    /// To the owner: this core has viewers of the stream, or has missed some of its units.
    Subscribe {
        /// The stream.
        key: StreamKey,
    },
    /// To the owner: this core has no viewers of the stream any more.
    Unsubscribe {
        /// The stream.
        key: StreamKey,
    },
    /// From the owner, to a core that subscribes: what it needs to begin.
    Snapshot {
        /// The stream.
        key: StreamKey,
        /// What its units are marked with.
        stream: StreamUid,
        /// Somebody publishes, or is expected back.
        live: bool,
        /// Where it begins.
        snapshot: Snapshot,
    },
    /// From the owner: somebody publishes now.
    Live {
        /// The stream.
        stream: StreamUid,
    },
    /// To the owner: which form of HLS suits the stream?
    HlsWhich {
        /// The stream.
        key: StreamKey,
    },
    /// From the owner: this one does; `None`: nobody publishes it.
    HlsForm {
        /// The stream.
        key: StreamKey,
        /// The form.
        form: Option<Form>,
    },
    /// To the owner: this core serves the stream by HLS.
    HlsOpen {
        /// The stream.
        key: StreamKey,
        /// In this form.
        form: Form,
    },
    /// To the owner: not any more.
    HlsClose {
        /// The stream.
        key: StreamKey,
        /// In this form.
        form: Form,
    },
    /// From the owner, to a core that serves: what there is so far.
    HlsState {
        /// The stream.
        key: StreamKey,
        /// The form.
        form: Form,
        /// What its events are marked with.
        stream: StreamUid,
        /// Somebody publishes, or is expected back.
        live: bool,
        /// The segments and what is said of them.
        presentation: Box<Presentation>,
    },
    /// From the owner: there is more.
    HlsEvents {
        /// The stream.
        stream: StreamUid,
        /// The form.
        form: Form,
        /// What is new, all that came of one unit: the last part of a segment and the segment are one
        /// change.
        events: Arc<[Event]>,
    },
    /// From the owner: memory is short, or not any more.
    HlsWindow {
        /// The stream.
        stream: StreamUid,
        /// The form.
        form: Form,
        /// Segments to list, and to keep besides.
        window: (usize, usize),
    },
    /// From the owner: the stream is over.
    HlsEnd {
        /// The stream.
        stream: StreamUid,
        /// The form.
        form: Form,
    },
}

/// The media lane.
#[derive(Debug)]
pub enum Media {
    /// To the owner: a unit as received.
    Ingest {
        /// The stream.
        stream: StreamUid,
        /// Its publication.
        publisher: PublisherId,
        /// The unit.
        unit: Arc<Unit>,
    },
    /// From the owner: a unit on the stream's timeline.
    Unit {
        /// The stream.
        stream: StreamUid,
        /// The unit.
        unit: Arc<Unit>,
    },
    /// From the owner, after units that found this lane full: what decoders need before the entry point
    /// that comes next.
    Resume {
        /// The stream.
        stream: StreamUid,
        /// Metadata and configurations.
        prologue: Box<Prologue>,
        /// Sequence number of the unit that comes next.
        next: u64,
    },
    /// From the owner, behind the last unit: viewers are sent home.
    End {
        /// The stream.
        stream: StreamUid,
        /// Why.
        why: EndReason,
    },
}

/// What the hub says to a connection of its core. The ids tell what is still meant: a notice may come
/// behind an end that the peer asked for.
#[derive(Debug)]
pub enum Notice {
    /// The publication was accepted.
    PublishAccepted(PublisherId),
    /// Somebody watches the publication now, or nobody does any more.
    Watched(PublisherId, bool),
    /// It was refused.
    PublishRefused(PublisherId, Refusal),
    /// It is over.
    PublishEnded(PublisherId, EndReason),
    /// The play gets its first bytes next; they follow as `Private`.
    PlayStarting {
        /// The play.
        id: SubscriberId,
        /// The stream has video, as far as is known.
        video: bool,
        /// The stream has audio, as far as is known.
        audio: bool,
    },
    /// Whole messages for this play alone, in front of the log.
    Private(SubscriberId, Bytes),
    /// The rest of the message that the viewer is in the middle of, in front of everything.
    Rest(Bytes),
    /// The viewer's socket took less than there was: wait for it.
    Blocked,
    /// A viewer that reads through its connection has something to read.
    Readable,
    /// A viewer whose connection encrypts has something to send.
    Sendable,
    /// The play is over.
    PlayEnded(SubscriberId, EndReason),
    /// The connection must go.
    Close(CloseReason),
    /// The answer to a request of HLS that had to wait, by the number that the connection gave it.
    Hls(u32, Box<Answer>),
    /// To the channels of a stream's owner: somebody watches a stream that a relay can bring.
    Wanted(StreamKey),
}

/// Why the hub closes a viewer's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its socket failed.
    SocketFailed(std::io::ErrorKind),
    /// It skipped too often.
    TooSlow {
        /// Skips within the window.
        skips: u32,
        /// Length of the window in milliseconds.
        window_ms: u64,
    },
}
