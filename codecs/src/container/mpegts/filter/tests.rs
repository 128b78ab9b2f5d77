use libmpegts::psi::{
    CatBuilder, CatConfig, PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream,
};

use super::*;
use crate::container::mpegts::analysis::{self, Analyser};
use crate::container::mpegts::test_stream::{Field, TestStream, pat, pes, pmt};

const AVC: u8 = 0x1B;
const AAC: u8 = 0x0F;

fn pids(bytes: &[u8]) -> Vec<u16> {
    let packets = bytes.as_chunks::<PACKET_SIZE>().0.iter();
    packets.map(|packet| Packet::new(packet).pid().value()).collect()
}

fn filtered(filter: &mut ProgramFilter, stream: &mut TestStream) -> Vec<u8> {
    let mut out = Vec::new();
    filter.push(&stream.take(), &mut out);
    out
}

/// A multiplex of two programs, for so many pictures.
fn multiplex(stream: &mut TestStream, pictures: u64) {
    for picture in 0..pictures {
        stream.sections(0, &pat(4, &[(1, 0x20), (2, 0x21)]));
        stream.sections(0x20, &pmt(1, 0, 0x100, &[(AVC, 0x100, &[]), (AAC, 0x101, &[])]));
        stream.sections(0x21, &pmt(2, 0, 0x200, &[(AVC, 0x200, &[]), (AAC, 0x201, &[])]));
        stream.payload(0x11, &[0, 0xFF]);
        stream.payload(0x1FFF, &[0; 9]);
        let time = picture * 3_600 + 90_000;
        for pid in [0x100, 0x200] {
            let field = Field { random_access: true, pcr: Some(picture * 1_080_000) };
            stream.pes(pid, field, &pes(0xE0, time, time, &[0; 500]));
            stream.pes(pid + 1, Field::default(), &pes(0xC0, time, time, &[0; 100]));
        }
    }
}

#[test]
fn one_program_comes_out_with_its_tables_and_nothing_of_the_other() {
    for number in [1, 2] {
        let mut filter = ProgramFilter::new(number);
        let mut stream = TestStream::new();
        multiplex(&mut stream, 40);
        let source = stream.bytes.clone();
        let out = filtered(&mut filter, &mut stream);
        assert!(filter.is_ready() && !filter.missing());
        let of_it = [0x11, 0x1F + number, number << 8, number << 8 | 1];
        let expected: Vec<_> =
            pids(&source).into_iter().filter(|pid| *pid == 0 || of_it.contains(pid)).collect();
        assert_eq!(pids(&out), expected);
        let packets = |bytes: &[u8]| -> Vec<[u8; PACKET_SIZE]> {
            let all = bytes.as_chunks::<PACKET_SIZE>().0.iter().copied();
            all.filter(|packet| of_it.contains(&Packet::new(packet).pid().value())).collect()
        };
        assert!(packets(&source) == packets(&out), "passed packets are as they were");
        let mut analyser = Analyser::new(analysis::Settings::default());
        for (index, block) in out.chunks(7 * PACKET_SIZE).enumerate() {
            analyser.packets(block, index as u64 * 40_000);
        }
        let totals = analyser.snapshot().totals;
        assert_eq!(totals.counter_errors + totals.crc_errors + totals.section_errors, 0);
        let tables = analyser.tables();
        let pat = tables.pat().expect("a PAT");
        assert_eq!((pat.transport_stream_id, pat.version, pat.entries.len()), (7, 4, 1));
        let program = tables.programs().next().expect("a program");
        assert_eq!((program.program_number, program.streams.len()), (number, 2));
    }
}

#[test]
fn the_same_comes_out_however_the_packets_are_divided() {
    let mut stream = TestStream::new();
    multiplex(&mut stream, 10);
    let source = stream.take();
    let mut whole = Vec::new();
    ProgramFilter::new(2).push(&source, &mut whole);
    for block_packets in [1, 3, 7, 50] {
        let (mut filter, mut out) = (ProgramFilter::new(2), Vec::new());
        source.chunks(block_packets * PACKET_SIZE).for_each(|block| filter.push(block, &mut out));
        assert!(out == whole);
    }
}

#[test]
fn the_written_pat_is_what_the_specification_says() {
    let mut filter = ProgramFilter::new(2);
    let mut stream = TestStream::new();
    stream.sections(0, &pat(4, &[(0, 0x10), (1, 0x20), (2, 0x21)]));
    let out = filtered(&mut filter, &mut stream);
    // By hand, but for the CRC: ISO/IEC 13818-1 table 2-30.
    let expected =
        [0x47, 0x40, 0, 0x10, 0, 0, 0xB0, 17, 0, 7, 0xC9, 0, 0, 0, 0, 0xE0, 0x10, 0, 2, 0xE0, 0x21];
    assert_eq!(out[..expected.len()], expected);
    assert_eq!(libmpegts::utils::crc32b(&out[5..25]), 0);
    assert!(out[25..].iter().all(|&byte| byte == 0xFF) && out.len() == PACKET_SIZE);
}

#[test]
fn versions_count_what_the_written_pat_says_and_no_other_change() {
    let mut filter = ProgramFilter::new(2);
    let mut stream = TestStream::new();
    type Row = (u8, &'static [(u16, u16)], u8);
    let rows: [Row; 5] = [
        (31, &[(1, 0x20), (2, 0x21)], 31),
        // Another program changes: the version stays.
        (0, &[(1, 0x22), (2, 0x21)], 31),
        (1, &[(1, 0x22), (2, 0x30)], 0),
        // A change that the source does not tell of.
        (1, &[(1, 0x22), (2, 0x31)], 1),
        (1, &[(0, 0x10), (2, 0x31)], 2),
    ];
    for (counter, (version, programs, expected)) in rows.into_iter().enumerate() {
        stream.sections(0, &pat(version, programs));
        let out = filtered(&mut filter, &mut stream);
        assert_eq!((out[10] >> 1 & 0x1F, out[3]), (expected, 0x10 | counter as u8));
    }
}

#[test]
fn without_its_program_nothing_comes_out_and_it_is_missing() {
    let mut filter = ProgramFilter::new(3);
    let mut stream = TestStream::new();
    assert!(!filter.missing());
    multiplex(&mut stream, 2);
    assert!(filtered(&mut filter, &mut stream).is_empty());
    assert!(filter.missing() && !filter.is_ready());
    // It comes, and goes.
    stream.sections(0, &pat(5, &[(1, 0x20), (3, 0x23)]));
    stream.sections(0x23, &pmt(3, 0, 0x100, &[(AVC, 0x100, &[])]));
    assert_eq!(pids(&filtered(&mut filter, &mut stream)), [0, 0x23]);
    assert!(!filter.missing() && filter.is_ready());
    multiplex(&mut stream, 2);
    assert!(filtered(&mut filter, &mut stream).is_empty());
    assert!(filter.missing() && !filter.is_ready());
}

#[test]
fn a_pat_of_several_sections_is_read_whole() {
    // 600 programs need three sections.
    let programs: Vec<_> = (1..=600)
        .map(|number| PatProgram { program_number: number, pid: 0x100 + number })
        .collect();
    let config = PatConfig { transport_stream_id: 7, version: 0, programs };
    let sections = PatBuilder::build(config);
    assert!(sections.iter().count() > 1);
    for (number, is_there) in [(600, true), (601, false)] {
        let mut filter = ProgramFilter::new(number);
        let mut stream = TestStream::new();
        stream.sections(0, &sections);
        assert!(filtered(&mut filter, &mut stream).is_empty(), "written at its first section");
        assert_eq!(filter.missing(), !is_there);
        stream.sections(0, &sections);
        assert_eq!(filtered(&mut filter, &mut stream).len() / PACKET_SIZE, usize::from(is_there));
    }
}

#[test]
fn another_pmt_changes_the_streams_at_once() {
    let mut filter = ProgramFilter::new(1);
    let mut stream = TestStream::new();
    let streams = |stream: &mut TestStream| {
        for pid in 0x100..0x104 {
            stream.payload(pid, &[0; 9]);
        }
    };
    streams(&mut stream);
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    streams(&mut stream);
    stream.sections(0x20, &pmt(1, 0, 0x102, &[(AVC, 0x100, &[])]));
    streams(&mut stream);
    assert_eq!(pids(&filtered(&mut filter, &mut stream)), [0, 0x20, 0x100, 0x102]);
    stream.sections(0x20, &pmt(1, 1, 0x1FFF, &[(AVC, 0x103, &[])]));
    streams(&mut stream);
    assert_eq!(pids(&filtered(&mut filter, &mut stream)), [0x20, 0x103]);
}

#[test]
fn keys_of_its_own_access_systems_come_with_it() {
    let mut filter = ProgramFilter::new(1);
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    // System 0x0500 for the program, 0x0B00 for its sound; both have an entry in the CAT, and so has
    // another one.
    stream.sections(
        0x20,
        &PmtBuilder::build(PmtConfig {
            program_number: 1,
            pcr_pid: 0x100,
            version: 0,
            program_descriptors: vec![9, 4, 5, 0, 0xE1, 0x50],
            streams: vec![PmtStream {
                stream_type: AAC,
                elementary_pid: 0x101,
                stream_descriptors: vec![9, 4, 0x0B, 0, 0xE1, 0x51],
            }],
        }),
    );
    let emms = [[9, 4, 5, 0, 0xE1, 0x60], [9, 4, 0x0B, 0, 0xE1, 0x61], [9, 4, 6, 0, 0xE1, 0x62]];
    stream.sections(1, &CatBuilder::build(CatConfig { version: 0, descriptors: emms.concat() }));
    for pid in 0x150..0x163 {
        stream.payload(pid, &[0; 9]);
    }
    let out = filtered(&mut filter, &mut stream);
    assert_eq!(pids(&out), [0, 0x20, 1, 0x150, 0x151, 0x160, 0x161]);
}

#[test]
fn damaged_and_misleading_tables_change_nothing() {
    let mut filter = ProgramFilter::new(1);
    let mut stream = TestStream::new();
    stream.sections(0, &pat(0, &[(1, 0x20)]));
    // The PMT names the PAT, the CAT and null packets as streams.
    let streams: [(u8, u16, &[u8]); 3] = [(AVC, 0, &[]), (AVC, 1, &[]), (AVC, 0x1FFF, &[])];
    stream.sections(0x20, &pmt(1, 0, 0x1FFF, &streams));
    stream.payload(0x1FFF, &[0; 9]);
    assert_eq!(pids(&filtered(&mut filter, &mut stream)), [0, 0x20]);
    stream.sections(0, &pat(1, &[(1, 0x21)]));
    let mut damaged = stream.take();
    damaged[14] ^= 1;
    let mut out = Vec::new();
    filter.push(&damaged, &mut out);
    stream.sections(0x21, &pmt(1, 1, 0x100, &[]));
    filter.push(&stream.take(), &mut out);
    assert!(out.is_empty() && !filter.missing());
    // A PMT on the PID of the PAT, of null packets, of the SDT: there is no such program.
    for (version, pid) in [(2, 0), (3, 0x1FFF), (4, 0x11)] {
        stream.sections(0, &pat(version, &[(1, pid)]));
        assert!(filtered(&mut filter, &mut stream).is_empty() && filter.missing());
    }
}
