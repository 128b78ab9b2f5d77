//! What the peer's commands do (Adobe RTMP 1.0, 7.2; FCPublish and its kin are Flash Media Server's).

use corelay_codecs::amf::{Object, Value};

use super::streams::Role;
use super::{PlayRefusal, PublishRefusal, Question, ServerSession};
use crate::rtmp::command::{Command, information};
use crate::rtmp::event::{
    ConnectRequest, MessageStreamId, PlayRequest, PlayStart, PublishKind, PublishRequest,
    ServerEvent,
};
use crate::rtmp::message::UserControl;
use crate::rtmp::output::CONNECTION;
use crate::rtmp::url;

impl ServerSession {
    /// Does what a command says, and answers it.
    pub(super) fn obey(&mut self, stream: MessageStreamId, command: Command) {
        let transaction_id = command.transaction_id;
        if !self.connected && command.name != "connect" {
            self.fail_call(transaction_id, "connect first");
            return;
        }
        match command.name.as_str() {
            "connect" => self.connect(&command),
            "createStream" => self.create_stream(transaction_id),
            "releaseStream" => self.succeed(transaction_id, Value::Undefined),
            "FCPublish" => self.answer_fc("onFCPublish", "NetStream.Publish.Start", &command),
            "FCUnpublish" => self.fc_unpublish(&command),
            "FCSubscribe" => self.answer_fc("onFCSubscribe", "NetStream.Play.Start", &command),
            "FCUnsubscribe" => self.succeed(transaction_id, Value::Undefined),
            "publish" => self.publish(stream, &command),
            "play" => self.play(stream, &command),
            "play2" => self.play2(stream),
            "pause" | "pauseRaw" => self.pause(stream, &command),
            "seek" => self.seek(stream),
            "receiveAudio" | "receiveVideo" => self.select(stream, &command),
            "closeStream" => {
                self.end_role(stream);
            }
            "deleteStream" => self.delete_stream(stream, &command),
            "getStreamLength" => self.succeed(transaction_id, Value::Number(LENGTH_UNKNOWN)),
            "checkBandwidth" => self.check_bandwidth(transaction_id),
            // Librtmp and ffmpeg answer every onBWDone with this call: an answer of that kind would
            // never end.
            "_checkbw" => self.succeed(transaction_id, Value::Undefined),
            "_result" | "_error" | "onBWDone" | "onStatus" | "close" => {}
            _ => {
                self.counters.commands_unknown += 1;
                self.fail_call(transaction_id, "the call is not known here");
            }
        }
    }

    fn connect(&mut self, command: &Command) {
        if self.connected {
            self.fail_call(command.transaction_id, "already connected");
            return;
        }
        let text = |name| command.object.get(name).and_then(Value::as_str).unwrap_or_default();
        let target = url::parse_target(text("app"), text("tcUrl"));
        let encoding = command.object.get("objectEncoding").and_then(Value::as_number);
        let object_encoding = if encoding == Some(3.0) { 3 } else { 0 };
        let capabilities = command.object.get("capsEx").and_then(Value::as_number);
        let capabilities = capabilities.map_or(0, |number| number as u32);
        let enhanced = ENHANCED_FIELDS.iter().any(|name| command.object.get(name).is_some());
        self.question = Some(Question::Connect {
            transaction_id: command.transaction_id,
            object_encoding,
            enhanced,
        });
        if let Err(description) = url::check_name(&target.app) {
            self.reject_app(description);
            return;
        }
        self.instance = target.instance;
        self.events.push_back(ServerEvent::Connect(ConnectRequest {
            app: target.app,
            query: target.query,
            vhost: target.vhost,
            tc_url: text("tcUrl").to_owned(),
            flash_ver: text("flashVer").to_owned(),
            swf_url: text("swfUrl").to_owned(),
            page_url: text("pageUrl").to_owned(),
            object_encoding,
            multitrack: capabilities & CAPS_MULTITRACK != 0,
        }));
    }

    fn create_stream(&mut self, transaction_id: f64) {
        match self.streams.create(self.settings.message_streams_max) {
            Some(id) => self.succeed(transaction_id, Value::from(id.0)),
            None => self.fail_call(transaction_id, "too many message streams"),
        }
    }

    fn delete_stream(&mut self, stream: MessageStreamId, command: &Command) {
        // The id is the argument; the message itself comes on message stream 0 from most clients.
        let id = match command.argument(0).and_then(Value::as_number) {
            Some(id) => MessageStreamId(id as u32),
            None => stream,
        };
        self.end_role(id);
        self.streams.delete(id);
    }

    fn publish(&mut self, stream: MessageStreamId, command: &Command) {
        if self.end_role(stream).is_none() {
            self.fail_stream(stream);
            return;
        }
        // publish(false) and publish(null) only end what there was.
        let Some(sent) = command.text(0) else { return };
        let name = url::parse_stream_name(sent, &self.instance);
        let kind = match command.text(1) {
            Some("record") => PublishKind::Record,
            Some("append" | "appendWithGap") => PublishKind::Append,
            _ => PublishKind::Live,
        };
        if let Err(description) = url::check_name(&name.name) {
            self.refuse_publish(stream, PublishRefusal::BadName, description, sent);
            return;
        }
        self.question = Some(Question::Publish { stream, name: sent.to_owned() });
        let request = PublishRequest { name: name.name, query: name.query, kind };
        self.events.push_back(ServerEvent::Publish(stream, request));
    }

    fn fc_unpublish(&mut self, command: &Command) {
        if let Some(name) = command.text(0) {
            let publishes_it = |role: &Role| {
                matches!(role, Role::Publishing { name: own }
                if url::parse_stream_name(own, "").name == url::parse_stream_name(name, "").name)
            };
            let found = self.streams.iter().find(|(_, role)| publishes_it(role));
            if let Some((stream, _)) = found {
                self.end_role(stream);
            }
        }
        self.answer_fc("onFCUnpublish", "NetStream.Unpublish.Success", command);
    }

    fn play(&mut self, stream: MessageStreamId, command: &Command) {
        if self.end_role(stream).is_none() {
            self.fail_stream(stream);
            return;
        }
        // play(false) only ends what there was.
        let Some(sent) = command.text(0) else { return };
        let name = url::parse_stream_name(sent, &self.instance);
        let number = |index| command.argument(index).and_then(Value::as_number);
        let reset = command.argument(3).and_then(Value::as_bool).unwrap_or(true);
        if let Err(description) = url::check_name(&name.name) {
            self.refuse_play(stream, PlayRefusal::StreamNotFound, description, sent);
            return;
        }
        self.question = Some(Question::Play { stream, name: sent.to_owned(), reset });
        let request = PlayRequest {
            name: name.name,
            query: name.query,
            prefix: name.prefix,
            start: play_start(number(1)),
            duration_ms: number(2).filter(|ms| *ms >= 0.0).map(|ms| ms as u64),
            reset,
        };
        self.events.push_back(ServerEvent::Play(stream, request));
    }

    /// Switching between renditions needs a server that has some.
    fn play2(&mut self, stream: MessageStreamId) {
        let description = "play2 is not done here, use play";
        self.output.status(stream, information("error", "NetStream.Play.Failed", description));
    }

    fn pause(&mut self, stream: MessageStreamId, command: &Command) {
        let Some(play) = self.streams.play_mut(stream) else {
            self.fail_call(command.transaction_id, "nothing plays on this message stream");
            return;
        };
        // togglePause sends null.
        play.paused = command.argument(0).and_then(Value::as_bool).unwrap_or(!play.paused);
        let (code, description) = match play.paused {
            true => ("NetStream.Pause.Notify", "Paused."),
            false => ("NetStream.Unpause.Notify", "Resumed."),
        };
        let event = ServerEvent::Pause(stream, play.paused);
        let details = information("status", code, description).with("details", play.name.as_str());
        self.output.status(stream, details);
        self.events.push_back(event);
    }

    fn seek(&mut self, stream: MessageStreamId) {
        let Some(play) = self.streams.play_mut(stream) else {
            let description = "Nothing plays on this message stream.";
            self.output.status(stream, information("error", "NetStream.Seek.Failed", description));
            return;
        };
        let name = play.name.clone();
        self.output.user(UserControl::StreamEof(stream));
        self.output.user(UserControl::StreamBegin(stream));
        self.restart_status(stream, &name);
        self.events.push_back(ServerEvent::Seek(stream));
    }

    /// The statuses that media begin anew behind (7.2.2.4, 7.2.2.5, 7.2.2.7).
    fn restart_status(&mut self, stream: MessageStreamId, name: &str) {
        for (code, description) in [
            ("NetStream.Seek.Notify", "Live has one position: the newest."),
            ("NetStream.Play.Start", "Started playing."),
        ] {
            let details = information("status", code, description).with("details", name);
            self.output.status(stream, details);
        }
    }

    fn select(&mut self, stream: MessageStreamId, command: &Command) {
        let Some(play) = self.streams.play_mut(stream) else { return };
        let wanted = command.argument(0).and_then(Value::as_bool).unwrap_or(true);
        match command.name.as_str() {
            "receiveAudio" => play.audio = wanted,
            _ => play.video = wanted,
        }
        let (audio, video, name) = (play.audio, play.video, play.name.clone());
        if wanted {
            self.restart_status(stream, &name);
        }
        self.events.push_back(ServerEvent::Select { stream, audio, video });
    }

    /// Ends what a message stream is used for and tells the driver; `None` if there is no such stream.
    fn end_role(&mut self, stream: MessageStreamId) -> Option<()> {
        let role = std::mem::take(self.streams.role_mut(stream)?);
        match role {
            Role::Idle => {}
            Role::Playing(_) => self.events.push_back(ServerEvent::Stop(stream)),
            Role::Publishing { name } => {
                let code = "NetStream.Unpublish.Success";
                let details =
                    information("status", code, "Stopped publishing.").with("details", name);
                self.output.status(stream, details);
                self.events.push_back(ServerEvent::Unpublish(stream));
            }
        }
        Some(())
    }

    /// Clients that measure the line wait for `onBWDone` before they go on; with no figures it means
    /// that nothing was measured.
    fn check_bandwidth(&mut self, transaction_id: f64) {
        self.succeed(transaction_id, Value::Undefined);
        let command = Command::new("onBWDone", 0.0, Value::Null, vec![]);
        self.output.command(CONNECTION, &command);
    }

    fn answer_fc(&mut self, name: &str, code: &str, command: &Command) {
        let stream_name = command.text(0).unwrap_or_default();
        self.output.event(CONNECTION, name, information("status", code, stream_name));
        self.succeed(command.transaction_id, Value::Undefined);
    }

    fn succeed(&mut self, transaction_id: f64, value: Value) {
        self.output.result(transaction_id, Value::Null, value);
    }

    fn fail_call(&mut self, transaction_id: f64, description: &str) {
        self.output.error(transaction_id, call_failed(description));
    }

    fn fail_stream(&mut self, stream: MessageStreamId) {
        let description = "There is no such message stream: createStream first.";
        self.output.status(stream, information("error", "NetStream.Failed", description));
    }
}

fn call_failed(description: &str) -> Object {
    information("error", "NetConnection.Call.Failed", description)
}

/// Reads the `start` argument of `play`. The specification says seconds; Flash Player, librtmp and
/// ffmpeg all send milliseconds, the special values included.
fn play_start(start: Option<f64>) -> PlayStart {
    match start {
        Some(ms) if ms >= 0.0 => PlayStart::Recorded(ms as u64),
        Some(-1.0 | -1000.0) => PlayStart::Live,
        _ => PlayStart::LiveOrRecorded,
    }
}

/// What a live stream's length is: players take 0 for one that cannot be known.
const LENGTH_UNKNOWN: f64 = 0.0;

/// The bit of `capsEx` by which a client says that it knows multitrack messages.
const CAPS_MULTITRACK: u32 = 0x02;

/// Fields by which a client says that it speaks Enhanced RTMP (v2, "Enhancing NetConnection connect
/// Command").
const ENHANCED_FIELDS: [&str; 4] =
    ["capsEx", "fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"];
