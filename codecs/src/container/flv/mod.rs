//! FLV, and with it the media messages of RTMP: an RTMP audio, video or data message body *is* an
//! FLV tag body.
//!
//! Specifications: Adobe Flash Video File Format 10.1, Annex E; Enhanced RTMP v1 and v2
//! (veovera/enhanced-rtmp), here "E-RTMP".
//!
//! - [`demux::parse_tag`]: one tag or message body into access units.
//! - [`demux::Demuxer`]: a byte stream (file, liveFLV connection) into tags.
//! - [`mux::tag_body`]: an access unit into a tag or message body.
//! - [`mux::write_tag`] and [`header::file_header`]: the framing of a file or HTTP-FLV stream.
//!
//! Invariants
//! - What came from FLV goes out as FLV byte for byte: the first unit of a body carries it whole
//!   ([`FlvBody::Verbatim`](crate::FlvBody)), the other units of the same body carry none.
//! - What is legal but unknown (a codec, a packet type) is never refused, but carried as
//!   [`UnitKind::Opaque`](crate::UnitKind::Opaque).

pub mod demux;
pub mod error;
pub mod header;
pub mod mux;

pub use error::Error;
pub use header::TagType;
