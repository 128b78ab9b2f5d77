//! Connections that do more than one thing: several message streams, publish and play together, commands
//! that arrive in one piece, pauses and track selection.

mod support;

use support::amf::Amf;
use support::flv::{AUDIO, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::{Message, Rtmp};
use support::witness::Publisher;
use support::{LIMIT, flv, wait_until};

fn play(peer: &mut Rtmp, stream: u32, name: &str) {
    let arguments = [Amf::Null, Amf::Text(name), Amf::Number(-2000.0)];
    peer.command(stream, "play", 0.0, &arguments).unwrap();
}

/// Media messages until there are `count` pictures on each of the message streams given.
fn media(peer: &mut Rtmp, streams: &[u32], count: usize) -> Vec<Message> {
    let mut got: Vec<Message> =
        peer.take_seen().into_iter().filter(|m| m.tag().is_some()).collect();
    let pictures = |got: &[Message], stream: u32| {
        got.iter().filter(|m| m.stream == stream && m.kind == VIDEO && m.body[1] == 1).count()
    };
    while streams.iter().any(|&stream| pictures(&got, stream) < count) {
        got.extend(Some(peer.next().unwrap()).filter(|m| m.tag().is_some()));
    }
    got
}

#[test]
fn two_plays_on_one_connection_each_get_their_stream() {
    let relay = Relay::start("");
    let (first, mut second) = (Media::AudioVideo.tags(), Media::AudioVideo.tags());
    second
        .iter_mut()
        .filter(|tag| tag.is_media())
        .for_each(|tag| *tag.body.last_mut().unwrap() ^= 1);
    let _one = Publisher::start(relay.rtmp(), "live", "one", first.clone());
    let _two = Publisher::start(relay.rtmp(), "live", "two", second.clone());
    let mut peer = Rtmp::connect(relay.rtmp(), "live").unwrap();
    peer.create_stream().unwrap();
    peer.create_stream().unwrap();
    play(&mut peer, 1, "one");
    play(&mut peer, 2, "two");
    let got = media(&mut peer, &[1, 2], 60);
    for (stream, sent) in [(1, &first), (2, &second)] {
        let of_stream = got.iter().filter(|message| message.stream == stream);
        let tags: Vec<_> = of_stream.filter_map(Message::tag).collect();
        for kind in [VIDEO, AUDIO] {
            flv::assert_run(kind, sent, &tags);
        }
    }
}

#[test]
fn who_publishes_and_plays_it_back_on_one_connection_gets_the_headers_first() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let mut peer = Rtmp::publish(relay.rtmp(), "live", "echo").unwrap();
    peer.create_stream().unwrap();
    for tag in &tags[..40] {
        peer.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    play(&mut peer, 2, "echo");
    let got = media(&mut peer, &[2], 5);
    let first_frame = got.iter().position(|m| m.kind == VIDEO && m.body[1] == 1).unwrap();
    let headers = &got[..first_frame];
    assert!(headers.iter().any(|m| m.kind == VIDEO && m.body[1] == 0), "no video header first");
    assert!(headers.iter().any(|m| m.kind == AUDIO && m.body[1] == 0), "no audio header first");
}

#[test]
fn commands_that_change_a_stream_while_its_publication_is_taken_over_leave_nothing_behind() {
    let relay = Relay::start("applications.default.play_wait_ms = 0");
    let tags = Media::AudioVideo.tags();
    let mut rival = Rtmp::publish(relay.rtmp(), "live", "x").unwrap();
    rival.create_stream().unwrap();
    let mut peer = Rtmp::publish(relay.rtmp(), "live", "a").unwrap();
    peer.create_stream().unwrap();
    // The play of x is answered with its first picture; what stands behind it is held until then.
    play(&mut peer, 2, "x");
    peer.command(1, "closeStream", 0.0, &[Amf::Null]).unwrap();
    play(&mut peer, 1, "x");
    for tag in &tags[..8] {
        rival.send_tag(tag, tag.timestamp_ms).unwrap();
    }
    let arguments = [Amf::Null, Amf::Text("a"), Amf::Text("live")];
    rival.command(2, "publish", 0.0, &arguments).unwrap();
    rival.await_code(&["NetStream.Publish.Start"]).unwrap();
    drop((peer, rival));
    relay.await_no_clients();
    wait_until("no viewer is left", LIMIT, || {
        relay.metric("corelay_viewers", "").unwrap_or(0.0) == 0.0
            && relay.metric("corelay_publishers", "") == Some(0.0)
    });
    Rtmp::publish(relay.rtmp(), "live", "later").expect("publishing goes on");
}

#[test]
fn a_paused_player_gets_nothing_and_goes_on_with_a_picture_that_decodes() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", tags.clone());
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    media(&mut player, &[1], 10);
    let pause = |player: &mut Rtmp, on: bool| {
        let arguments = [Amf::Null, Amf::Boolean(on), Amf::Number(0.0)];
        player.command(1, "pause", 0.0, &arguments).unwrap();
        let code = if on { "NetStream.Pause.Notify" } else { "NetStream.Unpause.Notify" };
        player.await_code(&[code]).unwrap();
    };
    pause(&mut player, true);
    player.take_seen();
    pause(&mut player, false);
    let between = player.take_seen();
    assert!(between.iter().all(|m| m.tag().is_none()), "media came during the pause");
    let after = media(&mut player, &[1], 1);
    let picture = after.iter().find(|m| m.kind == VIDEO && m.body[1] == 1).unwrap();
    assert_eq!(picture.body[0] >> 4, 1, "not a keyframe");
}

#[test]
fn a_player_may_turn_tracks_off_and_on() {
    let relay = Relay::start("");
    let tags = Media::AudioVideo.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", tags.clone());
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    media(&mut player, &[1], 10);
    player.command(1, "receiveAudio", 0.0, &[Amf::Null, Amf::Boolean(false)]).unwrap();
    // What was on its way may still come; after that there is none.
    media(&mut player, &[1], 60);
    let silent = media(&mut player, &[1], 30);
    assert!(silent.iter().all(|message| message.kind != AUDIO), "sound came");
    player.command(1, "receiveAudio", 0.0, &[Amf::Null, Amf::Boolean(true)]).unwrap();
    let mut heard = 0;
    while heard < 20 {
        heard += usize::from(player.next().unwrap().kind == AUDIO);
    }
}
