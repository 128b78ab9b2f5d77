//! Ready-made players other than browsers: ffmpeg, GStreamer, VLC, curl.

use std::thread;

use super::support::amf::Amf;
use super::support::hls::{attribute, await_200, url, variants, watch_until};
use super::support::media::{self, Media};
use super::support::peer::{self, Peer};
use super::support::relay::Relay;
use super::support::{LIMIT, Scratch, ffmpeg, http, wait_until};
use super::{Publisher, SHORT, Tag, endless_tags, publish, save, violations};

/// Codecs that ffprobe finds, data left out.
fn codecs(scratch: &Scratch, url: &str) -> Vec<String> {
    let tracks = ffmpeg::probe(scratch, url);
    let known = tracks.iter().filter(|track| track["codec_type"] != "data");
    known.filter_map(|track| track["codec_name"].as_str()).map(str::to_owned).collect()
}

/// Decodes some seconds, and returns the number of pictures. Any error fails; a warning may come:
/// ffmpeg reads the initialization again with each version of a playlist, and wonders about it.
fn decode(scratch: &Scratch, url: &str, seconds: u32) -> usize {
    let seconds = seconds.to_string();
    let args = ["-v", "error", "-nostdin", "-xerror", "-i", url, "-t", &seconds, "-map", "0:v"];
    let args = [&args[..], &["-f", "framemd5", "-"]].concat();
    let finished = peer::run(scratch, "ffmpeg", &args, LIMIT);
    assert_eq!(finished.stderr.trim(), "", "decoding {url}");
    finished.stdout.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn ffmpeg_plays_every_form() {
    let (relay, _publisher) = publish("");
    let queries = ["?form=ts", "?form=fmp4", "?form=ts&low_latency", "?form=fmp4&low_latency"];
    thread::scope(|scope| {
        for query in queries {
            let url = url(&relay, "live", "test", query);
            scope.spawn(move || {
                // Each has files of its own.
                let scratch = Scratch::new("player");
                assert_eq!(codecs(&scratch, &url), ["h264", "aac"], "{query}");
                let pictures = decode(&scratch, &url, 2);
                assert!((45..=52).contains(&pictures), "{pictures} pictures in 2 s of {query}");
            });
        }
    });
}

#[test]
fn gstreamer_plays_every_form() {
    let (relay, _publisher) = publish("");
    let players = ["ts", "fmp4"].map(|form| {
        let url = url(&relay, "live", "test", &format!("?form={form}"));
        let raw = relay.scratch().file(&format!("{form}.yuv"));
        let pipeline = format!(
            "-q uridecodebin uri={url} ! videoconvert ! video/x-raw,format=I420 ! \
             filesink location={}",
            raw.display()
        );
        let args: Vec<&str> = pipeline.split_whitespace().collect();
        (raw, Peer::spawn(relay.scratch(), "gst-launch-1.0", &args))
    });
    for (raw, player) in players {
        wait_until("50 pictures are decoded", LIMIT, || {
            std::fs::metadata(&raw).is_ok_and(|file| file.len() >= 50 * 320 * 180 * 3 / 2)
        });
        let said = player.stop().output();
        assert!(!said.contains("WARN") && !said.contains("ERROR"), "{}: {said}", raw.display());
    }
}

#[test]
fn vlc_plays_every_form() {
    let (relay, _publisher) = publish("");
    let players = ["ts", "fmp4"].map(|form| {
        let url = url(&relay, "live", "test", &format!("?form={form}"));
        let file = relay.scratch().file(&format!("vlc-{form}.ts"));
        // VLC refuses to run as root. Another user may write nothing but what is open.
        let script = format!(
            "[ $(id -u) != 0 ] || set -- setpriv --reuid=65534 --regid=65534 --clear-groups
             exec \"$@\" env HOME=/nonexistent cvlc -I dummy --run-time=3 \
             --sout '#std{{access=file,mux=ts,dst=-}}' '{url}' vlc://quit >'{}'",
            file.display()
        );
        (file, Peer::spawn(relay.scratch(), "sh", &["-c", &script]))
    });
    for (file, player) in players {
        let finished = player.wait(LIMIT);
        assert!(finished.succeeded(), "{}: {}", file.display(), finished.output());
        let pictures = ffmpeg::picture_hashes(relay.scratch(), &file).len();
        assert!(pictures >= 40, "{pictures} pictures in {}", file.display());
    }
}

#[test]
fn curl_gets_the_same_playlist_compressed_and_plain() {
    let (relay, publisher) = publish("applications.default.publisher_grace_ms = 0\n");
    let (_, path) = variants(relay.http(), "/live/test.m3u8").remove(0);
    watch_until(relay.http(), &path, |watched| watched.segments.len() >= 3);
    publisher.stop();
    wait_until("it is over", LIMIT, || http::get(relay.http(), &path).text().contains("ENDLIST"));
    let url = format!("http://{}{path}", relay.http());
    let plain = peer::run(relay.scratch(), "curl", &["-sS", &url], LIMIT).stdout;
    let args = ["-sS", "--compressed", "-D", "-", &url];
    let packed = peer::run(relay.scratch(), "curl", &args, LIMIT).stdout;
    let (head, body) = packed.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    assert!(head.contains("Vary: Accept-Encoding"), "{head}");
    assert_eq!(body, plain);
    assert!(plain.ends_with("#EXT-X-ENDLIST\n"), "{plain}");
}

#[test]
fn hevc_by_enhanced_rtmp_comes_as_fmp4_for_apple() {
    let relay = Relay::start(SHORT);
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", Media::Hevc.tags());
    relay.await_publisher("live", "test");
    assert_hevc(&relay, "live", "test");
}

#[test]
fn hevc_in_a_transport_stream_comes_as_fmp4_for_apple() {
    let relay = Relay::start(SHORT);
    let (path, target) = (Media::Hevc.path(), format!("tcp://{}", relay.ts()));
    let args = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"];
    let output = [path.to_str().unwrap(), "-c", "copy", "-f", "mpegts", &target];
    let _publisher = Peer::spawn(relay.scratch(), "ffmpeg", &[&args[..], &output].concat());
    relay.await_publisher("live", "ts");
    assert_hevc(&relay, "live", "ts");
}

/// Fails unless a stream of HEVC is served as Apple's authoring rules want it (1.6, 2.2).
fn assert_hevc(relay: &Relay, app: &str, name: &str) {
    let variants = variants(relay.http(), &format!("/{app}/{name}.m3u8"));
    let [(attributes, media)] = &variants[..] else { panic!("{variants:?}") };
    assert!(media.contains(".hls/fmp4/"), "{media}");
    let codecs = attribute(attributes, "CODECS").unwrap();
    assert!(codecs.starts_with("hvc1.1."), "{codecs}");
    let watched = watch_until(relay.http(), media, |watched| watched.segments.len() >= 3);
    assert_eq!(violations(&watched), [], "{}", watched.last());
    let file = save(relay.scratch(), "hevc.mp4", &watched.bytes());
    let tracks = ffmpeg::probe(relay.scratch(), file.to_str().unwrap());
    assert_eq!(tracks[0]["codec_tag_string"], "hvc1", "{}", tracks[0]);
    let pictures = ffmpeg::picture_hashes(relay.scratch(), &file).len();
    let expected = watched.segments.len() * media::FRAME_RATE;
    assert!((expected - 2..=expected).contains(&pictures), "{pictures} of {expected} pictures");
}

#[test]
fn av1_by_enhanced_rtmp_comes_as_fmp4() {
    let relay = Relay::start(SHORT);
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", Media::Av1.tags());
    relay.await_publisher("live", "test");
    let variants = variants(relay.http(), "/live/test.m3u8");
    let [(attributes, media)] = &variants[..] else { panic!("{variants:?}") };
    assert!(media.contains(".hls/fmp4/"), "{media}");
    assert_eq!(attribute(attributes, "CODECS"), Some("av01.0.00M.08"), "{attributes}");
    assert_eq!(attribute(attributes, "RESOLUTION"), Some("320x180"), "{attributes}");
    let watched = watch_until(relay.http(), media, |watched| watched.segments.len() >= 3);
    assert_eq!(violations(&watched), [], "{}", watched.last());
    let file = save(relay.scratch(), "av1.mp4", &watched.bytes());
    let pictures = ffmpeg::picture_hashes(relay.scratch(), &file);
    assert_eq!(pictures.len(), watched.segments.len() * media::FRAME_RATE);
    // Decoded, they are those of the file that was published.
    let sent = ffmpeg::picture_hashes(relay.scratch(), &Media::Av1.path());
    let first = sent.iter().position(|hash| *hash == pictures[0]).expect("it was sent");
    assert_eq!(first % media::FRAME_RATE, 0, "it starts at a keyframe");
    let expected = sent.iter().cycle().skip(first).take(pictures.len());
    assert!(pictures.iter().eq(expected), "the pictures are the same, in the same order");
    let url = url(&relay, "live", "test", "");
    assert_eq!(codecs(relay.scratch(), &url), ["av1"]);
    assert!(decode(relay.scratch(), &url, 2) >= 45);
}

#[test]
fn mpeg_audio_is_named_by_its_layer() {
    let relay = Relay::start(SHORT);
    let (path, target) = (Media::AudioVideo.path(), format!("tcp://{}", relay.ts()));
    let args = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"];
    let output = [path.to_str().unwrap(), "-c:v", "copy", "-c:a", "mp2", "-f", "mpegts", &target];
    let _publisher = Peer::spawn(relay.scratch(), "ffmpeg", &[&args[..], &output].concat());
    relay.await_publisher("live", "ts");
    let text = await_200(relay.http(), "/live/ts.m3u8").text();
    assert!(text.contains("CODECS=\"avc1.64000d,mp4a.40.33\""), "{text}");
    assert_eq!(codecs(relay.scratch(), &url(&relay, "live", "ts", "")), ["h264", "mp2"]);
}

#[test]
fn opus_in_a_transport_stream_comes_as_fmp4() {
    let relay = Relay::start(SHORT);
    let (path, target) = (Media::AudioVideo.path(), format!("tcp://{}", relay.ts()));
    let args = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"];
    let output = [path.to_str().unwrap(), "-c:v", "copy", "-c:a", "libopus", "-f", "mpegts"];
    let args = [&args[..], &output, &[&target]].concat();
    let _publisher = Peer::spawn(relay.scratch(), "ffmpeg", &args);
    relay.await_publisher("live", "ts");
    let text = await_200(relay.http(), "/live/ts.m3u8").text();
    assert!(text.contains("CODECS=\"avc1.64000d,opus\""), "{text}");
    assert!(text.contains("/fmp4/"), "{text}");
    let url = url(&relay, "live", "ts", "");
    assert_eq!(codecs(relay.scratch(), &url), ["h264", "opus"]);
    let sound = ["-v", "error", "-xerror", "-nostdin", "-i", &url, "-t", "2", "-map", "0:a"];
    let args = [&sound[..], &["-f", "null", "-"]].concat();
    assert_eq!(peer::run(relay.scratch(), "ffmpeg", &args, LIMIT).stderr.trim(), "");
}

#[test]
fn encrypted_segments_are_played_with_their_key() {
    let key = std::env::temp_dir().join(format!("corelay-hls-key-{}", std::process::id()));
    std::fs::write(&key, b"sixteen byte key").unwrap();
    let (relay, _publisher) = publish(&format!("hls.key = \"{}\"\n", key.display()));
    let (_, path) = variants(relay.http(), "/live/test.m3u8").remove(0);
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 2);
    assert!(watched.has_line("#EXT-X-KEY:METHOD=AES-128,URI=\"key"), "{}", watched.last());
    for (name, bytes) in watched.segments.values() {
        let syncs = bytes.chunks(188).filter(|packet| packet[0] == 0x47).count();
        assert!(syncs < bytes.len() / 188 / 10, "{name} can be read without the key");
        assert_eq!(bytes.len() % 16, 0, "{name}: whole blocks");
    }
    let pictures = ffmpeg::decode(relay.scratch(), &url(&relay, "live", "test", ""), 2);
    assert!((45..=52).contains(&pictures), "{pictures} pictures in 2 s");
    std::fs::remove_file(key).unwrap();
}

#[test]
fn what_a_publisher_says_beside_its_pictures_comes_as_id3() {
    let relay = Relay::start(&format!("{SHORT}hls.always_on = true\n"));
    let mut tags = endless_tags();
    // A data message of type 15: a format byte, then AMF0.
    let mut body = vec![0];
    Amf::Text("onTextData").encode(&mut body);
    let goal = Amf::Text("goal");
    Amf::Object(vec![("text", goal)]).encode(&mut body);
    let at = tags.iter().position(|tag| tag.timestamp_ms >= 3_000).unwrap();
    let message = Tag { kind: 15, timestamp_ms: tags[at].timestamp_ms, body };
    tags.insert(at, message);
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", tags);
    relay.await_publisher("live", "test");
    let (_, path) = variants(relay.http(), "/live/test.m3u8?form=ts").remove(0);
    let has = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    watch_until(relay.http(), &path, |watched| {
        let segments: Vec<&[u8]> = watched.segments.values().map(|(_, bytes)| &bytes[..]).collect();
        segments.iter().any(|bytes| has(bytes, b"ID3") && has(bytes, b"goal"))
    });
}
