use bytes::Bytes;

use super::*;
use crate::access_unit::{AccessUnit, FlvBody, Timestamp, TrackId, UnitKind};
use crate::codec::CodecId;
use crate::container::mpegts::mux;
use crate::container::mpegts::packet::Pcr;

const MS: u64 = 1_000;
const S: u64 = 1_000_000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const PMT: u16 = 0x1000;

fn unit(track: TrackId, kind: UnitKind, ms: i64, payload: Vec<u8>) -> AccessUnit {
    let codec = if track == TrackId::VIDEO { CodecId::H264 } else { CodecId::Aac };
    let dts = Timestamp::from_millis(ms);
    let flv = FlvBody::Build;
    AccessUnit { track, kind, codec, dts, pts_offset: 0, payload: Bytes::from(payload), flv }
}

/// Packets of a stream as our own muxer makes it: pictures every 40 ms, sound every 20 ms, each
/// piece with the time at which it would leave, in us.
fn stream(ms: u64) -> Vec<(u64, Vec<u8>)> {
    let settings = mux::Settings { audio_bundle_ms: 0, ..mux::Settings::default() };
    let mut muxer = mux::Muxer::new(settings);
    let avcc = [1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB];
    let video = unit(TrackId::VIDEO, UnitKind::Config, 0, avcc.to_vec());
    let audio = unit(TrackId::AUDIO, UnitKind::Config, 0, vec![0x11, 0x90]);
    let mut pieces = Vec::new();
    muxer.write(&video, &mut Vec::new());
    muxer.write(&audio, &mut Vec::new());
    for at in (0..ms as i64).step_by(20) {
        let mut out = Vec::new();
        if at % 40 == 0 {
            let kind = UnitKind::Frame { random_access: at % 1_000 == 0 };
            let mut payload = 3_000_u32.to_be_bytes().to_vec();
            payload.resize(3_004, 0x41);
            muxer.write(&unit(TrackId::VIDEO, kind, at, payload), &mut out);
        }
        let kind = UnitKind::Frame { random_access: true };
        muxer.write(&unit(TrackId::AUDIO, kind, at, vec![0x21; 300]), &mut out);
        pieces.push((at as u64 * MS, out));
    }
    pieces
}

/// Feeds pieces whose packets `change` may alter, drop (false) or leave.
fn analyse(
    settings: Settings,
    pieces: Vec<(u64, Vec<u8>)>,
    mut change: impl FnMut(u64, &mut [u8; PACKET_SIZE]) -> bool,
) -> Analyser {
    let mut analyser = Analyser::new(settings);
    for (at_us, mut piece) in pieces {
        let mut block = Vec::new();
        for packet in piece.as_chunks_mut::<PACKET_SIZE>().0 {
            if change(at_us, packet) {
                block.extend_from_slice(packet);
            }
        }
        analyser.packets(&block, at_us);
    }
    analyser
}

fn pid_of(packet: &[u8; PACKET_SIZE]) -> u16 {
    Packet::new(packet).pid().value()
}

/// Which indicators were raised, in order.
fn raised(analyser: &mut Analyser) -> Vec<Indicator> {
    let events = std::iter::from_fn(|| analyser.poll_event());
    let is_raised = |event: &Event| matches!(event.change, Change::Raised { .. });
    events.filter(is_raised).map(|event| event.indicator).collect()
}

/// A packet with payload, by hand.
fn packet(pid: u16, counter: u8, starts_unit: bool) -> [u8; PACKET_SIZE] {
    let [high, low] = pid.to_be_bytes();
    let mut bytes = [0xFF; PACKET_SIZE];
    bytes[..4].copy_from_slice(&[0x47, high | u8::from(starts_unit) << 6, low, 0x10 | counter]);
    bytes
}

fn pcr_packet(pid: u16, pcr: u64) -> [u8; PACKET_SIZE] {
    let mut bytes = packet(pid, 0, false);
    bytes[3] = 0x20;
    bytes[4..6].copy_from_slice(&[183, 0x10]);
    bytes[6..12].copy_from_slice(&Pcr::new(pcr).to_bytes());
    bytes
}

#[test]
fn a_good_stream_raises_nothing_and_is_described() {
    let mut analyser = analyse(Settings::default(), stream(5_000), |_, _| true);
    assert_eq!(raised(&mut analyser), []);
    let snapshot = analyser.snapshot();
    assert!(snapshot.alarms.iter().all(|alarm| alarm.errors == 0), "{:?}", snapshot.alarms);
    let pids: Vec<_> = snapshot.pids.iter().map(|pid| pid.pid.value()).collect();
    assert_eq!(pids, [0, 0x11, VIDEO, AUDIO, PMT]);
    let video = &snapshot.pids[2];
    let is_video = matches!(video.role, Role::Stream { program_number: 1, stream_type: 0x1B, .. });
    assert!(is_video && video.pcr.is_some());
    // 25 pictures of 17 packets a second.
    assert_eq!(video.bitrate_bps, 25 * 17 * 188 * 8);
    assert_eq!(snapshot.pids.iter().map(|pid| pid.bitrate_bps).sum::<u64>(), snapshot.bitrate_bps);
    assert_eq!(snapshot.pcr.expect("a clock").interval_max_us, 40 * MS);
    assert!((80 * MS..=100 * MS).contains(&snapshot.pat_interval_max_us));
    assert_eq!(snapshot.pts_interval_max_us, 40 * MS);
    assert_eq!(analyser.tables().services()[0].provider, "corelay");
    assert_eq!(snapshot.worst_clock.interval_max_us, 40 * MS);
    assert_eq!(analyser.summary(), Snapshot { pids: vec![], ..snapshot });
}

#[test]
fn the_worst_of_several_clocks_may_be_of_each() {
    let mut worst = WorstClock::default();
    worst.add(&PcrState { interval_max_us: 5, jitter_us: 1, ..PcrState::default() });
    worst.add(&PcrState { jitter_us: 9, accuracy_ns: Some(3), ..PcrState::default() });
    worst.add(&PcrState { interval_max_us: 4, ..PcrState::default() });
    let expected = WorstClock { interval_max_us: 5, jitter_us: 9, accuracy_ns: Some(3) };
    assert_eq!(worst, expected);
}

#[test]
fn lost_packets_are_counted_where_they_are_lost() {
    let mut count = 0;
    let mut analyser = analyse(Settings::default(), stream(3_000), |_, packet| {
        count += u32::from(pid_of(packet) == VIDEO);
        count % 200 != 199 || pid_of(packet) != VIDEO
    });
    assert_eq!(raised(&mut analyser), [Indicator::ContinuityCountError]);
    let snapshot = analyser.snapshot();
    let errors: Vec<_> = snapshot.pids.iter().map(|pid| pid.counter_errors).collect();
    assert_eq!(errors, [0, 0, 6, 0, 0]);
    assert_eq!(
        (snapshot.totals.counter_errors, analyser.errors(Indicator::ContinuityCountError)),
        (6, 6)
    );
}

#[test]
fn a_packet_may_be_sent_twice_but_not_three_times_and_null_packets_do_not_count() {
    let mut analyser = Analyser::new(Settings::default());
    let mut send = |pid, counters: &[u8]| {
        for &counter in counters {
            analyser.packets(&packet(pid, counter, false), 0);
        }
        analyser.errors(Indicator::ContinuityCountError)
    };
    assert_eq!(send(0x100, &[14, 15, 15, 0, 0, 1]), 0);
    assert_eq!(send(0x100, &[1, 1]), 1);
    assert_eq!(send(0x100, &[2, 3]), 1);
    assert_eq!(send(0x100, &[2]), 2, "out of order");
    assert_eq!(send(0x1FFF, &[0, 0, 0, 7, 3]), 2);
    let snapshot = analyser.snapshot();
    assert_eq!(snapshot.totals.repeated_packets, 3);
    assert_eq!(snapshot.totals.null_packets, 5);
}

#[test]
fn a_discontinuity_indicator_allows_the_counter_to_jump_and_the_clock_too() {
    let mut analyser = Analyser::new(Settings::default());
    analyser.packets(&pcr_packet(0x100, 0), 0);
    analyser.packets(&packet(0x100, 1, false), 0);
    let mut jump = pcr_packet(0x100, 90_000_000);
    jump[5] |= 0x80;
    analyser.packets(&jump, 0);
    analyser.packets(&packet(0x100, 9, false), 0);
    assert_eq!(raised(&mut analyser), []);
    analyser.packets(&pcr_packet(0x100, 0), 0);
    assert_eq!(raised(&mut analyser), [Indicator::PcrDiscontinuityIndicatorError]);
}

#[test]
fn missing_tables_are_noticed_while_they_are_missing() {
    // From 1 s to 4 s there is no PAT, and no PMT from 2 s on.
    let mut analyser = analyse(Settings::default(), stream(12_000), |at_us, packet| {
        let pid = pid_of(packet);
        match pid {
            0 => !(S..4 * S).contains(&at_us),
            PMT => at_us < 2 * S,
            _ => true,
        }
    });
    // The packets that are left out are lost, too: that is another indicator.
    let events: Vec<_> = std::iter::from_fn(|| analyser.poll_event())
        .filter(|event| event.indicator != Indicator::ContinuityCountError)
        .collect();
    let kinds: Vec<_> = events.iter().map(|event| (event.indicator, event.at_us / S)).collect();
    use Indicator::{PatError, PmtError};
    assert_eq!(kinds[..2], [(PatError, 2), (PmtError, 3)]);
    assert_eq!(kinds[2..], [(PatError, 9)], "cleared 5 s after it came back");
    assert_eq!((analyser.errors(PatError), analyser.errors(PmtError)), (1, 1));
    assert_eq!(events[0].pid, Some(Pid::PAT));
    assert!(matches!(events[0].change, Change::Raised { value: 500_001.. }));
}

#[test]
fn a_pid_of_the_pmt_that_does_not_occur_is_missed_and_found_again() {
    let away = 2 * S..9 * S;
    let mut analyser = analyse(Settings::default(), stream(16_000), |at_us, packet| {
        pid_of(packet) != AUDIO || !away.contains(&at_us)
    });
    let events: Vec<_> = std::iter::from_fn(|| analyser.poll_event())
        .filter(|event| event.indicator == Indicator::PidError)
        .map(|event| (event.pid.map(Pid::value), event.at_us / S))
        .collect();
    assert_eq!(events, [(Some(AUDIO), 7), (Some(AUDIO), 14)]);
    let never = analyse(Settings::default(), stream(8_000), |_, packet| pid_of(packet) != AUDIO);
    let snapshot = never.snapshot();
    let audio = snapshot.pids.iter().find(|pid| pid.pid.value() == AUDIO).expect("named");
    assert!(audio.is_missing && audio.packets == 0);
}

#[test]
fn silence_is_noticed_by_ticks() {
    let mut analyser = analyse(Settings::default(), stream(2_000), |_, _| true);
    for second in 2..20 {
        analyser.tick(second * S);
    }
    let raised = raised(&mut analyser);
    let expected =
        [Indicator::PatError, Indicator::PtsError, Indicator::PmtError, Indicator::PidError];
    assert!(expected.iter().all(|indicator| raised.contains(indicator)), "{raised:?}");
    assert_eq!(raised.len(), 4);
    assert_eq!(analyser.snapshot().bitrate_bps, 0);
}

#[test]
fn a_damaged_table_is_a_crc_error_and_what_it_said_stays() {
    let mut analyser = analyse(Settings::default(), stream(3_000), |at_us, packet| {
        if pid_of(packet) == PMT && at_us > S {
            packet[20] ^= 1;
        }
        true
    });
    assert_eq!(raised(&mut analyser), [Indicator::CrcError]);
    assert!(analyser.snapshot().totals.crc_errors > 10);
    assert_eq!(analyser.tables().programs().count(), 1);
}

#[test]
fn scrambled_packets_are_counted_by_pid_and_want_a_cat() {
    let mut analyser = analyse(Settings::default(), stream(3_000), |at_us, packet| {
        if at_us > S && matches!(pid_of(packet), AUDIO | PMT) {
            packet[3] |= 0x80;
        }
        true
    });
    let raised = raised(&mut analyser);
    assert!(raised.contains(&Indicator::CatError) && raised.contains(&Indicator::PmtError));
    let snapshot = analyser.snapshot();
    let scrambled: Vec<_> = snapshot.pids.iter().map(|pid| pid.is_scrambled).collect();
    assert_eq!(scrambled, [false, false, false, true, true]);
    let of_pids = snapshot.pids.iter().map(|pid| pid.scrambled_packets).sum::<u64>();
    assert!(of_pids > 100 && of_pids == snapshot.totals.scrambled_packets);
}

#[test]
fn an_unreferenced_pid_is_reported_when_every_table_is_known() {
    let mut analyser = Analyser::new(Settings::default());
    for (index, (at_us, piece)) in stream(3_000).into_iter().enumerate() {
        analyser.packets(&piece, at_us);
        analyser.packets(&packet(0x777, index as u8 & 0x0F, false), at_us);
    }
    assert_eq!(raised(&mut analyser), [Indicator::UnreferencedPid]);
    let snapshot = analyser.snapshot();
    let stray = snapshot.pids.iter().find(|pid| pid.pid.value() == 0x777).expect("seen");
    assert_eq!((stray.role, stray.packets), (Role::Unreferenced, 150));
}

#[test]
fn sync_is_lost_and_found_with_hysteresis() {
    let mut analyser = Analyser::new(Settings::default());
    let good = packet(0x100, 0, false);
    let mut bad = good;
    bad[0] = 0x48;
    let mut send = |packets: &[&[u8; PACKET_SIZE]]| {
        for packet in packets {
            analyser.packets(*packet, 0);
        }
        let snapshot = analyser.snapshot();
        (snapshot.is_in_sync, snapshot.totals.sync_losses, snapshot.totals.sync_byte_errors)
    };
    assert_eq!(send(&[&good, &bad, &good]), (true, 0, 1));
    assert_eq!(send(&[&bad, &bad]), (false, 1, 3));
    assert_eq!(send(&[&good, &good, &good, &good]), (false, 1, 3));
    assert_eq!(send(&[&bad, &good, &good, &good, &good]), (false, 1, 4));
    assert_eq!(send(&[&good]), (true, 1, 4));
    analyser.report_sync_loss(0);
    assert_eq!(analyser.errors(Indicator::TsSyncLoss), 2);
}

#[test]
fn a_packet_with_a_transport_error_says_nothing_else() {
    let mut analyser = Analyser::new(Settings::default());
    for counter in [0, 1, 9, 2] {
        let mut bytes = packet(0x100, counter, false);
        if counter == 9 {
            bytes[1] |= 0x80;
        }
        analyser.packets(&bytes, 0);
    }
    assert_eq!(raised(&mut analyser), [Indicator::TransportError]);
    assert_eq!(analyser.snapshot().totals.transport_errors, 1);
}

#[test]
fn a_constant_rate_with_null_packets_has_an_accuracy() {
    let mut analyser = Analyser::new(Settings::default());
    // 5,000 packets a second: 200 us each, a PCR every 100 packets with one off by 2 us.
    for number in 0..15_000_u64 {
        let ticks = number * 200 * 27 + if number == 7_500 { 54 } else { 0 };
        let bytes = match number % 100 {
            0 => pcr_packet(0x100, ticks),
            n if n < 60 => packet(0x200, (number - number / 100 * 41 - 1) as u8 & 0x0F, false),
            _ => packet(0x1FFF, 0, false),
        };
        analyser.packets(&bytes, number * 200);
        if number == 4_999 {
            assert_eq!(analyser.errors(Indicator::PcrAccuracyError), 0);
        }
    }
    assert_eq!(analyser.errors(Indicator::PcrAccuracyError), 1);
    let snapshot = analyser.snapshot();
    assert_eq!(snapshot.bitrate_bps, 5_000 * 188 * 8);
    assert!((0.39..0.41).contains(&snapshot.null_share), "{}", snapshot.null_share);
    let clock = snapshot.pids.iter().find_map(|pid| pid.pcr).expect("a clock");
    assert!(clock.rate_bps.abs_diff(5_000 * 188 * 8) < 100 && clock.accuracy_ns.is_some());
}

#[test]
fn every_pid_there_is_stays_within_the_limit() {
    let settings = Settings { pids_max: 100, ..Settings::default() };
    let mut analyser = Analyser::new(settings);
    for round in 0..3 {
        for pid in 0..8_192 {
            analyser.packets(&packet(pid, round, round == 1), u64::from(round) * S);
        }
    }
    analyser.tick(10 * S);
    let snapshot = analyser.snapshot();
    assert!(snapshot.pids.len() <= 100 + 33);
    let tracked: u64 = snapshot.pids.iter().map(|pid| pid.packets).sum();
    assert_eq!(tracked + snapshot.totals.untracked_packets, snapshot.totals.packets);
    assert_eq!(snapshot.totals.packets, 3 * 8_192);
}

#[test]
fn with_the_streams_own_clock_a_burst_is_not_taken_for_time() {
    let settings = Settings { time: TimeSource::Pcr, ..Settings::default() };
    let pieces = stream(10_000).into_iter().map(|(_, piece)| (0, piece)).collect();
    let mut analyser = analyse(settings, pieces, |_, _| true);
    assert_eq!(raised(&mut analyser), []);
    assert!((9 * S..=10 * S).contains(&analyser.now_us()), "{}", analyser.now_us());
    assert!(analyser.snapshot().bitrate_bps > 600_000);
}

#[test]
fn the_streams_own_clock_is_followed_to_another_pid() {
    let settings = Settings { time: TimeSource::Pcr, ..Settings::default() };
    let mut analyser = Analyser::new(settings);
    for n in 0..100 {
        analyser.packets(&pcr_packet(0x300, n * 27 * 40 * MS), 0);
    }
    assert_eq!(analyser.now_us(), 99 * 40 * MS);
    for (_, piece) in stream(2_000) {
        analyser.packets(&piece, 0);
    }
    // The tables name the video's clock; the first PCR of it begins to count.
    assert!((5_800 * MS..=6_000 * MS).contains(&analyser.now_us()), "{}", analyser.now_us());
    let before_us = analyser.now_us();
    for n in 0..21_000 {
        analyser.packets(&pcr_packet(0x300, n * 27 * 40), 0);
    }
    assert!(analyser.now_us() > before_us, "the other one is gone");
}

#[test]
fn a_partial_packet_is_counted_and_left_out() {
    let mut analyser = Analyser::new(Settings::default());
    analyser.packets(&packet(0x100, 0, false)[..100], 0);
    assert_eq!(analyser.snapshot().totals.partial_bytes, 100);
    assert_eq!(analyser.snapshot().totals.packets, 0);
}

#[test]
fn extreme_times_and_settings_do_not_panic() {
    let settings = Settings {
        window_us: 0,
        pids_max: 0,
        raise_errors: 0,
        clear_after_us: u64::MAX,
        pat_interval_us: 0,
        ..Settings::default()
    };
    for settings in [settings, Settings::default()] {
        let mut analyser = Analyser::new(settings);
        for (index, (_, piece)) in stream(2_000).into_iter().enumerate() {
            let at_us = [0, u64::MAX, 5, u64::MAX / 2][index % 4];
            analyser.packets(&piece, at_us);
            analyser.tick(at_us);
        }
        analyser.snapshot();
    }
}
