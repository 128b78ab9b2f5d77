use super::*;
use crate::container::mpegts::analysis::{self, Analyser};
use crate::container::mpegts::test_stream::{Field, TestStream, pat, pes, pmt};

/// Made by ffmpeg: see tests/data/README.md. The streams have pictures every 40 ms and an entry
/// every second.
const H264: &[u8] = include_bytes!("../../../../tests/data/h264_aac.ts");
const HEVC: &[u8] = include_bytes!("../../../../tests/data/hevc_ac3.ts");
const AUDIO: &[u8] = include_bytes!("../../../../tests/data/audios.ts");

const VIDEO_PID: u16 = 0x100;
const AVC: u8 = 0x1B;
const HEVC_TYPE: u8 = 0x24;
const MPEG2: u8 = 2;

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.as_chunks::<PACKET_SIZE>().0.iter().map(Packet::new)
}

/// Offsets of the entries of a stream that comes in blocks of so many packets.
fn entries(stream: &[u8], block_packets: usize) -> Vec<usize> {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    for (index, block) in stream.chunks(block_packets * PACKET_SIZE).enumerate() {
        let at = index * block_packets * PACKET_SIZE;
        scanner.packets(block, |offset| found.push(at + offset));
    }
    assert!(scanner.is_ready());
    found
}

fn without_indicators(stream: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    for packet in stream.as_chunks_mut::<PACKET_SIZE>().0 {
        if packet[3] & 0x20 != 0 && packet[4] > 0 {
            packet[5] &= !0x40;
        }
    }
    stream
}

/// PAT and a PMT of one program.
fn tables_of(streams: &[(u8, u16, &[u8])]) -> TestStream {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    stream.sections(0x20, &pmt(1, 0, VIDEO_PID, streams));
    stream
}

#[test]
fn the_entries_are_the_pictures_with_the_indicator_in_blocks_of_any_size() {
    for stream in [H264, HEVC] {
        let marked: Vec<_> = packets(stream)
            .enumerate()
            .filter(|(_, packet)| packet.pid().value() == VIDEO_PID && packet.is_random_access())
            .map(|(index, _)| index * PACKET_SIZE)
            .collect();
        assert_eq!(marked.len(), 2);
        for block_packets in [1, 2, 3, 7, 50, 350] {
            assert_eq!(entries(stream, block_packets), marked, "{block_packets}");
        }
    }
}

#[test]
fn streams_that_never_set_the_indicator_have_the_same_entries() {
    for stream in [H264, HEVC] {
        let unmarked = without_indicators(stream);
        assert_eq!(entries(&unmarked, 350), entries(stream, 350));
    }
    // x264 puts 700 bytes of SEI in front of its first parameter sets: more than the rest of the
    // first block.
    assert_eq!(entries(&without_indicators(H264), 7), entries(H264, 7)[1..]);
    assert_eq!(entries(&without_indicators(HEVC), 7), entries(HEVC, 7));
}

#[test]
fn the_first_slice_decides_and_what_is_behind_it_does_not() {
    // Delimiter, then what is named; the last entry of a row tells whether it is an entry.
    let cases: [(u8, &[u8], bool); 14] = [
        (AVC, &[0, 0, 1, 0x67], true),
        (AVC, &[0, 0, 1, 0x65], true),
        (AVC, &[0, 0, 1, 0x41, 0, 0, 1, 0x67], false),
        // A recovery point without a sequence parameter set, and with one.
        (AVC, &[0, 0, 1, 6, 6, 1, 0xC4, 0x80, 0, 0, 1, 0x41], false),
        (AVC, &[0, 0, 1, 0x67, 9, 0, 0, 1, 6, 6, 1, 0xC4, 0x80, 0, 0, 1, 0x41], true),
        (AVC, &[0, 0, 1, 0xE7, 0, 0, 1, 0x41], false),
        (HEVC_TYPE, &[0, 0, 1, 0x40, 1], true),
        (HEVC_TYPE, &[0, 0, 1, 0x2A, 1], true),
        (HEVC_TYPE, &[0, 0, 1, 0x4E, 1, 0, 0, 1, 0x26, 1], true),
        (HEVC_TYPE, &[0, 0, 1, 0x02, 1, 0, 0, 1, 0x40, 1], false),
        (MPEG2, &[0, 0, 1, 0xB3], true),
        (MPEG2, &[0, 0, 1, 0xB8, 0, 0, 1, 0], false),
        (MPEG2, &[0, 0, 1, 0, 0, 0, 1, 0xB3], false),
        // VC-1: only the indicator.
        (0xEA, &[0, 0, 1, 0x0F], false),
    ];
    for (stream_type, units, expected) in cases {
        let mut stream = tables_of(&[(stream_type, VIDEO_PID, &[])]);
        let at = stream.bytes.len();
        stream.pes(VIDEO_PID, Field::default(), &pes(0xE0, 9, 9, units));
        let found = entries(&stream.take(), 350);
        assert_eq!(found, if expected { vec![at] } else { vec![] }, "{stream_type} {units:x?}");
    }
}

#[test]
fn start_codes_are_found_over_every_border() {
    let payload =
        [&pes(0xE0, 9, 8, &[0, 0, 0, 1, 9, 0xF0])[..], &[7; 20], &[0, 0, 1, 0x67]].concat();
    for first in 9..payload.len() {
        for second in first..payload.len() {
            let mut search = Search::new(Coding::H264);
            let parts = [&payload[..first], &payload[first..second], &payload[second..]];
            let found = parts.map(|part| search.push(part));
            assert_eq!(found, [None, None, Some(true)], "{first} {second}");
        }
    }
}

#[test]
fn a_picture_is_read_for_eight_packets_and_no_further() {
    for (filling, expected) in [(6 * 184, true), (9 * 184, false)] {
        let mut stream = tables_of(&[(AVC, VIDEO_PID, &[])]);
        let units = [vec![0, 0, 1, 6], vec![9; filling], vec![0, 0, 1, 0x67]].concat();
        stream.pes(VIDEO_PID, Field::default(), &pes(0xE0, 9, 9, &units));
        assert_eq!(entries(&stream.take(), 350).len(), usize::from(expected));
    }
}

#[test]
fn an_entry_whose_first_packet_was_in_an_earlier_call_is_not_reported() {
    let mut stream = tables_of(&[(AVC, VIDEO_PID, &[])]);
    let units = [vec![0, 0, 1, 6], vec![9; 200], vec![0, 0, 1, 0x67]].concat();
    stream.pes(VIDEO_PID, Field::default(), &pes(0xE0, 9, 9, &units));
    let stream = stream.take();
    assert_eq!(entries(&stream, 4), [2 * PACKET_SIZE]);
    assert_eq!(entries(&stream, 3), []);
}

#[test]
fn of_scrambled_pictures_only_the_indicator_is_read() {
    for (random_access, is_pes_level, expected) in
        [(true, false, 1), (false, false, 0), (true, true, 1), (false, true, 0)]
    {
        let mut stream = tables_of(&[(AVC, VIDEO_PID, &[])]);
        let mut unit = pes(0xE0, 9, 9, &[0, 0, 1, 0x67]);
        if is_pes_level {
            unit[6] |= 0x20;
        }
        stream.pes(VIDEO_PID, Field { random_access, pcr: None }, &unit);
        let mut stream = stream.take();
        if !is_pes_level {
            stream[2 * PACKET_SIZE + 3] |= 0x80;
        }
        assert_eq!(entries(&stream, 350).len(), expected);
    }
}

#[test]
fn sound_alone_is_entered_every_half_second() {
    let mut stream = tables_of(&[(0x0F, 0x101, &[])]);
    let mut times = Vec::new();
    // The wrap is in the middle.
    for frame in 0..200_u64 {
        let pts = ((1 << 33) - 200_000 + frame * 1_920) % (1 << 33);
        times.push((stream.bytes.len(), frame * 1_920));
        stream.pes(0x101, Field::default(), &pes(0xC0, pts, pts, &[0; 300]));
    }
    let stream = stream.take();
    let found = entries(&stream, 7);
    let at = |offset: &usize| times.iter().find(|(at, _)| at == offset).expect("a start").1;
    let found: Vec<_> = found.iter().map(at).collect();
    assert_eq!(found.first(), Some(&0));
    assert_eq!(found.len(), 9);
    for pair in found.windows(2) {
        assert!((45_000..45_000 + 1_920).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    // ffmpeg's stream is one second of five tracks, of which the first has pieces of 26 ms.
    assert_eq!(entries(AUDIO, 7).len(), 2);
}

#[test]
fn sound_without_times_is_entered_by_the_clock_or_else_at_every_start() {
    let frame = [0, 0, 1, 0xC0, 0, 0, 0x80, 0, 0, 9, 9];
    for (has_clock, expected) in [(true, 4), (false, 20)] {
        let mut stream = tables_of(&[(0x0F, 0x101, &[])]);
        for count in 0..20 {
            if has_clock {
                stream.pcr(VIDEO_PID, count * 2_700_000);
            }
            stream.pes(0x101, Field::default(), &frame);
        }
        assert_eq!(entries(&stream.take(), 7).len(), expected);
    }
}

#[test]
fn sound_may_carry_the_clock_itself() {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    stream.sections(0x20, &pmt(1, 0, 0x101, &[(0x0F, 0x101, &[])]));
    for count in 0..20 {
        let field = Field { random_access: false, pcr: Some(count * 2_700_000) };
        stream.pes(0x101, field, &[0, 0, 1, 0xC0, 0, 0, 0x80, 0, 0, 9, 9]);
    }
    assert_eq!(entries(&stream.take(), 7).len(), 4);
}

#[test]
fn without_tables_there_is_no_entry() {
    let mut scanner = Scanner::new();
    let pictures: Vec<u8> = packets(H264)
        .filter(|packet| packet.pid().value() >= VIDEO_PID)
        .flat_map(|packet| *packet.bytes())
        .collect();
    scanner.packets(&pictures, |_| panic!("no PMT"));
    assert!(!scanner.is_ready() && !scanner.has_video() && scanner.tables().is_empty());
    scanner.packets(H264, |_| {});
    assert!(scanner.is_ready() && scanner.has_video());
    scanner.reset();
    assert!(!scanner.is_ready() && scanner.tables().is_empty());
}

#[test]
fn a_viewer_that_starts_with_the_tables_sees_counters_go_on() {
    // ffmpeg's stream, and one whose PMT takes two packets.
    let mut long = TestStream::new();
    let descriptors = [[0x83, 60].as_slice(), &[1; 60]].concat();
    let streams: Vec<_> = (0..4).map(|n| (AVC, VIDEO_PID + n, &descriptors[..])).collect();
    for picture in 0..40_u64 {
        long.sections(0, &pat(0, &[(1, 0x20), (2, 0x21)]));
        long.sections(0x20, &pmt(1, 0, VIDEO_PID, &streams));
        long.sections(0x21, &pmt(2, 0, 0x200, &[(AVC, 0x200, &[])]));
        let field = Field { random_access: picture % 4 == 0, pcr: Some(picture * 1_080_000) };
        let time = picture * 3_600 + 90_000;
        long.pes(VIDEO_PID, field, &pes(0xE0, time, time, &[0; 500]));
    }
    for stream in [H264.to_vec(), long.take()] {
        for block_packets in [1, 2, 5, 7, 64] {
            let mut scanner = Scanner::new();
            for block_end in (block_packets..stream.len() / PACKET_SIZE).step_by(block_packets) {
                let end = block_end * PACKET_SIZE;
                scanner.packets(&stream[end - block_packets * PACKET_SIZE..end], |_| {});
                let viewed = [&scanner.tables(), &stream[end..]].concat();
                let mut analyser = Analyser::new(analysis::Settings::default());
                analyser.packets(&viewed, 0);
                let totals = analyser.snapshot().totals;
                assert_eq!(totals.counter_errors + totals.crc_errors, 0, "{block_end}");
                assert_eq!(totals.section_errors, 0, "{block_end}");
            }
            let tables = scanner.tables();
            assert!(packets(&tables).next().is_some_and(|packet| packet.pid() == Pid::PAT));
        }
    }
}

#[test]
fn a_viewer_that_starts_at_an_entry_gets_the_tables_in_front_of_it() {
    let mut stream = TestStream::new();
    for picture in 0..40_u64 {
        stream.sections(0, &pat(0, &[(1, 0x20)]));
        stream.sections(0x20, &pmt(1, 0, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]));
        let field = Field { random_access: picture % 4 == 0, pcr: Some(picture * 1_080_000) };
        let time = picture * 3_600 + 90_000;
        stream.pes(VIDEO_PID, field, &pes(0xE0, time, time, &[0; 500]));
    }
    let stream = stream.take();
    let mut found = 0;
    Scanner::new().packets_and_tables(&stream, |offset, tables| {
        let mut analyser = Analyser::new(analysis::Settings::default());
        analyser.packets(&[&tables, &stream[offset..]].concat(), 0);
        let totals = analyser.snapshot().totals;
        assert_eq!(totals.counter_errors + totals.repeated_packets, 0, "{offset}");
        assert_eq!(tables, stream[offset - 2 * PACKET_SIZE..offset]);
        found += 1;
    });
    assert_eq!(found, 10);
}

#[test]
fn the_newest_packets_of_each_table_are_kept_and_no_old_version() {
    let mut stream = TestStream::new();
    let mut scanner = Scanner::new();
    for version in [0, 0, 1, 1, 2] {
        stream.sections(0, &pat(version, &[(1, 0x20), (2, 0x21)]));
        // Two programs, the second one's PMT first.
        stream.sections(0x21, &pmt(2, version, 0x200, &[(AVC, 0x200, &[])]));
        stream.sections(0x20, &pmt(1, version, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]));
        let sent = stream.take();
        scanner.packets(&sent, |_| {});
        let parts: Vec<_> = sent.chunks(PACKET_SIZE).collect();
        assert_eq!(scanner.tables(), [parts[0], parts[2], parts[1]].concat());
        assert_eq!(scanner.tables().as_ptr(), scanner.tables().as_ptr());
    }
    // The announcement of the next version does not take the place of the present one.
    let mut next =
        pmt(1, 3, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]).iter().next().expect("one").to_vec();
    next[5] &= !1;
    let size = next.len() - 4;
    let crc = libmpegts::utils::crc32b(&next[..size]);
    next[size..].copy_from_slice(&crc.to_be_bytes());
    stream.payload(0x20, &[&[0], &next[..]].concat());
    scanner.packets(&stream.take(), |_| {});
    assert_eq!(scanner.tables().len(), 4 * PACKET_SIZE);
    stream.sections(0x20, &pmt(1, 3, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]));
    scanner.packets(&stream.take(), |_| {});
    assert_eq!(scanner.tables().len(), 3 * PACKET_SIZE);
    // A program that is no longer there is not told of.
    stream.sections(0, &pat(3, &[(1, 0x20)]));
    scanner.packets(&stream.take(), |_| {});
    assert_eq!(scanner.tables().len(), 2 * PACKET_SIZE);
}

#[test]
fn a_table_that_becomes_shorter_leaves_no_section_of_its_old_version() {
    let programs: Vec<_> = (1..=300).map(|number| (number, 0x100 + number)).collect();
    let mut stream = TestStream::new();
    let mut scanner = Scanner::new();
    stream.sections(0, &pat(0, &programs));
    let long = stream.take();
    scanner.packets(&long, |_| {});
    assert_eq!(scanner.tables(), long);
    stream.sections(0, &pat(1, &programs[..1]));
    let short = stream.take();
    scanner.packets(&short, |_| {});
    assert_eq!(scanner.tables(), short);
}

#[test]
fn a_damaged_table_does_not_take_the_place_of_a_good_one() {
    let mut stream = tables_of(&[(AVC, VIDEO_PID, &[])]);
    let good = stream.take();
    stream.sections(0x20, &pmt(1, 0, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]));
    let mut damaged = stream.take();
    damaged[12] ^= 1;
    let mut scanner = Scanner::new();
    scanner.packets(&good, |_| {});
    scanner.packets(&damaged, |_| {});
    assert_eq!(scanner.tables(), good);
}

#[test]
fn at_most_64_packets_are_kept_with_the_first_program_among_them() {
    let mut stream = TestStream::new();
    let programs: Vec<_> = (1..200).map(|number| (number, 0x20 + number)).collect();
    stream.sections(0, &pat(0, &programs));
    for (number, pid) in programs.iter().rev() {
        stream.sections(*pid, &pmt(*number, 0, VIDEO_PID, &[(AVC, VIDEO_PID, &[])]));
    }
    let stream = stream.take();
    let mut scanner = Scanner::new();
    scanner.packets(&stream, |_| {});
    scanner.packets(&stream, |_| {});
    let tables = scanner.tables();
    assert_eq!(tables.len(), 64 * PACKET_SIZE);
    let pids: Vec<_> = packets(&tables).map(|packet| packet.pid().value()).collect();
    let pat_packets = pids.iter().take_while(|&&pid| pid == 0).count();
    assert_eq!(pat_packets, 5);
    assert_eq!(pids[pat_packets], 0x21);
}

#[test]
fn a_first_program_without_pmt_is_waited_for_and_then_left_out() {
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20), (2, 0x21)]));
    stream.sections(0x21, &pmt(2, 0, 0x200, &[(AVC, 0x200, &[])]));
    let mut scanner = Scanner::new();
    scanner.packets(&stream.take(), |_| {});
    assert!(!scanner.is_ready());
    let nulls = [0x47, 0x1F, 0xFF, 0x10].into_iter().chain([0; 184]).collect::<Vec<_>>();
    for _ in 0..200 {
        scanner.packets(&nulls.repeat(100), |_| {});
    }
    assert!(scanner.is_ready() && scanner.has_video());
    let field = Field { random_access: true, pcr: None };
    stream.pes(0x200, field, &pes(0xE0, 9, 9, &[0; 9]));
    let mut found = 0;
    scanner.packets(&stream.take(), |_| found += 1);
    assert_eq!(found, 1);
}

#[test]
fn another_pmt_moves_the_entries_to_its_video() {
    let mut stream = tables_of(&[(AVC, VIDEO_PID, &[])]);
    let field = Field { random_access: true, pcr: None };
    stream.pes(VIDEO_PID, field, &pes(0xE0, 9, 9, &[0; 9]));
    stream.sections(0x20, &pmt(1, 1, VIDEO_PID, &[(MPEG2, 0x102, &[])]));
    stream.pes(VIDEO_PID, field, &pes(0xE0, 9, 9, &[0; 9]));
    stream.pes(0x102, Field::default(), &pes(0xE0, 9, 9, &[0, 0, 1, 0xB3]));
    assert_eq!(entries(&stream.take(), 350), [2 * PACKET_SIZE, 5 * PACKET_SIZE]);
}
