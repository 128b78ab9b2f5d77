//! The multiplex, packet by packet. One file, because every test uses the units and readers at its top.

use bytes::Bytes;

use super::*;
use crate::access_unit::FlvBody;
use crate::container::mpegts::packet::{PACKET_SIZE, Packet, Pcr};
use crate::container::mpegts::timestamp;

const MS: i64 = 90;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
/// avcC by hand: 4-byte lengths, an SPS and a PPS of two bytes each.
const AVCC: &[u8] = &[1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB];
/// AAC LC, 48 kHz, stereo.
const AAC: &[u8] = &[0x11, 0x90];

fn unit(track: TrackId, codec: CodecId, kind: UnitKind, ms: i64, payload: &[u8]) -> AccessUnit {
    AccessUnit {
        track,
        kind,
        codec,
        dts: Timestamp::from_millis(ms),
        pts_offset: 0,
        payload: Bytes::copy_from_slice(payload),
        flv: FlvBody::Build,
    }
}

fn picture(ms: i64, random_access: bool, size: usize) -> AccessUnit {
    let length = (size as u32).to_be_bytes();
    let mut payload = length.to_vec();
    payload.resize(4 + size, 0x41);
    unit(TrackId::VIDEO, CodecId::H264, UnitKind::Frame { random_access }, ms, &payload)
}

fn sound(ms: i64, size: usize) -> AccessUnit {
    let kind = UnitKind::Frame { random_access: true };
    unit(TrackId::AUDIO, CodecId::Aac, kind, ms, &vec![0x21; size])
}

fn video_config() -> AccessUnit {
    unit(TrackId::VIDEO, CodecId::H264, UnitKind::Config, 0, AVCC)
}

fn audio_config() -> AccessUnit {
    unit(TrackId::AUDIO, CodecId::Aac, UnitKind::Config, 0, AAC)
}

/// A muxer that knows one video and one audio track.
fn muxer(settings: Settings) -> Muxer {
    let mut muxer = Muxer::new(settings);
    for config in [video_config(), audio_config()] {
        assert_eq!(muxer.write(&config, &mut Vec::new()), Written { packets: 0, refused: None });
    }
    muxer
}

fn written(muxer: &mut Muxer, unit: &AccessUnit) -> Vec<u8> {
    let mut out = Vec::new();
    let written = muxer.write(unit, &mut out);
    assert_eq!(written.refused, None);
    assert_eq!(written.packets as usize * PACKET_SIZE, out.len());
    out
}

fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    bytes.as_chunks::<PACKET_SIZE>().0.iter().map(Packet::new)
}

fn pids(bytes: &[u8]) -> Vec<u16> {
    packets(bytes).map(|packet| packet.pid().value()).collect()
}

/// PTS, DTS and payload of the PES packets of one PID.
fn pes_packets(bytes: &[u8], pid: u16) -> Vec<(u64, u64, Vec<u8>)> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for packet in packets(bytes).filter(|packet| packet.pid().value() == pid) {
        if packet.starts_unit() {
            units.push(Vec::new());
        }
        if let Some(unit) = units.last_mut() {
            unit.extend_from_slice(packet.payload());
        }
    }
    let read = |unit: Vec<u8>| {
        let pts = timestamp::parse(&unit[9..]).expect("PTS");
        let has_dts = unit[7] & 0x40 != 0;
        let dts = if has_dts { timestamp::parse(&unit[14..]).expect("DTS") } else { pts };
        (pts, dts, unit[9 + usize::from(unit[8])..].to_vec())
    };
    units.into_iter().map(read).collect()
}

/// Watches every packet as it is written.
#[derive(Default)]
struct Watch {
    counters: Vec<(u16, u8)>,
    pcr: Option<Pcr>,
    /// Decoding times of PES packets since the last PCR.
    times: Vec<u64>,
    tables: Option<Pcr>,
    sdt: Option<Pcr>,
    packets: u64,
    discontinuities: u64,
    pcr_gap_max: i64,
    tables_gap_max: i64,
    sdt_gap_max: i64,
}

impl Watch {
    fn look(&mut self, packet: Packet<'_>) {
        assert!(packet.has_sync() && !packet.is_malformed() && !packet.is_scrambled());
        self.packets += 1;
        let pid = packet.pid().value();
        self.look_at_counter(packet, pid);
        if let Some(pcr) = packet.pcr() {
            self.look_at_pcr(pcr, packet.is_discontinuity());
        }
        // Tables are dated by the PCR before them, which is up to 40 ms early.
        let date = self.pcr;
        match pid {
            0 => note(&mut self.tables, date, &mut self.tables_gap_max),
            0x11 => note(&mut self.sdt, date, &mut self.sdt_gap_max),
            VIDEO_PID.. if pid < 0x200 && packet.starts_unit() => {
                let pes = packet.payload();
                let at = if pes[7] & 0x40 != 0 { 14 } else { 9 };
                let dts = timestamp::parse(&pes[at..]).expect("a time");
                if let Some(pcr) = self.pcr {
                    assert!(timestamp::difference(dts, pcr.base()) >= 0, "PCR ahead of DTS");
                }
                self.times.push(dts);
            }
            _ => {}
        }
    }

    fn look_at_counter(&mut self, packet: Packet<'_>, pid: u16) {
        let found = self.counters.iter_mut().find(|(known, _)| *known == pid);
        let counter = packet.continuity_counter();
        match found {
            None => self.counters.push((pid, counter)),
            Some((_, last)) if packet.has_payload() => {
                assert_eq!(counter, (*last + 1) & 0x0F, "PID {pid}");
                *last = counter;
            }
            Some((_, last)) => assert_eq!(counter, *last),
        }
    }

    fn look_at_pcr(&mut self, pcr: Pcr, is_discontinuity: bool) {
        if is_discontinuity {
            self.discontinuities += 1;
            (self.pcr, self.tables, self.sdt) = (None, None, None);
            self.times.clear();
        }
        for dts in self.times.drain(..) {
            assert!(timestamp::difference(dts, pcr.base()) >= 0, "unit ends after its DTS");
        }
        if let Some(last) = self.pcr {
            let gap = pcr.since(last);
            assert!(gap > 0, "PCR goes back or stands still");
            self.pcr_gap_max = self.pcr_gap_max.max(gap);
        }
        self.pcr = Some(pcr);
    }
}

fn note(last: &mut Option<Pcr>, date: Option<Pcr>, gap_max: &mut i64) {
    if let (Some(last), Some(date)) = (*last, date) {
        *gap_max = (*gap_max).max(date.since(last));
    }
    *last = date;
}

impl ByteSink for Watch {
    fn put(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len() % PACKET_SIZE, 0);
        for packet in packets(bytes) {
            self.look(packet);
        }
    }
}

/// Writes units in the order of their time and keeps the rules of the module.
fn run(settings: Settings, units: impl Iterator<Item = AccessUnit>) -> (Muxer, Watch) {
    let mut muxer = muxer(settings);
    let mut watch = Watch::default();
    for unit in units {
        let written = muxer.write(&unit, &mut watch);
        assert_eq!(written.refused, None);
    }
    muxer.flush(&mut watch);
    assert_eq!(watch.packets, muxer.stats().packets);
    (muxer, watch)
}

fn assert_intervals_are_kept(watch: &Watch) {
    let ms = |ticks: i64| ticks as f64 / 27_000.0;
    assert!(ms(watch.pcr_gap_max) <= 40.0, "PCR: {}", ms(watch.pcr_gap_max));
    // To the millisecond in the tests of the clock.
    assert!(ms(watch.tables_gap_max) <= 140.0, "PAT: {}", ms(watch.tables_gap_max));
    assert!(ms(watch.sdt_gap_max) <= 1_040.0, "SDT: {}", ms(watch.sdt_gap_max));
}

/// Units of a video track every `video_ms` and an audio track every `audio_ms`, by time.
fn stream(video_ms: i64, audio_ms: i64, until_ms: i64) -> impl Iterator<Item = AccessUnit> {
    let (mut video, mut audio) = (0, 0);
    std::iter::from_fn(move || {
        if video.min(audio) >= until_ms {
            return None;
        }
        Some(if video <= audio {
            let unit = picture(video, video % (video_ms * 50) == 0, 300);
            video += video_ms;
            unit
        } else {
            let unit = sound(audio, 100);
            audio += audio_ms;
            unit
        })
    })
}

#[test]
fn a_day_of_sparse_units_keeps_every_interval_over_the_wraps() {
    let settings = Settings { start_ms: 90_000_000, ..Settings::default() };
    let (muxer, watch) = run(settings, stream(1_000, 330, 24 * 3_600_000));
    assert_intervals_are_kept(&watch);
    let stats = muxer.stats();
    assert_eq!((watch.discontinuities, stats.untimely, stats.discontinuities), (0, 0, 0));
    let last = watch.pcr.expect("PCRs").ticks();
    assert!(last < Pcr::new(90_000_000 * 27_000).ticks(), "it has wrapped");
}

#[test]
fn every_usual_frame_rate_keeps_every_interval() {
    // 60, 50, 30, 25, 24, 15 pictures a second; AAC at 48 and 44.1 kHz, MP3, HE-AAC.
    for video_ms in [16, 20, 33, 40, 41, 42, 67] {
        for audio_ms in [21, 23, 24, 43] {
            let (muxer, watch) = run(Settings::default(), stream(video_ms, audio_ms, 20_000));
            assert_intervals_are_kept(&watch);
            assert_eq!(muxer.stats().discontinuities, 0);
        }
    }
    let settings = Settings { pcr_interval_ms: 20, ..Settings::default() };
    let (_, watch) = run(settings, stream(40, 21, 20_000));
    assert!(watch.pcr_gap_max <= 20 * 27_000);
}

#[test]
fn sound_alone_carries_the_pcr_and_marks_every_packet() {
    let only_sound = (0..1_000).map(|n| sound(n * 21, 200));
    let (muxer, watch) = run(Settings::default(), only_sound);
    // Video is configured, but never comes: the clock stands on its PID all the same.
    assert_intervals_are_kept(&watch);
    assert_eq!(muxer.stats().discontinuities, 0);

    let mut muxer = Muxer::new(Settings::default());
    let mut out = Vec::new();
    muxer.write(&audio_config(), &mut out);
    for n in 0..10 {
        muxer.write(&sound(n * 21, 200), &mut out);
    }
    let is_start = |packet: &Packet<'_>| packet.pid().value() == AUDIO_PID && packet.starts_unit();
    assert_eq!(packets(&out).filter(is_start).count(), 10);
    assert!(packets(&out).filter(is_start).all(Packet::is_random_access));
    let with_pcr = |packet: &Packet<'_>| is_start(packet) && packet.pcr().is_some();
    assert_eq!(packets(&out).filter(with_pcr).count(), 10, "every frame is half an interval long");
    assert_eq!(muxer.stats().pcr_packets, 0);
    assert_eq!(pids(&out)[..3], [0, 0x1000, 0x11]);
}

#[test]
fn a_picture_at_which_decoding_may_start_has_all_it_needs_in_front() {
    let mut muxer = muxer(Settings::default());
    for n in 0..60 {
        let out = written(&mut muxer, &picture(n * 40, n % 25 == 0, 500));
        let pids = pids(&out);
        if n % 25 != 0 {
            continue;
        }
        assert_eq!(pids[..2], [0, 0x1000], "picture {n}");
        let first = packets(&out).find(|packet| packet.pid().value() == VIDEO_PID);
        let first = first.expect("the picture");
        assert!(first.starts_unit() && first.is_random_access() && first.pcr().is_some());
        let (_, _, bytes) = &pes_packets(&out, VIDEO_PID)[0];
        let start =
            [0, 0, 0, 1, 9, 0xF0, 0, 0, 0, 1, 0x67, 0xAA, 0, 0, 0, 1, 0x68, 0xBB, 0, 0, 1, 0x41];
        assert_eq!(bytes[..start.len()], start);
    }
    let inter = written(&mut muxer, &picture(2_400, false, 500));
    let first = packets(&inter).find(|packet| packet.pid().value() == VIDEO_PID);
    assert!(!first.expect("the picture").is_random_access());
}

#[test]
fn times_are_those_of_the_units_behind_the_start() {
    let mut muxer = muxer(Settings::default());
    let unit = AccessUnit { pts_offset: 80 * MS as i32, ..picture(0, true, 100) };
    let out = written(&mut muxer, &unit);
    let pes = pes_packets(&out, VIDEO_PID);
    assert_eq!((pes[0].0, pes[0].1), (1_080 * 90, 1_000 * 90));
    let pcr = packets(&out).find_map(Packet::pcr).expect("a PCR");
    assert_eq!(pcr.base(), 700 * 90);
    let backwards = AccessUnit { pts_offset: -80 * MS as i32, ..picture(40, false, 100) };
    let out = written(&mut muxer, &backwards);
    let pes = pes_packets(&out, VIDEO_PID);
    assert_eq!((pes[0].0, pes[0].1), (1_040 * 90, 1_040 * 90), "never shown before decoded");
}

#[test]
fn sound_shares_packets_up_to_the_duration_and_never_over_a_gap() {
    let frames = |settings: Settings, times: &[i64]| {
        let mut muxer = muxer(settings);
        let mut out = Vec::new();
        for &ms in times {
            muxer.write(&sound(ms, 20), &mut out);
        }
        muxer.flush(&mut out);
        let pes = pes_packets(&out, AUDIO_PID);
        let counts: Vec<_> = pes.iter().map(|(.., payload)| payload.len() / 27).collect();
        let times: Vec<_> = pes.iter().map(|(pts, ..)| *pts as i64 / MS - 1_000).collect();
        (counts, times)
    };
    let bundled = |ms| Settings { audio_bundle_ms: ms, ..Settings::default() };
    let steady = [0, 21, 42, 64, 85, 106];
    assert_eq!(frames(bundled(50), &steady), (vec![2, 2, 2], vec![0, 42, 85]));
    assert_eq!(frames(bundled(70), &steady), (vec![3, 3], vec![0, 64]));
    assert_eq!(frames(bundled(0), &steady), (vec![1; 6], steady.to_vec()));
    assert_eq!(frames(bundled(50), &[0, 300, 321]).0, [1, 1, 1], "a gap");
    assert_eq!(frames(bundled(50), &[100, 80]).0, [1, 1], "a step back");
    assert_eq!(frames(bundled(50), &[0, 43, 86]), (vec![1, 1, 1], vec![0, 43, 86]), "HE-AAC");
}

#[test]
fn waiting_sound_goes_out_before_a_picture_that_is_later_than_it_may_wait() {
    let mut muxer = muxer(Settings::default());
    written(&mut muxer, &picture(0, true, 100));
    assert!(written(&mut muxer, &sound(5, 20)).is_empty());
    assert!(!pids(&written(&mut muxer, &picture(40, false, 100))).contains(&AUDIO_PID));
    let out = pids(&written(&mut muxer, &picture(80, true, 100)));
    let place = |pid| out.iter().position(|&other| other == pid).expect("there");
    assert!(place(AUDIO_PID) < place(0), "tables stand right in front of the picture");
    assert!(place(0) < place(VIDEO_PID));
}

#[test]
fn a_prologue_continues_into_the_packets_that_follow() {
    let mut muxer = muxer(Settings::default());
    let mut prologue = Vec::new();
    muxer.write_prologue(&mut prologue);
    assert!(prologue.is_empty(), "the first unit brings its tables itself");
    for unit in stream(40, 21, 1_234) {
        muxer.write(&unit, &mut Vec::new());
    }
    let mut watch = Watch::default();
    muxer.write_prologue(&mut watch);
    assert_eq!(watch.packets, 3);
    for unit in stream(40, 21, 3_000).filter(|unit| unit.dts.as_millis() >= 1_260) {
        muxer.write(&unit, &mut watch);
    }
    // The watch has checked every counter.
    assert!(watch.packets > 100);
}

#[test]
fn a_prologue_between_a_change_and_its_first_packets_continues_too() {
    let mut muxer = Muxer::new(Settings::default());
    let mut before = Watch::default();
    muxer.write(&video_config(), &mut before);
    muxer.write(&picture(0, true, 100), &mut before);
    muxer.write(&audio_config(), &mut before);
    // Sound waits for its packet, and the tables of both tracks with it.
    assert_eq!(muxer.write(&sound(0, 20), &mut before).packets, 0);
    let mut joiner = Watch::default();
    muxer.write_prologue(&mut joiner);
    for n in 1..50 {
        muxer.write(&picture(n * 40, false, 100), &mut joiner);
    }
    assert!(joiner.tables.is_some());
}

#[test]
fn a_late_track_makes_the_lead_grow_once_and_a_hopeless_one_is_left_out() {
    let mut muxer = muxer(Settings { audio_bundle_ms: 0, ..Settings::default() });
    let mut watch = Watch::default();
    for n in 0..100 {
        muxer.write(&picture(n * 40, n % 25 == 0, 100), &mut watch);
        if n >= 50 {
            assert_eq!(muxer.write(&sound(n * 40 - 1_000, 50), &mut watch).refused, None);
        }
    }
    assert_eq!((muxer.stats().discontinuities, watch.discontinuities), (1, 1));
    assert!((1_000..1_200).contains(&muxer.stats().lead_ms), "{}", muxer.stats().lead_ms);
    muxer.write(&picture(60_000, true, 100), &mut watch);
    let late = muxer.write(&sound(4_000, 50), &mut watch);
    assert_eq!(late, Written { packets: 0, refused: Some(NotCarried::TooLate) });
    assert_eq!(muxer.stats().untimely, 1);
}

#[test]
fn a_gap_of_the_timeline_is_marked_and_the_counters_go_on() {
    let mut muxer = muxer(Settings::default());
    let mut watch = Watch::default();
    muxer.write(&picture(0, true, 100), &mut watch);
    muxer.write(&picture(40, false, 100), &mut watch);
    muxer.write(&picture(100_000, true, 100), &mut watch);
    muxer.write(&picture(100_040, false, 100), &mut watch);
    muxer.write(&picture(20, true, 100), &mut watch);
    assert_eq!((watch.discontinuities, muxer.stats().discontinuities), (2, 2));
}

#[test]
fn tracks_that_come_and_go_change_the_tables_and_nothing_else() {
    let version = |bytes: &[u8]| {
        let pmt = packets(bytes).find(|packet| packet.pid().value() == 0x1000)?;
        Some(pmt.bytes()[10] >> 1 & 0x1F)
    };
    let mut watch = Watch::default();
    let mut muxer = Muxer::new(Settings::default());
    muxer.write(&video_config(), &mut watch);
    let first = written(&mut muxer, &picture(0, true, 100));
    assert_eq!(version(&first), Some(0));
    watch.put(&first);
    muxer.write(&audio_config(), &mut watch);
    let second = written(&mut muxer, &picture(40, false, 100));
    assert_eq!(version(&second), Some(1), "the new track is announced at once");
    watch.put(&second);
    muxer.restart(&mut watch);
    assert_eq!(muxer.tracks().count(), 0);
    for config in [audio_config(), video_config()] {
        muxer.write(&config, &mut watch);
    }
    let third = written(&mut muxer, &picture(80, true, 100));
    assert_eq!(version(&third), Some(1), "the same tracks again");
    watch.put(&third);
    muxer.restart(&mut watch);
    muxer.write(&video_config(), &mut watch);
    let fourth = written(&mut muxer, &picture(120, true, 100));
    assert_eq!(version(&fourth), Some(2));
    watch.put(&fourth);
}

#[test]
fn every_track_says_where_it_is_or_why_not() {
    let mut muxer = muxer(Settings::default());
    let frame = UnitKind::Frame { random_access: true };
    let extra = |kind, index| TrackId { kind, index };
    let refused = [
        (TrackId { kind: TrackKind::Video, index: 1 }, CodecId::Vp9, frame),
        (extra(TrackKind::Audio, 1), CodecId::Speex, frame),
        (extra(TrackKind::Audio, 2), CodecId::Aac, frame),
        (extra(TrackKind::Audio, 99), CodecId::Mp3, frame),
        (TrackId::DATA, CodecId::Amf0, UnitKind::Metadata),
        (TrackId::VIDEO, CodecId::H264, UnitKind::Opaque),
    ];
    let reasons: Vec<_> = refused
        .into_iter()
        .map(|(track, codec, kind)| {
            let mut out = Vec::new();
            let written = muxer.write(&unit(track, codec, kind, 0, &[1, 2, 3]), &mut out);
            assert!(written.packets == 0 && out.is_empty());
            written.refused.expect("refused")
        })
        .collect();
    use NotCarried::{Data, NoConfig, NoMapping, TooManyTracks};
    assert_eq!(reasons, [NoMapping, NoMapping, NoConfig, TooManyTracks, Data, Data]);
    let mp3 = unit(extra(TrackKind::Audio, 3), CodecId::Mp3, frame, 0, &[0xFF, 0xFB, 0x90, 0x64]);
    assert_eq!(muxer.write(&mp3, &mut Vec::new()).refused, None);
    let states: Vec<_> = muxer
        .tracks()
        .map(|state| (state.codec, state.carriage.map(|(pid, kind)| (pid.value(), kind))))
        .collect();
    assert_eq!(
        states,
        [
            (CodecId::H264, Ok((0x100, 0x1B))),
            (CodecId::Vp9, Err(NoMapping)),
            (CodecId::Aac, Ok((0x101, 0x0F))),
            (CodecId::Speex, Err(NoMapping)),
            (CodecId::Aac, Err(NoConfig)),
            (CodecId::Mp3, Ok((0x104, 0x03))),
        ]
    );
    assert_eq!(muxer.stats().refused, 4, "frames, not data");
}

#[test]
fn a_malformed_picture_is_refused_and_the_next_one_goes_on() {
    let mut muxer = muxer(Settings::default());
    let mut watch = Watch::default();
    muxer.write(&picture(0, true, 100), &mut watch);
    let mut bad = picture(40, false, 100);
    bad.payload = bad.payload.slice(..50);
    assert!(matches!(muxer.write(&bad, &mut watch).refused, Some(NotCarried::Malformed(_))));
    assert_eq!(muxer.write(&picture(80, false, 100), &mut watch).refused, None);
    let long = sound(80, 9_000);
    assert_eq!(muxer.write(&long, &mut watch).refused, Some(NotCarried::TooLong));
}

#[test]
fn large_opus_packets_do_not_wait_together() {
    let mut muxer = Muxer::new(Settings::default());
    let mut head = b"OpusHead\x01\x02".to_vec();
    head.resize(19, 0);
    let (track, codec) = (TrackId::AUDIO, CodecId::Opus);
    let mut out = Vec::new();
    muxer.write(&unit(track, codec, UnitKind::Config, 0, &head), &mut out);
    let frame = UnitKind::Frame { random_access: true };
    for (ms, size) in [(0, 10), (1, 62_000), (2, 62_000), (3, 62_001)] {
        let written = muxer.write(&unit(track, codec, frame, ms, &vec![1; size]), &mut out);
        assert_eq!(written.refused.is_some(), size > 62_000);
    }
    muxer.flush(&mut out);
    let sizes: Vec<_> = pes_packets(&out, AUDIO_PID).iter().map(|(.., p)| p.len()).collect();
    assert_eq!(sizes, [13, 62_000 + 2 + 244, 62_000 + 2 + 244]);
}

fn with_metadata() -> Settings {
    Settings { timed_metadata: true, ..Settings::default() }
}

// Written by hand from Apple's Timed Metadata for HTTP Live Streaming, 2.2 and 2.3, and ISO/IEC
// 13818-1 2.6.58 and 2.6.60.
#[test]
fn the_tables_announce_timed_metadata_only_where_it_is_set() {
    let pmt = |settings| {
        let out = written(&mut muxer(settings), &picture(0, true, 100));
        let pmt = packets(&out).find(|packet| packet.pid().value() == 0x1000).expect("a PMT");
        pmt.payload().to_vec()
    };
    let announced = pmt(with_metadata());
    let pointer = b"\xF0\x11\x25\x0F\xFF\xFFID3 \xFFID3 \x00\x1F\x00\x01";
    assert_eq!(announced[11..11 + pointer.len()], pointer[..]);
    let stream = b"\x15\xE1\x20\xF0\x0F\x26\x0D\xFF\xFFID3 \xFFID3 \x00\x0F";
    let at = 11 + pointer.len() + 10;
    assert_eq!(announced[at..at + stream.len()], stream[..], "behind video and audio");
    let plain = pmt(Settings::default());
    assert_eq!(plain[3] + 37, announced[3], "section_length");
    assert!(!plain.windows(4).any(|window| window == b"ID3 "));
}

#[test]
fn a_tag_travels_whole_at_its_time_and_its_counter_goes_on() {
    let mut muxer = muxer(with_metadata());
    let mut out = Vec::new();
    let mut expected = Vec::new();
    let mut watch = Watch::default();
    for ms in (0..4_000).step_by(40) {
        muxer.write(&picture(ms, ms % 1_000 == 0, 100), &mut out);
        let tag = [b"ID3\x04", &vec![ms as u8; (ms / 10) as usize][..]].concat();
        let written = muxer.write_metadata(&tag, Timestamp::from_millis(ms + 5), &mut out);
        assert_eq!(written.refused, None);
        expected.push((((1_005 + ms) * MS) as u64, ((1_005 + ms) * MS) as u64, tag));
    }
    watch.put(&out);
    assert_eq!(watch.packets, muxer.stats().packets);
    assert_eq!(pes_packets(&out, 0x120), expected);
    let mut starts = packets(&out).filter(|p| p.pid().value() == 0x120 && p.starts_unit());
    let header = starts.next().expect("a tag").payload();
    assert_eq!(header[..9], [0, 0, 1, 0xBD, 0, 12, 0x84, 0x80, 5], "aligned, PTS alone");
}

#[test]
fn a_tag_does_not_move_the_clock_however_wrong_its_time_is() {
    let mut with = muxer(with_metadata());
    let mut plain = muxer(with_metadata());
    let mut watch = Watch::default();
    let (mut written, mut expected) = (Vec::new(), Vec::new());
    for ms in (0..400).step_by(40) {
        with.write(&picture(ms, ms == 0, 100), &mut written);
        plain.write(&picture(ms, ms == 0, 100), &mut expected);
        for wrong in [i64::MIN, -60_000 * MS, 60_000 * MS, i64::MAX] {
            let refused = with.write_metadata(b"ID3", Timestamp(wrong), &mut written).refused;
            assert_eq!(refused, None);
        }
    }
    watch.put(&written);
    let others = packets(&written).filter(|packet| packet.pid().value() != 0x120);
    assert_eq!(others.flat_map(|packet| *packet.bytes()).collect::<Vec<_>>(), expected);
    let times: Vec<_> = pes_packets(&written, 0x120).iter().map(|(pts, ..)| *pts as i64).collect();
    let (early, late) = (740 * MS, 3_000 * MS);
    assert_eq!(times[..4], [early, early, late, late], "the next PCR, and gap_max_ms ahead");
}

#[test]
fn tags_are_refused_where_nothing_announces_them() {
    let mut out = Vec::new();
    let now = Timestamp::default();
    let mut plain = muxer(Settings::default());
    plain.write(&picture(0, true, 100), &mut out);
    let mut early = muxer(with_metadata());
    for muxer in [&mut plain, &mut early] {
        let mut none = Vec::new();
        let written = muxer.write_metadata(b"ID3", now, &mut none);
        assert_eq!((written.packets, written.refused), (0, Some(NotCarried::Data)));
        assert!(none.is_empty());
    }
    early.write(&picture(0, true, 100), &mut out);
    let mut refused = |tag: &[u8]| early.write_metadata(tag, now, &mut out).refused;
    assert_eq!(refused(b"3DI"), Some(NotCarried::Malformed("no ID3 tag")));
    let mut long = b"ID3".to_vec();
    long.resize(65_527, 0);
    assert_eq!(refused(&long), None);
    long.push(0);
    assert_eq!(refused(&long), Some(NotCarried::TooLong));
}
