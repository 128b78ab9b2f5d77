//! The server session against a hand-driven client on a virtual clock.

mod commands;
mod connection;
mod media;
mod peer;
mod time;

use bytes::BytesMut;
use corelay_codecs::amf::{Object, Value, amf0};

use self::peer::{Peer, S0, S1, S2};
use super::*;
use crate::rtmp::event::{
    ConnectRequest, MediaKind, MediaMessage, PlayRequest, PlayStart, PublishKind, PublishRequest,
};
use crate::rtmp::message::parse_u32;
