//! HTTP Live Streaming (RFC 8216 and its successor, draft-pantos-hls-rfc8216bis).
//!
//! A *packager* cuts a stream into segments and parts, and tells what it made in [`Event`]s. A
//! *presentation* is what came of them: the segments that can be fetched, and the playlists that name
//! them. One packager feeds any number of presentations, so that all of them say the same.

pub mod encrypt;
pub mod packager;
pub mod playlist;
pub mod presentation;
pub mod segment;

pub use packager::Packager;
pub use playlist::{Links, Rendered, Variant, multivariant};
pub use presentation::{Ask, PartState, Presentation, Reload, Summary};
pub use segment::{
    Content, Cue, DateRange, Description, Event, Form, Init, Opening, Part, Rendition, Segment,
};
