//! RTMP sessions in pairs on a virtual wire and clock: client and server against each other, and each
//! against an independent implementation.

mod oracle;
mod split;
mod wire;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use corelay_codecs::amf::{Object, Value, amf0};
use corelay_protocols::rtmp::chunk::{ChunkWriter, write_media};
use corelay_protocols::rtmp::command::Command;
use corelay_protocols::rtmp::event::PlayStart;
use corelay_protocols::rtmp::handshake::Style;
use corelay_protocols::rtmp::message::type_id;
use corelay_protocols::rtmp::url::StreamUrl;
use corelay_protocols::rtmp::{
    ClientEvent, ClientRole, ClientSession, ClientSettings, Error, MediaKind, MediaMessage,
    MessageStreamId, PlayEnd, PlayRefusal, PublishEnd, PublishKind, PublishRefusal, ServerEvent,
    ServerSession, ServerSettings,
};
use corelay_protocols::{Millis, Session};

use self::wire::{Wire, play, publish};

const S1: MessageStreamId = MessageStreamId(1);

fn media(kind: MediaKind, timestamp_ms: u32, payload: &'static [u8]) -> MediaMessage {
    MediaMessage { kind, timestamp_ms, payload: Bytes::from_static(payload) }
}

fn metadata() -> Vec<u8> {
    let mut body = Vec::new();
    amf0::encode_str("onMetaData", &mut body);
    amf0::encode(&Value::EcmaArray(Object::new().with("width", 160.0)), &mut body);
    body
}

fn codes(events: &[ClientEvent]) -> Vec<&str> {
    let code = |event: &'_ ClientEvent| match event {
        ClientEvent::Status { .. } | ClientEvent::Media(_) => None,
        ClientEvent::Connected => Some("connected"),
        ClientEvent::Publishing => Some("publishing"),
        ClientEvent::Playing => Some("playing"),
        ClientEvent::Ended => Some("ended"),
    };
    events.iter().filter_map(code).collect()
}

#[test]
fn published_media_arrive_whatever_the_handshake_and_the_pieces() {
    for style in [Style::Plain, Style::Digest] {
        for piece_bytes in [1, 7, 128, 1 << 20] {
            let mut settings = publish("rtmp://h/live/inst/a?token=t");
            settings.style = style;
            let mut wire = Wire::new(settings, ServerSettings::default());
            wire.piece_bytes = piece_bytes;
            assert!(!wire.client.send_media(MediaKind::Audio, 0, &[1]), "not accepted yet");
            wire.run().unwrap();
            assert_eq!(codes(&wire.client_events), ["connected", "publishing"]);
            let [ServerEvent::Connect(connect), ServerEvent::Publish(S1, request)] =
                &wire.server_events[..]
            else {
                panic!("{:?}", wire.server_events)
            };
            assert_eq!((connect.app.as_str(), connect.vhost.as_str()), ("live", "h"));
            assert_eq!((request.name.as_str(), request.query.as_str()), ("inst/a", "token=t"));
            assert_eq!(request.kind, PublishKind::Live);

            wire.server_events.clear();
            let large: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
            assert!(wire.client.send_media(MediaKind::Data, 0, &metadata()));
            assert!(wire.client.send_media(MediaKind::Video, 0x0100_0000, &large));
            assert!(wire.client.send_media(MediaKind::Audio, u32::MAX, &[0xaf, 1]));
            wire.run().unwrap();
            let expected = [
                MediaMessage { kind: MediaKind::Data, timestamp_ms: 0, payload: metadata().into() },
                MediaMessage {
                    kind: MediaKind::Video,
                    timestamp_ms: 0x0100_0000,
                    payload: large.into(),
                },
                media(MediaKind::Audio, u32::MAX, &[0xaf, 1]),
            ];
            assert_eq!(wire.server_events, expected.map(|media| ServerEvent::Media(S1, media)));
        }
    }
}

#[test]
fn media_written_beside_the_session_arrive_at_the_player() {
    for piece_bytes in [1, 100, 1 << 20] {
        let mut wire = Wire::new(play("rtmp://h/live/a"), ServerSettings::default());
        wire.piece_bytes = piece_bytes;
        wire.run().unwrap();
        assert_eq!(codes(&wire.client_events), ["connected", "playing"]);
        wire.client_events.clear();

        // Media, a word of the session, media.
        let sent = [
            media(MediaKind::Audio, 40, &[0xaf, 1, 2, 3]),
            media(MediaKind::Video, 0x0200_0000, &[7; 9000]),
        ];
        wire.server_media(&sent);
        wire.server.play_dry(S1);
        wire.server.play_begin(S1);
        wire.run().unwrap();
        wire.server_media(&sent);
        wire.run().unwrap();
        let expected: Vec<_> = sent.iter().chain(&sent).cloned().map(ClientEvent::Media).collect();
        assert_eq!(wire.client_events, expected);
    }
}

#[test]
fn play_that_the_server_ends_is_ended_once_and_the_client_says_why() {
    for (end, code) in [
        (PlayEnd::Unpublished, "NetStream.Play.UnpublishNotify"),
        (PlayEnd::Shutdown, "NetStream.Play.Stop"),
    ] {
        let mut wire = Wire::new(play("rtmp://h/live/a"), ServerSettings::default());
        wire.run().unwrap();
        wire.client_events.clear();
        wire.server.play_ended(S1, end);
        wire.run().unwrap();
        assert_eq!(codes(&wire.client_events), ["ended"]);
        let Some(ClientEvent::Status { code: first, .. }) = wire.client_events.first() else {
            panic!("{:?}", wire.client_events)
        };
        assert_eq!(first, code);
    }
}

#[test]
fn refusals_end_the_client_with_code_and_description() {
    type Refuse = fn(&mut ServerSession);
    let connect: [(Refuse, &str); 2] = [
        (|server| server.reject_connect("why"), "NetConnection.Connect.Rejected"),
        (|server| server.reject_app("why"), "NetConnection.Connect.InvalidApp"),
    ];
    for (refuse, code) in connect {
        refused(play("rtmp://h/live/a"), refuse, code);
    }
    let publication: [(Refuse, &str); 3] = [
        (|s| s.reject_publish(S1, PublishRefusal::BadName, "why"), "NetStream.Publish.BadName"),
        (|s| s.reject_publish(S1, PublishRefusal::Denied, "why"), "NetStream.Publish.Denied"),
        (|s| s.reject_publish(S1, PublishRefusal::Unsupported, "why"), "NetStream.Record.Failed"),
    ];
    for (refuse, code) in publication {
        refused(publish("rtmp://h/live/a"), refuse, code);
    }
    let plays: [(Refuse, &str); 2] = [
        (
            |server| server.reject_play(S1, PlayRefusal::StreamNotFound, "why"),
            "NetStream.Play.StreamNotFound",
        ),
        (|server| server.reject_play(S1, PlayRefusal::Failed, "why"), "NetStream.Play.Failed"),
    ];
    for (refuse, code) in plays {
        refused(play("rtmp://h/live/a"), refuse, code);
    }
}

/// Lets the server refuse the first question that `refuse` fits, and accept those before it.
fn refused(settings: ClientSettings, refuse: fn(&mut ServerSession), code: &str) {
    let mut wire = Wire::new(settings, ServerSettings::default());
    wire.refuse = Some(refuse);
    let error = wire.run().unwrap_err();
    let expected = Error::Refused { code: code.to_owned(), description: "why".to_owned() };
    assert_eq!(error, expected);
}

#[test]
fn publication_taken_over_ends_the_client_with_bad_name() {
    let mut wire = Wire::new(publish("rtmp://h/live/a"), ServerSettings::default());
    wire.run().unwrap();
    wire.server.publish_ended(S1, PublishEnd::TakenOver);
    let error = wire.run().unwrap_err();
    assert!(matches!(error, Error::Refused { code, .. } if code == "NetStream.Publish.BadName"));
}

#[test]
fn client_that_closes_ends_its_publication_or_play_at_the_server() {
    for (settings, ended) in [
        (publish("rtmp://h/live/a"), ServerEvent::Unpublish(S1)),
        (play("rtmp://h/live/a"), ServerEvent::Stop(S1)),
    ] {
        let mut wire = Wire::new(settings, ServerSettings::default());
        wire.run().unwrap();
        wire.server_events.clear();
        wire.client.close();
        wire.client.close();
        wire.run().unwrap();
        assert_eq!(wire.server_events, [ended]);
        assert!(!wire.client.send_media(MediaKind::Audio, 0, &[1]));
    }
}

#[test]
fn record_and_append_are_asked_for_as_such() {
    for kind in [PublishKind::Live, PublishKind::Record, PublishKind::Append] {
        let url = StreamUrl::parse("rtmp://h/live/a").unwrap();
        let settings = ClientSettings::new(url, ClientRole::Publish(kind));
        let mut wire = Wire::new(settings, ServerSettings::default());
        wire.run().unwrap();
        let Some(ServerEvent::Publish(_, request)) = wire.server_events.last() else {
            panic!("{:?}", wire.server_events)
        };
        assert_eq!(request.kind, kind);
    }
}

#[test]
fn start_of_a_play_arrives_as_it_was_meant() {
    for start in [PlayStart::LiveOrRecorded, PlayStart::Live, PlayStart::Recorded(1500)] {
        let url = StreamUrl::parse("rtmp://h/live/a").unwrap();
        let settings = ClientSettings::new(url, ClientRole::Play(start));
        let mut wire = Wire::new(settings, ServerSettings::default());
        wire.run().unwrap();
        let Some(ServerEvent::Play(_, request)) = wire.server_events.last() else {
            panic!("{:?}", wire.server_events)
        };
        assert_eq!(request.start, start);
    }
}

#[test]
fn waiting_player_lives_on_pings_alone() {
    let mut settings = play("rtmp://h/live/a");
    settings.idle_timeout_ms = 40_000;
    let mut wire = Wire::new(settings, ServerSettings::default());
    wire.run().unwrap();
    for _ in 0..100 {
        wire.pass(10_000).unwrap();
    }
}

#[test]
fn player_without_media_or_pings_times_out_at_the_client() {
    let server = ServerSettings { ping_interval_ms: 0, ..ServerSettings::default() };
    let mut wire = Wire::new(play("rtmp://h/live/a"), server);
    wire.run().unwrap();
    wire.pass(29_999).unwrap();
    let error = wire.pass(1).unwrap_err();
    assert!(matches!(error, Error::TimedOut { setting: "idle_timeout_ms", .. }), "{error}");
}

#[test]
fn silent_server_times_out_at_the_client() {
    let settings = Arc::new(publish("rtmp://h/live/a"));
    let mut client = ClientSession::new(settings, [0; 8], Millis(500));
    assert_eq!(client.poll_timeout(), Some(Millis(10_500)));
    assert_eq!(client.handle_timeout(Millis(10_499)), Ok(()));
    let error = client.handle_timeout(Millis(10_500)).unwrap_err();
    assert!(matches!(error, Error::TimedOut { setting: "start_timeout_ms", .. }), "{error}");
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn both_sides_acknowledge_what_they_receive() {
    let mut settings = publish("rtmp://h/live/a");
    settings.window_ack_size = 1000;
    let mut wire = Wire::new(settings, ServerSettings::default());
    wire.run().unwrap();
    for _ in 0..10 {
        wire.client.send_media(MediaKind::Audio, 0, &[1; 500]);
        wire.run().unwrap();
    }
    assert!(wire.acknowledgements_to_client >= 4, "{}", wire.acknowledgements_to_client);

    let server = ServerSettings { window_ack_size: 1000, ..ServerSettings::default() };
    let mut wire = Wire::new(play("rtmp://h/live/a"), server);
    wire.run().unwrap();
    for _ in 0..10 {
        wire.server_media(&[media(MediaKind::Audio, 0, &[1; 500])]);
        wire.run().unwrap();
    }
    assert!(wire.server.peer_acknowledged() > 4000, "{}", wire.server.peer_acknowledged());
}

/// A player to which a server says what the test wants.
fn player_told(tell: impl FnOnce(&mut ChunkWriter, &mut BytesMut)) -> Vec<ClientEvent> {
    let mut wire = Wire::new(play("rtmp://h/live/a"), ServerSettings::default());
    wire.run().unwrap();
    wire.client_events.clear();
    let mut writer = ChunkWriter::new();
    writer.set_chunk_size(ServerSettings::default().chunk_size_out);
    let mut out = BytesMut::new();
    tell(&mut writer, &mut out);
    wire.client.handle_input(wire.now, &out).unwrap();
    std::iter::from_fn(|| wire.client.poll_event()).collect()
}

#[test]
fn aggregates_from_a_server_come_out_as_their_parts() {
    let parts = [
        &[8, 0, 0, 1, 0, 0, 100, 0, 0, 0, 0, 0xaf, 0, 0, 0, 12][..],
        &[9, 0, 0, 1, 0, 0, 120, 0, 0, 0, 0, 0x17, 0, 0, 0, 12],
    ];
    let events = player_told(|writer, out| {
        writer.write(4, 700, type_id::AGGREGATE, S1, &parts.concat(), out);
    });
    let expected = [media(MediaKind::Audio, 700, &[0xaf]), media(MediaKind::Video, 720, &[0x17])];
    assert_eq!(events, expected.map(ClientEvent::Media));
}

#[test]
fn end_of_a_recording_ends_the_play() {
    let mut body = Vec::new();
    amf0::encode_str("onPlayStatus", &mut body);
    let information = Object::new().with("code", "NetStream.Play.Complete");
    amf0::encode(&information.into(), &mut body);
    let events = player_told(|writer, out| {
        writer.write(5, 0, type_id::DATA_AMF0, S1, &body, out);
    });
    assert_eq!(events, [ClientEvent::Ended]);
}

#[test]
fn play_that_begins_again_is_announced_again() {
    let status = |code: &str| {
        let information = Object::new().with("level", "status").with("code", code);
        Command::new("onStatus", 0.0, Value::Null, vec![information.into()]).body()
    };
    let events = player_told(|writer, out| {
        for code in
            ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Start"]
        {
            writer.write(3, 0, type_id::COMMAND_AMF0, S1, &status(code), out);
        }
    });
    assert_eq!(codes(&events), ["ended", "playing"]);
}

#[test]
fn status_before_its_time_starts_nothing() {
    let mut client = ClientSession::new(Arc::new(publish("rtmp://h/live/a")), [0; 8], Millis(0));
    client.handle_input(Millis(0), &[3]).unwrap();
    client.handle_input(Millis(0), &[0; 2 * 1536]).unwrap();
    let information = Object::new().with("code", "NetStream.Publish.Start");
    let command = Command::new("onStatus", 0.0, Value::Null, vec![information.into()]);
    let mut out = BytesMut::new();
    ChunkWriter::new().write(3, 0, type_id::COMMAND_AMF0, S1, &command.body(), &mut out);
    client.handle_input(Millis(0), &out).unwrap();
    assert!(!client.send_media(MediaKind::Audio, 0, &[1]));
    let events: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
    assert!(codes(&events).is_empty(), "{events:?}");
}

#[test]
fn message_stream_id_that_is_none_ends_the_client() {
    for id in [Value::Null, Value::from(0.0), Value::from(-1.0), Value::from(1e10)] {
        let mut wire = Wire::new(publish("rtmp://h/live/a"), ServerSettings::default());
        let result = Command::new("_result", 4.0, Value::Null, vec![id]);
        wire.leave_open = true;
        wire.run().unwrap();
        wire.server.accept_connect();
        let mut out = BytesMut::new();
        while let Some(output) = wire.server.poll_output() {
            out.extend_from_slice(&output);
        }
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(ServerSettings::default().chunk_size_out);
        let connection = MessageStreamId(0);
        writer.write(3, 0, type_id::COMMAND_AMF0, connection, &result.body(), &mut out);
        let error = wire.client.handle_input(wire.now, &out).unwrap_err();
        assert!(matches!(error, Error::Violation(_)), "{error}");
    }
}
