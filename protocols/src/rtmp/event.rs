//! What an RTMP server session tells its driver.

use bytes::Bytes;

/// The id of a message stream within one connection (Adobe RTMP 1.0, 5.3.1.1). 0 is the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageStreamId(pub u32);

/// The command `connect`: who asks, and for which application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectRequest {
    /// Application name, without query and without instance: `live`.
    pub app: String,
    /// Query of the application part and of the tcUrl, without `?`: `vhost=v&token=t`. Empty if none.
    pub query: String,
    /// Virtual host: `vhost=` of the query, else the host of the tcUrl.
    pub vhost: String,
    /// `tcUrl` as sent.
    pub tc_url: String,
    /// `flashVer` as sent: which client this is.
    pub flash_ver: String,
    /// `swfUrl` as sent.
    pub swf_url: String,
    /// `pageUrl` as sent.
    pub page_url: String,
    /// `objectEncoding`: 0 or 3.
    pub object_encoding: u8,
    /// It knows messages of several tracks (`capsEx`, Enhanced RTMP v2).
    pub multitrack: bool,
}

/// How a publisher wants its stream treated (`publish`, third argument).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKind {
    /// Live only.
    Live,
    /// Live, and recorded to a new file.
    Record,
    /// Live, and appended to a file.
    Append,
}

/// The command `publish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// Stream name, without query.
    pub name: String,
    /// Query of the stream name, without `?` (tokens live here). Empty if none.
    pub query: String,
    /// Live, record or append.
    pub kind: PublishKind,
}

/// The command `play` (or `play2`'s first part).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRequest {
    /// Stream name, without query and without type prefix.
    pub name: String,
    /// Query of the stream name, without `?`. Empty if none.
    pub query: String,
    /// Type prefix (`flv`, `mp4`, `mp3`), empty if none.
    pub prefix: String,
    /// Where to start, as the original understands it.
    pub start: PlayStart,
    /// How much to play, in milliseconds of media; `None`: until it ends. `Some(0)`: one frame.
    pub duration_ms: Option<u64>,
    /// False adds to a play list instead of replacing it.
    pub reset: bool,
}

/// The `start` argument of `play`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayStart {
    /// -2 (and -2000 as some clients send): live if there is one, else a recorded file, else wait.
    LiveOrRecorded,
    /// -1 (and -1000): live only, wait for it.
    Live,
    /// 0 or more: recorded only, from this time in milliseconds.
    Recorded(u64),
}

/// Which of RTMP's media messages (Adobe RTMP 1.0, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Type 8.
    Audio,
    /// Type 9.
    Video,
    /// Type 18, and type 15 with its leading format byte removed: AMF0, name first. `@setDataFrame` is
    /// already taken off, so `onMetaData` comes first.
    Data,
}

/// One audio, video or data message; aggregates are already taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaMessage {
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Timestamp in milliseconds as sent: 32 bits, wraps.
    pub timestamp_ms: u32,
    /// The message body, which is an FLV tag body.
    pub payload: Bytes,
}

/// What the driver of a server session must know or decide.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    /// Answer with `accept_connect` or `reject_connect`.
    Connect(ConnectRequest),
    /// Answer with `accept_publish` or `reject_publish`.
    Publish(MessageStreamId, PublishRequest),
    /// Answer with `accept_play` or `reject_play`. A running play of the same message stream has
    /// already been ended by a `Stop` event.
    Play(MessageStreamId, PlayRequest),
    /// Media from an accepted publisher.
    Media(MessageStreamId, MediaMessage),
    /// The peer ended its publication (FCUnpublish, closeStream, deleteStream, publish(false)).
    Unpublish(MessageStreamId),
    /// The peer ended its play (closeStream, deleteStream, play of something else).
    Stop(MessageStreamId),
    /// The peer paused or resumed a play; the status has been answered.
    Pause(MessageStreamId, bool),
    /// The peer turned audio or video of a play on or off (receiveAudio, receiveVideo).
    Select {
        /// The play concerned.
        stream: MessageStreamId,
        /// Audio is wanted.
        audio: bool,
        /// Video is wanted.
        video: bool,
    },
    /// The peer asked for a position on a live play; the status has been answered. Live has only one
    /// position, so the driver moves the viewer to the newest random-access point.
    Seek(MessageStreamId),
}
