//! What can be set of a multiplex.

use crate::access_unit::{Timestamp, TrackId, TrackKind};
use crate::container::mpegts::packet::Pid;

/// How tracks are announced: the two worlds use different stream types for AC-3 and E-AC-3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signalling {
    /// Private data with a DVB descriptor (ETSI EN 300 468 Annex D).
    #[default]
    Dvb,
    /// Stream types 0x81 and 0x87 (ATSC A/53 part 3); what HLS asks for.
    Atsc,
    /// The frames that are written are encrypted one by one, SAMPLE-AES of HLS, and the stream types
    /// say so. Carries H.264, AAC LC and HE-AAC, AC-3 and E-AC-3.
    SampleAes,
}

/// Names, PIDs and times of a multiplex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// transport_stream_id.
    pub transport_stream_id: u16,
    /// original_network_id of the SDT; 0xFF00 to 0xFFFF are for private use.
    pub original_network_id: u16,
    /// program_number, which is also the service_id; not 0.
    pub program_number: u16,
    /// Name of the service in the SDT; cut after 60 characters.
    pub service_name: String,
    /// Name of its provider in the SDT; cut after 60 characters.
    pub provider_name: String,
    /// PID of the PMT.
    pub pmt_pid: Pid,
    /// PID of the first video track; the further ones have this + 0xFF + their number.
    pub video_pid: Pid,
    /// PID of the first audio track; the further ones follow.
    pub audio_pid: Pid,
    /// PID of the timed metadata, where there is any.
    pub metadata_pid: Pid,
    /// The program has a track of ID3 tags ([`Muxer::write_metadata`](super::Muxer::write_metadata)),
    /// and its PMT says so from the start: default false. Costs 37 bytes in each PMT.
    pub timed_metadata: bool,
    /// Longest time between two PCRs, in ms of stream time: 5 to 100.
    pub pcr_interval_ms: u32,
    /// Longest time between two PATs and PMTs, in ms of stream time: 20 to 1,000. Above 500 is more
    /// than TR 101 290 allows (indicators 1.3 and 1.5).
    pub tables_interval_ms: u32,
    /// Longest time between two SDTs, in ms of stream time; at least `tables_interval_ms`.
    pub sdt_interval_ms: u32,
    /// How far the PCR is behind the decoding times, in ms: what a decoder buffers, and by how much
    /// one track may be behind another. At least the PCR interval and the bundle together.
    pub lead_ms: u32,
    /// A track that is further behind than `lead_ms` makes the lead grow, up to this, in ms; its
    /// units are left out when they are later than that.
    pub lead_max_ms: u32,
    /// A longer step of the timeline than this is a discontinuity, in ms; a shorter one is filled
    /// with PCRs and tables.
    pub gap_max_ms: u32,
    /// Time of the transport stream at stream time 0, in ms.
    pub start_ms: u32,
    /// Frames of sound share a PES packet up to this duration, in ms; 0: one frame each.
    ///
    /// What it costs: that much delay of the sound. What it saves: a frame has its own packets, of
    /// which the last is half empty.
    pub audio_bundle_ms: u32,
    /// How tracks are announced.
    pub signalling: Signalling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            transport_stream_id: 1,
            original_network_id: 0xFF01,
            program_number: 1,
            service_name: String::new(),
            provider_name: "corelay".to_owned(),
            pmt_pid: Pid::new(0x1000),
            video_pid: Pid::new(0x100),
            audio_pid: Pid::new(0x101),
            metadata_pid: Pid::new(0x120),
            timed_metadata: false,
            pcr_interval_ms: 40,
            tables_interval_ms: 100,
            sdt_interval_ms: 1_000,
            lead_ms: 300,
            lead_max_ms: 5_000,
            gap_max_ms: 2_000,
            start_ms: 1_000,
            audio_bundle_ms: 50,
            signalling: Signalling::Dvb,
        }
    }
}

impl Settings {
    /// Checks what the fields say of each other.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.program_number == 0 {
            return Err("program_number 0 is the network's");
        }
        let tracks = TRACKS_PER_KIND_MAX as u16;
        let (video, audio) = (self.video_pid.value(), self.audio_pid.value());
        // (first, count): the PMT, the first video track, the further ones, the audio tracks, the
        // metadata.
        let ranges = [
            (self.pmt_pid.value(), 1),
            (video, 1),
            (video + FURTHER_VIDEO_PIDS, tracks),
            (audio, tracks),
            (self.metadata_pid.value(), 1),
        ];
        let ranges = if self.timed_metadata { &ranges[..] } else { &ranges[..4] };
        if ranges.iter().any(|&(first, count)| first < 0x20 || first + count > 0x1FFF) {
            return Err("PIDs are 0x20 to 0x1FFE");
        }
        let overlap = |a: (u16, u16), b: (u16, u16)| a.0 < b.0 + b.1 && b.0 < a.0 + a.1;
        for (index, &range) in ranges.iter().enumerate() {
            if ranges.iter().skip(index + 1).any(|&other| overlap(range, other)) {
                return Err("two tracks, or a track and the PMT, share a PID");
            }
        }
        if !(5..=100).contains(&self.pcr_interval_ms) {
            return Err("pcr_interval_ms is 5 to 100");
        }
        if !(20..=1_000).contains(&self.tables_interval_ms) {
            return Err("tables_interval_ms is 20 to 1,000");
        }
        if self.sdt_interval_ms < self.tables_interval_ms {
            return Err("sdt_interval_ms is at least tables_interval_ms");
        }
        if self.lead_ms < self.pcr_interval_ms + self.audio_bundle_ms {
            return Err("lead_ms is at least pcr_interval_ms + audio_bundle_ms");
        }
        if self.lead_max_ms < self.lead_ms || self.lead_max_ms > 60_000 {
            return Err("lead_max_ms is lead_ms to 60,000");
        }
        if self.gap_max_ms < self.pcr_interval_ms || self.gap_max_ms > 60_000 {
            return Err("gap_max_ms is pcr_interval_ms to 60,000");
        }
        Ok(())
    }

    /// PID of a track; `None` when its kind has none or its number is too high.
    pub(super) fn pid(&self, track: TrackId) -> Option<Pid> {
        let index = u16::from(track.index);
        if track.index >= TRACKS_PER_KIND_MAX {
            return None;
        }
        match (track.kind, index) {
            (TrackKind::Video, 0) => Some(self.video_pid),
            (TrackKind::Video, _) => {
                Some(Pid::new(self.video_pid.value() + FURTHER_VIDEO_PIDS + index - 1))
            }
            (TrackKind::Audio, _) => Some(Pid::new(self.audio_pid.value() + index)),
            (TrackKind::Data, _) => None,
        }
    }
}

/// A setting in ms as ticks of the timeline.
pub(super) fn ticks(ms: u32) -> i64 {
    Timestamp::from_millis(i64::from(ms)).0
}

/// The stream_ids of video are 16; a PMT of two times as many tracks fits one section.
const TRACKS_PER_KIND_MAX: u8 = 16;
/// From the first video track's PID to the second one's.
const FURTHER_VIDEO_PIDS: u16 = 0x100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_obey_the_rules_and_broken_rules_are_named() {
        assert_eq!(Settings::default().check(), Ok(()));
        let unused = Settings { metadata_pid: Pid::new(0x100), ..Settings::default() };
        assert_eq!(unused.check(), Ok(()));
        let metadata = Settings { timed_metadata: true, ..Settings::default() };
        assert_eq!(metadata.check(), Ok(()));
        let broken = [
            Settings { program_number: 0, ..Settings::default() },
            Settings { pmt_pid: Pid::new(0x101), ..Settings::default() },
            Settings { audio_pid: Pid::new(0xFF), ..Settings::default() },
            Settings { audio_pid: Pid::new(0x200), ..Settings::default() },
            Settings { video_pid: Pid::new(0x1F), ..Settings::default() },
            Settings { audio_pid: Pid::new(0x1FF8), ..Settings::default() },
            Settings { timed_metadata: true, metadata_pid: Pid::new(0x110), ..Settings::default() },
            Settings { pcr_interval_ms: 101, ..Settings::default() },
            Settings { tables_interval_ms: 1_001, sdt_interval_ms: 2_000, ..Settings::default() },
            Settings { sdt_interval_ms: 99, ..Settings::default() },
            Settings { lead_ms: 89, ..Settings::default() },
            Settings { lead_max_ms: 299, ..Settings::default() },
            Settings { gap_max_ms: 39, ..Settings::default() },
        ];
        for settings in broken {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }

    #[test]
    fn every_track_has_its_own_pid() {
        let settings = Settings::default();
        let pid = |kind, index| settings.pid(TrackId { kind, index }).map(Pid::value);
        assert_eq!(pid(TrackKind::Video, 0), Some(0x100));
        assert_eq!(pid(TrackKind::Video, 1), Some(0x200));
        assert_eq!(pid(TrackKind::Video, 15), Some(0x20E));
        assert_eq!(pid(TrackKind::Video, 16), None);
        assert_eq!(pid(TrackKind::Audio, 0), Some(0x101));
        assert_eq!(pid(TrackKind::Audio, 15), Some(0x110));
        assert_eq!(pid(TrackKind::Data, 0), None);
    }
}
