//! The commands of a client and the answers to them (Adobe RTMP 1.0, 7.2; `releaseStream` and `FCPublish`
//! are Flash Media Server's).

use corelay_codecs::amf::{Object, Value, amf0};

use super::{ClientEvent, ClientRole, ClientSession, Step};
use crate::rtmp::command::Command;
use crate::rtmp::error::Error;
use crate::rtmp::event::{MessageStreamId, PlayStart, PublishKind};
use crate::rtmp::message::{UserControl, type_id};
use crate::rtmp::output::CONNECTION;

impl ClientSession {
    pub(super) fn handle_command(&mut self, payload: &[u8]) -> Result<(), Error> {
        let command = Command::parse(payload, &self.amf_limits(), self.at)?;
        match command.name.as_str() {
            "_result" => self.handle_result(&command),
            "_error" => self.handle_error(&command),
            "onStatus" => self.handle_status(&command),
            _ => Ok(()),
        }
    }

    fn handle_result(&mut self, command: &Command) -> Result<(), Error> {
        match self.step {
            Step::Connecting if command.transaction_id == transaction::CONNECT => {
                self.step = Step::Creating;
                self.events.push_back(ClientEvent::Connected);
                self.create_stream();
            }
            Step::Creating if command.transaction_id == transaction::CREATE_STREAM => {
                let id = command.argument(0).and_then(Value::as_number);
                let Some(id) = id.filter(|id| *id >= 1.0 && *id <= f64::from(u32::MAX)) else {
                    return Err(Error::Violation("createStream gave no message stream id"));
                };
                self.step = Step::Asking;
                self.stream = MessageStreamId(id as u32);
                self.ask();
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_error(&mut self, command: &Command) -> Result<(), Error> {
        let asked = match self.step {
            Step::Connecting if command.transaction_id == transaction::CONNECT => "connect",
            Step::Creating if command.transaction_id == transaction::CREATE_STREAM => {
                "createStream"
            }
            Step::Asking if command.transaction_id == transaction::PUBLISH_OR_PLAY => "the stream",
            _ => return Ok(()),
        };
        let (_, code, description) = status_of(command);
        let description = if description.is_empty() { asked.to_owned() } else { description };
        Err(Error::Refused { code, description })
    }

    fn handle_status(&mut self, command: &Command) -> Result<(), Error> {
        let (level, code, description) = status_of(command);
        let refused = (level == "error")
            .then(|| Error::Refused { code: code.clone(), description: description.clone() });
        let asked = !matches!(self.step, Step::Connecting | Step::Creating);
        let event = match code.as_str() {
            _ if !asked => None,
            "NetStream.Publish.Start" => Some(ClientEvent::Publishing),
            "NetStream.Play.Start" => Some(ClientEvent::Playing),
            "NetStream.Unpublish.Success"
            | "NetStream.Play.Stop"
            | "NetStream.Play.Complete"
            | "NetStream.Play.UnpublishNotify" => Some(ClientEvent::Ended),
            _ => None,
        };
        self.events.push_back(ClientEvent::Status { level, code, description });
        if let Some(error) = refused {
            return Err(error);
        }
        match event {
            Some(ClientEvent::Ended) => self.enter(Step::Stopped, ClientEvent::Ended),
            Some(event) => self.enter(Step::Running, event),
            None => {}
        }
        Ok(())
    }

    /// Takes data that are about the connection and not about the stream.
    pub(super) fn handle_internal_data(&mut self, payload: &[u8]) {
        let Ok(values) = amf0::decode_all(payload, &self.amf_limits()) else { return };
        let code = values.get(1).and_then(|information| information.get("code"));
        let complete = code.and_then(Value::as_str) == Some("NetStream.Play.Complete");
        if complete && self.step == Step::Running {
            self.enter(Step::Stopped, ClientEvent::Ended);
        }
    }

    /// Goes to a step and tells the driver, once.
    fn enter(&mut self, step: Step, event: ClientEvent) {
        if std::mem::replace(&mut self.step, step) != step {
            self.events.push_back(event);
        }
    }

    /// Sends the first command.
    pub(super) fn connect(&mut self) {
        let url = &self.settings.url;
        let forward = || Object::new().with("*", FOUR_CC_CAN_FORWARD);
        let mut object = Object::new().with("app", url.app.as_str());
        if matches!(self.settings.role, ClientRole::Publish(_)) {
            object = object.with("type", "nonprivate");
        }
        let object = object
            .with("flashVer", self.settings.flash_ver.as_str())
            .with("tcUrl", url.tc_url.as_str())
            .with("fpad", false)
            .with("capabilities", 239.0)
            .with("audioCodecs", 3575.0)
            .with("videoCodecs", 252.0)
            .with("videoFunction", 1.0)
            .with("objectEncoding", 0.0)
            .with("capsEx", CAPS_EX)
            .with("fourCcList", Value::StrictArray(vec![Value::from("*")]))
            .with("videoFourCcInfoMap", forward())
            .with("audioFourCcInfoMap", forward());
        let command = Command::new("connect", transaction::CONNECT, object.into(), vec![]);
        self.output.command(CONNECTION, &command);
    }

    fn create_stream(&mut self) {
        let window = self.settings.window_ack_size.to_be_bytes();
        self.output.control(type_id::WINDOW_ACK_SIZE, &window);
        self.output.set_chunk_size(self.settings.chunk_size_out);
        if matches!(self.settings.role, ClientRole::Publish(_)) {
            let name = Value::from(self.settings.url.stream.as_str());
            self.call("releaseStream", transaction::RELEASE_STREAM, vec![name.clone()]);
            self.call("FCPublish", transaction::FC_PUBLISH, vec![name]);
        }
        self.call("createStream", transaction::CREATE_STREAM, vec![]);
    }

    /// Sends `publish` or `play`.
    fn ask(&mut self) {
        let stream_name = Value::from(self.settings.url.stream.as_str());
        let (name, argument) = match self.settings.role {
            ClientRole::Publish(kind) => ("publish", Value::from(publish_kind(kind))),
            ClientRole::Play(start) => ("play", Value::Number(play_start(start))),
        };
        let arguments = vec![stream_name, argument];
        let command = Command::new(name, transaction::PUBLISH_OR_PLAY, Value::Null, arguments);
        self.output.command(self.stream, &command);
        if matches!(self.settings.role, ClientRole::Play(_)) {
            let length_ms = self.settings.buffer_length_ms;
            self.output.user(UserControl::SetBufferLength { stream: self.stream, length_ms });
        }
    }

    /// Sends a command of the connection.
    pub(super) fn call(&mut self, name: &str, transaction_id: f64, arguments: Vec<Value>) {
        let command = Command::new(name, transaction_id, Value::Null, arguments);
        self.output.command(CONNECTION, &command);
    }
}

/// Level, code and description of the information object, empty where it lacks them.
fn status_of(command: &Command) -> (String, String, String) {
    let information = command.argument(0);
    let text = |name| {
        let value = information.and_then(|information| information.get(name));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (text("level"), text("code"), text("description"))
}

fn publish_kind(kind: PublishKind) -> &'static str {
    match kind {
        PublishKind::Live => "live",
        PublishKind::Record => "record",
        PublishKind::Append => "append",
    }
}

/// The `start` argument in milliseconds, as all clients send it.
fn play_start(start: PlayStart) -> f64 {
    match start {
        PlayStart::LiveOrRecorded => -2000.0,
        PlayStart::Live => -1000.0,
        PlayStart::Recorded(ms) => ms as f64,
    }
}

/// Transaction ids: each call has its own, so an answer says what it answers.
pub(super) mod transaction {
    pub(in crate::rtmp::client) const CONNECT: f64 = 1.0;
    pub(in crate::rtmp::client) const RELEASE_STREAM: f64 = 2.0;
    pub(in crate::rtmp::client) const FC_PUBLISH: f64 = 3.0;
    pub(in crate::rtmp::client) const CREATE_STREAM: f64 = 4.0;
    pub(in crate::rtmp::client) const PUBLISH_OR_PLAY: f64 = 5.0;
    pub(in crate::rtmp::client) const FC_UNPUBLISH: f64 = 6.0;
}

/// FourCcInfoMask.CanForward (Enhanced RTMP v2).
const FOUR_CC_CAN_FORWARD: f64 = 4.0;

/// CapsExMask (Enhanced RTMP v2): multitrack 2, ModEx 4, nanosecond offsets 8.
const CAPS_EX: f64 = 14.0;
