//! The generated stream of a headend, through the analyser and the demultiplexer: it is what it says
//! that it is, so that other tests may build on it.

use bytes::Bytes;
use corelay_codecs::container::mpegts::analysis::{Analyser, Settings as Analysis, TimeSource};
use corelay_codecs::container::mpegts::demux::{Demuxer, Output};
use corelay_codecs::container::mpegts::psi::EsFormat;
use corelay_codecs::{AccessUnit, TrackId, TsBlock, UnitKind};
use headend::{CLOCK_WRAP, Headend, Role, Settings, Sound, digest_per_pid};

#[allow(dead_code, unreachable_pub)] // Other test programs use other parts of it.
#[path = "../../engine/tests/support/headend.rs"]
mod headend;

#[test]
fn the_analyser_finds_nothing_wrong_even_over_a_wrap_of_the_clock() {
    let dense = Settings { rate_bps: 2_000_000, video_bps: 700_000, ..Settings::default() };
    let fast = Settings { rate_bps: 15_000_000, video_bps: 12_000_000, ..Settings::default() };
    let clock_start = Some(CLOCK_WRAP - 5 * 27_000_000 - 13);
    let wrapping = Settings { clock_start, ..Settings::default() };
    for settings in [Settings::default(), dense, fast, wrapping] {
        let rate = settings.rate_bps;
        let mut headend = Headend::new(settings);
        let mut analyser = Analyser::new(Analysis { time: TimeSource::Pcr, ..Analysis::default() });
        for block in headend.next_ms(12_000).chunks(7 * 188) {
            analyser.packets(block, 0);
        }
        let snapshot = analyser.snapshot();
        for alarm in snapshot.alarms {
            assert_eq!(alarm.errors, 0, "{} at {rate} bit/s", alarm.indicator.name());
        }
        assert_eq!(snapshot.totals.section_errors, 0);
        assert!(snapshot.at_us > 11_900_000, "{}", snapshot.at_us);
        assert!(snapshot.bitrate_bps.abs_diff(rate) < rate / 50, "{}", snapshot.bitrate_bps);
        assert!(snapshot.pcr.is_some_and(|pcr| pcr.interval_max_us <= 40_000));
        let seen: Vec<_> = snapshot.pids.iter().filter(|pid| pid.packets > 0).collect();
        let seen: Vec<_> = seen.iter().map(|pid| pid.pid.value()).collect();
        let said: Vec<_> = headend.pids().into_iter().map(|(pid, _)| pid).collect();
        assert_eq!(seen, said);
    }
}

#[test]
fn its_tables_name_every_stream() {
    let mut headend = Headend::new(Settings::default());
    let mut analyser = Analyser::new(Analysis::default());
    analyser.packets(&headend.next_ms(2_000), 0);
    let tables = analyser.tables();
    let program = tables.program(1001).expect("a PMT");
    let formats: Vec<_> = program.streams.iter().map(|stream| stream.format).collect();
    let expected = [
        EsFormat::H264,
        EsFormat::AacAdts,
        EsFormat::MpegAudio,
        EsFormat::Teletext,
        EsFormat::DvbSubtitles,
        EsFormat::Scte35,
        EsFormat::Sections,
        EsFormat::PrivatePes,
    ];
    assert_eq!(formats, expected);
    assert_eq!(program.streams[1].language, "eng");
    assert_eq!(program.streams[2].language, "deu");
    assert_eq!(program.pcr_pid.value(), headend.pid(Role::Video));
    let service = tables.services().first().expect("an SDT");
    assert_eq!((service.name.as_str(), service.service_id), ("Headend One", 1001));
}

#[test]
fn packets_are_the_same_however_they_are_asked_for() {
    let mut whole = Headend::new(Settings::default());
    let whole = whole.next_packets(20_000);
    let mut pieces = Headend::new(Settings::default());
    let mut joined = Vec::new();
    for count in (1..400).cycle() {
        joined.extend(pieces.next_packets(count));
        if joined.len() >= whole.len() {
            break;
        }
    }
    assert!(joined[..whole.len()] == whole[..]);
}

#[test]
fn another_seed_has_other_content_in_every_pid_and_another_clock() {
    let of = |settings| {
        let mut headend = Headend::new(settings);
        let clock = headend.clock_27mhz();
        (digest_per_pid(&headend.next_ms(9_000)), clock)
    };
    let (one, one_clock) = of(Settings::default());
    let (other, other_clock) = of(Settings { seed: 1, ..Settings::default() });
    assert!(one_clock.abs_diff(other_clock) > 27_000_000 * 60);
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert!(one.iter().all(|(pid, digest)| other.get(pid) != Some(digest)));
    let (moved, _) = of(Settings { first_pid: 0x200, ..Settings::default() });
    let of_program = |digests: &std::collections::BTreeMap<u16, _>| {
        digests.keys().copied().filter(|pid| (0x20..0x1FFF).contains(pid)).collect::<Vec<_>>()
    };
    let expected: Vec<_> = of_program(&one).into_iter().map(|pid| pid + 0x100).collect();
    assert_eq!(of_program(&moved), expected);
}

#[test]
fn a_digest_changes_with_a_bit_a_loss_or_an_order_within_a_pid_and_not_between_pids() {
    let mut headend = Headend::new(Settings::default());
    let stream = headend.next_packets(3_000);
    let digests = digest_per_pid(&stream);
    let packets: Vec<_> = stream.chunks(188).collect();
    let pid = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);

    let mut sorted = packets.clone();
    sorted.sort_by_key(|packet| pid(packet));
    assert_eq!(digest_per_pid(&sorted.concat()), digests);

    let mut changed = stream.clone();
    changed[100 * 188 + 187] ^= 1;
    assert_ne!(digest_per_pid(&changed), digests);

    let video: Vec<_> = (0..3_000).filter(|&at| pid(packets[at]) == 0x101).collect();
    let mut swapped = packets.clone();
    swapped.swap(video[7], video[8]);
    assert_ne!(digest_per_pid(&swapped.concat()), digests);

    let mut lost = packets.clone();
    lost.remove(video[9]);
    assert_ne!(digest_per_pid(&lost.concat()), digests);
}

fn units(stream: Vec<u8>) -> (Vec<AccessUnit>, Demuxer) {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    demuxer.push(&TsBlock::new(Bytes::from(stream)).expect("whole packets"), &mut out);
    let unit = |output| match output {
        Output::Unit(unit) if unit.kind != UnitKind::Config => Some(unit),
        _ => None,
    };
    (out.into_iter().filter_map(unit).collect(), demuxer)
}

#[test]
fn its_pictures_and_sounds_come_out_of_the_demultiplexer_at_their_times() {
    let sounds = vec![Sound::Aac, Sound::Mp2, Sound::Aac];
    let mut headend = Headend::new(Settings { sounds, ..Settings::default() });
    let start = (headend.clock_27mhz() / 300) as i64;
    let (units, demuxer) = units(headend.next_ms(10_000));
    assert_eq!(demuxer.counters().units_damaged, 0);
    let of = |track| units.iter().filter(move |unit| unit.track == track);
    for (number, picture) in of(TrackId::VIDEO).enumerate() {
        assert_eq!(picture.dts.0 - start, 45_000 + number as i64 * 3_600);
        assert_eq!(picture.pts_offset, 3_600);
        assert_eq!(picture.is_video_random_access(), number % 25 == 0);
    }
    assert!(of(TrackId::VIDEO).count() >= 248);
    for (index, ticks) in [(0, 1_920), (1, 2_160), (2, 1_920)] {
        let track = TrackId { index, ..TrackId::AUDIO };
        for (number, sound) in of(track).enumerate() {
            assert_eq!(sound.dts.0 - start, 18_000 + number as i64 * ticks);
        }
        assert!(of(track).count() as i64 >= 870_000 / ticks);
    }
}
