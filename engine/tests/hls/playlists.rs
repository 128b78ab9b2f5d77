//! Playlists of real runs, against the rules and an independent parser.

use std::thread;

use super::hls_rules::{Playlist, check_multivariant};
use super::support::hls::{Watched, attribute, await_200, media_path, variants, watch_until};
use super::support::http;
use super::support::media::Media;
use super::support::relay::Relay;
use super::{Publisher, SHORT, frames, last, publish, save, violations};

const FORMS: [&str; 2] = ["ts", "fmp4"];

#[test]
fn playlists_keep_the_rules_while_segments_and_parts_come_and_go() {
    let (relay, _publisher) = publish("hls.window_segments = 3\n");
    let address = relay.http();
    let watching = FORMS.into_iter().flat_map(|form| ["", "&low_latency"].map(|more| (form, more)));
    let watching: Vec<_> = watching
        .map(|(form, more)| {
            let list = format!("/live/test.m3u8?form={form}{more}");
            thread::spawn(move || {
                let path = media_path(address, &list);
                assert!(path.contains(&format!(".hls/{form}/index.m3u8")), "{path}");
                watch_until(address, &path, |watched| watched.segments.len() >= 7)
            })
        })
        .collect();
    let watched = watching.into_iter().map(|watching| watching.join().expect("it was served"));
    for (number, watched) in watched.enumerate() {
        assert_eq!(violations(&watched), [], "{}", watched.last());
        let first = Playlist::parse(&watched.playlists[0].1).unwrap();
        assert!(last(&watched).media_sequence > first.media_sequence, "it moves");
        let numbers: Vec<u64> = watched.segments.keys().copied().collect();
        assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
        assert!(!watched.has_line("#EXT-X-SKIP"), "3 segments are never skipped");
        let is_low_latency = number % 2 == 1;
        assert_eq!(watched.parts.is_empty(), !is_low_latency, "{}", watched.last());
        if is_low_latency {
            assert_joined(&watched);
        }
    }
}

/// Fails unless the parts of a segment in a row are the segment.
fn assert_joined(watched: &Watched) {
    for (msn, (name, bytes)) in watched.segments.iter().rev().take(3) {
        let parts = watched.parts.range((*msn, 0)..(msn + 1, 0));
        let joined: Vec<u8> = parts.flat_map(|(_, (_, bytes))| bytes).copied().collect();
        assert!(joined == *bytes, "{name}: {} of {} bytes", joined.len(), bytes.len());
    }
}

#[test]
fn a_delta_update_leaves_out_what_is_known() {
    let (relay, _publisher) = publish("hls.window_segments = 20\nhls.segment_ms_max = 2000\n");
    let address = relay.http();
    let path = media_path(address, "/live/test.m3u8?low_latency");
    let watched = watch_until(address, &path, |watched| watched.has_line("#EXT-X-SKIP"));
    assert_eq!(violations(&watched), [], "{}", watched.last());
    let whole = Playlist::parse(&http::get(address, &path).text()).unwrap();
    assert_eq!(whole.skipped, None);
    assert!(whole.segments.len() > 6, "six target durations are never skipped");
}

#[test]
fn the_multivariant_playlist_tells_what_the_stream_is() {
    let (relay, _publisher) = publish("");
    let address = relay.http();
    for path in ["/live/test.m3u8?token=x%22y&form=fmp4", "/live/test/index.m3u8?token=x&a=b"] {
        let text = await_200(address, path).text();
        assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
        let variants = variants(address, path);
        let [(attributes, media)] = &variants[..] else { panic!("{text}") };
        assert_eq!(attribute(attributes, "CODECS"), Some("avc1.64000d,mp4a.40.2"), "{attributes}");
        assert_eq!(attribute(attributes, "RESOLUTION"), Some("320x180"));
        assert_eq!(attribute(attributes, "FRAME-RATE"), Some("25.000"));
        let number = |name| attribute(attributes, name).and_then(|value| value.parse::<u64>().ok());
        let (peak, average) = (number("BANDWIDTH").unwrap(), number("AVERAGE-BANDWIDTH").unwrap());
        assert!((250_000..1_500_000).contains(&average) && average <= peak, "{attributes}");
        assert!(media.contains("token=x"), "{media}");
        assert!(media.contains("session="), "{media}");
        assert_eq!(http::get(address, media).status, 200, "{media}");
    }
}

#[test]
fn sound_alone_has_segments_too() {
    let relay = Relay::start(SHORT);
    let tags = Media::AudioOnly.tags();
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", tags);
    relay.await_publisher("live", "test");
    let address = relay.http();
    let watching = FORMS.map(|form| {
        let variants = variants(address, &format!("/live/test.m3u8?form={form}"));
        let [(attributes, media)] = &variants[..] else { panic!("{variants:?}") };
        assert_eq!(attribute(attributes, "CODECS"), Some("mp4a.40.2"), "{attributes}");
        assert_eq!(attribute(attributes, "RESOLUTION"), None);
        let media = media.clone();
        thread::spawn(move || watch_until(address, &media, |watched| watched.segments.len() >= 4))
    });
    for watched in watching.map(|watching| watching.join().expect("it was served")) {
        assert_eq!(violations(&watched), [], "{}", watched.last());
        let file = save(relay.scratch(), "sound", &watched.bytes());
        let frames = frames(relay.scratch(), &file);
        assert!(frames.len() > 100, "{} frames", frames.len());
        assert!(frames.iter().all(|frame| !frame.is_video));
        assert!(frames.is_sorted_by(|one, next| one.dts_s < next.dts_s), "{frames:?}");
    }
}
