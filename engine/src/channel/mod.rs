//! Channels: streams that the server itself gets and sends.
//!
//! A channel lives on the core that owns its stream. Its inputs give whole transport stream packets
//! ([`input`]); one of them is on air ([`select`]); what it gives goes through one path (`path`) to the
//! outputs and to the hub.
//!
//! ```text
//! input (UDP, RTP, HTTP, TCP) --+
//! input                       --+-- selector -- splicer -+- outputs (UDP, RTP), at once or paced
//!                                                        +- blocks -- hub -- .ts, bridge, pushes
//! ```
//!
//! A channel without inputs sends what is published under its name. A relay is a channel that a viewer
//! asks for by its group's address, and that is gone with its last viewer.
//!
//! Invariants
//! - Nothing here blocks, and nothing is allocated per packet.
//! - What one channel meets touches no other.

mod blocks;
pub mod input;
mod links;
mod one;
pub mod output;
mod path;
mod relay;
pub mod select;
mod set;
mod snapshot;

pub use blocks::{Block, Blocks};
pub use links::{Leg, LinkRequest};
pub use one::{Environment, describe_alarm};
pub use relay::{RelayTarget, is_relay, is_relay_app, relay_key};
pub use set::{ALL_CHANNELS, CHANNEL_BIT, Channels};
pub use snapshot::{ChannelSnapshot, LinkSnapshot, SwitchSnapshot};
