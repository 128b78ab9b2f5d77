//! Requests of real players; golden/README.md says how they were recorded.

use super::*;
use crate::http::Resource;

const PLAYERS: [(&str, &[u8], &str); 8] = [
    ("curl", include_bytes!("../../golden/curl.bin"), "curl/7.88.1"),
    ("curl -I", include_bytes!("../../golden/curl_head.bin"), "curl/7.88.1"),
    ("wget", include_bytes!("../../golden/wget.bin"), "Wget/1.21.3"),
    ("ffmpeg", include_bytes!("../../golden/ffmpeg.bin"), "Lavf/59.27.100"),
    (
        "gstreamer",
        include_bytes!("../../golden/gstreamer.bin"),
        "GStreamer souphttpsrc 1.22.0 libsoup/3.2.3",
    ),
    ("vlc", include_bytes!("../../golden/vlc.bin"), "VLC/3.0.24 LibVLC/3.0.24"),
    ("chromium fetch", include_bytes!("../../golden/chromium_fetch.bin"), CHROMIUM),
    ("chromium websocket", include_bytes!("../../golden/chromium_websocket.bin"), CHROMIUM),
];
const CHROMIUM: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                        HeadlessChrome/156.0.0.0 Safari/537.36";

#[test]
fn every_real_player_gets_its_stream_however_its_request_is_split() {
    for (player, request, user_agent) in PLAYERS {
        for at in 0..request.len() {
            let mut session = session();
            session.handle_input(T0, &request[..at]).expect(player);
            assert_eq!(session.poll_event(), None, "{player}: early at {at}");
            session.handle_input(T0, &request[at..]).expect(player);
            let play = play(&mut session);
            assert_eq!((play.app.as_str(), play.name.as_str()), ("live", "test"), "{player}");
            assert_eq!((play.query.as_str(), play.user_agent.as_str()), ("token=t", user_agent));
            assert_eq!(play.head_only, player == "curl -I");
            assert_eq!(play.transport == Transport::WebSocket, player == "chromium websocket");
            assert_eq!(!play.origin.is_empty(), player.starts_with("chromium"));
            session.accept_play(FLV);
            assert_eq!(session.is_streaming(), !play.head_only, "{player}");
        }
    }
}

#[test]
fn the_browser_may_send_what_it_asks_to_send() {
    let mut session = session();
    session
        .handle_input(T0, include_bytes!("../../golden/chromium_preflight.bin"))
        .expect("preflight");
    let reply = output(&mut session);
    assert_eq!(statuses(&reply), [204]);
    assert!(reply.contains("Access-Control-Allow-Origin: *\r\n"), "{reply}");
    assert!(reply.contains("Access-Control-Allow-Headers: *, Authorization, Range\r\n"), "{reply}");
    assert_eq!(session.poll_event(), None);
}

/// A visit by HTTP Live Streaming: user agent, and of each request whether it may come by gzip, and
/// wants a range.
type Visit = (&'static str, &'static [u8], &'static str, &'static [(bool, bool)]);

const VISITS: [Visit; 4] = [
    (
        "ffmpeg",
        include_bytes!("../../golden/hls_ffmpeg.bin"),
        "Lavf/59.27.100",
        &[(false, true); 3],
    ),
    (
        "gstreamer",
        include_bytes!("../../golden/hls_gstreamer.bin"),
        "GStreamer souphttpsrc 1.22.0 libsoup/3.2.3",
        &[(false, false), (true, false), (false, false)],
    ),
    (
        "vlc",
        include_bytes!("../../golden/hls_vlc.bin"),
        "VLC/3.0.24 LibVLC/3.0.24",
        &[(false, true), (true, false), (true, false)],
    ),
    ("chromium", include_bytes!("../../golden/hls_chromium.bin"), CHROMIUM, &[(true, false); 5]),
];

#[test]
fn every_real_player_of_hls_gets_what_it_asks_for_however_its_request_is_split() {
    for (player, visit, user_agent, expected) in VISITS {
        let visit = std::str::from_utf8(visit).expect(player);
        let heads: Vec<_> = visit.split_inclusive("\r\n\r\n").collect();
        assert_eq!(heads.len(), expected.len(), "{player}");
        for (head, (accepts_gzip, wants_range)) in heads.iter().zip(expected) {
            for at in 0..head.len() {
                let mut session = session();
                send(&mut session, &head[..at]).expect(player);
                assert_eq!(session.poll_event(), None, "{player}: early at {at}");
                send(&mut session, &head[at..]).expect(player);
                let Some(Event::Hls(request)) = session.poll_event() else {
                    panic!("{player}: {head} is no request for HLS");
                };
                assert_eq!((request.app(), request.name()), ("live", "test"), "{player}");
                assert_eq!(request.user_agent(), user_agent, "{player}");
                assert_eq!(request.origin().is_empty(), player != "chromium");
                assert_eq!(request.accepts_gzip, *accepts_gzip, "{player}: {head}");
                assert_eq!(request.range.is_some(), *wants_range, "{player}: {head}");
                let is_segment = matches!(request.resource, Resource::Segment(..));
                assert_eq!(request.query().contains("token=t"), !is_segment, "{player}: {head}");
                assert_eq!(request.directives.msn, head.contains("_HLS_msn=4").then_some(4));
                assert_eq!(request.directives.skip.is_some(), head.contains("_HLS_skip=YES"));
                session.reject_hls(404, None, "nothing is here");
                assert_eq!(statuses(&output(&mut session)), [404], "{player}");
            }
        }
    }
}
