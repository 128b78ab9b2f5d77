//! Media of a publisher.

use super::*;

fn media(kind: MediaKind, timestamp_ms: u32, payload: &'static [u8]) -> ServerEvent {
    ServerEvent::Media(
        S1,
        MediaMessage { kind, timestamp_ms, payload: Bytes::from_static(payload) },
    )
}

#[test]
fn audio_video_and_data_come_out_as_they_were() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.send(S1, type_id::AUDIO, 10, &[0xaf, 1]).unwrap();
    peer.send(S1, type_id::VIDEO, 0xffff_fff0, &[0x17, 1]).unwrap();
    peer.send(S1, type_id::DATA_AMF0, 11, b"\x02\0\x01a\x05").unwrap();
    let expected = [
        media(MediaKind::Audio, 10, &[0xaf, 1]),
        media(MediaKind::Video, 0xffff_fff0, &[0x17, 1]),
        media(MediaKind::Data, 11, b"\x02\0\x01a\x05"),
    ];
    assert_eq!(peer.events(), expected);
}

#[test]
fn aggregate_comes_out_as_its_parts() {
    let mut peer = Peer::publishing(ServerSettings::default());
    let parts = [
        &[8, 0, 0, 1, 0, 0, 100, 0, 0, 0, 0, 0xaf, 0, 0, 0, 12][..],
        &[9, 0, 0, 1, 0, 0, 120, 0, 0, 0, 0, 0x17, 0, 0, 0, 12],
    ];
    peer.send(S1, type_id::AGGREGATE, 5000, &parts.concat()).unwrap();
    let expected = [media(MediaKind::Audio, 5000, &[0xaf]), media(MediaKind::Video, 5020, &[0x17])];
    assert_eq!(peer.events(), expected);
    let result = peer.send(S1, type_id::AGGREGATE, 0, &parts[0][..5]);
    assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
}

#[test]
fn media_of_no_publication_are_counted_and_dropped() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
    peer.send(S2, type_id::VIDEO, 0, &[1]).unwrap();
    peer.send(S0, type_id::DATA_AMF0, 0, &[2, 0, 1, 97]).unwrap();
    assert_eq!(peer.events(), []);
    assert_eq!(peer.session.counters().messages_ignored, 3);
}

#[test]
fn media_without_a_message_stream_go_to_the_only_publication() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.send(S0, type_id::AUDIO, 0, &[1]).unwrap();
    assert_eq!(peer.events(), [media(MediaKind::Audio, 0, &[1])]);

    peer.call(S0, "createStream", 4.0, &[]);
    peer.call(S2, "publish", 5.0, &[Value::from("b")]);
    peer.events();
    peer.session.accept_publish(S2);
    peer.send(S0, type_id::AUDIO, 0, &[1]).unwrap();
    assert_eq!(peer.events(), [], "there are two");
}

#[test]
fn media_behind_a_refused_publication_are_dropped() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "createStream", 2.0, &[]);
    peer.call(S1, "publish", 3.0, &[Value::from("a")]);
    peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
    peer.events();
    peer.session.reject_publish(S1, PublishRefusal::BadName, "taken");
    assert_eq!(peer.events(), []);
    assert_eq!(peer.session.counters().messages_ignored, 1);
}

#[test]
fn empty_media_messages_are_dropped() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.send(S1, type_id::AUDIO, 0, &[]).unwrap();
    assert_eq!(peer.events(), []);
}

#[test]
fn message_over_the_limit_ends_the_session_and_names_the_setting() {
    let settings = ServerSettings { message_bytes_max: 500, ..ServerSettings::default() };
    let mut peer = Peer::publishing(settings);
    peer.send(S1, type_id::VIDEO, 0, &[1; 500]).unwrap();
    let result = peer.send(S1, type_id::VIDEO, 0, &[1; 501]);
    let Err(Error::LimitExceeded { setting, .. }) = result else { panic!("{result:?}") };
    assert_eq!(setting, "message_bytes_max");
}
