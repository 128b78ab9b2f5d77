use libmpegts::psi::{
    Desc48, Descriptor as _, PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream,
    SdtBuilder, SdtConfig, SdtService, Sections,
};
use libmpegts::utils::textcode::Charset;

use super::*;
use crate::access_unit::TrackKind;
use crate::container::mpegts::PACKET_SIZE;
use crate::container::mpegts::psi::EsFormat;

struct Stream {
    tables: Tables,
    counters: Vec<u8>,
}

impl Stream {
    fn new(limits: Limits) -> Self {
        Self { tables: Tables::new(limits), counters: vec![0; Pid::COUNT] }
    }

    fn send(&mut self, pid: u16, sections: &Sections) -> Vec<Change> {
        let mut changes = Vec::new();
        for section in sections {
            let mut payload = vec![0];
            payload.extend_from_slice(section);
            for (number, chunk) in payload.chunks(184).enumerate() {
                let start = if number == 0 { 0x40 } else { 0 };
                let counter = &mut self.counters[usize::from(pid)];
                let mut packet = vec![0x47, start | (pid >> 8) as u8, pid as u8, 0x10 | *counter];
                *counter = (*counter + 1) & 0x0F;
                packet.extend_from_slice(chunk);
                packet.resize(PACKET_SIZE, 0xFF);
                let packet = Packet::parse(&packet).expect("in sync");
                self.tables.push(packet, &mut |change| changes.push(change));
            }
        }
        changes
    }
}

fn pat(version: u8, programs: &[(u16, u16)]) -> Sections {
    let program = |&(program_number, pid): &(u16, u16)| PatProgram { program_number, pid };
    PatBuilder::build(PatConfig {
        transport_stream_id: 7,
        version,
        programs: programs.iter().map(program).collect(),
    })
}

fn pmt(program_number: u16, version: u8, streams: &[(u8, u16, &[u8])]) -> Sections {
    let stream = |&(stream_type, elementary_pid, descriptors): &(u8, u16, &[u8])| PmtStream {
        stream_type,
        elementary_pid,
        stream_descriptors: descriptors.to_vec(),
    };
    PmtBuilder::build(PmtConfig {
        program_number,
        pcr_pid: 0x100,
        version,
        program_descriptors: Vec::new(),
        streams: streams.iter().map(stream).collect(),
    })
}

fn fault(pid: u16, fault: Fault) -> Change {
    Change::Fault { pid: Pid::new(pid), fault }
}

#[test]
fn programs_come_change_and_go() {
    let mut stream = Stream::new(Limits::default());
    let program = |program_number| Change::Program { program_number };
    assert_eq!(stream.send(0, &pat(0, &[(0, 0x10), (1, 0x20), (2, 0x21)])), [Change::Pat]);
    assert_eq!(stream.send(0, &pat(0, &[(0, 0x10), (1, 0x20), (2, 0x21)])), []);
    assert_eq!(stream.send(0x21, &pmt(2, 0, &[(0x1B, 0x200, &[])])), [program(2)]);
    assert_eq!(stream.send(0x20, &pmt(1, 0, &[(0x1B, 0x100, &[])])), [program(1)]);
    assert_eq!(stream.send(0x20, &pmt(1, 0, &[(0x1B, 0x100, &[])])), []);
    let numbers: Vec<_> = stream.tables.programs().map(|p| p.program_number).collect();
    assert_eq!(numbers, [1, 2], "in the order of the PAT");
    assert_eq!(stream.send(0x20, &pmt(1, 1, &[(0x24, 0x100, &[])])), [program(1)]);
    let streams = &stream.tables.program(1).expect("known").streams;
    assert_eq!((streams.len(), streams[0].format), (1, EsFormat::H265));
    // Not in the PAT, or on another PID than the PAT says.
    assert_eq!(stream.send(0x20, &pmt(3, 0, &[])), []);
    assert_eq!(stream.send(0x21, &pmt(1, 2, &[])), []);
    let removed = Change::ProgramRemoved { program_number: 2 };
    assert_eq!(stream.send(0, &pat(1, &[(1, 0x20)])), [removed, Change::Pat]);
    assert!(!stream.tables.is_table(Pid::new(0x21)) && stream.tables.is_table(Pid::new(0x20)));
}

#[test]
fn a_pat_of_several_sections_counts_when_all_are_there() {
    let programs: Vec<_> = (1..=400).map(|number| (number, 0x100 + number)).collect();
    let sections = pat(3, &programs);
    assert!(sections.len() > 1);
    let mut stream = Stream::new(Limits::default());
    let mut first = Sections::new_empty();
    first.push_section(&sections[0]);
    assert_eq!(stream.send(0, &first), []);
    assert_eq!(stream.send(0, &sections), [Change::Pat]);
    assert_eq!(stream.tables.pat().expect("complete").entries.len(), 400);
    let mut stream = Stream::new(Limits { programs_max: 10, ..Limits::default() });
    let too_many = fault(0, Fault::TooMany { setting: "programs_max" });
    assert_eq!(stream.send(0, &sections), [too_many, Change::Pat]);
    assert_eq!(stream.tables.slots.len(), 10 + FIXED_PIDS.len());
}

#[test]
fn tables_that_point_at_themselves_are_refused() {
    let mut stream = Stream::new(Limits::default());
    let bad = |program_number, pid| fault(0, Fault::PmtPid { program_number, pid: Pid::new(pid) });
    let changes = stream.send(0, &pat(0, &[(1, 0), (2, 0x1FFE), (3, 1), (4, 0x11), (5, 0x20)]));
    assert_eq!(changes, [bad(1, 0), bad(3, 1), bad(4, 0x11), Change::Pat]);
    let elementary =
        |pid| fault(0x20, Fault::ElementaryPid { program_number: 5, pid: Pid::new(pid) });
    let streams: &[(u8, u16, &[u8])] = &[
        (0x1B, 0x20, &[]),
        (0x1B, 0, &[]),
        (0x1B, 0x100, &[]),
        (0x0F, 0x100, &[]),
        (0x0F, 0x1FFE, &[]),
        (0x0F, 0x101, &[]),
    ];
    let expected = [
        elementary(0x20),
        elementary(0),
        elementary(0x100),
        elementary(0x1FFE),
        Change::Program { program_number: 5 },
    ];
    assert_eq!(stream.send(0x20, &pmt(5, 0, streams)), expected);
    let kept = &stream.tables.program(5).expect("known").streams;
    assert_eq!(kept.iter().map(|s| s.pid.value()).collect::<Vec<_>>(), [0x100, 0x101]);
}

#[test]
fn codings_are_told_by_stream_type_and_descriptors() {
    let table: &[(u8, &[u8], EsFormat, &str)] = &[
        (0x1B, &[], EsFormat::H264, ""),
        (0x03, b"\x0A\x04fra\x00", EsFormat::MpegAudio, "fra"),
        (0x06, b"\x6A\x01\x00\x0A\x04eng\x03", EsFormat::Ac3, "eng"),
        (0x06, b"\x7A\x01\x00", EsFormat::Eac3, ""),
        (0x06, b"\x56\x05deu\x09\x00", EsFormat::Teletext, "deu"),
        (0x06, b"\x59\x08nld\x10\x00\x01\x00\x02", EsFormat::DvbSubtitles, "nld"),
        (0x06, b"\x05\x04Opus\x7F\x02\x80\x02", EsFormat::Opus, ""),
        (0x06, b"\x05\x04AV01", EsFormat::Av1, ""),
        (0x06, b"\x05\x04KLVA", EsFormat::Klv, ""),
        (0x06, b"\x05\x04HEVC", EsFormat::H265, ""),
        (0x06, b"\x52\x01\x07", EsFormat::PrivatePes, ""),
        (0x11, &[], EsFormat::AacLatm, ""),
        (0x33, &[], EsFormat::H266, ""),
        (0x86, b"\x05\x04CUEI", EsFormat::Scte35, ""),
        (0x81, &[], EsFormat::Ac3, ""),
        (0x87, &[], EsFormat::Eac3, ""),
        (0x05, b"\x6F\x03\x00\x01\x00", EsFormat::Sections, ""),
        (0x02, &[], EsFormat::Mpeg2Video, ""),
        (0xF0, &[], EsFormat::Other, ""),
    ];
    let streams: Vec<_> = table
        .iter()
        .zip(0x100_u16..)
        .map(|((stream_type, descriptors, ..), pid)| (*stream_type, pid, *descriptors))
        .collect();
    let mut stream = Stream::new(Limits::default());
    stream.send(0, &pat(0, &[(1, 0x20)]));
    stream.send(0x20, &pmt(1, 0, &streams));
    let program = stream.tables.program(1).expect("known");
    for (found, (_, _, format, language)) in program.streams.iter().zip(table) {
        assert_eq!((found.format, found.language.as_str()), (*format, *language));
        assert_eq!(found.format.codec().kind() == found.format.kind(), {
            found.format.codec() != crate::CodecId::Unknown
                || found.format.kind() == TrackKind::Data
        });
    }
    assert_eq!(program.streams.len(), table.len());
    assert_eq!(program.streams[6].opus_channel_config, Some(2));
    let words = |index: usize| {
        let descriptors = &program.streams[index].descriptors;
        descriptors.iter().map(|d| format!("{} {}", d.name, d.detail)).collect::<Vec<_>>()
    };
    assert_eq!(words(4), ["teletext deu page 100"]);
    assert_eq!(words(5), ["subtitling nld type 0x10, page 1"]);
    assert_eq!(words(6), ["registration Opus", "Opus 80 02"]);
    assert_eq!(words(10), ["stream_identifier component 7"]);
}

#[test]
fn services_have_names_in_their_own_charset() {
    let mut descriptors = Vec::new();
    Desc48 {
        service_type: 1,
        provider_name: "Провайдер",
        service_name: "Канал",
        charset: Charset::Iso8859_5,
    }
    .encode(&mut descriptors)
    .expect("fits");
    let sections = SdtBuilder::build(SdtConfig {
        table_id: TABLE_SDT_ACTUAL,
        transport_stream_id: 7,
        original_network_id: 1,
        version: 0,
        services: vec![SdtService {
            service_id: 5,
            eit_schedule_flag: false,
            eit_present_following_flag: false,
            running_status: 4,
            free_ca_mode: true,
            service_descriptors: descriptors,
        }],
    });
    let mut stream = Stream::new(Limits::default());
    assert_eq!(stream.send(0x11, &sections), [Change::Services]);
    assert_eq!(stream.send(0x11, &sections), []);
    let expected = Service {
        service_id: 5,
        service_type: 1,
        name: "Канал".to_owned(),
        provider: "Провайдер".to_owned(),
        running_status: 4,
        is_scrambled: true,
    };
    assert_eq!(stream.tables.service(5), Some(&expected));
}

#[test]
fn a_descriptor_loop_that_ends_inside_a_descriptor_is_told_and_the_rest_used() {
    let mut stream = Stream::new(Limits::default());
    stream.send(0, &pat(0, &[(1, 0x20)]));
    let cut: &[(u8, u16, &[u8])] = &[(0x1B, 0x100, b"\x0A\x04fra\x00\x52\xFF\x01")];
    let changes = stream.send(0x20, &pmt(1, 0, cut));
    let content = fault(0x20, Fault::Content { table_id: 2 });
    assert_eq!(changes, [content, Change::Program { program_number: 1 }]);
    assert_eq!(stream.tables.program(1).expect("known").streams[0].language, "fra");
}

#[test]
fn every_pid_as_pmt_and_every_table_on_every_pid_is_bounded() {
    let limits = Limits { programs_max: 100_000, services_max: 10 };
    let mut stream = Stream::new(limits);
    let programs: Vec<_> = (0x10..0x1FFE).map(|pid| (pid, pid)).collect();
    stream.send(0, &pat(0, &programs));
    assert!(stream.tables.slots.len() <= Pid::COUNT);
    for pid in (0x12..0x1FFE).step_by(97) {
        stream.send(pid, &pmt(pid, 0, &[(0x1B, 0x1FFD, &[])]));
    }
    assert!(stream.tables.programs().count() > 80);
    stream.send(0, &pat(1, &[(1, 0x20)]));
    assert_eq!(stream.tables.slots.len(), 1 + FIXED_PIDS.len());
    assert_eq!(stream.tables.programs().count(), 0);
}
