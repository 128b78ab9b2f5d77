use libmpegts::psi::{Desc48Ref, PmtSectionRef, SdtSectionRef};

use super::*;
use crate::access_unit::TrackKind::{Audio, Video};
use crate::codec::CodecId;
use crate::codec::hex;
use crate::container::mpegts::mux::Signalling;
use crate::container::mpegts::mux::carriage::carriage;

fn settings() -> Settings {
    let (service_name, provider_name) = ("Service01".to_owned(), "FFmpeg".to_owned());
    Settings { service_name, provider_name, ..Settings::default() }
}

fn of(codec: CodecId, config: &[u8]) -> Carriage {
    carriage(codec, config, &[], Signalling::Dvb).expect("carried")
}

fn h264_and_aac() -> Description {
    let video = (Pid::new(0x100), Video, of(CodecId::H264, &[]));
    let audio = (Pid::new(0x101), Audio, of(CodecId::Aac, &[0x12, 0x10]));
    Description { pcr_pid: Pid::new(0x100), streams: vec![video, audio] }
}

fn written(tables: &mut Tables) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(tables.write(true, &mut out) as usize * PACKET_SIZE, out.len());
    out
}

/// The section in a packet that holds one whole.
fn section(packet: &[u8]) -> &[u8] {
    let size = 3 + usize::from(u16::from_be_bytes([packet[6] & 0x0F, packet[7]]));
    &packet[5..5 + size]
}

// From `ffmpeg -i h264_aac.flv -c copy -f mpegts`, ffmpeg 5.1, whose PIDs and names are taken here.
#[test]
fn pat_pmt_and_sdt_are_those_of_ffmpeg() {
    let mut tables = Tables::new(&settings());
    tables.describe(&settings(), h264_and_aac());
    let out = written(&mut tables);
    let expected = [
        "47400010 00 00B00D0001C100000001F0002AB104B2",
        "47500010 00 02B0170001C10000E100F0001BE100F0000FE101F0002F44B99B",
        "47401110 00 42F0250001C10000FF01FF0001FC80144812010646466D70656709536572766963653031777C43CA",
    ];
    for (packet, expected) in out.chunks(PACKET_SIZE).zip(expected) {
        let expected = hex(expected);
        let (start, stuffing) = packet.split_at(expected.len());
        assert_eq!(start, expected);
        assert!(stuffing.iter().all(|&byte| byte == 0xFF));
    }
}

#[test]
fn counters_go_on_and_a_repetition_is_what_was_written_last() {
    let mut tables = Tables::new(&settings());
    tables.describe(&settings(), h264_and_aac());
    let mut last = Vec::new();
    for round in 0..40_u8 {
        last = written(&mut tables);
        for packet in last.chunks(PACKET_SIZE) {
            assert_eq!(packet[3], 0x10 | round & 0x0F);
        }
    }
    let mut repeated = Vec::new();
    tables.repeat(&mut repeated);
    assert_eq!(repeated, last);
}

#[test]
fn the_version_counts_changes_and_nothing_else() {
    let mut tables = Tables::new(&settings());
    let mut version = |description| {
        tables.describe(&settings(), description);
        let out = written(&mut tables);
        let pmt = PmtSectionRef::try_from(section(&out[PACKET_SIZE..])).expect("a PMT");
        let sdt = SdtSectionRef::try_from(section(&out[2 * PACKET_SIZE..])).expect("an SDT");
        (pmt.version(), sdt.version())
    };
    let mut radio = h264_and_aac();
    radio.streams.remove(0);
    radio.pcr_pid = Pid::new(0x101);
    let mut hevc = h264_and_aac();
    hevc.streams[0].2 = of(CodecId::H265, &[]);
    assert_eq!(version(h264_and_aac()), (0, 0));
    assert_eq!(version(h264_and_aac()), (0, 0));
    assert_eq!(version(hevc), (1, 0));
    assert_eq!(version(radio), (2, 1), "television becomes radio");
    for change in 3..40 {
        let description = if change % 2 == 0 {
            h264_and_aac()
        } else {
            Description { pcr_pid: Pid::new(0x101), ..h264_and_aac() }
        };
        assert_eq!(version(description).0, change % 32);
    }
}

#[test]
fn as_many_tracks_as_there_can_be_fit_one_section_over_several_packets() {
    let mut tables = Tables::new(&settings());
    let av1 = of(CodecId::Av1, &[0x81, 0, 0, 0]);
    let streams = (0..32).map(|n| (Pid::new(0x100 + n), Video, av1.clone())).collect();
    tables.describe(&settings(), Description { pcr_pid: Pid::new(0x100), streams });
    let out = written(&mut tables);
    let pmt: Vec<_> = out.chunks(PACKET_SIZE).filter(|packet| packet[1] & 0x1F == 0x10).collect();
    assert_eq!(pmt.len(), 4);
    let bytes: Vec<u8> = pmt.iter().flat_map(|packet| packet[4..].to_vec()).collect();
    let size = 3 + usize::from(u16::from_be_bytes([bytes[2] & 0x0F, bytes[3]]));
    let pmt = PmtSectionRef::try_from(&bytes[1..1 + size]).expect("a PMT");
    assert_eq!(pmt.streams().count(), 32);
}

#[test]
fn names_are_marked_as_utf_8_when_they_must_be_and_cut_when_they_are_long() {
    let names = |service: &str, provider: &str| {
        let settings = Settings {
            service_name: service.to_owned(),
            provider_name: provider.to_owned(),
            ..Settings::default()
        };
        let bytes = service_descriptor(&settings, 1);
        let descriptors = libmpegts::psi::DescriptorsRef::from(&bytes[..]);
        let descriptor = descriptors.into_iter().next().expect("one").expect("readable");
        let service = Desc48Ref::try_from(descriptor).expect("a service descriptor");
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        (text(service.service_name()), text(service.provider_name()))
    };
    assert_eq!(names("News/1", "corelay"), ("News/1".to_owned(), "corelay".to_owned()));
    assert_eq!(names("Köln", "x"), ("\u{15}Köln".to_owned(), "\u{15}x".to_owned()));
    assert_eq!(names(&"x".repeat(300), "").0.len(), 60);
    let too_long = "\u{1F4FA}".repeat(60);
    assert_eq!(names(&too_long, &too_long), (String::new(), String::new()));
}
