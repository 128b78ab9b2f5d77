//! What the selector is told.

use corelay_codecs::container::mpegts::analysis::Settings;

use super::stream::{AUDIO, PAT, PMT, SECOND_AUDIO, Stream, VIDEO, only};
use crate::channel::input::Watch;
use crate::clock::Micros;

struct Rig {
    watch: Watch,
    stream: Stream,
    now: Micros,
}

impl Rig {
    fn new() -> Self {
        Self {
            watch: Watch::new(Settings::default(), None, 500),
            stream: Stream::new(),
            now: Micros::from_millis(1_000),
        }
    }

    /// Runs for some time; `change` may alter the packets of every 20 ms.
    fn run(&mut self, ms: u64, mut change: impl FnMut(Vec<u8>) -> Vec<u8>) {
        for _ in 0..ms / 20 {
            self.now = self.now.after_millis(20);
            let packets = change(self.stream.next());
            self.watch.packets(&packets, self.now);
            if self.now.0.is_multiple_of(260_000) {
                self.watch.tick(self.now);
            }
        }
    }

    fn good(&mut self, ms: u64) {
        self.run(ms, |packets| packets);
    }

    fn tracks_ms_ago(&mut self) -> u64 {
        let health = self.watch.health(self.now);
        self.ms_ago(health.last_tracks)
    }

    fn ms_ago(&self, at: Option<Micros>) -> u64 {
        self.now.millis_since(at.expect("it was there"))
    }
}

#[test]
fn a_good_stream_is_in_health() {
    let mut rig = Rig::new();
    let before = rig.watch.health(rig.now);
    assert_eq!(before, crate::channel::select::Health::default());
    rig.good(20);
    let first = rig.watch.health(rig.now);
    assert_eq!((first.last_pat, first.last_pmt), (Some(rig.now), Some(rig.now)));
    rig.good(4_980);
    let health = rig.watch.health(rig.now);
    assert_eq!(health.last_packet, Some(rig.now));
    assert_eq!(health.heard_since, Some(Micros::from_millis(1_020)));
    assert!(health.is_in_sync && !health.is_scrambled && health.continuity_errors == 0);
    assert!(rig.ms_ago(health.last_pat) <= 100 && rig.ms_ago(health.last_pmt) <= 100);
    assert!(rig.ms_ago(health.last_tracks) <= 40);
    // 17 packets a picture, 2 a sound, tables.
    let kbps = health.bitrate_kbps.expect("more than a second");
    assert!((800..900).contains(&kbps), "{kbps}");
}

#[test]
fn what_is_missing_is_known_by_its_last_time() {
    for missing in [PAT, PMT, VIDEO, AUDIO] {
        let mut rig = Rig::new();
        rig.good(2_000);
        rig.run(1_000, |packets| only(&packets, |pid| pid != missing));
        let health = rig.watch.health(rig.now);
        let is_gone = |at| rig.ms_ago(at) >= 1_000;
        let gone = [health.last_pat, health.last_pmt, health.last_tracks].map(is_gone);
        let is_track = missing == VIDEO || missing == AUDIO;
        assert_eq!(gone, [missing == PAT, missing == PMT, is_track], "{missing:#x}");
        assert!(rig.ms_ago(health.last_packet) <= 20);
    }
}

#[test]
fn video_that_never_came_is_missed_and_sound_that_never_came_is_not_while_there_is_another() {
    let mut rig = Rig::new();
    rig.run(3_000, |packets| only(&packets, |pid| pid != VIDEO));
    assert!(rig.tracks_ms_ago() > 2_500);
    let mut rig = Rig::new();
    rig.run(3_000, |packets| only(&packets, |pid| pid != AUDIO));
    assert!(rig.tracks_ms_ago() > 2_500, "no sound at all");
    let mut rig = Rig::new();
    rig.good(3_000);
    assert!(rig.tracks_ms_ago() <= 40, "the second one");
    rig.stream.send_second_audio();
    rig.good(1_000);
    rig.run(1_000, |packets| only(&packets, |pid| pid != SECOND_AUDIO));
    assert!(rig.tracks_ms_ago() >= 1_000, "it was there");
}

#[test]
fn lost_packets_count_for_a_second() {
    let mut rig = Rig::new();
    rig.good(2_000);
    let mut number = 0;
    rig.run(400, |packets| {
        only(&packets, |pid| {
            number += u32::from(pid == VIDEO);
            pid != VIDEO || number % 20 != 0
        })
    });
    let errors = rig.watch.health(rig.now).continuity_errors;
    // 10 pictures of 17 packets.
    assert!((7..=9).contains(&errors), "{errors}");
    rig.good(500);
    assert_eq!(rig.watch.health(rig.now).continuity_errors, errors);
    rig.good(700);
    assert_eq!(rig.watch.health(rig.now).continuity_errors, 0);
}

#[test]
fn scrambled_tracks_are_seen_and_forgotten() {
    let mut rig = Rig::new();
    rig.good(2_000);
    rig.run(100, |mut packets| {
        packets.as_chunks_mut::<188>().0.iter_mut().for_each(|packet| packet[3] |= 0x80);
        packets
    });
    assert!(rig.watch.health(rig.now).is_scrambled);
    rig.good(1_100);
    assert!(!rig.watch.health(rig.now).is_scrambled);
}

#[test]
fn packets_without_sync_bytes_are_none() {
    let mut rig = Rig::new();
    rig.good(2_000);
    rig.run(100, |packets| vec![0x55; packets.len()]);
    assert!(!rig.watch.health(rig.now).is_in_sync);
    rig.good(100);
    assert!(rig.watch.health(rig.now).is_in_sync);
    rig.watch.packets(&[0x47; 187], rig.now.after_millis(5));
    assert_eq!(rig.watch.health(rig.now).last_packet, Some(rig.now), "less than a packet");
}

#[test]
fn what_follows_a_silence_is_a_new_beginning() {
    let mut rig = Rig::new();
    rig.good(2_000);
    rig.now = rig.now.after_millis(400);
    rig.good(1_000);
    assert_eq!(rig.watch.health(rig.now).heard_since, Some(Micros::from_millis(1_020)));
    rig.now = rig.now.after_millis(480);
    let begin = rig.now.after_millis(20);
    rig.good(100);
    let health = rig.watch.health(rig.now);
    assert_eq!((health.heard_since, health.bitrate_kbps), (Some(begin), None));
}

#[test]
fn the_rate_falls_when_nothing_comes() {
    let mut rig = Rig::new();
    rig.good(2_000);
    let now = rig.now.after_millis(3_000);
    assert!(rig.watch.health(now).bitrate_kbps.unwrap() < 400);
    let now = now.after_millis(1_000);
    assert_eq!(rig.watch.health(now).bitrate_kbps, Some(0));
}

#[test]
fn the_wanted_program_is_watched() {
    let mut rig = Rig::new();
    rig.watch = Watch::new(Settings::default(), Some(7), 500);
    rig.good(3_000);
    let health = rig.watch.health(rig.now);
    assert!(health.last_pat.is_some(), "the PAT is there, and has no such program");
    assert_eq!((health.last_pmt, health.last_tracks), (None, None));
    assert!(rig.watch.program().is_none());
    rig.watch = Watch::new(Settings::default(), Some(1), 500);
    rig.good(1_000);
    assert_eq!(rig.watch.program().map(|program| program.program_number), Some(1));
}
