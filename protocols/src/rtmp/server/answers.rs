//! What the driver answers, and what it tells the peer on its own.

use corelay_codecs::amf::{Object, Value};

use super::streams::{Play, Role};
use super::{Question, ServerSession};
use crate::rtmp::command::{Command, information};
use crate::rtmp::event::MessageStreamId;
use crate::rtmp::message::{PEER_BANDWIDTH_DYNAMIC, UserControl, type_id};
use crate::rtmp::output::CONNECTION;

/// Why a publication is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishRefusal {
    /// The name is taken, or is none.
    BadName,
    /// The peer may not publish.
    Denied,
    /// Recording was asked for and is not done here.
    Unsupported,
}

/// Why a play is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayRefusal {
    /// There is no such stream.
    StreamNotFound,
    /// The peer may not play, or it cannot be done.
    Failed,
}

/// Why the server ends a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishEnd {
    /// Another publisher took the name over.
    TakenOver,
    /// An operator or a rule ended it.
    Denied,
    /// The server stops.
    Shutdown,
}

/// Why the server ends a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayEnd {
    /// The publisher has left and did not come back in time.
    Unpublished,
    /// No publisher came in time.
    StreamNotFound,
    /// An operator or a rule ended it, or it could not go on.
    Failed,
    /// The server stops.
    Shutdown,
}

impl ServerSession {
    /// Accepts the connection. From here on chunks go out in `chunk_size_out`.
    pub fn accept_connect(&mut self) {
        let (transaction_id, object_encoding, enhanced) = match self.question {
            Some(Question::Connect { transaction_id, object_encoding, enhanced }) => {
                (transaction_id, object_encoding, enhanced)
            }
            _ => return,
        };
        self.question = None;
        self.connected = true;
        let window = self.settings.window_ack_size.to_be_bytes();
        self.output.control(type_id::WINDOW_ACK_SIZE, &window);
        let mut bandwidth = self.settings.peer_bandwidth.to_be_bytes().to_vec();
        bandwidth.push(PEER_BANDWIDTH_DYNAMIC);
        self.output.control(type_id::SET_PEER_BANDWIDTH, &bandwidth);
        self.output.set_chunk_size(self.settings.chunk_size_out);
        self.output.user(UserControl::StreamBegin(CONNECTION));
        let success = information("status", "NetConnection.Connect.Success", "Connected.")
            .with("objectEncoding", f64::from(object_encoding));
        self.output.result(transaction_id, properties(enhanced).into(), success.into());
        // Flash clients that measure the line begin when this comes.
        self.output.command(CONNECTION, &Command::new("onBWDone", 0.0, Value::Null, vec![]));
        self.resume();
    }

    /// Refuses the connection; the driver closes it when the output is sent.
    pub fn reject_connect(&mut self, description: &str) {
        self.refuse_connect("NetConnection.Connect.Rejected", description);
    }

    /// Refuses the connection since there is no such application; the driver closes it when the output
    /// is sent.
    pub fn reject_app(&mut self, description: &str) {
        self.refuse_connect("NetConnection.Connect.InvalidApp", description);
    }

    fn refuse_connect(&mut self, code: &str, description: &str) {
        if let Some(Question::Connect { transaction_id, .. }) = self.question {
            self.output.error(transaction_id, information("error", code, description));
            self.output.command(CONNECTION, &Command::new("close", 0.0, Value::Null, vec![]));
            self.end();
        }
    }

    /// Accepts the publication on a message stream; its media follow as events.
    pub fn accept_publish(&mut self, stream: MessageStreamId) {
        let Some(name) = self.take_publish(stream) else { return };
        self.output.user(UserControl::StreamBegin(stream));
        let start = information("status", "NetStream.Publish.Start", "Started publishing.");
        self.output.status(stream, start.with("details", name.as_str()));
        self.begin_role(stream, Role::Publishing { name });
        self.resume();
    }

    /// Refuses the publication on a message stream; the connection stays open.
    pub fn reject_publish(
        &mut self,
        stream: MessageStreamId,
        refusal: PublishRefusal,
        description: &str,
    ) {
        let Some(name) = self.take_publish(stream) else { return };
        self.refuse_publish(stream, refusal, description, &name);
        self.resume();
    }

    pub(super) fn refuse_publish(
        &mut self,
        stream: MessageStreamId,
        refusal: PublishRefusal,
        description: &str,
        name: &str,
    ) {
        let code = match refusal {
            PublishRefusal::BadName => "NetStream.Publish.BadName",
            PublishRefusal::Denied => "NetStream.Publish.Denied",
            PublishRefusal::Unsupported => "NetStream.Record.Failed",
        };
        let details = information("error", code, description).with("details", name);
        self.output.status(stream, details);
    }

    /// Accepts the play on a message stream, whether or not there are media yet. The driver may send
    /// media behind this output.
    pub fn accept_play(&mut self, stream: MessageStreamId) {
        let Some((name, reset)) = self.take_play(stream) else { return };
        self.output.user(UserControl::StreamBegin(stream));
        if reset {
            self.play_status(stream, "NetStream.Play.Reset", "Playing and resetting.", &name);
        }
        self.play_status(stream, "NetStream.Play.Start", "Started playing.", &name);
        // Flash Media Server also sends NetStream.Data.Start here. No player needs it, and ffmpeg takes
        // it for a third track of unknown content, which breaks copying all tracks.
        let access = [Value::from("|RtmpSampleAccess"), Value::from(true), Value::from(true)];
        self.output.data(stream, &access);
        let play = Play { name, audio: true, video: true, paused: false };
        self.begin_role(stream, Role::Playing(play));
        self.resume();
        // A player hardly ever speaks again: it keeps no room for a burst of commands.
        self.events.shrink_to_fit();
        self.held.shrink_to_fit();
    }

    /// Refuses the play on a message stream; the connection stays open.
    pub fn reject_play(
        &mut self,
        stream: MessageStreamId,
        refusal: PlayRefusal,
        description: &str,
    ) {
        let Some((name, _)) = self.take_play(stream) else { return };
        self.refuse_play(stream, refusal, description, &name);
        self.resume();
    }

    pub(super) fn refuse_play(
        &mut self,
        stream: MessageStreamId,
        refusal: PlayRefusal,
        description: &str,
        name: &str,
    ) {
        let code = match refusal {
            PlayRefusal::StreamNotFound => "NetStream.Play.StreamNotFound",
            PlayRefusal::Failed => "NetStream.Play.Failed",
        };
        let details = information("error", code, description).with("details", name);
        self.output.status(stream, details);
    }

    /// Tells the peer that its publication is over; media that still come are dropped.
    pub fn publish_ended(&mut self, stream: MessageStreamId, end: PublishEnd) {
        let Some(role @ Role::Publishing { .. }) = self.streams.role_mut(stream) else { return };
        let Role::Publishing { name } = std::mem::take(role) else { return };
        let refusal = match end {
            PublishEnd::TakenOver => {
                Some(("NetStream.Publish.BadName", "Another publisher took the name over."))
            }
            PublishEnd::Denied => Some(("NetStream.Publish.Denied", "Ended by the server.")),
            PublishEnd::Shutdown => None,
        };
        if let Some((code, description)) = refusal {
            let details = information("error", code, description).with("details", name.as_str());
            self.output.status(stream, details);
        }
        let success = information("status", "NetStream.Unpublish.Success", "Stopped publishing.");
        self.output.status(stream, success.with("details", name));
    }

    /// Tells the peer that its play is over; the driver sends no more media on the message stream.
    pub fn play_ended(&mut self, stream: MessageStreamId, end: PlayEnd) {
        let Some(role @ Role::Playing(_)) = self.streams.role_mut(stream) else { return };
        let Role::Playing(Play { name, .. }) = std::mem::take(role) else { return };
        let first = match end {
            PlayEnd::Unpublished => {
                Some(("status", "NetStream.Play.UnpublishNotify", "The publisher has left."))
            }
            PlayEnd::StreamNotFound => {
                Some(("error", "NetStream.Play.StreamNotFound", "No publisher came in time."))
            }
            PlayEnd::Failed => Some(("error", "NetStream.Play.Failed", "Ended by the server.")),
            PlayEnd::Shutdown => None,
        };
        if let Some((level, code, description)) = first {
            let details = information(level, code, description).with("details", name.as_str());
            self.output.status(stream, details);
        }
        self.play_status(stream, "NetStream.Play.Stop", "Stopped playing.", &name);
        self.output.user(UserControl::StreamEof(stream));
    }

    /// Tells a player that there are no media for now: it waits, or its publisher is away.
    pub fn play_dry(&mut self, stream: MessageStreamId) {
        if self.streams.play_mut(stream).is_some() {
            self.output.user(UserControl::StreamDry(stream));
        }
    }

    /// Tells a player that media go on after [`Self::play_dry`].
    pub fn play_begin(&mut self, stream: MessageStreamId) {
        if self.streams.play_mut(stream).is_some() {
            self.output.user(UserControl::StreamBegin(stream));
        }
    }

    fn play_status(&mut self, stream: MessageStreamId, code: &str, description: &str, name: &str) {
        let details = information("status", code, description).with("details", name);
        self.output.status(stream, details);
    }

    fn begin_role(&mut self, stream: MessageStreamId, role: Role) {
        if let Some(own) = self.streams.role_mut(stream) {
            *own = role;
        }
    }

    /// Closes the question about a publication on `stream`, if that is the open one.
    fn take_publish(&mut self, stream: MessageStreamId) -> Option<String> {
        match self.question.take() {
            Some(Question::Publish { stream: own, name }) if own == stream => Some(name),
            other => {
                self.question = other;
                None
            }
        }
    }

    /// Closes the question about a play on `stream`, if that is the open one.
    fn take_play(&mut self, stream: MessageStreamId) -> Option<(String, bool)> {
        match self.question.take() {
            Some(Question::Play { stream: own, name, reset }) if own == stream => {
                Some((name, reset))
            }
            other => {
                self.question = other;
                None
            }
        }
    }
}

/// The properties in the answer to `connect`. Clients look at the version for features that old Flash
/// Media Servers lack; the original has always said this one. A client that speaks Enhanced RTMP is
/// told that every codec is passed on.
fn properties(enhanced: bool) -> Object {
    let properties =
        Object::new().with("fmsVer", "FMS/3,0,1,123").with("capabilities", 31.0).with("mode", 1.0);
    if !enhanced {
        return properties;
    }
    let forward = || Object::new().with("*", FOUR_CC_CAN_FORWARD);
    properties
        .with("capsEx", CAPS_EX)
        .with("fourCcList", Value::StrictArray(vec![Value::from("*")]))
        .with("videoFourCcInfoMap", forward())
        .with("audioFourCcInfoMap", forward())
}

/// FourCcInfoMask.CanForward (Enhanced RTMP v2).
const FOUR_CC_CAN_FORWARD: f64 = 4.0;

/// CapsExMask (Enhanced RTMP v2): multitrack 2, ModEx 4, nanosecond offsets 8. Reconnect requests (1)
/// are never sent.
const CAPS_EX: f64 = 14.0;
