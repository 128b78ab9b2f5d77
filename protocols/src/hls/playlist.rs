//! Playlists (RFC 8216 4, draft-pantos-hls-rfc8216bis-22 4).
//!
//! Decisions
//! - EXT-X-PROGRAM-DATE-TIME stands at every segment, not only where it must: a player that joins
//!   with a delta update or after lost reloads knows the time of what it sees, rounded durations do
//!   not add up, and EXT-X-DATERANGE can be placed exactly.
//! - CAN-BLOCK-RELOAD is offered in low-latency playlists only. In the others it would bring all
//!   viewers of a channel in the same millisecond, for a segment that they play three target
//!   durations later; polling spreads them.
//! - EXT-X-PLAYLIST-TYPE is never said: a window lets segments go, and both types forbid it
//!   (RFC 8216bis 6.2.2).
//! - EXT-X-INDEPENDENT-SEGMENTS is said as long as it is true of every segment that is listed.
//! - The URIs of segments carry no query: a playlist is the same for all viewers.
//! - Subtitles have no parts, in low-latency playlists either: a segment of them is some hundred bytes, and
//!   is known when its last picture is shown (RFC 8216bis 4.4.3.7: EXT-X-PART-INF is for playlists with
//!   parts).

mod date;
mod language;
mod media;
mod multivariant;
mod rendered;

pub(super) use media::{Media, Report, skip_boundary};
pub use multivariant::{Links, Variant, multivariant};
pub use rendered::Rendered;
