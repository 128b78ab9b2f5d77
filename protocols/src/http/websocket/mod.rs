//! WebSocket as a viewer uses it: the upgrade, frames out, and the few frames that come in.
//!
//! Spec: RFC 6455. No extension and no subprotocol is negotiated.
//!
//! Invariants
//! - Frames out are whole, final and unmasked (5.1): any two writers may interleave at their
//!   borders.
//! - Frames in are read in place: only the payload of a control frame (at most 125 bytes) is kept.

pub mod frame;
pub mod handshake;
pub mod reader;

pub use frame::{FrameHeader, Opcode, frame_header, write_frame};
pub use handshake::accept_key;
pub use reader::{FrameReader, Incoming};

/// Status codes of a close frame (RFC 6455 7.4.1).
pub mod close_code {
    /// The stream has ended.
    pub const NORMAL: u16 = 1000;
    /// The server is shutting down.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// The peer's message is longer than is accepted.
    pub const MESSAGE_TOO_BIG: u16 = 1009;
}
