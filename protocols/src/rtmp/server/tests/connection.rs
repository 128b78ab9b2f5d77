//! Connect, order of questions, control messages.

use super::*;

#[test]
fn connect_hands_over_every_field() {
    let mut peer = Peer::new(ServerSettings::default());
    let object = Object::new()
        .with("app", "live/inst?token=t")
        .with("tcUrl", "rtmp://Host:1935/live/inst?token=t")
        .with("flashVer", "F")
        .with("swfUrl", "S")
        .with("pageUrl", "P")
        .with("objectEncoding", 3.0)
        .with("capsEx", 6.0);
    peer.connect(object);
    let expected = ConnectRequest {
        app: "live".to_owned(),
        query: "token=t".to_owned(),
        vhost: "host".to_owned(),
        tc_url: "rtmp://Host:1935/live/inst?token=t".to_owned(),
        flash_ver: "F".to_owned(),
        swf_url: "S".to_owned(),
        page_url: "P".to_owned(),
        object_encoding: 3,
        multitrack: true,
    };
    assert_eq!(peer.events(), [ServerEvent::Connect(expected)]);
    assert_eq!(peer.replies(), [""; 0], "nothing is said before the driver answers");
}

#[test]
fn accepted_connection_is_answered_in_the_order_clients_know() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(Object::new().with("app", "live"));
    peer.events();
    peer.session.accept_connect();
    assert_eq!(
        peer.replies(),
        [
            "window 2500000",
            "bandwidth 2500000",
            "chunk size 4096",
            "begin 0",
            "0 _result 1 NetConnection.Connect.Success",
            "0 onBWDone 0",
        ]
    );
}

fn connect_result(object: Object) -> Command {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(object.with("app", "live"));
    peer.events();
    peer.session.accept_connect();
    let messages = peer.messages();
    let commands = messages.iter().filter(|message| message.type_id == type_id::COMMAND_AMF0);
    let mut commands =
        commands.map(|message| Command::parse(&message.payload, &Limits::default(), 0).unwrap());
    commands.find(|command| command.name == "_result").unwrap()
}

#[test]
fn object_encoding_is_echoed_and_0_if_it_is_neither_0_nor_3() {
    for (sent, answered) in [(Some(0.0), 0.0), (Some(3.0), 3.0), (Some(1.0), 0.0), (None, 0.0)] {
        let object = match sent {
            Some(encoding) => Object::new().with("objectEncoding", encoding),
            None => Object::new(),
        };
        let information = connect_result(object).argument(0).cloned().unwrap();
        assert_eq!(information.get("objectEncoding"), Some(&Value::Number(answered)));
    }
}

#[test]
fn enhanced_fields_are_answered_only_to_clients_that_send_one() {
    let plain = connect_result(Object::new()).object;
    assert!(plain.get("fmsVer").is_some());
    assert!(plain.get("capsEx").is_none());
    for field in ["capsEx", "fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"] {
        let enhanced = connect_result(Object::new().with(field, Value::Null)).object;
        assert_eq!(enhanced.get("capsEx"), Some(&Value::Number(14.0)));
        let all = Value::StrictArray(vec![Value::from("*")]);
        assert_eq!(enhanced.get("fourCcList"), Some(&all));
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            let forward = enhanced.get(map).and_then(|map| map.get("*"));
            assert_eq!(forward, Some(&Value::Number(4.0)));
        }
    }
}

#[test]
fn rejected_connection_says_why_and_hears_nothing_more() {
    type Reject = fn(&mut ServerSession, &str);
    let cases: [(Reject, &str); 2] = [
        (ServerSession::reject_connect, "0 _error 1 NetConnection.Connect.Rejected"),
        (ServerSession::reject_app, "0 _error 1 NetConnection.Connect.InvalidApp"),
    ];
    for (reject, expected) in cases {
        let mut peer = Peer::new(ServerSettings::default());
        peer.connect(Object::new().with("app", "live"));
        peer.events();
        reject(&mut peer.session, "no");
        assert_eq!(peer.replies(), [expected, "0 close 0"]);
        peer.call(S0, "createStream", 2.0, &[]);
        assert_eq!(peer.replies(), [""; 0]);
        assert_eq!(peer.session.poll_timeout(), None);
    }
}

#[test]
fn application_without_a_fit_name_is_refused_by_the_session() {
    for app in ["", "/", "..", "a\u{7}"] {
        let mut peer = Peer::new(ServerSettings::default());
        peer.connect(Object::new().with("app", app));
        assert_eq!(peer.events(), []);
        let expected = ["0 _error 1 NetConnection.Connect.InvalidApp", "0 close 0"];
        assert_eq!(peer.replies(), expected, "{app}");
    }
}

#[test]
fn second_connect_is_refused_and_changes_nothing() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.command(S0, Command::new("connect", 9.0, Object::new().with("app", "b").into(), vec![]));
    assert_eq!(peer.events(), []);
    assert_eq!(peer.replies(), ["0 _error 9 NetConnection.Call.Failed"]);
}

#[test]
fn commands_before_connect_are_refused() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.call(S0, "createStream", 1.0, &[]);
    peer.call(S1, "publish", 2.0, &[Value::from("a")]);
    assert_eq!(peer.events(), []);
    let expected = ["0 _error 1 NetConnection.Call.Failed", "0 _error 2 NetConnection.Call.Failed"];
    assert_eq!(peer.replies(), expected);
}

#[test]
fn everything_behind_an_open_question_waits_for_the_answer() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(Object::new().with("app", "live"));
    peer.call(S0, "createStream", 2.0, &[]);
    peer.call(S1, "publish", 3.0, &[Value::from("a")]);
    peer.send(S1, type_id::AUDIO, 5, &[1, 2]).unwrap();
    peer.call(S0, "deleteStream", 0.0, &[Value::from(1.0)]);

    assert!(matches!(peer.events()[..], [ServerEvent::Connect(_)]));
    assert_eq!(peer.replies(), [""; 0]);
    peer.session.accept_connect();
    assert_eq!(peer.replies().last().unwrap(), "0 _result 2 1");
    assert!(matches!(peer.events()[..], [ServerEvent::Publish(S1, _)]));
    peer.session.accept_publish(S1);
    assert!(matches!(peer.events()[..], [ServerEvent::Media(S1, _), ServerEvent::Unpublish(S1)]));
}

#[test]
fn answer_to_a_question_that_is_not_open_does_nothing() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.call(S0, "createStream", 2.0, &[]);
    peer.call(S1, "publish", 3.0, &[Value::from("a")]);
    peer.replies();
    peer.session.accept_connect();
    peer.session.reject_connect("no");
    peer.session.accept_play(S1);
    peer.session.accept_publish(S2);
    peer.session.reject_publish(S2, PublishRefusal::Denied, "no");
    peer.session.reject_play(S1, PlayRefusal::Failed, "no");
    assert_eq!(peer.replies(), [""; 0]);
    peer.session.accept_publish(S1);
    assert_eq!(peer.replies(), ["begin 1", "1 onStatus 0 NetStream.Publish.Start"]);
    peer.session.accept_publish(S1);
    assert_eq!(peer.replies(), [""; 0], "a second time");
}

#[test]
fn messages_held_behind_a_question_are_limited() {
    let settings = ServerSettings { message_bytes_max: 1000, ..ServerSettings::default() };
    let mut peer = Peer::new(settings);
    peer.connect(Object::new().with("app", "live"));
    let result = (0..10).try_for_each(|_| peer.send(S1, type_id::AUDIO, 0, &[0; 900]));
    let Err(Error::LimitExceeded { setting, .. }) = result else { panic!("{result:?}") };
    assert_eq!(setting, "message_bytes_max");
}

#[test]
fn error_in_a_held_message_is_returned_by_the_next_call() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(Object::new().with("app", "live"));
    peer.send(S0, type_id::COMMAND_AMF0, 0, &[0xff]).unwrap();
    peer.session.accept_connect();
    assert!(peer.session.poll_timeout().is_some_and(|deadline| deadline <= peer.now));
    let result = peer.session.handle_timeout(peer.now);
    assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
}

#[test]
fn a_thousand_held_commands_are_answered_without_deep_calls() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.connect(Object::new().with("app", "live"));
    peer.call(S0, "createStream", 2.0, &[]);
    for _ in 0..1000 {
        peer.call(S1, "publish", 0.0, &[Value::from("..")]);
    }
    peer.session.accept_connect();
    let refusals = peer.replies().into_iter().filter(|reply| reply.ends_with(".BadName")).count();
    assert_eq!(refusals, 1000);
}

#[test]
fn acknowledgement_is_sent_once_per_window_with_the_bytes_received() {
    let settings = ServerSettings { window_ack_size: 1000, ..ServerSettings::default() };
    let mut peer = Peer::publishing(settings);
    let mut acknowledged = Vec::new();
    for _ in 0..30 {
        peer.send(S1, type_id::AUDIO, 0, &[0; 100]).unwrap();
        acknowledged.extend(peer.replies());
    }
    assert_eq!(acknowledged.len(), 3, "{acknowledged:?}");
    assert!(acknowledged.iter().all(|reply| reply.starts_with("acknowledgement ")));
}

#[test]
fn window_of_the_peer_replaces_the_setting_and_0_does_not() {
    let mut peer = Peer::publishing(ServerSettings::default());
    peer.send(S0, type_id::WINDOW_ACK_SIZE, 0, &200u32.to_be_bytes()).unwrap();
    peer.send(S1, type_id::AUDIO, 0, &[0; 200]).unwrap();
    assert_eq!(peer.replies().len(), 1);
    peer.send(S0, type_id::WINDOW_ACK_SIZE, 0, &[0; 4]).unwrap();
    peer.send(S1, type_id::AUDIO, 0, &[0; 50]).unwrap();
    assert_eq!(peer.replies().len(), 0);
}

#[test]
fn control_messages_of_the_peer_are_heard_and_answered() {
    let mut peer = Peer::connected(ServerSettings::default());
    peer.send(S0, type_id::ACKNOWLEDGEMENT, 0, &77u32.to_be_bytes()).unwrap();
    assert_eq!(peer.session.peer_acknowledged(), 77);
    peer.send(S0, type_id::SET_PEER_BANDWIDTH, 0, &[0, 0, 0, 9, 2]).unwrap();
    peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::PingRequest(5).body()).unwrap();
    let length = UserControl::SetBufferLength { stream: S1, length_ms: 3000 };
    peer.send(S0, type_id::USER_CONTROL, 0, &length.body()).unwrap();
    peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::StreamDry(S1).body()).unwrap();
    peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::Other(31).body()).unwrap();
    assert_eq!(peer.replies(), ["window 9", "PingResponse(5)"]);
}

#[test]
fn short_control_messages_are_malformed() {
    for type_id in [
        type_id::ACKNOWLEDGEMENT,
        type_id::WINDOW_ACK_SIZE,
        type_id::SET_PEER_BANDWIDTH,
        type_id::USER_CONTROL,
    ] {
        let mut peer = Peer::connected(ServerSettings::default());
        let result = peer.send(S0, type_id, 0, &[0]);
        assert!(matches!(result, Err(Error::Malformed { .. })), "{result:?}");
        assert_eq!(peer.send(S0, type_id::AUDIO, 0, &[0]), Ok(()), "finished, and quiet");
        assert_eq!(peer.session.poll_timeout(), None);
    }
}

#[test]
fn shared_objects_and_unknown_types_are_counted_and_let_pass() {
    let mut peer = Peer::connected(ServerSettings::default());
    for type_id in [type_id::SHARED_OBJECT_AMF0, type_id::SHARED_OBJECT_AMF3, 7, 99] {
        peer.send(S0, type_id, 0, &[1, 2, 3]).unwrap();
    }
    assert_eq!(peer.session.counters().messages_ignored, 4);
    assert_eq!(peer.replies(), [""; 0]);
}

#[test]
fn session_output_keeps_off_the_chunk_streams_of_media() {
    let mut peer = Peer::playing(ServerSettings::default());
    peer.session.play_dry(S1);
    peer.session.play_ended(S1, PlayEnd::Unpublished);
    peer.call(S0, "nonsense", 9.0, &[]);
    let messages = peer.messages();
    assert!(messages.len() > 4);
    for message in messages {
        assert!(!(4..=6).contains(&message.chunk_stream_id), "{message:?}");
    }
}
