//! ffmpeg publishes, ffmpeg and ffprobe play: RTMP and HTTP-FLV, frame for frame.

mod support;

use std::thread;

use serde_json::Value;
use support::flv::{self, AUDIO, SCRIPT, Tag, VIDEO};
use support::media::{self, Media, PICTURES};
use support::peer::Peer;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, Scratch, ffmpeg, http, wait_for, wait_until};

/// A viewer that came before the publisher gets all of it, over both protocols.
fn everything_comes_through(media: Media, kinds: &[u8]) {
    let relay = Relay::start(
        "applications.default.publisher_grace_ms = 0
         http.play_wait_ms = 30000",
    );
    let scratch = relay.scratch();
    let rtmp_file = scratch.file("rtmp.flv");
    let http_file = scratch.file("http.flv");
    let rtmp = ffmpeg::record(scratch, &relay.rtmp_url("live", "test"), &rtmp_file);
    let http = ffmpeg::record(scratch, &relay.flv_url("live", "test"), &http_file);
    wait_until("both players wait", LIMIT, || relay.connections() == 2);

    let publisher = ffmpeg::publish(scratch, media, &relay.rtmp_url("live", "test"));
    let published = publisher.wait(LIMIT);
    assert!(published.succeeded(), "publisher: {}", published.output());
    for (name, player, file) in [("RTMP", rtmp, rtmp_file), ("HTTP-FLV", http, http_file)] {
        let played = player.wait(LIMIT);
        assert!(played.status.is_some(), "the {name} player was not told the end");
        let sent = media.tags();
        let received = flv::read(&std::fs::read(&file).expect("the player wrote a file"));
        for &kind in kinds {
            let run = flv::assert_run(kind, &sent, &received);
            let all = flv::frames(&sent, kind).len();
            assert_eq!((run.first, run.count), (0, all), "{name}, kind {kind}");
        }
    }
}

#[test]
fn every_audio_and_video_frame_comes_through() {
    everything_comes_through(Media::AudioVideo, &[AUDIO, VIDEO]);
}

#[test]
fn every_frame_of_an_audio_only_stream_comes_through() {
    everything_comes_through(Media::AudioOnly, &[AUDIO]);
}

#[test]
fn every_frame_of_a_video_only_stream_comes_through() {
    everything_comes_through(Media::VideoOnly, &[VIDEO]);
}

#[test]
fn ffprobe_shows_both_tracks_over_rtmp_and_http_flv() {
    let relay = Relay::start("");
    let _publisher = ffmpeg::publish_forever(
        relay.scratch(),
        Media::AudioVideo,
        &relay.rtmp_url("live", "test"),
    );
    relay.await_publisher("live", "test");
    let probe = |url: String| {
        let tracks = ffmpeg::probe(&Scratch::new("probe"), &url);
        let named = |name: &str| tracks.iter().find(|track| track["codec_name"] == name);
        let video = named("h264").unwrap_or_else(|| panic!("no H.264 in {url}: {tracks:?}"));
        let audio = named("aac").unwrap_or_else(|| panic!("no AAC in {url}: {tracks:?}"));
        assert_eq!((video["width"].as_u64(), video["height"].as_u64()), (Some(320), Some(180)));
        assert_eq!(audio["sample_rate"], "44100");
        assert_eq!(audio["channels"], 2);
    };
    thread::scope(|scope| {
        for url in [relay.rtmp_url("live", "test"), relay.flv_url("live", "test")] {
            scope.spawn(|| probe(url));
        }
    });
}

#[test]
fn a_late_joiner_decodes_from_its_first_picture_on() {
    let relay = Relay::start("");
    let _publisher = ffmpeg::publish_forever(
        relay.scratch(),
        Media::AudioVideo,
        &relay.rtmp_url("live", "test"),
    );
    relay.await_publisher("live", "test");
    Rtmp::play(relay.rtmp(), "live", "test").unwrap().await_picture().unwrap();
    let decode = |url: String| {
        let pictures = ffmpeg::decode(&Scratch::new("decode"), &url, 2);
        assert!((48..=52).contains(&pictures), "{pictures} pictures in 2 s of {url}");
    };
    thread::scope(|scope| {
        for url in [relay.rtmp_url("live", "test"), relay.flv_url("live", "test")] {
            scope.spawn(|| decode(url));
        }
    });
}

/// What a viewer needs before its first frame: metadata, both configurations, then a keyframe.
fn assert_starts_well(tags: &[Tag]) {
    let first = tags.iter().position(Tag::is_media).expect("frames");
    let head = &tags[..first];
    assert!(head.iter().any(|tag| tag.kind == SCRIPT), "no metadata before the first frame");
    for kind in [AUDIO, VIDEO] {
        let config = head.iter().any(|tag| tag.kind == kind && tag.is_config());
        assert!(config, "no configuration of kind {kind} before the first frame");
    }
    let picture = tags.iter().find(|tag| tag.kind == VIDEO && tag.is_media()).expect("pictures");
    assert!(picture.is_keyframe(), "the first picture is no keyframe");
}

#[test]
fn a_late_joiner_is_given_metadata_configurations_and_a_keyframe() {
    let relay = Relay::start("");
    let sent = Media::AudioVideo.tags();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    publisher.await_ms(2_500);

    let over_rtmp = Rtmp::play(relay.rtmp(), "live", "test").unwrap().collect(150);
    assert_starts_well(&over_rtmp);
    let mut viewer = http::Viewer::open(relay.http(), "/live/test.flv");
    assert!(viewer.read_to(60_000), "the stream ended early");
    let over_http = flv::read(&viewer.bytes);
    assert_starts_well(&over_http);
    for tags in [&over_rtmp, &over_http] {
        let video = flv::assert_run(VIDEO, &sent, tags);
        let audio = flv::assert_run(AUDIO, &sent, tags);
        assert_eq!(video.first % 25, 0, "it starts at a keyframe");
        // One timeline: stream time is what the publisher sent, which began at 0, for both kinds.
        assert_eq!(video.shift_ms, audio.shift_ms);
        assert_eq!(video.shift_ms % i64::from(media::period_ms(&sent)), 0);
    }
}

#[test]
fn enhanced_rtmp_hevc_comes_through_byte_for_byte() {
    let relay = Relay::start("http.play_wait_ms = 30000");
    let sent = Media::Hevc.tags();
    let mut player = Rtmp::play(relay.rtmp(), "live", "hevc").unwrap();
    let publisher = Publisher::start(relay.rtmp(), "live", "hevc", sent.clone());
    let over_rtmp = player.collect(PICTURES / 2);
    let mut viewer = http::Viewer::open(relay.http(), "/live/hevc.flv");
    assert!(viewer.read_to(40_000), "the stream ended early");
    let over_http = flv::read(&viewer.bytes);
    for tags in [&over_rtmp, &over_http] {
        let config = tags.iter().find(|tag| tag.is_config()).expect("a configuration");
        assert_eq!(config.body, sent[0].body);
        assert_eq!(flv::assert_run(VIDEO, &sent, tags).first % 25, 0);
    }
    let stream = relay.stream("live", "hevc").expect("it is listed");
    assert_eq!(stream["video"]["codec"], "HEVC", "{stream}");
    assert_eq!(stream["video"]["width"], 320, "{stream}");
    publisher.stop();
}

#[test]
fn the_api_tells_publishers_viewers_and_codecs() {
    let relay = Relay::start("");
    let _publisher = ffmpeg::publish_forever(
        relay.scratch(),
        Media::AudioVideo,
        &relay.rtmp_url("live", "test"),
    );
    relay.await_publisher("live", "test");
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    player.await_picture().unwrap();
    wait_until("both tracks are known", LIMIT, || {
        let stream = relay.stream("live", "test").expect("it is listed");
        stream["video"]["codec"] == "H264" && stream["audio"]["codec"] == "AAC"
    });
    let stream = relay.stream("live", "test").unwrap();
    assert_eq!(stream["video"]["width"], 320, "{stream}");
    assert_eq!(stream["video"]["height"], 180, "{stream}");
    assert_eq!(stream["audio"]["sample_rate"], 44100, "{stream}");
    assert!(stream["recv_bytes"].as_u64() > Some(0), "{stream}");
    wait_until("publisher and player are listed", LIMIT, || relay.connections() == 2);
    assert_eq!(relay.api("/api/v1/summaries")["code"], 0);
    assert_eq!(http::get(relay.admin(), "/healthz").status, 200);
    let metrics = relay.metrics();
    let samples = || metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    assert!(samples().count() > 0, "no metrics");
    assert!(samples().all(|line| line.starts_with("corelay_")), "{metrics}");
}

#[test]
fn the_other_sounds_of_flash_come_through_and_are_named_in_the_api() {
    let relay = Relay::start("");
    // Name in the API, name in ffprobe, and how ffmpeg makes it.
    let sounds = [
        ("MP3", "mp3", ["-c:a", "libmp3lame", "-ar", "44100"]),
        ("G711A", "pcm_alaw", ["-c:a", "pcm_alaw", "-ar", "8000"]),
        ("G711U", "pcm_mulaw", ["-c:a", "pcm_mulaw", "-ar", "8000"]),
        ("Speex", "speex", ["-c:a", "libspeex", "-ar", "16000"]),
    ];
    let publish = |(_, name, encode): &(&str, &str, [&str; 4])| {
        let url = relay.rtmp_url("live", name);
        let input = ["-v", "warning", "-nostdin", "-re", "-f", "lavfi", "-i", "sine=frequency=440"];
        let output = ["-ac", "1", "-f", "flv", &url];
        Peer::spawn(relay.scratch(), "ffmpeg", &[&input[..], encode, &output].concat())
    };
    let _publishers: Vec<Peer> = sounds.iter().map(publish).collect();
    // ffprobe looks for pictures for some seconds, all at the same time.
    thread::scope(|scope| {
        for (api_name, name, _) in sounds {
            relay.await_publisher("live", name);
            for url in [relay.rtmp_url("live", name), relay.flv_url("live", name)] {
                scope.spawn(move || {
                    let tracks = ffmpeg::probe(&Scratch::new("probe"), &url);
                    let is_there = tracks.iter().any(|track| track["codec_name"] == name);
                    assert!(is_there, "{url}: {tracks:?}");
                });
            }
            let audio = || relay.stream("live", name).unwrap()["audio"]["codec"].clone();
            let is_named =
                wait_for("the API names it", LIMIT, || Some(audio()).filter(Value::is_string));
            assert_eq!(is_named, api_name);
        }
    });
}
