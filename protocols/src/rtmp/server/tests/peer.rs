//! A hand-driven client: sends what it is told to, and puts what it gets into words.

use super::*;
use crate::rtmp::chunk::ChunkWriter;
use crate::rtmp::message::chunk_stream;

/// One client with its server session, on a clock of its own.
pub(super) struct Peer {
    pub(super) session: ServerSession,
    pub(super) now: Millis,
    writer: ChunkWriter,
    reader: ChunkReader,
}

pub(super) const S0: MessageStreamId = MessageStreamId(0);
pub(super) const S1: MessageStreamId = MessageStreamId(1);
pub(super) const S2: MessageStreamId = MessageStreamId(2);

impl Peer {
    /// A client that has done the handshake.
    pub(super) fn new(settings: ServerSettings) -> Self {
        let now = Millis(1000);
        let mut session = ServerSession::new(Arc::new(settings), [7; 8], now);
        let mut handshake = vec![0; 1 + 2 * 1536];
        handshake[0] = 3;
        session.handle_input(now, &handshake).unwrap();
        assert_eq!(session.poll_output().unwrap().len(), 1 + 2 * 1536);
        let reader = ChunkReader::new(ReaderLimits {
            chunk_size_max: 1 << 20,
            message_bytes_max: 1 << 20,
            chunk_streams_max: 8,
        });
        Self { session, now, writer: ChunkWriter::new(), reader }
    }

    /// A client whose connection to `live` was accepted; what was answered is dropped.
    pub(super) fn connected(settings: ServerSettings) -> Self {
        let mut peer = Self::new(settings);
        peer.connect(Object::new().with("app", "live"));
        peer.session.poll_event();
        peer.session.accept_connect();
        peer.replies();
        peer
    }

    /// A client that publishes `a` on message stream 1.
    pub(super) fn publishing(settings: ServerSettings) -> Self {
        let mut peer = Self::connected(settings);
        peer.call(S0, "createStream", 2.0, &[]);
        peer.call(S1, "publish", 3.0, &[Value::from("a"), Value::from("live")]);
        peer.session.poll_event();
        peer.session.accept_publish(S1);
        peer.replies();
        peer
    }

    /// A client that plays `a` on message stream 1.
    pub(super) fn playing(settings: ServerSettings) -> Self {
        let mut peer = Self::connected(settings);
        peer.call(S0, "createStream", 2.0, &[]);
        peer.call(S1, "play", 3.0, &[Value::from("a")]);
        peer.session.poll_event();
        peer.session.accept_play(S1);
        peer.replies();
        peer
    }

    pub(super) fn connect(&mut self, object: Object) {
        self.command(S0, Command::new("connect", 1.0, object.into(), vec![]));
    }

    pub(super) fn call(&mut self, stream: MessageStreamId, name: &str, id: f64, args: &[Value]) {
        self.command(stream, Command::new(name, id, Value::Null, args.to_vec()));
    }

    pub(super) fn command(&mut self, stream: MessageStreamId, command: Command) {
        self.send(stream, type_id::COMMAND_AMF0, 0, &command.body()).unwrap();
    }

    /// Sends a message; the session's verdict.
    pub(super) fn send(
        &mut self,
        stream: MessageStreamId,
        type_id: u8,
        timestamp_ms: u32,
        payload: &[u8],
    ) -> Result<(), Error> {
        let mut out = BytesMut::new();
        let chunk_stream_id = chunk_stream::COMMAND;
        self.writer.write(chunk_stream_id, timestamp_ms, type_id, stream, payload, &mut out);
        self.session.handle_input(self.now, &out)
    }

    /// Lets time pass as a driver does: the session is called whenever it asked to be.
    pub(super) fn pass(&mut self, ms: u64) -> Result<(), Error> {
        let end = self.now + ms;
        while let Some(deadline) = self.session.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now)?;
        }
        self.now = end;
        Ok(())
    }

    /// All events that are there.
    pub(super) fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// All that was answered since the last call, one line a message.
    pub(super) fn replies(&mut self) -> Vec<String> {
        self.messages().iter().map(in_words).collect()
    }

    /// All that was answered since the last call.
    pub(super) fn messages(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(output) = self.session.poll_output() {
            let mut rest = &output[..];
            messages.extend(std::iter::from_fn(|| self.reader.push(&mut rest).unwrap()));
        }
        messages
    }
}

fn in_words(message: &Message) -> String {
    let payload = &message.payload;
    let stream = message.message_stream_id.0;
    let number = || parse_u32(payload, 0).unwrap();
    match message.type_id {
        type_id::SET_CHUNK_SIZE => format!("chunk size {}", number()),
        type_id::ACKNOWLEDGEMENT => format!("acknowledgement {}", number()),
        type_id::WINDOW_ACK_SIZE => format!("window {}", number()),
        type_id::SET_PEER_BANDWIDTH => format!("bandwidth {}", number()),
        type_id::USER_CONTROL => match UserControl::parse(payload, 0).unwrap() {
            UserControl::StreamBegin(id) => format!("begin {}", id.0),
            UserControl::StreamEof(id) => format!("eof {}", id.0),
            UserControl::StreamDry(id) => format!("dry {}", id.0),
            UserControl::PingRequest(_) => "ping".to_owned(),
            other => format!("{other:?}"),
        },
        type_id::DATA_AMF0 => {
            let values = amf0::decode_all(payload, &Limits::default()).unwrap();
            let name = values.first().and_then(Value::as_str).unwrap();
            let code = values.get(1).and_then(|value| value.get("code")?.as_str());
            format!("{stream} data {name} {}", code.unwrap_or_default())
        }
        type_id::COMMAND_AMF0 => {
            let command = Command::parse(payload, &Limits::default(), 0).unwrap();
            let argument = command.argument(0);
            let what = match argument.and_then(|value| value.get("code")?.as_str()) {
                Some(code) => code.to_owned(),
                None => {
                    argument.and_then(Value::as_number).map_or(String::new(), |n| n.to_string())
                }
            };
            format!("{stream} {} {} {what}", command.name, command.transaction_id)
        }
        other => format!("type {other}"),
    }
    .trim_end()
    .to_owned()
}
