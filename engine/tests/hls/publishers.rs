//! Publishers that leave, come back, change, and take over, as viewers of HLS see it.

use std::thread;
use std::time::Duration;

use super::hls_rules::{Checker, Playlist};
use super::support::hls::{Viewer, Watched, media_path, url, watch_until};
use super::support::media::Media;
use super::support::peer::Peer;
use super::support::relay::Relay;
use super::support::rtmp::Rtmp;
use super::support::{LIMIT, ffmpeg};
use super::{Publisher, SHORT, endless_tags, publish, save, violations};

/// Segments that begin with a discontinuity.
pub fn discontinuities(watched: &Watched) -> Vec<u64> {
    let playlists = watched.playlists.iter().filter_map(|(_, text)| Playlist::parse(text).ok());
    let mut found: Vec<u64> = playlists
        .flat_map(|playlist| playlist.segments)
        .filter(|segment| segment.is_discontinuity)
        .map(|segment| segment.msn)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_publisher_that_returns_goes_on_behind_a_discontinuity() {
    let (relay, publisher) = publish("");
    let address = relay.http();
    let viewers = ["?form=ts", "?form=fmp4&low_latency"].map(|query| {
        Viewer::follow(address, &media_path(address, &format!("/live/test.m3u8{query}")))
    });
    let player = thread::spawn({
        let (url, scratch) = (url(&relay, "live", "test", ""), super::Scratch::new("player"));
        move || ffmpeg::decode(&scratch, &url, 5)
    });
    let path = media_path(address, "/live/test.m3u8?form=ts");
    watch_until(address, &path, |watched| watched.segments.len() >= 2);
    publisher.stop();
    thread::sleep(Duration::from_millis(500));
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", endless_tags());
    watch_until(address, &path, |watched| {
        let playlist = Playlist::parse(watched.last()).unwrap();
        let at = playlist.segments.iter().position(|segment| segment.is_discontinuity);
        at.is_some_and(|at| playlist.segments.len() > at + 2)
    });
    for viewer in viewers {
        let watched = viewer.stop();
        assert_eq!(discontinuities(&watched).len(), 1, "{}", watched.last());
        assert_eq!(violations(&watched), [], "{}", watched.last());
        assert!(!watched.has_line("#EXT-X-ENDLIST"), "it came back in time");
    }
    let pictures = player.join().expect("the player goes on");
    assert!(pictures >= 100, "{pictures} pictures in 5 s");
}

#[test]
fn a_publisher_that_does_not_return_ends_the_playlist_until_another_one_comes() {
    let (relay, publisher) = publish("applications.default.publisher_grace_ms = 300\n");
    let address = relay.http();
    let path = media_path(address, "/live/test.m3u8");
    let player = url(&relay, "live", "test", "");
    let file = relay.scratch().file("seen.ts");
    let args = ["-v", "error", "-nostdin", "-i", &player, "-c", "copy", file.to_str().unwrap()];
    let player = Peer::spawn(relay.scratch(), "ffmpeg", &args);
    let seen = watch_until(address, &path, |watched| watched.segments.len() >= 4);
    let mut checker = Checker::default();
    for (at_ms, text) in &seen.playlists {
        assert_eq!(checker.take(*at_ms, text), [], "{text}");
    }
    publisher.stop();
    let ended = watch_until(address, &path, |watched| watched.last().contains("#EXT-X-ENDLIST"));
    assert_eq!(checker.take(60_000, ended.last()), [], "{}", ended.last());
    let finished = player.wait(LIMIT);
    assert!(finished.succeeded(), "a player sees the end: {}", finished.output());
    assert!(ffmpeg::picture_hashes(relay.scratch(), &file).len() >= 50);

    let _publisher = Publisher::start(relay.rtmp(), "live", "test", endless_tags());
    let newest = *ended.segments.keys().last().unwrap();
    let again = watch_until(address, &path, |watched| {
        watched.segments.keys().last().is_some_and(|msn| *msn > newest + 1)
    });
    let playlist = Playlist::parse(again.last()).unwrap();
    assert!(!playlist.is_ended);
    let first = playlist.segments.iter().find(|segment| segment.msn == newest + 1);
    assert!(first.is_none_or(|segment| segment.is_discontinuity), "{}", again.last());
}

/// Pictures of another size, with ffmpeg.
fn publish_larger(relay: &Relay, url: &str) -> Peer {
    let picture = "testsrc2=size=480x270:rate=25";
    let args = ["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", picture, "-f", "lavfi"];
    let sound = ["-i", "sine=frequency=330:sample_rate=44100", "-c:a", "aac", "-ac", "2"];
    let video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
    let args = [&args[..], &sound, &video, &["-f", "flv", url]].concat();
    Peer::spawn(relay.scratch(), "ffmpeg", &args)
}

#[test]
fn another_publisher_with_other_pictures_takes_over() {
    let (relay, _publisher) = publish("");
    let address = relay.http();
    let viewers = ["ts", "fmp4"].map(|form| {
        Viewer::follow(address, &media_path(address, &format!("/live/test.m3u8?form={form}")))
    });
    let path = media_path(address, "/live/test.m3u8?form=fmp4");
    watch_until(address, &path, |watched| watched.segments.len() >= 2);
    let _other = publish_larger(&relay, &relay.rtmp_url("live", "test"));
    watch_until(address, &path, |watched| {
        let playlist = Playlist::parse(watched.last()).unwrap();
        let at = playlist.segments.iter().position(|segment| segment.is_discontinuity);
        at.is_some_and(|at| playlist.segments.len() > at + 2)
    });
    let [ts, fmp4] = viewers.map(Viewer::stop);
    for watched in [&ts, &fmp4] {
        assert_eq!(discontinuities(watched).len(), 1, "{}", watched.last());
        assert_eq!(violations(watched), [], "{}", watched.last());
    }
    assert_eq!(fmp4.inits.len(), 2, "each has its own initialization: {}", fmp4.last());
    let switch = discontinuities(&fmp4)[0];
    let (_, after) = &fmp4.segments[&switch];
    let file = save(
        relay.scratch(),
        "after.mp4",
        &[fmp4.inits.values().last().unwrap(), &after[..]].concat(),
    );
    let tracks = ffmpeg::probe(relay.scratch(), file.to_str().unwrap());
    assert_eq!(tracks[0]["width"], 480, "{}", tracks[0]);
    let (_, after) = &ts.segments[&discontinuities(&ts)[0]];
    let file = save(relay.scratch(), "after.ts", after);
    assert_eq!(ffmpeg::probe(relay.scratch(), file.to_str().unwrap())[0]["width"], 480);
}

#[test]
fn a_publisher_that_changes_its_codec_begins_a_new_initialization() {
    let relay = Relay::start(SHORT);
    let mut rtmp = Rtmp::publish(relay.rtmp(), "live", "test").unwrap();
    let (mut first, second) = (Media::VideoOnly.tags(), Media::Hevc.tags());
    first.retain(|tag| tag.timestamp_ms < 3_000);
    let address = relay.http();
    let sender = thread::spawn(move || {
        let started = std::time::Instant::now();
        let second = second.iter().map(|tag| (tag, tag.timestamp_ms + 3_000));
        let tags = first.iter().map(|tag| (tag, tag.timestamp_ms)).chain(second);
        for (tag, at_ms) in tags {
            let due = started + Duration::from_millis(u64::from(at_ms));
            thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
            rtmp.send_tag(tag, at_ms).expect("it is taken");
        }
        rtmp
    });
    relay.await_publisher("live", "test");
    let path = media_path(address, "/live/test.m3u8?form=fmp4");
    let watched = watch_until(address, &path, |watched| {
        watched.inits.len() == 2 && watched.segments.len() >= 5
    });
    drop(sender.join().unwrap());
    assert_eq!(violations(&watched), [], "{}", watched.last());
    assert_eq!(discontinuities(&watched).len(), 1, "{}", watched.last());
    for (init, codec) in watched.inits.values().zip(["avc1", "hvc1"]) {
        assert!(init.windows(4).any(|word| word == codec.as_bytes()), "{codec}");
    }
}
