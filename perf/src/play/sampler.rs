//! What a sampled player notes of the media it gets.

use corelay_protocols::rtmp::{MediaKind, MediaMessage};

use super::result::Tally;
use crate::stamp;

/// One player's memory between arrivals.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    burst_us: Option<u64>,
    arrived_us: u64,
    audio_ms: Option<u32>,
    video_ms: Option<u32>,
    sequence: Option<u32>,
}

impl Sampler {
    /// Notes that bytes arrived: more than [`BURST_GAP_US`] after the last ones they begin a burst.
    pub(super) fn arrival(&mut self, arrived_us: u64, tally: &mut Tally) {
        let gap_us = arrived_us.saturating_sub(self.arrived_us);
        self.arrived_us = arrived_us;
        if gap_us < BURST_GAP_US {
            return;
        }
        if let Some(before_us) = self.burst_us.replace(arrived_us) {
            tally.interarrival.record_us(arrived_us.saturating_sub(before_us));
        }
    }

    /// Notes a message that was complete with the bytes that arrived at `arrived_us`. The latency
    /// counts for frames sent within the window only.
    pub(super) fn media(
        &mut self,
        media: &MediaMessage,
        arrived_us: u64,
        window_start_us: u64,
        tally: &mut Tally,
    ) {
        let last_ms = match media.kind {
            MediaKind::Audio => &mut self.audio_ms,
            MediaKind::Video => &mut self.video_ms,
            MediaKind::Data => return,
        };
        // Compared as RTMP times are: modulo 2^32.
        let back = |last: u32| (media.timestamp_ms.wrapping_sub(last) as i32) < 0;
        if last_ms.replace(media.timestamp_ms).is_some_and(back) {
            tally.timestamp_errors += 1;
        }
        let Some(stamp) = stamp::read(&media.payload) else { return };
        if let Some(last) = self.sequence.replace(stamp.sequence) {
            tally.frames_missed += u64::from(stamp.sequence.saturating_sub(last).saturating_sub(1));
        }
        if stamp.sent_us >= window_start_us {
            tally.latency.record_us(arrived_us.saturating_sub(stamp.sent_us));
        }
    }

    /// Begins anew with the window, so that nothing before it counts.
    pub(super) fn open_window(&mut self) {
        self.burst_us = None;
    }
}

/// True for a video message with which a decoder can begin.
pub(super) fn is_keyframe(media: &MediaMessage) -> bool {
    let [head, second, ..] = *media.payload else { return false };
    if media.kind != MediaKind::Video || head >> 4 & 0x7 != FRAME_TYPE_KEY {
        return false;
    }
    match (head & ENHANCED != 0, head & 0xF) {
        // PacketType of Enhanced RTMP: 0 is the configuration, 1 and 3 are coded frames.
        (true, packet_type) => matches!(packet_type, 1 | 3),
        // AVCPacketType: 0 is the configuration.
        (false, CODEC_AVC | CODEC_HEVC) => second == 1,
        (false, _) => true,
    }
}

/// Sends that follow each other faster than this are one burst: a server that gathers 13 ms or more
/// is told from one that needs several calls for one burst.
const BURST_GAP_US: u64 = 2_000;
/// FrameType, CodecID and the Enhanced RTMP bit in an FLV video tag (Annex E.4.3.1; E-RTMP).
const FRAME_TYPE_KEY: u8 = 1;
const CODEC_AVC: u8 = 7;
const CODEC_HEVC: u8 = 12;
const ENHANCED: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn video(timestamp_ms: u32, payload: Vec<u8>) -> MediaMessage {
        MediaMessage { kind: MediaKind::Video, timestamp_ms, payload: Bytes::from(payload) }
    }

    fn stamped(timestamp_ms: u32, sent_us: u64, sequence: u32) -> MediaMessage {
        let mut body = vec![0x27, 1, 0, 0, 0];
        stamp::write(stamp::Stamp { sent_us, sequence }, &mut body);
        video(timestamp_ms, body)
    }

    #[test]
    fn latency_counts_for_frames_sent_within_the_window() {
        let (mut sampler, mut tally) = (Sampler::default(), Tally::default());
        sampler.media(&stamped(0, 900, 0), 5_000, 1_000, &mut tally);
        sampler.media(&stamped(40, 1_000, 1), 1_300, 1_000, &mut tally);
        let latency = tally.latency.summary_us().unwrap();
        assert_eq!((latency.count, latency.max), (1, 300.0));
    }

    #[test]
    fn missing_frames_and_times_that_go_back_are_counted() {
        let (mut sampler, mut tally) = (Sampler::default(), Tally::default());
        for (time, sequence) in [(u32::MAX - 10, 0), (30, 1), (29, 5)] {
            sampler.media(&stamped(time, 0, sequence), 0, 0, &mut tally);
        }
        assert_eq!((tally.timestamp_errors, tally.frames_missed), (1, 3));
    }

    #[test]
    fn reads_close_together_are_one_burst() {
        let (mut sampler, mut tally) = (Sampler::default(), Tally::default());
        for at in [10_000, 10_500, 11_000, 50_000, 50_001, 90_000] {
            sampler.arrival(at, &mut tally);
        }
        let gaps = tally.interarrival.summary_us().unwrap();
        assert_eq!(gaps.count, 2);
        assert!((gaps.p50 - 40_000.0).abs() < 50.0);
    }

    #[test]
    fn configurations_are_no_keyframes() {
        let key = |payload: &[u8]| is_keyframe(&video(0, payload.to_vec()));
        assert!(key(b"\x17\x01") && key(b"\x91hvc1") && key(b"\x93hvc1") && key(b"\x12\x00"));
        assert!(!key(b"\x17\x00") && !key(b"\x27\x01") && !key(b"\x90hvc1") && !key(b"\x17"));
        let audio = MediaMessage { kind: MediaKind::Audio, ..video(0, vec![0x17, 1]) };
        assert!(!is_keyframe(&audio));
    }
}
