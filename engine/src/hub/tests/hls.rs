//! HLS: what cores serve of a stream, who waits for it, and what is left afterwards.

use std::net::IpAddr;
use std::sync::Arc;

use corelay_codecs::container::flv::demux::Tag;
use corelay_protocols::hls::{Form, Part, Rendition, Segment};

use super::rig::*;
use super::transport::{config, second};
use crate::hub::StreamKey;
use crate::hub::hls::{Answer, Ask, Asker, ListAsk, PlaylistAsk, Viewer};

const TS: Rendition = Rendition::main(Form::Ts);

fn playlist(rendition: Rendition) -> PlaylistAsk {
    PlaylistAsk { rendition, low_latency: false, reload: None, skip: false }
}

fn viewer(session: &str) -> Viewer<'_> {
    Viewer { session, address: IpAddr::from([192, 0, 2, 7]), agent: "test" }
}

fn list() -> ListAsk {
    ListAsk { form: None, low_latency: false, is_nested: false, query: "token=x".to_owned() }
}

fn asker(rig: &Rig, peer: usize) -> Asker {
    Asker { connection: rig.peers[peer].id, request: 1 }
}

/// Asks on behalf of a connection of a core; what must wait comes into its `answers`.
fn ask(rig: &mut Rig, peer: usize, key: &StreamKey, ask: Ask) -> Option<Answer> {
    let (asker, now) = (asker(rig, peer), rig.now);
    let answer = rig.hub_of(peer).hls_ask(asker, key.clone(), ask, now);
    rig.settle();
    answer
}

fn ask_list(rig: &mut Rig, peer: usize, key: &StreamKey) {
    let (asker, now) = (asker(rig, peer), rig.now);
    rig.hub_of(peer).hls_list(asker, key, list(), now);
    rig.settle();
}

fn text(answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Playlist(rendered)) => String::from_utf8(rendered.text().to_vec()).unwrap(),
        Some(Answer::List(text)) => text,
        other => panic!("no playlist: {other:?}"),
    }
}

/// Asks for a playlist that must be there.
fn fetch(rig: &mut Rig, peer: usize, key: &StreamKey) -> String {
    text(ask(rig, peer, key, Ask::Playlist(playlist(TS))))
}

/// Publishes some seconds, a group of pictures each.
fn publish(rig: &mut Rig, publisher: usize, from_s: u32, seconds: u32) {
    for n in from_s..from_s + seconds {
        let tags: Vec<Tag> = second(n * 1_000, 500);
        for tag in tags {
            rig.push(publisher, &tag);
            rig.pass(40);
        }
    }
}

/// A stream that core 0 owns, under way, and a viewer of it on each core.
fn watched(cores: usize) -> (Rig, StreamKey, usize, Vec<usize>) {
    let mut rig = Rig::with(cores, |config| config.hls.segment_ms = 1_000);
    let key = rig.key(0);
    let publisher = rig.publish(cores - 1, &key);
    rig.send(publisher, &[config(0)]);
    let viewers: Vec<usize> =
        (0..cores).map(|core| rig.connect(core, Watch::form(crate::hub::Form::HttpTs))).collect();
    for &viewer in &viewers {
        assert!(ask(&mut rig, viewer, &key, Ask::Playlist(playlist(TS))).is_none(), "nothing yet");
    }
    publish(&mut rig, publisher, 0, 5);
    (rig, key, publisher, viewers)
}

fn media_sequence(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    line.and_then(|number| number.parse().ok()).expect("a media sequence")
}

fn segment(rig: &mut Rig, peer: usize, key: &StreamKey, msn: u64) -> Arc<Segment> {
    match ask(rig, peer, key, Ask::Segment(TS, msn)) {
        Some(Answer::Segment(TS, segment)) => segment,
        other => panic!("no segment {msn}: {other:?}"),
    }
}

#[test]
fn all_cores_serve_the_same_playlist_and_the_same_bytes() {
    let (mut rig, key, _, viewers) = watched(2);
    for &viewer in &viewers {
        let waited = rig.peers[viewer].answers.pop();
        assert!(text(waited).starts_with("#EXTM3U"), "it was told when there was something");
    }
    let [one, two] = [0, 1].map(|n| fetch(&mut rig, viewers[n], &key));
    assert_eq!(one, two);
    let first = media_sequence(&one);
    let [one, two] = [0, 1].map(|n| segment(&mut rig, viewers[n], &key, first + 1));
    assert!(Arc::ptr_eq(&one, &two), "held once");
    let bytes = one.parts.iter().flat_map(|part| part.chunk.to_vec()).collect::<Vec<_>>();
    let seen = super::transport::look(&bytes);
    assert_eq!((seen.pictures, seen.keyframes, seen.gaps), (25, 1, 0));
}

#[test]
fn a_core_that_comes_late_has_the_whole_window_at_once() {
    let (mut rig, key, _, viewers) = watched(1);
    let whole = fetch(&mut rig, viewers[0], &key);
    let (mut rig, key, ..) = {
        let mut rig = Rig::with(2, |config| config.hls.segment_ms = 1_000);
        let key = rig.key(0);
        let publisher = rig.publish(1, &key);
        rig.send(publisher, &[config(0)]);
        let first = rig.connect(0, Watch::form(crate::hub::Form::HttpTs));
        ask(&mut rig, first, &key, Ask::Playlist(playlist(TS)));
        publish(&mut rig, publisher, 0, 5);
        (rig, key, publisher)
    };
    let late = rig.connect(1, Watch::form(crate::hub::Form::HttpTs));
    assert!(ask(&mut rig, late, &key, Ask::Playlist(playlist(TS))).is_none(), "the owner is asked");
    let got = text(rig.peers[late].answers.pop());
    let segments = |text: &str| text.lines().filter(|line| line.starts_with("#EXTINF")).count();
    assert_eq!(segments(&got), segments(&whole));
    assert!(segments(&got) >= 3);
}

#[test]
fn what_nobody_publishes_is_not_found_and_leaves_nothing_behind() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let [own, other] = [0, 1].map(|core| rig.connect(core, Watch::form(crate::hub::Form::HttpTs)));
    for asked in [Ask::Playlist(playlist(TS)), Ask::Segment(TS, 5), Ask::Part(TS, 5, 0)] {
        for peer in [own, other] {
            let at_once = ask(&mut rig, peer, &key, asked.clone());
            let answer = at_once.or_else(|| rig.peers[peer].answers.pop());
            assert!(matches!(answer, Some(Answer::NotFound(_))), "{answer:?}");
        }
    }
    for peer in [own, other] {
        ask_list(&mut rig, peer, &key);
        let answer = rig.peers[peer].answers.pop();
        assert!(matches!(answer, Some(Answer::NotFound(_))), "{answer:?}");
    }
    rig.pass(61_000);
    rig.assert_empty();
}

#[test]
fn a_request_for_what_comes_next_waits_for_it_and_one_for_the_far_future_is_refused() {
    let (mut rig, key, publisher, viewers) = watched(2);
    let text_now = fetch(&mut rig, viewers[1], &key);
    let listed = text_now.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64;
    let next = media_sequence(&text_now) + listed;
    let reload = |msn| PlaylistAsk { reload: Some((msn, None)), ..playlist(TS) };
    rig.peers[viewers[1]].answers.clear();
    assert!(ask(&mut rig, viewers[1], &key, Ask::Playlist(reload(next))).is_none());
    assert!(rig.peers[viewers[1]].answers.is_empty(), "not before it is there");
    publish(&mut rig, publisher, 5, 2);
    let got = text(rig.peers[viewers[1]].answers.pop());
    assert!(got.contains(&format!("\n{next}.ts")), "{got}");
    let far = ask(&mut rig, viewers[1], &key, Ask::Playlist(reload(next + 50)));
    assert!(matches!(far, Some(Answer::Bad(_))), "{far:?}");
}

#[test]
fn a_part_that_is_announced_is_sent_as_soon_as_it_is_there() {
    let (mut rig, key, publisher, viewers) = watched(2);
    let low = PlaylistAsk { low_latency: true, ..playlist(TS) };
    let got = text(ask(&mut rig, viewers[1], &key, Ask::Playlist(low)));
    let (msn, index) = hint(&got);
    rig.peers[viewers[1]].answers.clear();
    assert!(ask(&mut rig, viewers[1], &key, Ask::Part(TS, msn, index)).is_none());
    publish(&mut rig, publisher, 5, 1);
    let answer = rig.peers[viewers[1]].answers.pop();
    let Some(Answer::Part(TS, part)) = answer else { panic!("{answer:?}") };
    let Part { msn: got_msn, index: got_index, .. } = *part;
    assert_eq!((got_msn, got_index), (msn, index));
}

/// The part that a playlist announces: its segment, and its place there.
fn hint(text: &str) -> (u64, u32) {
    let line =
        text.lines().find_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""));
    let name = line.expect("a hint").trim_end_matches('"').trim_end_matches(".ts");
    let (msn, index) = name.split_once('.').expect("msn.part");
    (msn.parse().unwrap(), index.parse().unwrap())
}

#[test]
fn whoever_waits_for_a_part_is_told_which_comes_next_at_the_end_of_a_segment_too() {
    let (mut rig, key, publisher, viewers) = watched(2);
    let low = PlaylistAsk { low_latency: true, ..playlist(TS) };
    let mut told = 0;
    for &viewer in &viewers {
        let (msn, part) = hint(&text(ask(&mut rig, viewer, &key, Ask::Playlist(low))));
        let reload = PlaylistAsk { reload: Some((msn, Some(part))), ..low };
        rig.peers[viewer].answers.clear();
        assert!(ask(&mut rig, viewer, &key, Ask::Playlist(reload)).is_none());
    }
    for tag in (5..9).flat_map(|n| second(n * 1_000, 500)) {
        rig.push(publisher, &tag);
        rig.pass(40);
        for &viewer in &viewers {
            let Some(answer) = rig.peers[viewer].answers.pop() else { continue };
            let (msn, part) = hint(&text(Some(answer)));
            let now = hint(&text(ask(&mut rig, viewer, &key, Ask::Playlist(low))));
            assert_eq!((msn, part), now, "what it was told to come does not come");
            told += 1;
            let reload = PlaylistAsk { reload: Some((msn, Some(part))), ..low };
            assert!(ask(&mut rig, viewer, &key, Ask::Playlist(reload)).is_none());
        }
    }
    assert!(told > 12, "{told}");
}

#[test]
fn what_a_core_that_is_ahead_has_named_is_waited_for_and_what_nobody_can_know_is_not_found() {
    let (mut rig, key, publisher, viewers) = watched(2);
    // The owner's playlist names a segment of which the other core has not heard yet.
    rig.hold(1, true);
    publish(&mut rig, publisher, 5, 2);
    let text_now = fetch(&mut rig, viewers[0], &key);
    let listed = text_now.lines().filter(|line| line.starts_with("#EXTINF")).count() as u64;
    let newest = media_sequence(&text_now) + listed - 1;
    rig.peers[viewers[1]].answers.clear();
    assert!(ask(&mut rig, viewers[1], &key, Ask::Segment(TS, newest)).is_none());
    rig.hold(1, false);
    let answer = rig.peers[viewers[1]].answers.pop();
    let Some(Answer::Segment(_, segment)) = answer else { panic!("{answer:?}") };
    assert_eq!(segment.msn, newest);
    for gone in [Ask::Segment(TS, newest + 3), Ask::Segment(TS, 5), Ask::Init(TS, 1)] {
        let answer = ask(&mut rig, viewers[1], &key, gone);
        assert!(matches!(answer, Some(Answer::NotFound(_))), "{answer:?}");
    }
    assert!(ask(&mut rig, viewers[1], &key, Ask::Segment(TS, newest + 1)).is_none());
    rig.unpublish(publisher);
    rig.pass(2_500);
    let answer = rig.peers[viewers[1]].answers.pop();
    assert!(matches!(answer, Some(Answer::NotFound(_) | Answer::Segment(..))), "{answer:?}");
}

#[test]
fn a_connection_that_has_gone_is_not_answered() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    let viewer = rig.connect(1, Watch::form(crate::hub::Form::HttpTs));
    assert!(ask(&mut rig, viewer, &key, Ask::Playlist(playlist(TS))).is_none());
    ask_list(&mut rig, viewer, &key);
    let asker = asker(&rig, viewer);
    rig.hub_of(viewer).hls_forget(asker, &key, Some(Form::Ts));
    rig.send(publisher, &[config(0)]);
    publish(&mut rig, publisher, 0, 8);
    assert!(rig.peers[viewer].answers.is_empty());
}

#[test]
fn a_publisher_that_returns_is_a_discontinuity_and_one_that_does_not_ends_the_list() {
    let (mut rig, key, publisher, viewers) = watched(2);
    rig.unpublish(publisher);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &[config(0)]);
    publish(&mut rig, publisher, 0, 3);
    let [one, two] = [0, 1].map(|n| fetch(&mut rig, viewers[n], &key));
    assert_eq!(one, two);
    assert_eq!(one.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{one}");
    assert!(!one.contains("#EXT-X-ENDLIST"));
    rig.unpublish(publisher);
    rig.pass(31_000);
    let [one, two] = [0, 1].map(|n| fetch(&mut rig, viewers[n], &key));
    assert_eq!(one, two);
    assert!(one.ends_with("#EXT-X-ENDLIST\n"), "{one}");
    rig.pass(61_000);
    rig.assert_empty();
    assert_eq!(rig.budget.used(), 0, "its memory is given back");
}

#[test]
fn a_list_waits_for_its_variants_and_hands_the_query_on() {
    let mut rig = Rig::with(2, |config| {
        config.hls.segment_ms = 1_000;
        config.hls.groups = vec![corelay_config::HlsGroup {
            app: "live".to_owned(),
            name: "news".to_owned(),
            members: vec!["news_1".to_owned(), "news_2".to_owned(), "news_3".to_owned()],
        }];
    });
    let viewer = rig.connect(1, Watch::form(crate::hub::Form::HttpTs));
    let publishers = ["news_1", "news_2"].map(|name| rig.publish(0, &StreamKey::new("live", name)));
    ask_list(&mut rig, viewer, &StreamKey::new("live", "news"));
    assert!(rig.peers[viewer].answers.is_empty(), "there is nothing yet");
    for publisher in publishers {
        rig.send(publisher, &[config(0)]);
        publish(&mut rig, publisher, 0, 4);
    }
    let got = text(rig.peers[viewer].answers.pop());
    for name in ["news_1", "news_2"] {
        assert!(got.contains(&format!("\n{name}.hls/ts/index.m3u8?token=x\n")), "{got}");
    }
    assert_eq!(got.matches("#EXT-X-STREAM-INF:").count(), 2, "{got}");
    assert!(got.contains("avc1."), "{got}");
}

#[test]
fn viewers_are_counted_by_session_and_forgotten() {
    let (mut rig, key, _, viewers) = watched(2);
    let core = rig.peers[viewers[1]].id.core.index();
    let count = |rig: &Rig| {
        let all = rig.hubs[core].viewer_snapshots();
        let here = all.iter().find(|one| one.key == key).map(|one| &one.hls[0]);
        here.map_or(0, |hls| hls.viewers.len())
    };
    assert_eq!(count(&rig), 0);
    for (session, is_new) in [("a", true), ("b", true), ("a", false), ("", true)] {
        let now = rig.now;
        let met = rig.hub_of(viewers[1]).hls_meet(&key, Form::Ts, viewer(session), now);
        assert_eq!(met, is_new, "{session}");
    }
    assert_eq!(count(&rig), 3);
    rig.pass(31_000);
    assert_eq!(count(&rig), 0);
}

#[test]
fn windows_shrink_on_all_cores_when_memory_is_short() {
    let mut rig = Rig::with(2, |config| {
        config.hls.segment_ms = 1_000;
        config.memory.logs_bytes_max = 150_000;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &[config(0)]);
    let viewers = [0, 1].map(|core| rig.connect(core, Watch::form(crate::hub::Form::HttpTs)));
    for viewer in viewers {
        ask(&mut rig, viewer, &key, Ask::Playlist(playlist(TS)));
    }
    publish(&mut rig, publisher, 0, 20);
    assert!(rig.budget.used() < 150_000, "{}", rig.budget.used());
    let texts = viewers.map(|viewer| fetch(&mut rig, viewer, &key));
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0].matches("#EXTINF").count(), 3, "{}", texts[0]);
    assert_eq!(rig.count(|core| &core.hls_shortened), 1);
}
