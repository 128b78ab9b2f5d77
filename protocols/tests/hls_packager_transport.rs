//! The packets of a transport stream into segments, untouched.

mod hls_packager_support;

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::scan::Scanner;
use corelay_protocols::hls::Cue;
use corelay_protocols::hls::packager::Settings;
use hls_packager_support::packets::{Stream, VIDEO};
use hls_packager_support::*;

/// A headend: pictures of 25 fps in groups of a second, tables twice a second.
struct Headend {
    stream: Stream,
    scanner: Scanner,
    made: Made,
    /// What was pushed since the first entry point.
    pushed: Vec<u8>,
    /// PID of the pictures.
    video: u16,
    version: u8,
    /// Number of the next picture, and its decoding time.
    picture: i64,
    dts: i64,
}

impl Headend {
    fn new() -> Self {
        Self {
            stream: Stream::default(),
            scanner: Scanner::new(),
            made: Made::new(Settings::default()),
            pushed: Vec::new(),
            video: VIDEO,
            version: 0,
            picture: 0,
            dts: 900_000,
        }
    }

    /// Sends so many pictures.
    fn send(&mut self, pictures: i64) {
        for _ in 0..pictures {
            if self.picture % 12 == 0 {
                self.stream.tables(self.version, self.video);
            }
            self.stream.picture(self.video, self.dts, self.picture % 25 == 0);
            self.picture += 1;
            self.dts += 3_600;
            if self.picture % 3 == 0 {
                self.flush();
            }
        }
        self.flush();
    }

    fn cue(&mut self, section: &str) {
        self.stream.cue(&hex(section));
    }

    /// Hands over what was written, split in front of entry points, as the owner of a stream does.
    fn flush(&mut self) {
        let block = self.stream.take();
        let mut cuts = vec![(0, Bytes::new())];
        self.scanner.packets_and_tables(block.bytes(), |at, tables| cuts.push((at / 188, tables)));
        for (index, (at, tables)) in cuts.iter().enumerate() {
            let is_entry = index > 0;
            let end = cuts.get(index + 1).map_or(block.packet_count(), |cut| cut.0);
            let part = TsBlock::new(block.bytes().slice(at * 188..end * 188)).unwrap();
            if is_entry || !self.pushed.is_empty() {
                self.pushed.extend_from_slice(part.bytes());
            }
            let received_us = NOW_US + self.picture as u64 * 40_000;
            self.made.packager.push_packets(&part, tables, is_entry, received_us);
            self.made.take_events();
        }
    }
}

/// The packets of all segments without the tables in front of each.
fn untouched(made: &Made, tables_packets: usize) -> Vec<u8> {
    let content = |segment: &std::sync::Arc<corelay_protocols::hls::Segment>| {
        let bytes: Vec<u8> = segment.parts.iter().flat_map(|p| p.chunk.to_vec()).collect();
        bytes[tables_packets * 188..].to_vec()
    };
    made.main().iter().flat_map(content).collect()
}

#[test]
fn segments_are_the_packets_of_the_stream_with_tables_in_front() {
    let mut headend = Headend::new();
    headend.send(25 * 11 + 5);
    headend.made.finish();
    let made = &headend.made;
    assert_eq!(made.durations_ms(), [2_000, 2_000, 2_000, 2_000, 2_000, 1_200]);
    assert!(untouched(made, 2) == headend.pushed, "every packet of every PID");
    for segment in made.main() {
        let block = transport::block(segment);
        let pids: Vec<_> = block.packets().take(3).map(|packet| packet.pid().value()).collect();
        assert_eq!(pids, [0, 0x20, VIDEO]);
        assert!(block.packets().nth(2).unwrap().is_random_access());
        let longest = segment.parts.iter().map(|part| part.duration).max();
        assert_eq!(longest, Some(480 * MS));
    }
    assert_eq!(made.packager.stats().discontinuities, 0);
}

#[test]
fn a_part_has_the_memory_of_the_stream() {
    let mut stream = Stream::default();
    stream.tables(0, VIDEO);
    let tables = stream.take().into_bytes();
    stream.picture(VIDEO, 0, true);
    let first = stream.take();
    stream.picture(VIDEO, 45_000, false);
    let mut made = Made::new(Settings::default());
    made.packager.push_packets(&first, &tables, true, NOW_US);
    made.packager.push_packets(&stream.take(), &Bytes::new(), false, NOW_US);
    made.finish();
    let slices = made.main()[0].parts[0].chunk.slices();
    let expected = [tables.as_ptr(), first.bytes().as_ptr()];
    assert_eq!([slices[0].as_ptr(), slices[1].as_ptr()], expected);
    assert_eq!(made.main()[0].parts.len(), 2, "the second picture would make it too long");
}

#[test]
fn a_part_ends_in_front_of_a_picture_in_the_middle_of_a_block() {
    let mut headend = Headend::new();
    headend.send(25 * 4);
    headend.made.finish();
    for part in headend.made.main().iter().flat_map(|segment| &segment.parts).skip(1) {
        let bytes = part.chunk.to_vec();
        let first = TsBlock::new(Bytes::from(bytes)).unwrap();
        let first = first.packets().next().unwrap();
        assert!(part.index == 0 || first.starts_unit() && first.pid().value() == VIDEO);
    }
}

#[test]
fn the_description_comes_from_the_stream() {
    let mut headend = Headend::new();
    headend.send(60);
    let description = headend.made.descriptions[&TS].last().unwrap();
    assert_eq!(description.codecs, ["avc1.42c00c"]);
    assert_eq!((description.width, description.height), (320, 180));
}

#[test]
fn times_wrap_and_segments_go_on() {
    let mut headend = Headend::new();
    headend.dts = (1 << 33) - 90_000 * 3;
    headend.send(25 * 8);
    headend.made.finish();
    assert_eq!(headend.made.durations_ms(), [2_000; 4]);
    assert_eq!(headend.made.packager.stats().discontinuities, 0);
}

#[test]
fn times_that_jump_make_a_discontinuity() {
    for jump in [-500_000, 5_000_000] {
        let mut headend = Headend::new();
        headend.send(60);
        headend.dts += jump;
        headend.send(90);
        headend.made.finish();
        // What comes between the jump and the next entry point cannot be decoded.
        assert_eq!(headend.made.durations_ms(), [2_000, 400, 2_000, 1_000], "{jump}");
        let flags: Vec<_> = headend.made.main().iter().map(|s| s.is_discontinuity).collect();
        assert_eq!(flags, [false, false, true, false]);
    }
}

#[test]
fn other_tracks_make_a_discontinuity_at_the_entry_point() {
    let mut headend = Headend::new();
    headend.send(75);
    (headend.video, headend.version) = (0x110, 1);
    headend.stream.tables(1, 0x110);
    headend.send(50);
    headend.made.finish();
    assert_eq!(headend.made.durations_ms(), [2_000, 1_000, 2_000]);
    assert!(headend.made.main()[2].is_discontinuity);
}

#[test]
fn a_discontinuity_that_is_told_waits_for_an_entry_point_only() {
    let mut headend = Headend::new();
    headend.send(50);
    headend.made.discontinuity();
    headend.send(50);
    headend.made.finish();
    assert_eq!(headend.made.durations_ms(), [2_000, 2_000], "the tables were handed over");
    assert!(headend.made.main()[1].is_discontinuity);
}

#[test]
fn cues_are_date_ranges_with_their_times() {
    // splice_insert without its CRC, written by hand from SCTE 35 9.6 and 9.7.3: event 7, out of
    // network, PTS 3 s behind the first picture's, break of 30 s; and event 7 back in a second later.
    let out =
        "fc3025000000000000 00fff0 14 05 00000007 7f ef fe0011e860 fe002932e0 0001 00 00 0000";
    let back = "fc3020000000000000 00fff0 0f 05 00000007 7f 4f fe001347f0 0001 00 00 0000";
    let mut headend = Headend::new();
    headend.send(30);
    headend.cue(out);
    headend.send(5);
    headend.cue(out);
    headend.send(40);
    headend.cue(back);
    headend.send(75);
    headend.made.finish();
    let ranges: Vec<_> =
        headend.made.main().iter().map(|segment| segment.date_ranges.as_slice()).collect();
    let [begin] = ranges[0] else { panic!("{ranges:?}") };
    assert_eq!((begin.cue, begin.planned_ms), (Cue::Out, Some(30_000)));
    let first_us = headend.made.main()[0].started_us;
    assert_eq!(begin.start_us - first_us, 3_000_000);
    let [end] = ranges[1] else { panic!("{ranges:?}") };
    assert_eq!((&end.id, end.start_us, end.cue), (&begin.id, begin.start_us, Cue::In));
    assert_eq!(end.duration_ms, Some(1_000));
    assert_eq!(begin.section.len(), 40);
}

#[test]
fn another_form_than_mpeg_ts_has_no_place_for_packets() {
    let settings = Settings { form: corelay_protocols::hls::Form::Fmp4, ..Settings::default() };
    let mut made = Made::new(settings);
    let mut stream = Stream::default();
    stream.picture(VIDEO, 0, true);
    made.packager.push_packets(&stream.take(), &Bytes::new(), true, NOW_US);
    made.finish();
    assert!(made.segments.is_empty());
}
