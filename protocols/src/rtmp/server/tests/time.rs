//! Timeouts and pings.

use super::*;

fn settings() -> ServerSettings {
    ServerSettings {
        handshake_timeout_ms: 5000,
        idle_timeout_ms: 20_000,
        ping_interval_ms: 6000,
        ping_timeout_ms: 3000,
        ..ServerSettings::default()
    }
}

fn timed_out(result: Result<(), Error>) -> &'static str {
    let Err(Error::TimedOut { setting, .. }) = result else { panic!("{result:?}") };
    setting
}

#[test]
fn peer_that_says_nothing_or_half_a_handshake_is_timed_out() {
    for input in [&[][..], &[3; 700]] {
        let mut session = ServerSession::new(Arc::new(settings()), [0; 8], Millis(1000));
        if !input.is_empty() {
            session.handle_input(Millis(5999), input).unwrap();
        }
        assert_eq!(session.poll_timeout(), Some(Millis(6000)));
        assert_eq!(session.handle_timeout(Millis(5999)), Ok(()));
        assert_eq!(timed_out(session.handle_timeout(Millis(6000))), "handshake_timeout_ms");
        assert_eq!(session.poll_timeout(), None);
    }
}

#[test]
fn handshake_without_connect_is_timed_out() {
    let mut peer = Peer::new(settings());
    peer.pass(4999).unwrap();
    assert_eq!(timed_out(peer.pass(1)), "handshake_timeout_ms");
}

#[test]
fn connection_without_any_use_is_timed_out_although_it_answers_pings() {
    let mut peer = Peer::connected(settings());
    for _ in 0..4 {
        peer.pass(4900).unwrap();
        peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::PingResponse(0).body()).unwrap();
    }
    assert_eq!(timed_out(peer.pass(400)), "idle_timeout_ms");
}

#[test]
fn publisher_that_sends_no_media_is_left_to_the_driver() {
    let mut peer = Peer::publishing(settings());
    for _ in 0..10 {
        peer.pass(4900).unwrap();
        peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::PingResponse(0).body()).unwrap();
    }
}

#[test]
fn silent_player_is_pinged_and_stays_as_long_as_it_answers() {
    let mut peer = Peer::playing(settings());
    for _ in 0..20 {
        peer.pass(5999).unwrap();
        assert_eq!(peer.replies(), [""; 0], "not before the interval");
        peer.pass(1).unwrap();
        assert_eq!(peer.replies(), ["ping"]);
        peer.pass(2999).unwrap();
        peer.send(S0, type_id::USER_CONTROL, 0, &UserControl::PingResponse(0).body()).unwrap();
    }
}

#[test]
fn player_that_does_not_answer_a_ping_is_timed_out() {
    let mut peer = Peer::playing(settings());
    peer.pass(8999).unwrap();
    assert_eq!(peer.replies(), ["ping"], "once");
    assert_eq!(timed_out(peer.pass(1)), "ping_timeout_ms");
}

#[test]
fn player_that_acknowledges_is_not_pinged() {
    let mut peer = Peer::playing(settings());
    for _ in 0..10 {
        peer.pass(5000).unwrap();
        peer.send(S0, type_id::ACKNOWLEDGEMENT, 0, &[0; 4]).unwrap();
    }
    assert_eq!(peer.replies(), [""; 0]);
}

#[test]
fn time_of_the_driver_is_not_held_against_the_peer() {
    let mut peer = Peer::new(settings());
    peer.connect(Object::new().with("app", "live"));
    peer.events();
    peer.pass(60_000).unwrap();
    peer.session.accept_connect();
    peer.pass(1000).unwrap();
    peer.call(S0, "createStream", 2.0, &[]);
    peer.call(S1, "publish", 3.0, &[Value::from("a")]);
    peer.events();
    peer.pass(60_000).unwrap();
    peer.session.accept_publish(S1);
    peer.replies();
    peer.pass(5000).unwrap();
    assert_eq!(peer.replies(), [""; 0]);
}

#[test]
fn interval_of_0_turns_pings_and_idleness_off() {
    let settings = ServerSettings { idle_timeout_ms: 0, ping_interval_ms: 0, ..settings() };
    let mut peer = Peer::connected(settings);
    peer.pass(1).unwrap();
    assert_eq!(peer.session.poll_timeout(), None);
    peer.pass(1_000_000).unwrap();
    assert_eq!(peer.replies(), [""; 0]);
}
