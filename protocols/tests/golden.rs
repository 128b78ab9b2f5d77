//! Replays what real clients and servers sent (tests/golden/README.md): the clients through the
//! server session, nginx-rtmp through handshake and chunk reader.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use corelay_protocols::rtmp::chunk::{ChunkReader, Message, ReaderLimits};
use corelay_protocols::rtmp::event::{
    ConnectRequest, MediaKind, MediaMessage, PlayRequest, PlayStart, PublishKind, PublishRequest,
    ServerEvent,
};
use corelay_protocols::rtmp::handshake::{ClientHandshake, Style};
use corelay_protocols::rtmp::{ServerSession, ServerSettings};
use corelay_protocols::{Millis, Session};

/// How long the handshake is.
const HANDSHAKE_BYTES: usize = 1 + 2 * 1536;

#[test]
fn ffmpeg_publishes() {
    let outcome = outcome("ffmpeg_publish");
    assert_client(&outcome, Handshake::Digest, "FMLE/3.0 (compatible; Lavf59.27.100)");
    assert_publishes("ffmpeg_publish", &outcome, 0);
    assert_eq!(count(&outcome, MediaKind::Data), 1);
}

#[test]
fn ffmpeg_publishes_messages_that_begin_with_type_3_headers() {
    let outcome = outcome("ffmpeg_publish_g711");
    assert_publishes("ffmpeg_publish_g711", &outcome, 0);
    assert_eq!(count(&outcome, MediaKind::Video), 0);
}

#[test]
fn gstreamer_publishes() {
    let outcome = outcome("gstreamer_publish");
    assert_client(&outcome, Handshake::Plain, "LNX 10,0,32,18");
    assert_publishes("gstreamer_publish", &outcome, GSTREAMER_SHIFT_MS);
}

#[test]
fn librtmp_publishes_as_obs_does() {
    let outcome = outcome("librtmp_publish");
    assert_client(&outcome, Handshake::Plain, "FMLE/3.0 (compatible; FMSc/1.0)");
    assert_publishes("librtmp_publish", &outcome, GSTREAMER_SHIFT_MS);
}

#[test]
fn ffmpeg_plays() {
    let outcome = outcome("ffmpeg_play");
    assert_client(&outcome, Handshake::Digest, "LNX 9,0,124,2");
    assert_plays(&outcome, PlayStart::LiveOrRecorded);
}

#[test]
fn gstreamer_plays() {
    let outcome = outcome("gstreamer_play");
    assert_client(&outcome, Handshake::Plain, "LNX 10,0,32,18");
    assert_plays(&outcome, PlayStart::LiveOrRecorded);
}

#[test]
fn rtmpdump_plays_with_either_handshake() {
    for (name, handshake) in
        [("rtmpdump_play", Handshake::Plain), ("rtmpdump_play_digest", Handshake::Digest)]
    {
        let outcome = outcome(name);
        assert_client(&outcome, handshake, "LNX 10,0,32,18");
        assert_plays(&outcome, PlayStart::Live);
        assert!(outcome.ended, "it says deleteStream when interrupted");
    }
}

#[test]
fn the_chunks_of_nginx_rtmp_are_read() {
    let capture = fs::read(golden("nginx_play", "bin")).unwrap();
    let messages = read_from_server(&capture, capture.len());
    for piece_bytes in [1, 17, 1460] {
        assert_eq!(read_from_server(&capture, piece_bytes), messages);
    }
    let of = |type_id| messages.iter().filter(move |message| message.type_id == type_id);
    // Chunk size, window, bandwidth, begin; results and statuses; metadata; audio and video.
    for type_id in [1, 4, 5, 6, 20, 18] {
        assert!(of(type_id).count() > 0, "type {type_id}");
    }
    assert!(of(8).all(|message| message.payload[0] == 0xAF), "AAC");
    assert!(of(9).all(|message| [0x17, 0x27].contains(&message.payload[0])), "AVC");
    for type_id in [8, 9] {
        assert!(of(type_id).count() > 10);
        assert!(of(type_id).map(|message| message.timestamp_ms).is_sorted());
    }
    assert!(messages.iter().all(|message| [1, 4, 5, 6, 8, 9, 18, 20].contains(&message.type_id)));
}

/// flvmux begins with the first presentation time, 200 ms in; what lies before it becomes 0.
const GSTREAMER_SHIFT_MS: u32 = 200;

/// How S1 answers: with a version and a digest, or without.
#[derive(Clone, Copy, PartialEq)]
enum Handshake {
    Plain,
    Digest,
}

fn assert_client(outcome: &Outcome, handshake: Handshake, flash_ver: &str) {
    let has_digest = outcome.output[5..9] != [0; 4];
    assert_eq!(has_digest, handshake == Handshake::Digest);
    assert!(outcome.output.len() > HANDSHAKE_BYTES);
    let connect = outcome.connect.as_ref().unwrap();
    assert_eq!((connect.app.as_str(), connect.vhost.as_str()), ("live", "127.0.0.1"));
    assert_eq!(connect.flash_ver, flash_ver);
    assert!(connect.tc_url.starts_with("rtmp://127.0.0.1:") && connect.tc_url.ends_with("/live"));
    assert_eq!((connect.object_encoding, connect.query.as_str()), (0, ""));
    assert_eq!(outcome.let_pass, 0, "every command and message is known");
}

/// The media are the packets that ffprobe found in the clip, with times `shift_ms` less.
fn assert_publishes(name: &str, outcome: &Outcome, shift_ms: u32) {
    let publish = outcome.publish.as_ref().unwrap();
    assert_eq!((publish.name.as_str(), publish.query.as_str()), ("test", "token=abc"));
    assert_eq!(publish.kind, PublishKind::Live);
    assert!(outcome.ended && outcome.play.is_none());

    let text = fs::read_to_string(golden(name, "packets")).unwrap();
    for (stream, kind) in [("video", MediaKind::Video), ("audio", MediaKind::Audio)] {
        let packets: Vec<_> = packets(&text, stream)
            .map(|(time_ms, bytes)| (time_ms.saturating_sub(shift_ms), bytes))
            .collect();
        let frames: Vec<_> =
            outcome.media.iter().filter(|media| media.kind == kind).filter_map(frame).collect();
        assert_eq!(frames, packets, "{stream}");
    }
}

fn assert_plays(outcome: &Outcome, start: PlayStart) {
    let play = outcome.play.as_ref().unwrap();
    assert_eq!((play.name.as_str(), play.query.as_str(), play.prefix.as_str()), ("test", "", ""));
    assert_eq!((play.start, play.duration_ms, play.reset), (start, None, true));
    assert!(outcome.media.is_empty() && outcome.publish.is_none());
}

fn count(outcome: &Outcome, kind: MediaKind) -> usize {
    outcome.media.iter().filter(|media| media.kind == kind).count()
}

/// Decoding time in milliseconds and size of the packets of a stream, as ffprobe lists them.
fn packets<'a>(text: &'a str, stream: &'a str) -> impl Iterator<Item = (u32, usize)> + 'a {
    text.lines().filter_map(move |line| {
        let (time, bytes) = line.strip_prefix(stream)?.strip_prefix(',')?.split_once(',')?;
        let seconds: f64 = time.parse().unwrap();
        Some(((seconds * 1000.0).round() as u32, bytes.parse().unwrap()))
    })
}

/// Time and size of the frame in an FLV tag body; `None` for a sequence header or end.
fn frame(media: &MediaMessage) -> Option<(u32, usize)> {
    let header_bytes = match (media.kind, media.payload[0] >> 4, media.payload[0] & 0x0F) {
        // AVC: packet type 1 is a picture. AAC: packet type 1 is a frame. G.711 has no packet type.
        (MediaKind::Video, _, 7) => (media.payload[1] == 1).then_some(5)?,
        (MediaKind::Audio, 10, _) => (media.payload[1] == 1).then_some(2)?,
        (MediaKind::Audio, 8, _) => 1,
        other => panic!("not in the clips: {other:?}"),
    };
    Some((media.timestamp_ms, media.payload.len() - header_bytes))
}

/// What a server's bytes contain behind the handshake.
fn read_from_server(capture: &[u8], piece_bytes: usize) -> Vec<Message> {
    let mut handshake = ClientHandshake::new([5; 8], Style::Plain);
    handshake.start(&mut BytesMut::new());
    let mut reader = ChunkReader::new(ReaderLimits {
        chunk_size_max: 65_536,
        message_bytes_max: 65_536,
        chunk_streams_max: 16,
    });
    let mut messages = Vec::new();
    for mut piece in capture.chunks(piece_bytes) {
        let progress = handshake.push(piece, &mut BytesMut::new()).unwrap();
        piece = &piece[progress.consumed..];
        while let Some(message) = reader.push(&mut piece).unwrap() {
            messages.push(message);
        }
    }
    assert_eq!(reader.bytes_read() as usize, capture.len() - HANDSHAKE_BYTES);
    messages
}

/// What a server session made of a capture.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    connect: Option<ConnectRequest>,
    publish: Option<PublishRequest>,
    play: Option<PlayRequest>,
    media: Vec<MediaMessage>,
    /// The publication or the play was ended by the client.
    ended: bool,
    /// Commands and messages that the session let pass.
    let_pass: u64,
    output: Vec<u8>,
}

/// Replays a capture in pieces of `piece_bytes`, accepting whatever the client asks for.
fn replay(capture: &[u8], piece_bytes: usize) -> Outcome {
    let mut session = ServerSession::new(Arc::new(ServerSettings::default()), [5; 8], Millis(0));
    let mut outcome = Outcome::default();
    for piece in capture.chunks(piece_bytes) {
        session.handle_input(Millis(0), piece).unwrap();
        while let Some(event) = session.poll_event() {
            answer(&mut session, event, &mut outcome);
        }
        while let Some(output) = session.poll_output() {
            outcome.output.extend(output);
        }
    }
    let counters = session.counters();
    outcome.let_pass = counters.commands_unknown + counters.messages_ignored;
    outcome
}

fn answer(session: &mut ServerSession, event: ServerEvent, outcome: &mut Outcome) {
    match event {
        ServerEvent::Connect(request) => {
            outcome.connect = Some(request);
            session.accept_connect();
        }
        ServerEvent::Publish(stream, request) => {
            outcome.publish = Some(request);
            session.accept_publish(stream);
        }
        ServerEvent::Play(stream, request) => {
            outcome.play = Some(request);
            session.accept_play(stream);
        }
        ServerEvent::Media(_, media) => outcome.media.push(media),
        ServerEvent::Unpublish(_) | ServerEvent::Stop(_) => outcome.ended = true,
        other => panic!("no client does this: {other:?}"),
    }
}

/// The outcome of the capture `name`, which must not depend on how it is cut.
fn outcome(name: &str) -> Outcome {
    let capture = fs::read(golden(name, "bin")).unwrap();
    let whole = replay(&capture, capture.len());
    for piece_bytes in [1, 2, 17, 1000, 1460] {
        let mut pieces = replay(&capture, piece_bytes);
        // An acknowledgement leaves when its window is full, which depends on the pieces.
        pieces.output.clone_from(&whole.output);
        assert_eq!(pieces, whole, "{name} in pieces of {piece_bytes}");
    }
    whole
}

fn golden(name: &str, extension: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(format!("{name}.{extension}"))
}
