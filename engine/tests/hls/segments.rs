//! What is in segments, one by one and in a row.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use super::headend::{Headend, PACKET_SIZE, Role, Settings, digest_per_pid};
use super::line::Line;
use super::packets::{Packet, counter, cut, is_random_access, pid};
use super::support::hls::{Viewer, Watched, media_path, resolve, watch_until};
use super::support::relay::Relay;
use super::support::{LIMIT, Scratch, ffmpeg, http, wait_until};
use super::{Frame, SHORT, frames, publish, save, violations};

/// Fails unless every segment begins with a keyframe, and each picture is 40 ms after the one before,
/// within a segment and from one to the next.
fn assert_pictures_go_on(scratch: &Scratch, watched: &Watched) {
    let init: Vec<u8> = watched.inits.values().flatten().copied().collect();
    let mut last_s: Option<f64> = None;
    for (name, bytes) in watched.segments.values() {
        let file = save(scratch, name, &[&init[..], bytes].concat());
        let frames = frames(scratch, &file);
        let pictures: Vec<&Frame> = frames.iter().filter(|frame| frame.is_video).collect();
        assert!(pictures[0].is_key, "{name} does not begin with a keyframe");
        assert_eq!(pictures.iter().filter(|frame| frame.is_key).count(), 1, "{name}");
        for picture in &pictures {
            let step_s = last_s.map_or(0.04, |last_s| picture.dts_s - last_s);
            assert!((0.02..0.06).contains(&step_s), "{step_s} s in front of {picture:?} of {name}");
            last_s = Some(picture.dts_s);
        }
        // Sound may lie in the segment in front of its picture, and it has a gap where the media starts over.
        let sound: Vec<f64> =
            frames.iter().filter(|one| !one.is_video).map(|one| one.dts_s).collect();
        assert!(sound.len() > 35, "{} frames of sound in {name}", sound.len());
        assert!(sound.is_sorted(), "{name}: {sound:?}");
    }
}

/// Fails unless a row of segments decodes without an error, each picture once.
fn assert_decodes(scratch: &Scratch, watched: &Watched) {
    let file = save(scratch, "all", &watched.bytes());
    let pictures = ffmpeg::picture_hashes(scratch, &file).len();
    assert_eq!(pictures, watched.segments.len() * 25, "segments of 1 s at 25 pictures");
}

/// Fails unless the packets with payload of every PID are counted without a gap.
fn assert_counted(packets: &[Packet]) {
    let mut last: HashMap<u16, u8> = HashMap::new();
    for (index, packet) in packets.iter().enumerate().filter(|(_, one)| one[3] & 0x10 != 0) {
        let (pid, counter) = (pid(packet), counter(packet));
        if let Some(before) = last.insert(pid, counter).filter(|_| pid != 0x1FFF) {
            assert_eq!(counter, (before + 1) & 0x0F, "packet {index} of PID {pid}");
        }
    }
}

#[test]
fn segments_begin_with_a_keyframe_and_go_on_where_the_last_ended() {
    let (relay, _publisher) = publish("");
    let address = relay.http();
    let watching = ["ts", "fmp4"].map(|form| {
        let path = media_path(address, &format!("/live/test.m3u8?form={form}"));
        thread::spawn(move || watch_until(address, &path, |watched| watched.segments.len() >= 4))
    });
    let [ts, fmp4] = watching.map(|watching| watching.join().expect("it was served"));
    for (name, bytes) in ts.segments.values() {
        let packets = cut(bytes);
        assert_eq!(pid(&packets[0]), 0, "{name}: PAT first");
        let picture = packets.iter().find(|packet| pid(packet) == 0x100).expect("pictures");
        assert!(is_random_access(picture), "{name}: the first picture is no keyframe");
    }
    assert_counted(cut(&ts.bytes()));
    assert_eq!((ts.inits.len(), fmp4.inits.len()), (0, 1), "{}", fmp4.last());
    for watched in [&ts, &fmp4] {
        assert_pictures_go_on(relay.scratch(), watched);
        assert_decodes(relay.scratch(), watched);
    }
}

#[test]
fn every_core_serves_the_same_bytes() {
    let (relay, publisher) = publish("applications.default.publisher_grace_ms = 0\n");
    let path = media_path(relay.http(), "/live/test.m3u8");
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 3);
    publisher.stop();
    let (name, bytes) = watched.segments.values().next().unwrap();
    wait_until("the playlist has ended", LIMIT, || {
        http::get(relay.http(), &path).text().contains("#EXT-X-ENDLIST")
    });
    let last = http::get(relay.http(), &path).body;
    // The kernel gives each connection to a core of its choice.
    for _ in 0..24 {
        assert!(http::get(relay.http(), &resolve(&path, name)).body == *bytes, "{name}");
        assert!(http::get(relay.http(), &path).body == last, "the playlist");
    }
    let answer = relay.api("/api/v1/streams?count=10");
    let viewers = answer["streams"][0]["viewers"].as_array().expect("by core");
    assert!(viewers.len() >= 2, "no other core was asked: {answer}");
}

/// Fails unless pictures and a sound were taken out of a transport stream, with nothing missing.
fn assert_is_decoded(scratch: &Scratch, fmp4: &Watched) {
    let file = save(scratch, "fmp4", &fmp4.bytes());
    let frames = frames(scratch, &file);
    let pictures: Vec<f64> =
        frames.iter().filter(|frame| frame.is_video).map(|frame| frame.dts_s).collect();
    let expected = fmp4.segments.len() * 25;
    assert!(pictures.len() + 3 >= expected, "{} of {expected} pictures", pictures.len());
    assert!(pictures.is_sorted_by(|one, next| next - one < 0.06), "{pictures:?}");
    assert!(frames.len() > 2 * expected, "sound is there");
}

#[test]
fn a_transport_stream_keeps_all_its_pids_byte_for_byte_and_its_cues_are_date_ranges() {
    let relay = Relay::start(SHORT);
    let headend = Headend::new(Settings { seed: 7, ..Settings::default() });
    let (pids, pmt) = (headend.pids(), headend.pid(Role::Pmt));
    let line = Line::start(&relay, headend);
    relay.await_publisher("iptv", "news");
    let path = media_path(relay.http(), "/iptv/news.m3u8");
    assert!(path.contains("/iptv/news.hls/ts/"), "{path}");
    let fmp4 = media_path(relay.http(), "/iptv/news.m3u8?form=fmp4");
    let fmp4 = Viewer::follow(relay.http(), &fmp4);
    let watched = watch_until(relay.http(), &path, |watched| {
        watched.segments.len() >= 5 && watched.has_line("#EXT-X-DATERANGE")
    });
    let (fmp4, sent) = (fmp4.stop(), line.stop());
    assert_eq!(violations(&watched), [], "{}", watched.last());
    assert_eq!(violations(&fmp4), [], "{}", fmp4.last());
    assert_is_decoded(relay.scratch(), &fmp4);

    let mut got = Vec::new();
    for (name, bytes) in watched.segments.values() {
        let packets = cut(bytes);
        let tables: Vec<u16> = packets.iter().take(2).map(pid).collect();
        assert_eq!(tables, [0, pmt], "{name}: PAT and PMT first");
        assert!(is_random_access(&packets[2]), "{name}: then a random access point");
        got.extend_from_slice(&bytes[2 * PACKET_SIZE..]);
    }
    assert_counted(cut(&got));
    let first = <&Packet>::try_from(&got[..PACKET_SIZE]).unwrap();
    let from = cut(&sent).iter().position(|packet| packet == first).expect("it was sent");
    let expected = &sent[from * PACKET_SIZE..][..got.len()];
    assert!(got == expected, "segments in a row are the stream");
    let digests: BTreeMap<_, _> = digest_per_pid(&got);
    for (pid, role) in pids.iter().filter(|(_, role)| *role != Role::Tdt) {
        assert!(digests.contains_key(pid), "{role:?} is missing");
    }
    let (_, text) = (watched.playlists.iter())
        .find(|(_, text)| text.contains("#EXT-X-DATERANGE"))
        .expect("it was waited for");
    let range = text.lines().find(|line| line.starts_with("#EXT-X-DATERANGE")).unwrap();
    assert!(range.contains("SCTE35-OUT=0xFC30"), "{range}");
    assert!(range.contains("PLANNED-DURATION=30"), "{range}");
}
