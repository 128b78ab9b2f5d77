//! What viewers ask for, and what they get.

use std::sync::Arc;

use corelay_protocols::hls::playlist::Rendered;
use corelay_protocols::hls::{Form, Init, Part, Rendition, Segment};

use crate::hub::message::ConnectionId;

/// Where the answer to a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The connection.
    pub connection: ConnectionId,
    /// Tells several requests of one connection apart.
    pub request: u32,
}

/// A request for a part of a presentation.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A media playlist.
    Playlist(PlaylistAsk),
    /// An initialisation segment, by its number.
    Init(Rendition, u32),
    /// A segment, by its media sequence number.
    Segment(Rendition, u64),
    /// A part of a segment.
    Part(Rendition, u64, u32),
}

/// A request for a media playlist.
#[derive(Clone, Copy, Debug)]
pub struct PlaylistAsk {
    /// Which one.
    pub rendition: Rendition,
    /// With parts.
    pub low_latency: bool,
    /// Not before it has this segment, or this part of it.
    pub reload: Option<(u64, Option<u32>)>,
    /// Only what is new.
    pub skip: bool,
}

/// A request for a multivariant playlist.
#[derive(Clone, Debug)]
pub struct ListAsk {
    /// The form of its variants; `None`: each in the one that suits it.
    pub form: Option<Form>,
    /// Its media playlists are to have parts.
    pub low_latency: bool,
    /// It was asked for as `/APP/NAME/index.m3u8`.
    pub is_nested: bool,
    /// The query of its media playlists, without `?`.
    pub query: String,
}

/// What the hub has for a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A multivariant playlist.
    List(String),
    /// A media playlist.
    Playlist(Rendered),
    /// An initialisation segment.
    Init(Arc<Init>),
    /// A segment.
    Segment(Rendition, Arc<Segment>),
    /// A part.
    Part(Rendition, Arc<Part>),
    /// There is no such thing, or not any more.
    NotFound(&'static str),
    /// The request makes no sense.
    Bad(&'static str),
    /// Not now: a later request may be answered.
    NotYet(&'static str),
}

impl Ask {
    /// The rendition that it is about.
    pub fn rendition(&self) -> Rendition {
        match self {
            Self::Playlist(ask) => ask.rendition,
            Self::Init(rendition, _)
            | Self::Segment(rendition, _)
            | Self::Part(rendition, _, _) => *rendition,
        }
    }
}
