//! Reading chunks back into messages: the hot path of every publisher.

use bytes::Bytes;

use super::header::{self, Fields, HEADER_BYTES_MAX, Header, Shape, Time};
use super::{CHUNK_SIZE_INITIAL, CHUNK_SIZE_WIRE_MAX, type_id};
use crate::rtmp::error::Error;
use crate::rtmp::event::MessageStreamId;

/// What a peer may make the reader hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Largest chunk size the peer may set, in bytes, 1..=0x7FFF_FFFF. It costs no memory by
    /// itself.
    pub chunk_size_max: u32,
    /// Largest message, in bytes. All messages under way together may take twice as much.
    pub message_bytes_max: u32,
    /// Most chunk streams one connection may use. A chunk stream costs about 80 bytes and a look in
    /// a linear search; encoders use 3 to 6.
    pub chunk_streams_max: usize,
}

/// One complete message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream it came on, 2..=65599.
    pub chunk_stream_id: u32,
    /// Absolute timestamp in milliseconds, deltas already added; wraps at 32 bits.
    pub timestamp_ms: u32,
    /// Message type (Adobe RTMP 1.0, 5.4 and 7.1).
    pub type_id: u8,
    /// The message stream it belongs to.
    pub message_stream_id: MessageStreamId,
    /// The message body, in a buffer of its own.
    pub payload: Bytes,
}

/// Puts messages together from chunks.
///
/// Call [`ChunkReader::push`] with what the transport gave until it returns `Ok(None)`. After an
/// error the connection is finished.
///
/// Set Chunk Size (type 1) and Abort (type 2) are applied by the reader when their message is
/// complete, and returned like any other; they need no further action.
///
/// What a header leaves out comes from the header before it on its chunk stream. Two points of the
/// specification that peers read differently are settled as the senders in the field have it:
/// - A type 3 chunk that begins a message repeats the last delta; after a type 0 header the delta
///   is that header's timestamp (5.3.1.2.4). ffmpeg sends it in exactly this sense.
/// - A type 1 header may open chunk stream 2: librtmp answers pings so. It counts from time 0 on
///   message stream 0. On any other chunk stream the first header must be of type 0.
#[derive(Debug)]
pub struct ChunkReader {
    limits: ReaderLimits,
    chunk_size: u32,
    /// Few, so a linear search; in the order of first use.
    streams: Vec<ChunkStream>,
    /// Index of the chunk stream of the chunk at hand: the first guess for the next one.
    recent: usize,
    /// Data bytes of the chunk at hand still to come; `None` between chunks.
    chunk_left: Option<u32>,
    /// The chunk at hand belongs to an aborted message: its data is dropped.
    aborted: bool,
    /// Bytes that came before the input and are not yet parsed: the start of a header.
    carry: Carry,
    /// Bytes in the buffers of all messages under way.
    partial_bytes: u64,
    bytes_read: u64,
}

/// What is known of one chunk stream.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    shape: Shape,
    message_stream_id: u32,
    /// Absolute time of the message under way, or of the last one.
    timestamp_ms: u32,
    /// The time field of the last header that had one: a delta, or the timestamp of a type 0.
    time: Time,
    /// A message is under way.
    partial: bool,
    /// Its bytes so far.
    buffer: Vec<u8>,
}

/// Messages up to this size get their buffer at once, larger ones as their bytes arrive: a length
/// of 16 MiB costs nothing until it is sent. Low enough that thousands of idle peers with one
/// message under way stay small, high enough that only large keyframes are ever moved.
pub const RESERVE_BYTES_MAX: usize = 64 << 10;

impl ChunkReader {
    /// A reader at the start of the chunk stream, right behind the handshake.
    pub fn new(limits: ReaderLimits) -> Self {
        Self {
            limits,
            chunk_size: CHUNK_SIZE_INITIAL,
            streams: Vec::new(),
            recent: 0,
            chunk_left: None,
            aborted: false,
            carry: Carry::default(),
            partial_bytes: 0,
            bytes_read: 0,
        }
    }

    /// Consumes `input` from the front up to the end of the next message and returns it;
    /// `Ok(None)`: all of `input` is consumed and no further message is complete.
    ///
    /// # Errors
    /// The peer broke the chunk rules or a limit; the connection is finished.
    ///
    /// Cost: one copy of the data, one allocation per message (see [`RESERVE_BYTES_MAX`]).
    pub fn push(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            if self.chunk_left.is_none() && !self.begin_chunk(input)? {
                return Ok(None);
            }
            if !self.take_data(input)? {
                return Ok(None);
            }
            if let Some(message) = self.end_chunk() {
                self.apply(&message)?;
                return Ok(Some(message));
            }
        }
    }

    /// Sets the peer's chunk size, in bytes, from its next chunk on.
    ///
    /// # Errors
    /// `Violation` for 0 or a set top bit; `LimitExceeded` above the limit (setting
    /// `chunk_size_in_max`).
    pub fn set_chunk_size(&mut self, chunk_size: u32) -> Result<(), Error> {
        if chunk_size == 0 || chunk_size > CHUNK_SIZE_WIRE_MAX {
            return Err(Error::Violation("Set Chunk Size to 0, or with its top bit set"));
        }
        within("chunk_size_in_max", chunk_size.into(), self.limits.chunk_size_max.into())?;
        self.chunk_size = chunk_size;
        Ok(())
    }

    /// Drops the message under way on a chunk stream, if there is one. What its headers said of
    /// time and shape stays, for the headers that follow.
    pub fn abort(&mut self, chunk_stream_id: u32) {
        let Some(index) = self.streams.iter().position(|stream| stream.id == chunk_stream_id)
        else {
            return;
        };
        self.aborted |= self.chunk_left.is_some() && index == self.recent;
        if let Some(stream) = self.streams.get_mut(index) {
            stream.partial = false;
            self.partial_bytes -= stream.buffer.len() as u64;
            stream.buffer = Vec::new();
        }
    }

    /// The peer's chunk size in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Bytes consumed since the reader was made.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes reserved for messages under way.
    pub fn reserved_bytes(&self) -> usize {
        self.streams.iter().map(|stream| stream.buffer.capacity()).sum()
    }

    /// Reads a chunk header; false: it is not complete, and `input` is consumed.
    fn begin_chunk(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let (streams, recent) = (&self.streams, self.recent);
        let repeated = |id| find(streams, recent, id).and_then(|i| streams.get(i)?.repeated());
        let parsed = if self.carry.is_empty() {
            header::parse(input, repeated)
        } else {
            header::parse(self.carry.join(input).as_slice(), repeated)
        };
        let Some(header) = parsed else {
            self.bytes_read += input.len() as u64;
            self.carry.append(input);
            *input = &[];
            return Ok(false);
        };
        let from_input = header.bytes - self.carry.take(header.bytes);
        self.consume(input, from_input);
        self.apply_header(&header)?;
        Ok(true)
    }

    /// Brings the chunk stream of `header` up to date and begins its chunk.
    fn apply_header(&mut self, header: &Header) -> Result<(), Error> {
        self.recent = self.stream_index(header)?;
        let Some(stream) = self.streams.get_mut(self.recent) else {
            return Ok(());
        };
        if !stream.partial {
            stream.begin_message(&header.fields);
            let message_bytes = stream.shape.message_bytes.into();
            within("message_bytes_max", message_bytes, self.limits.message_bytes_max.into())?;
        } else if header.fields != Fields::Same {
            let what = "a message begins before the last one of its chunk stream is complete";
            return Err(Error::Violation(what));
        }
        let received = stream.buffer.len() as u32;
        self.chunk_left = Some((stream.shape.message_bytes - received).min(self.chunk_size));
        Ok(())
    }

    /// The chunk stream of `header`; a new one if the header may open one.
    fn stream_index(&mut self, header: &Header) -> Result<usize, Error> {
        let id = header.chunk_stream_id;
        if let Some(index) = find(&self.streams, self.recent, id) {
            return Ok(index);
        }
        match header.fields {
            Fields::Full { .. } => {}
            Fields::Shape { .. } if id == CONTROL_CHUNK_STREAM => {}
            _ => return Err(Error::Violation("a chunk stream begins without a full header")),
        }
        let streams = self.streams.len() + 1;
        within("chunk_streams_max", streams as u64, self.limits.chunk_streams_max as u64)?;
        self.streams.push(ChunkStream::new(id));
        Ok(streams - 1)
    }

    /// Moves data of the chunk at hand into its message; false: more is to come, and `input` is
    /// consumed.
    fn take_data(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        while let Some(left) = self.chunk_left.filter(|left| *left > 0) {
            let carry = self.carry;
            let source = if carry.is_empty() { *input } else { carry.as_slice() };
            let data = source.get(..left as usize).unwrap_or(source);
            if data.is_empty() {
                return Ok(false);
            }
            let taken = data.len();
            if !self.aborted {
                self.store(data)?;
            }
            self.chunk_left = Some(left - taken as u32);
            let from_input = taken - self.carry.take(taken);
            self.consume(input, from_input);
        }
        Ok(true)
    }

    /// Appends data to the message of the chunk at hand.
    fn store(&mut self, data: &[u8]) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(self.recent) else {
            return Ok(());
        };
        self.partial_bytes += data.len() as u64;
        let all_max = 2 * u64::from(self.limits.message_bytes_max);
        if self.partial_bytes > all_max {
            return within("message_bytes_max", self.partial_bytes, all_max);
        }
        stream.reserve(data.len());
        stream.buffer.extend_from_slice(data);
        Ok(())
    }

    /// Ends the chunk at hand and returns its message if that is complete.
    fn end_chunk(&mut self) -> Option<Message> {
        self.chunk_left = None;
        if std::mem::take(&mut self.aborted) {
            return None;
        }
        let message = self.streams.get_mut(self.recent)?.take_message()?;
        self.partial_bytes -= message.payload.len() as u64;
        Some(message)
    }

    /// Does what a message asks of the chunk stream itself.
    fn apply(&mut self, message: &Message) -> Result<(), Error> {
        match message.type_id {
            type_id::SET_CHUNK_SIZE => {
                let chunk_size = self.control_value(message, "Set Chunk Size")?;
                self.set_chunk_size(chunk_size)
            }
            type_id::ABORT => {
                let chunk_stream_id = self.control_value(message, "Abort")?;
                self.abort(chunk_stream_id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The 4-byte value that is the body of a protocol control message.
    fn control_value(&self, message: &Message, what: &'static str) -> Result<u32, Error> {
        let value = message.payload.first_chunk::<4>();
        value
            .map(|value| u32::from_be_bytes(*value))
            .ok_or(Error::Malformed { at: self.bytes_read, what })
    }

    fn consume(&mut self, input: &mut &[u8], bytes: usize) {
        *input = input.get(bytes..).unwrap_or_default();
        self.bytes_read += bytes as u64;
    }
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            shape: Shape::default(),
            message_stream_id: 0,
            timestamp_ms: 0,
            time: Time::default(),
            partial: false,
            buffer: Vec::new(),
        }
    }

    /// Begins a message as its header says.
    fn begin_message(&mut self, fields: &Fields) {
        match *fields {
            Fields::Full { time, shape, message_stream_id } => {
                self.timestamp_ms = 0;
                (self.time, self.shape, self.message_stream_id) = (time, shape, message_stream_id);
            }
            Fields::Shape { time, shape } => (self.time, self.shape) = (time, shape),
            Fields::Delta { time } => self.time = time,
            Fields::Same => {}
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.time.ms);
        self.partial = true;
    }

    /// The extended timestamps a type 3 chunk of this chunk stream may repeat.
    fn repeated(&self) -> Option<[u32; 2]> {
        self.time.extended.then_some([self.time.ms, self.timestamp_ms])
    }

    /// Makes room for `more` bytes: the whole message if it is small, else four times what there
    /// is.
    fn reserve(&mut self, more: usize) {
        if self.buffer.capacity() - self.buffer.len() >= more {
            return;
        }
        let message_bytes = self.shape.message_bytes as usize;
        let grown = (self.buffer.len() * 4).max(RESERVE_BYTES_MAX).max(self.buffer.len() + more);
        self.buffer.reserve_exact(grown.min(message_bytes) - self.buffer.len());
    }

    /// The message, if all of it has arrived.
    fn take_message(&mut self) -> Option<Message> {
        if self.buffer.len() < self.shape.message_bytes as usize {
            return None;
        }
        self.partial = false;
        Some(Message {
            chunk_stream_id: self.id,
            timestamp_ms: self.timestamp_ms,
            type_id: self.shape.type_id,
            message_stream_id: MessageStreamId(self.message_stream_id),
            payload: std::mem::take(&mut self.buffer).into(),
        })
    }
}

/// Bytes that precede the input: a header cut off by the transport.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Carry {
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// These bytes and those that follow, as many as a header can need.
    fn join(mut self, input: &[u8]) -> Self {
        self.append(input);
        self
    }

    /// Appends as much of `input` as a header can need.
    fn append(&mut self, input: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.len).zip(input) {
            *place = *byte;
        }
        self.len = (self.len + input.len()).min(HEADER_BYTES_MAX);
    }

    /// Removes up to `bytes` bytes from the front; how many there were.
    fn take(&mut self, bytes: usize) -> usize {
        let taken = bytes.min(self.len);
        if taken > 0 {
            self.bytes.copy_within(taken..self.len, 0);
            self.len -= taken;
        }
        taken
    }
}

/// Protocol control messages go on this chunk stream (Adobe RTMP 1.0, 5.4).
const CONTROL_CHUNK_STREAM: u32 = 2;

fn find(streams: &[ChunkStream], recent: usize, id: u32) -> Option<usize> {
    match streams.get(recent) {
        Some(stream) if stream.id == id => Some(recent),
        _ => streams.iter().position(|stream| stream.id == id),
    }
}

fn within(setting: &'static str, value: u64, limit: u64) -> Result<(), Error> {
    if value <= limit { Ok(()) } else { Err(Error::LimitExceeded { setting, value, limit }) }
}
