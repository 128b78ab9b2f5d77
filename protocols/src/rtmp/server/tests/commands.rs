//! Every command.

use super::*;

fn text(text: &str) -> Value {
    Value::from(text)
}

fn with_stream() -> Peer {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "createStream", 2.0, &[]);
    peer.replies();
    peer
}

fn publish_request(args: &[Value]) -> Option<PublishRequest> {
    let mut peer = with_stream();
    peer.call(S1, "publish", 3.0, args);
    match peer.events().pop() {
        Some(ServerEvent::Publish(S1, request)) => Some(request),
        _ => None,
    }
}

fn play_request(args: &[Value]) -> Option<PlayRequest> {
    let mut peer = with_stream();
    peer.call(S1, "play", 3.0, args);
    match peer.events().pop() {
        Some(ServerEvent::Play(S1, request)) => Some(request),
        _ => None,
    }
}

#[test]
fn create_stream_gives_the_lowest_free_id_up_to_the_limit() {
    let mut peer =
        Peer::connected(ServerSettings { message_streams_max: 2, ..ServerSettings::default() });
    for id in 2..5 {
        peer.call(S0, "createStream", f64::from(id), &[]);
    }
    let expected = ["0 _result 2 1", "0 _result 3 2", "0 _error 4 NetConnection.Call.Failed"];
    assert_eq!(peer.replies(), expected);
    peer.call(S0, "deleteStream", 0.0, &[Value::from(1.0)]);
    peer.call(S0, "createStream", 5.0, &[]);
    assert_eq!(peer.replies(), ["0 _result 5 1"]);
}

#[test]
fn courtesies_of_publishers_are_answered_with_a_result() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "releaseStream", 2.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 _result 2"]);
    peer.call(S0, "FCPublish", 3.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 onFCPublish 0 NetStream.Publish.Start", "0 _result 3"]);
    peer.call(S0, "FCUnpublish", 4.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 onFCUnpublish 0 NetStream.Unpublish.Success", "0 _result 4"]);
    peer.call(S0, "FCSubscribe", 5.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 onFCSubscribe 0 NetStream.Play.Start", "0 _result 5"]);
    peer.call(S0, "FCUnsubscribe", 6.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 _result 6"]);
    assert_eq!(peer.events(), []);
}

#[test]
fn questions_about_the_line_and_the_length_are_answered() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "_checkbw", 2.0, &[]);
    assert_eq!(peer.replies(), ["0 _result 2"], "librtmp would answer onBWDone with another call");
    peer.call(S0, "checkBandwidth", 0.0, &[]);
    assert_eq!(peer.replies(), ["0 onBWDone 0"]);
    peer.call(S0, "getStreamLength", 3.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 _result 3 0"]);
}

#[test]
fn unknown_calls_get_an_error_if_they_ask_for_an_answer() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "launchRocket", 2.0, &[text("a")]);
    assert_eq!(peer.replies(), ["0 _error 2 NetConnection.Call.Failed"]);
    peer.call(S0, "launchRocket", 0.0, &[]);
    peer.call(S0, "_result", 7.0, &[]);
    peer.call(S0, "onBWDone", 8.0, &[]);
    assert_eq!(peer.replies(), [""; 0]);
    assert_eq!(peer.session.counters().commands_unknown, 2);
}

#[test]
fn publish_says_name_query_and_kind() {
    let request = |name: &str, query: &str, kind| {
        Some(PublishRequest { name: name.to_owned(), query: query.to_owned(), kind })
    };
    let live = PublishKind::Live;
    assert_eq!(publish_request(&[text("a")]), request("a", "", live));
    assert_eq!(publish_request(&[text("a?t=1"), text("live")]), request("a", "t=1", live));
    assert_eq!(publish_request(&[text("a"), text("rubbish")]), request("a", "", live));
    let record = publish_request(&[text("mp4:a"), text("record")]);
    assert_eq!(record, request("a", "", PublishKind::Record));
    for kind in ["append", "appendWithGap"] {
        let append = publish_request(&[text("a"), text(kind)]);
        assert_eq!(append, request("a", "", PublishKind::Append));
    }
}

#[test]
fn accepted_publication_is_begun() {
    let mut peer = with_stream();
    peer.call(S1, "publish", 3.0, &[text("a")]);
    peer.session.accept_publish(S1);
    assert_eq!(peer.replies(), ["begin 1", "1 onStatus 0 NetStream.Publish.Start"]);
}

#[test]
fn refused_publication_says_why_and_the_connection_goes_on() {
    for (refusal, code) in [
        (PublishRefusal::BadName, "NetStream.Publish.BadName"),
        (PublishRefusal::Denied, "NetStream.Publish.Denied"),
        (PublishRefusal::Unsupported, "NetStream.Record.Failed"),
    ] {
        let mut peer = with_stream();
        peer.call(S1, "publish", 3.0, &[text("a")]);
        peer.events();
        peer.session.reject_publish(S1, refusal, "no");
        assert_eq!(peer.replies(), [format!("1 onStatus 0 {code}")]);
        peer.call(S1, "publish", 4.0, &[text("b")]);
        assert!(matches!(peer.events()[..], [ServerEvent::Publish(..)]), "another try");
    }
}

#[test]
fn names_that_are_none_are_refused_by_the_session() {
    for name in ["", "?token=t", "..", "a/../b", "a\n", "mp4:", &"x".repeat(513)] {
        let mut peer = with_stream();
        peer.call(S1, "publish", 3.0, &[text(name)]);
        peer.call(S1, "play", 4.0, &[text(name)]);
        assert_eq!(peer.events(), [], "{name}");
        let expected = [
            "1 onStatus 0 NetStream.Publish.BadName",
            "1 onStatus 0 NetStream.Play.StreamNotFound",
        ];
        assert_eq!(peer.replies(), expected);
    }
}

#[test]
fn publish_and_play_need_a_message_stream() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S1, "publish", 2.0, &[text("a")]);
    peer.call(S0, "play", 3.0, &[text("a")]);
    assert_eq!(peer.events(), []);
    assert_eq!(peer.replies(), ["1 onStatus 0 NetStream.Failed", "0 onStatus 0 NetStream.Failed"]);
}

#[test]
fn every_way_to_end_a_publication_ends_it_once() {
    let ways: [(MessageStreamId, &str, Vec<Value>); 7] = [
        (S0, "FCUnpublish", vec![text("a?token=x")]),
        (S1, "closeStream", vec![]),
        (S0, "deleteStream", vec![Value::from(1.0)]),
        (S1, "deleteStream", vec![]),
        (S1, "publish", vec![Value::from(false)]),
        (S1, "publish", vec![Value::Null]),
        (S1, "play", vec![Value::from(false)]),
    ];
    for (stream, name, args) in ways {
        let mut peer = Peer::publishing(ServerSettings::default());
        peer.call(stream, name, 0.0, &args);
        peer.call(S0, "deleteStream", 0.0, &[Value::from(1.0)]);
        peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
        assert_eq!(peer.events(), [ServerEvent::Unpublish(S1)], "{name}");
        let replies = peer.replies();
        let ended = "1 onStatus 0 NetStream.Unpublish.Success";
        assert_eq!(replies.iter().filter(|reply| *reply == ended).count(), 1, "{name}");
    }
}

#[test]
fn unpublish_of_another_name_ends_nothing() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.call(S0, "FCUnpublish", 0.0, &[text("b")]);
    assert_eq!(peer.events(), []);
}

#[test]
fn publication_ended_by_the_server_says_why() {
    for (end, refusal) in [
        (PublishEnd::TakenOver, Some("1 onStatus 0 NetStream.Publish.BadName")),
        (PublishEnd::Denied, Some("1 onStatus 0 NetStream.Publish.Denied")),
        (PublishEnd::Shutdown, None),
    ] {
        let mut peer = Peer::publishing(ServerSettings::default());
        peer.session.publish_ended(S1, end);
        let mut expected: Vec<_> = refusal.into_iter().collect();
        expected.push("1 onStatus 0 NetStream.Unpublish.Success");
        assert_eq!(peer.replies(), expected);
        peer.session.publish_ended(S1, end);
        peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
        assert_eq!(peer.replies(), [""; 0], "once");
        assert_eq!(peer.events(), [], "and no media any more");
    }
}

#[test]
fn play_says_name_prefix_query_start_and_length() {
    let plain = PlayRequest {
        name: "a".to_owned(),
        query: String::new(),
        prefix: String::new(),
        start: PlayStart::LiveOrRecorded,
        duration_ms: None,
        reset: true,
    };
    assert_eq!(play_request(&[text("a")]), Some(plain.clone()));
    let named = PlayRequest {
        prefix: "mp4".to_owned(),
        query: "t=1".to_owned(),
        name: "b/c".to_owned(),
        ..plain.clone()
    };
    assert_eq!(play_request(&[text("mp4:b/c?t=1")]), Some(named));

    for (sent, start) in [
        (-2.0, PlayStart::LiveOrRecorded),
        (-2000.0, PlayStart::LiveOrRecorded),
        (-7.0, PlayStart::LiveOrRecorded),
        (f64::NAN, PlayStart::LiveOrRecorded),
        (-1.0, PlayStart::Live),
        (-1000.0, PlayStart::Live),
        (0.0, PlayStart::Recorded(0)),
        (1500.7, PlayStart::Recorded(1500)),
        (f64::INFINITY, PlayStart::Recorded(u64::MAX)),
    ] {
        let request = play_request(&[text("a"), Value::from(sent)]);
        assert_eq!(request, Some(PlayRequest { start, ..plain.clone() }), "{sent}");
    }
    for (sent, duration_ms) in [
        (Value::from(-1.0), None),
        (Value::from(-1000.0), None),
        (Value::from(f64::NAN), None),
        (text("x"), None),
        (Value::from(0.0), Some(0)),
        (Value::from(2000.0), Some(2000)),
    ] {
        let request = play_request(&[text("a"), Value::from(-2.0), sent.clone()]);
        assert_eq!(request, Some(PlayRequest { duration_ms, ..plain.clone() }), "{sent:?}");
    }
    for (sent, reset) in
        [(Value::from(false), false), (Value::from(0.0), false), (Value::from(true), true)]
    {
        let request = play_request(&[text("a"), Value::from(-2.0), Value::from(-1.0), sent]);
        assert_eq!(request, Some(PlayRequest { reset, ..plain.clone() }));
    }
}

#[test]
fn accepted_play_is_announced_in_full() {
    let mut peer = with_stream();
    peer.call(S1, "play", 3.0, &[text("a")]);
    peer.events();
    peer.session.accept_play(S1);
    let expected = [
        "begin 1",
        "1 onStatus 0 NetStream.Play.Reset",
        "1 onStatus 0 NetStream.Play.Start",
        "1 data |RtmpSampleAccess",
    ];
    assert_eq!(peer.replies(), expected);
}

#[test]
fn play_that_adds_to_a_list_is_not_announced_as_a_reset() {
    let mut peer = with_stream();
    let args = [text("a"), Value::from(-2.0), Value::from(-1.0), Value::from(false)];
    peer.call(S1, "play", 3.0, &args);
    peer.events();
    peer.session.accept_play(S1);
    assert!(!peer.replies().iter().any(|reply| reply.ends_with("Reset")));
}

#[test]
fn refused_play_says_why_and_the_connection_goes_on() {
    for (refusal, code) in [
        (PlayRefusal::StreamNotFound, "NetStream.Play.StreamNotFound"),
        (PlayRefusal::Failed, "NetStream.Play.Failed"),
    ] {
        let mut peer = with_stream();
        peer.call(S1, "play", 3.0, &[text("a")]);
        peer.events();
        peer.session.reject_play(S1, refusal, "no");
        assert_eq!(peer.replies(), [format!("1 onStatus 0 {code}")]);
        peer.call(S1, "play", 4.0, &[text("b")]);
        assert!(matches!(peer.events()[..], [ServerEvent::Play(..)]), "another try");
    }
}

#[test]
fn play_of_something_else_stops_the_first() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.call(S1, "play", 4.0, &[text("b")]);
    assert!(matches!(peer.events()[..], [ServerEvent::Stop(S1), ServerEvent::Play(S1, _)]));
}

#[test]
fn play2_fails_with_a_status() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.call(S1, "play2", 0.0, &[Object::new().with("streamName", "b").into()]);
    assert_eq!(peer.replies(), ["1 onStatus 0 NetStream.Play.Failed"]);
    assert_eq!(peer.events(), [], "and what plays goes on");
}

#[test]
fn every_way_to_end_a_play_ends_it_once() {
    let ways: [(MessageStreamId, &str, Vec<Value>); 4] = [
        (S1, "closeStream", vec![]),
        (S0, "deleteStream", vec![Value::from(1.0)]),
        (S1, "deleteStream", vec![]),
        (S1, "play", vec![Value::from(false)]),
    ];
    for (stream, name, args) in ways {
        let mut peer = Peer::playing(ServerSettings::default());
        peer.call(stream, name, 0.0, &args);
        peer.call(S0, "deleteStream", 0.0, &[Value::from(1.0)]);
        assert_eq!(peer.events(), [ServerEvent::Stop(S1)], "{name}");
    }
}

#[test]
fn play_ended_by_the_server_says_why() {
    let stop = ["1 onStatus 0 NetStream.Play.Stop", "eof 1"];
    for (end, first) in [
        (PlayEnd::Unpublished, Some("1 onStatus 0 NetStream.Play.UnpublishNotify")),
        (PlayEnd::StreamNotFound, Some("1 onStatus 0 NetStream.Play.StreamNotFound")),
        (PlayEnd::Failed, Some("1 onStatus 0 NetStream.Play.Failed")),
        (PlayEnd::Shutdown, None),
    ] {
        let mut peer = Peer::playing(ServerSettings::default());
        peer.session.play_ended(S1, end);
        let expected: Vec<_> = first.into_iter().chain(stop).collect();
        assert_eq!(peer.replies(), expected);
        peer.session.play_ended(S1, end);
        peer.session.play_dry(S1);
        peer.session.play_begin(S1);
        assert_eq!(peer.replies(), [""; 0], "nothing is said of a play that is over");
    }
}

#[test]
fn waiting_player_is_told_of_dry_and_begin() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.session.play_dry(S1);
    peer.session.play_begin(S1);
    assert_eq!(peer.replies(), ["dry 1", "begin 1"]);
}

#[test]
fn pause_and_resume_are_answered_and_handed_over() {
    let mut peer = Peer::playing(ServerSettings::default());
    for (name, arg, paused) in [
        ("pause", Value::from(true), true),
        ("pauseRaw", Value::from(false), false),
        ("pause", Value::Null, true),
        ("pause", Value::Null, false),
    ] {
        peer.call(S1, name, 0.0, &[arg, Value::from(100.0)]);
        assert_eq!(peer.events(), [ServerEvent::Pause(S1, paused)]);
        let code = if paused { "Pause" } else { "Unpause" };
        assert_eq!(peer.replies(), [format!("1 onStatus 0 NetStream.{code}.Notify")]);
    }
}

#[test]
fn seek_on_live_goes_to_the_newest() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.call(S1, "seek", 0.0, &[Value::from(0.0)]);
    assert_eq!(peer.events(), [ServerEvent::Seek(S1)]);
    let expected = [
        "eof 1",
        "begin 1",
        "1 onStatus 0 NetStream.Seek.Notify",
        "1 onStatus 0 NetStream.Play.Start",
    ];
    assert_eq!(peer.replies(), expected);
}

#[test]
fn audio_and_video_are_turned_off_and_on_one_by_one() {
    let mut peer = Peer::playing(ServerSettings::default());
    let steps = [
        ("receiveAudio", false, (false, true)),
        ("receiveVideo", false, (false, false)),
        ("receiveAudio", true, (true, false)),
        ("receiveVideo", true, (true, true)),
    ];
    for (name, wanted, (audio, video)) in steps {
        peer.call(S1, name, 0.0, &[Value::from(wanted)]);
        assert_eq!(peer.events(), [ServerEvent::Select { stream: S1, audio, video }]);
        assert_eq!(peer.replies().len(), if wanted { 2 } else { 0 });
    }
}

#[test]
fn commands_about_a_play_are_refused_where_nothing_plays() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.call(S1, "pause", 4.0, &[Value::from(true)]);
    peer.call(S1, "seek", 5.0, &[Value::from(0.0)]);
    peer.call(S1, "receiveAudio", 6.0, &[Value::from(false)]);
    assert_eq!(peer.events(), []);
    let expected = ["0 _error 4 NetConnection.Call.Failed", "1 onStatus 0 NetStream.Seek.Failed"];
    assert_eq!(peer.replies(), expected);
}

#[test]
fn message_streams_publish_and_play_side_by_side() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.call(S0, "createStream", 4.0, &[]);
    peer.call(S2, "play", 5.0, &[text("b")]);
    peer.events();
    peer.session.accept_play(S2);
    peer.replies();
    peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
    peer.call(S2, "pause", 0.0, &[Value::from(true)]);
    peer.call(S0, "deleteStream", 0.0, &[Value::from(2.0)]);
    peer.send(S1, type_id::AUDIO, 0, &[1]).unwrap();
    assert!(matches!(
        peer.events()[..],
        [
            ServerEvent::Media(S1, _),
            ServerEvent::Pause(S2, true),
            ServerEvent::Stop(S2),
            ServerEvent::Media(S1, _),
        ]
    ));
    assert_eq!(peer.replies(), ["2 onStatus 0 NetStream.Pause.Notify"]);
}

#[test]
fn instance_of_the_application_becomes_part_of_the_name() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(Object::new().with("app", "live/inst"));
    peer.events();
    peer.session.accept_connect();
    peer.call(S0, "createStream", 2.0, &[]);
    peer.call(S1, "publish", 3.0, &[text("a")]);
    let events = peer.events();
    let [ServerEvent::Publish(_, request)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(request.name, "inst/a");
}

#[test]
fn commands_in_amf3_are_obeyed() {
    let mut peer = Peer::connected(ServerSettings::default());
    let mut body = vec![0];
    body.extend(Command::new("createStream", 2.0, Value::Null, vec![]).body());
    peer.send(S0, type_id::COMMAND_AMF3, 0, &body).unwrap();
    assert_eq!(peer.replies(), ["0 _result 2 1"]);
    // play("a") with its arguments in AMF3 behind switches.
    let mut body = vec![0];
    amf0::encode_str("play", &mut body);
    amf0::encode_number(0.0, &mut body);
    body.extend(b"\x11\x01\x11\x06\x03a\x11\x04\x00");
    peer.send(S1, type_id::COMMAND_AMF3, 0, &body).unwrap();
    let events = peer.events();
    let [ServerEvent::Play(S1, request)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((request.name.as_str(), request.start), ("a", PlayStart::Recorded(0)));
}

#[test]
fn command_that_is_no_amf_ends_the_session() {
    let mut peer = Peer::connected(ServerSettings::default());
    let result = peer.send(S0, type_id::COMMAND_AMF0, 0, b"\x02\x00\x09short");
    assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
}

#[test]
fn command_nested_ten_thousand_times_ends_the_session_and_names_the_setting() {
    let mut peer = Peer::connected(ServerSettings::default());
    let mut body = Vec::new();
    amf0::encode_str("connect", &mut body);
    amf0::encode_number(1.0, &mut body);
    body.extend(b"\x03\0\x01a".repeat(10_000));
    let result = peer.send(S0, type_id::COMMAND_AMF0, 0, &body);
    let Err(Error::LimitExceeded { setting, .. }) = result else { panic!("{result:?}") };
    assert_eq!(setting, "amf_depth_max");
}
