//! Encryption of segments (EXT-X-KEY, RFC 8216 4.3.2.4 and 5.2), by one key for all of them.
//!
//! | method | what is encrypted | initialisation vector |
//! |---|---|---|
//! | AES-128 (`whole`) | segments, when they are complete | the media sequence number |
//! | SAMPLE-AES in MPEG-TS (`transport`) | frames, as they come | told by the playlist |
//! | SAMPLE-AES in fragmented MP4 (`fragment`) | frames, as they come | told by both |
//!
//! With SAMPLE-AES containers, tables and headers stay clear, so that parts can be served as soon as they
//! are there, and a segment costs a tenth of the pictures' bytes.

mod fragment;
mod sample;
mod transport;
mod whole;

pub(super) use fragment::FragmentCipher;
pub use sample::SampleKey;
pub(super) use transport::TransportCipher;
pub use whole::encrypt;

/// How segments are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// METHOD=AES-128. There are no parts.
    Aes128,
    /// METHOD=SAMPLE-AES, every frame from this initialisation vector on.
    SampleAes {
        /// IV.
        vector: [u8; 16],
    },
}
