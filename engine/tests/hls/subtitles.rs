//! Teletext of a headend as WebVTT.

use super::headend::{Headend, Settings, Sound};
use super::hls_rules::check_multivariant;
use super::line::Line;
use super::support::hls::{
    Viewer, Watched, attribute, await_200, media_path, resolve, watch_until,
};
use super::support::relay::Relay;
use super::support::{LIMIT, Scratch, http, peer};
use super::{SHORT, save, violations};

/// A text of the headend, on the timeline of its segments.
#[derive(Clone, Debug, PartialEq)]
struct Cue {
    start: i64,
    end: i64,
    /// The presentation time that is its first line.
    pts: i64,
}

/// What a segment says its times count from, and its cues.
fn read(vtt: &[u8]) -> (i64, Vec<Cue>) {
    let text = std::str::from_utf8(vtt).expect("UTF-8");
    let head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:";
    let (zero, rest) = text.strip_prefix(head).and_then(|text| text.split_once(',')).expect(text);
    let zero: i64 = zero.parse().expect(text);
    let rest = rest.strip_prefix("LOCAL:00:00:00.000\n").expect(text);
    let ticks = |time: &str| {
        let (minutes, seconds) = time.strip_prefix("00:").unwrap().split_once(':').expect(text);
        let (minutes, seconds): (f64, f64) = (minutes.parse().unwrap(), seconds.parse().unwrap());
        zero + ((minutes * 60.0 + seconds) * 90_000.0).round() as i64
    };
    let cue = |block: &str| {
        let lines: Vec<&str> = block.lines().collect();
        let [times, pts, "Grüße"] = lines[..] else { panic!("{text}") };
        let (start, end) = times.split_once(" --> ").expect(text);
        let pts = pts.strip_prefix("<c.yellow>").and_then(|pts| pts.strip_suffix("</c>"));
        let pts = pts.expect(text).parse().expect(text);
        Cue { start: ticks(start), end: ticks(end), pts }
    };
    let blocks = rest.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    (zero, blocks.map(cue).collect())
}

/// The cues of a rendition; those that were cut at the end of a segment are one.
fn cues(watched: &Watched) -> Vec<Cue> {
    let mut all: Vec<Cue> = Vec::new();
    for cue in watched.segments.values().flat_map(|(_, bytes)| read(bytes).1) {
        match all.last_mut() {
            Some(last) if last.pts == cue.pts && cue.start - last.end <= 90 => last.end = cue.end,
            _ => all.push(cue),
        }
    }
    all
}

/// Presentation time of the first picture of a segment, as ffprobe sees it.
fn first_picture(scratch: &Scratch, watched: &Watched, msn: u64) -> i64 {
    let (name, bytes) = &watched.segments[&msn];
    let init: Vec<u8> = watched.inits.values().flatten().copied().collect();
    let file = save(scratch, name, &[&init[..], bytes].concat());
    let args = ["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of"];
    let args = [&args[..], &["csv=p=0", file.to_str().unwrap()]].concat();
    let probed = peer::run(scratch, "ffprobe", &args, LIMIT).stdout;
    let first = probed.lines().next().expect("pictures").trim_end_matches(',');
    (first.parse::<f64>().expect("a time") * 90_000.0).round() as i64
}

/// The path of the subtitles that a multivariant playlist names.
fn subtitles_path(relay: &Relay, query: &str) -> String {
    let path = format!("/iptv/news.m3u8{query}");
    let text = await_200(relay.http(), &path).text();
    assert_eq!(check_multivariant(&text), Vec::<String>::new(), "{text}");
    let row = text.lines().find(|line| line.contains("TYPE=SUBTITLES")).expect(&text);
    let said = ["NAME", "LANGUAGE", "DEFAULT"].map(|name| attribute(row, name).unwrap_or_default());
    assert_eq!(said, ["Deutsch", "de", "NO"], "{row}");
    assert!(text.contains(",SUBTITLES=\"subtitles0\""), "{text}");
    resolve(&path, attribute(row, "URI").expect(row))
}

/// A relay, and a headend with subtitles.
fn headend() -> (Relay, Line) {
    let relay = Relay::start(SHORT);
    // Presentation times below an hour: ffmpeg shows them in full.
    let clock_start = Some(1_234 * 27_000_000);
    let sounds = vec![Sound::Aac];
    let settings = Settings { has_subtitles: true, clock_start, sounds, ..Settings::default() };
    let line = Line::start(&relay, Headend::new(settings));
    relay.await_publisher("iptv", "news");
    (relay, line)
}

#[test]
fn teletext_comes_as_webvtt_on_the_timeline_of_the_pictures() {
    let (relay, line) = headend();
    let address = relay.http();
    let paths = ["?form=ts", "?form=fmp4", "?form=ts&low_latency"].map(|query| {
        let main = media_path(address, &format!("/iptv/news.m3u8{query}"));
        (main, subtitles_path(&relay, query))
    });
    let viewers = paths.each_ref().map(|(main, _)| Viewer::follow(address, main));
    let subtitles = paths.each_ref().map(|(_, path)| {
        // The rig waits for parts where it sees this word in small letters, and these have none.
        let path = path.replace("low_latency", "LOW_LATENCY");
        let watched = watch_until(address, &path, |watched| watched.segments.len() >= 6);
        assert_eq!(violations(&watched), [], "{}", watched.last());
        watched
    });
    let pictures = viewers.map(Viewer::stop);
    line.stop();
    let mut offsets = Vec::new();
    for ((main, subtitles), (_, path)) in pictures.iter().zip(&subtitles).zip(&paths) {
        let common = subtitles.segments.keys().filter(|msn| main.segments.contains_key(msn));
        let common: Vec<u64> = common.copied().collect();
        assert!(common.len() >= 4, "{path}: {common:?}");
        for msn in [common[0], common[common.len() - 1]] {
            let (zero, _) = read(&subtitles.segments[&msn].1);
            let first = first_picture(relay.scratch(), main, msn);
            assert!((zero - first).abs() <= 2, "{path}: {zero} in front of {first}");
        }
        let cues = cues(subtitles);
        // What is cut at the ends of the window is not whole.
        let [_, whole @ .., _] = &cues[..] else { panic!("{path}: {cues:?}") };
        assert!(!whole.is_empty(), "{path}: {cues:?}");
        let of_first = whole[0].start - whole[0].pts;
        for cue in whole {
            assert!((cue.end - cue.start - 90_000).abs() <= 180, "{path}: {cue:?}");
            assert!((cue.start - cue.pts - of_first).abs() <= 180, "{path}: {cue:?}");
        }
        // Groups of pictures begin every second, on both timelines.
        let (zero, _) = read(&subtitles.segments[&common[0]].1);
        offsets.push((of_first, (zero - of_first).rem_euclid(90_000)));
    }
    let [ts, fmp4, low_latency] = offsets[..] else { panic!("{offsets:?}") };
    assert!(ts.0.abs() <= 90 && low_latency.0.abs() <= 90, "the stream's own: {offsets:?}");
    assert!((fmp4.1 - ts.1).abs() <= 180, "beside the same pictures: {offsets:?}");
    let response =
        http::get(address, &resolve(&paths[0].1, subtitles[0].last().lines().last().unwrap()));
    assert_eq!(response.header("content-type"), Some("text/vtt"));
    assert_ffmpeg_agrees(relay.scratch(), &pictures[0], &subtitles[0]);
}

/// ffmpeg reads the same of the teletext in the segments of packets (by libzvbi), and of the files.
fn assert_ffmpeg_agrees(scratch: &Scratch, main: &Watched, subtitles: &Watched) {
    let file = save(scratch, "teletext.ts", &main.bytes());
    let file = file.to_str().unwrap();
    let args =
        ["-v", "error", "-nostdin", "-copyts", "-fix_teletext_pts", "0", "-txt_format", "text"];
    let output = ["-i", file, "-map", "0:s:0", "-c:s", "srt", "-f", "srt", "-"];
    let decoded = peer::run(scratch, "ffmpeg", &[&args[..], &output].concat(), LIMIT).stdout;
    let whole = cues(subtitles);
    let [_, whole @ .., _] = &whole[..] else { panic!("{whole:?}") };
    for cue in whole {
        let seconds = cue.start / 90_000;
        let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
        let times = format!("00:{minutes:02}:{seconds:02},");
        let is_it = |block: &&str| block.contains(&cue.pts.to_string()) && block.contains("Grüße");
        let block =
            decoded.split("\n\n").find(is_it).unwrap_or_else(|| panic!("{cue:?}: {decoded}"));
        let begin = block.lines().find(|line| line.contains("-->")).expect("times");
        assert!(begin.starts_with(&times), "{cue:?}: {block}");
    }
    let (name, bytes) =
        subtitles.segments.values().find(|(_, bytes)| !read(bytes).1.is_empty()).unwrap();
    let file = save(scratch, name, bytes);
    let args = ["-v", "error", "-nostdin", "-i", file.to_str().unwrap(), "-f", "srt", "-"];
    let decoded = peer::run(scratch, "ffmpeg", &args, LIMIT).stdout;
    assert!(decoded.contains("Grüße"), "{decoded}");
}
