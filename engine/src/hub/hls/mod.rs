//! HLS: a stream is packaged once, by its owner, and served by every core.
//!
//! ```text
//! owner: units -> Packaging --events--> Shelf (core 0) -- playlists, segments --> viewers
//!                                  \--> Shelf (core n) -- the same bytes ------> viewers
//! ```
//!
//! What the owner makes of a stream in one form is a presentation: segments that share the publisher's
//! bytes, and the playlists that name them. Its events go to the cores that serve it, each of which keeps
//! the presentation on a shelf, so that all of them say the same and no byte is held twice. A viewer is
//! a row of requests: the hub remembers only those that wait for something, and sessions for the API.
//!
//! Invariants
//! - A stream is packaged in a form while any core serves that form of it, or always if the
//!   configuration says so.
//! - A core that has asked the owner gets the whole presentation first, and then every event, in order:
//!   on the control lane, which loses nothing.
//! - A request that waits is answered once, by a notice, unless its connection forgets it before.

mod ask;
mod list;
mod owner;
mod packaging;
mod serve;
mod sessions;
mod shelf;

pub use ask::{Answer, Ask, Asker, ListAsk, PlaylistAsk};
pub use packaging::Packagings;
pub use serve::Shelves;
pub use sessions::{SessionSnapshot, Viewer};
pub use shelf::{HlsSnapshot, Serving};
