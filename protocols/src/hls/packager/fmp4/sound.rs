//! Decoding times of sound, whose frames tell how long they are.
//!
//! RTMP counts in milliseconds, so that the times of frames of 21.33 ms come 21 and 22 ms apart; a
//! player that plays them so has a crack in every frame. The frames' own lengths are exact, and their
//! sum is put right by small steps only when it is away from the times by more than rounding makes.

use bytes::Bytes;
use corelay_codecs::codec::aac::AudioSpecificConfig;
use corelay_codecs::codec::ac3::SyncFrame;
use corelay_codecs::codec::mp3::FrameHeader;
use corelay_codecs::codec::{CodecId, opus};

/// The length of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) samples: u32,
    pub(super) sample_rate_hz: u32,
}

/// How long a track's frames are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// All are of this length.
    Fixed(Length),
    /// Each tells it.
    ByFrame(fn(&[u8]) -> Option<Length>),
    /// It is known when the next one comes.
    Unknown,
}

/// Where the next frame is to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    next: Option<Next>,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    time: i64,
    /// What is left over, in 1/`sample_rate_hz` ticks.
    rest: u64,
}

/// A frame's place, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) time: i64,
    pub(super) duration: i64,
}

impl Clock {
    /// The clock of a track with this configuration record.
    pub(super) fn new(codec: CodecId, config: &Bytes) -> Self {
        match codec {
            CodecId::Aac => match AudioSpecificConfig::parse(config) {
                Some(config) => Self::Fixed(Length {
                    samples: config.frame_samples(),
                    sample_rate_hz: config.sample_rate_hz.max(1),
                }),
                None => Self::Unknown,
            },
            CodecId::Mp3 | CodecId::Mp2 => Self::ByFrame(|frame| {
                let header = FrameHeader::parse(frame)?;
                Some(Length { samples: header.samples, sample_rate_hz: header.sample_rate_hz })
            }),
            CodecId::Ac3 | CodecId::Eac3 => Self::ByFrame(length_of_ac3),
            CodecId::Opus => Self::ByFrame(|packet| {
                Some(Length { samples: opus::packet_samples(packet)?, sample_rate_hz: 48_000 })
            }),
            _ => Self::Unknown,
        }
    }

    /// The length of a frame; `None` when it is not known before the next one.
    pub(super) fn length(self, frame: &[u8]) -> Option<Length> {
        match self {
            Self::Fixed(length) => Some(length),
            Self::ByFrame(length) => length(frame),
            Self::Unknown => None,
        }
    }
}

/// The frames of E-AC-3 that make one unit: those that have a time of their own count.
fn length_of_ac3(unit: &[u8]) -> Option<Length> {
    let first = SyncFrame::parse(unit)?;
    let (mut samples, mut rest) = (first.samples, unit.get(first.size..).unwrap_or_default());
    while let Some(frame) = SyncFrame::parse(rest) {
        samples += if frame.is_part_of_last { 0 } else { frame.samples };
        rest = rest.get(frame.size.max(1)..).unwrap_or_default();
    }
    Some(Length { samples, sample_rate_hz: first.sample_rate_hz })
}

impl Line {
    /// The place of a frame that is said to be at `time`. It follows the one before, but for gaps of
    /// two frames and more.
    pub(super) fn pass(&mut self, time: i64, length: Length) -> Place {
        let rate = u64::from(length.sample_rate_hz.max(1));
        let ticks = u64::from(length.samples) * 90_000;
        let frame = ((ticks / rate) as i64).max(1);
        let expected = self.next.unwrap_or(Next { time, rest: 0 });
        let late = time.saturating_sub(expected.time);
        let is_gap = late >= 2 * frame;
        let (at, late) = if is_gap { (Next { time, rest: 0 }, 0) } else { (expected, late) };
        let whole = at.rest + ticks;
        let step = (whole / rate) as i64 + correction(late, frame);
        let duration = step.max(1);
        self.next = Some(Next { time: at.time.saturating_add(duration), rest: whole % rate });
        Place { time: at.time, duration }
    }

    /// What follows does not continue what was.
    pub(super) fn reset(&mut self) {
        self.next = None;
    }
}

/// How much longer a frame is made when it is `late`.
fn correction(late: i64, frame: i64) -> i64 {
    let excess = late - late.clamp(-ROUNDING_TICKS, ROUNDING_TICKS);
    (excess / 8).clamp(-frame / 16, frame / 16)
}

/// Times in whole milliseconds are away from the true ones by less than this.
const ROUNDING_TICKS: i64 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    const AAC_44: Length = Length { samples: 1_024, sample_rate_hz: 44_100 };

    /// The times in ms of frames that are truly `ms(n)` late.
    fn places(count: i64, late_ms: impl Fn(i64) -> i64) -> Vec<Place> {
        let mut line = Line::default();
        let time_ms = |n: i64| n * 1_024_000 / 44_100 + late_ms(n);
        (0..count).map(|n| line.pass(time_ms(n) * 90, AAC_44)).collect()
    }

    #[test]
    fn rounded_times_become_exact_and_stay_so_for_a_day() {
        let mut line = Line::default();
        for n in 0..24 * 3_600 * 43_i64 {
            let exact = n * 1_024 * 90_000 / 44_100;
            let place = line.pass(exact / 90 * 90, AAC_44);
            assert_eq!(place.time, exact, "frame {n}");
            assert!((2_089..=2_090).contains(&place.duration));
        }
    }

    #[test]
    fn frames_follow_each_other_without_a_gap_while_a_drift_is_put_right() {
        // Half a second an hour.
        let places = places(43 * 3_600, |n| n / 43 * 500 / 3_600);
        for pair in places.windows(2) {
            assert_eq!(pair[0].time + pair[0].duration, pair[1].time);
            assert!((2_089 - 131..=2_090 + 131).contains(&pair[0].duration));
        }
        let last = places.last().expect("many");
        let true_time = (43 * 3_600 - 1) * 1_024_000 / 44_100 + 499;
        assert!((last.time - true_time * 90).abs() <= 180, "{}", last.time - true_time * 90);
    }

    #[test]
    fn jitter_of_a_frame_makes_no_gap_and_no_overlap() {
        let places = places(1_000, |n| if n % 3 == 0 { 20 } else { -15 });
        assert!(places.windows(2).all(|pair| pair[0].time + pair[0].duration == pair[1].time));
    }

    #[test]
    fn a_real_gap_is_kept_and_a_step_back_is_not_followed() {
        let places = places(100, |n| match n {
            0..50 => 0,
            50..80 => 400,
            _ => 200,
        });
        let gap = places[50].time - places[49].time - places[49].duration;
        assert!((gap - 36_000).abs() <= 90, "{gap}");
        assert!(places.windows(2).all(|pair| pair[1].time > pair[0].time));
        assert_eq!(places[80].time, places[79].time + places[79].duration);
    }

    #[test]
    fn frames_tell_their_length() {
        let length = |codec, config: &'static [u8], frame: &[u8]| {
            let length = Clock::new(codec, &Bytes::from_static(config)).length(frame)?;
            Some((length.samples, length.sample_rate_hz))
        };
        assert_eq!(length(CodecId::Aac, &[0x12, 0x10], &[]), Some((1_024, 44_100)));
        assert_eq!(length(CodecId::Mp3, &[], &[0xFF, 0xFB, 0x90, 0x64]), Some((1_152, 44_100)));
        assert_eq!(length(CodecId::Opus, &[], &[0xFC]), Some((960, 48_000)));
        assert_eq!(length(CodecId::Flac, &[], &[0xFF]), None);
        assert_eq!(length(CodecId::Aac, &[], &[]), None);
        let mut frame = vec![0; 256];
        frame[..6].copy_from_slice(&[0x0B, 0x77, 0, 0, 0x08, 0x40]);
        assert_eq!(length(CodecId::Ac3, &[], &frame), Some((1_536, 48_000)));
        assert_eq!(length(CodecId::Ac3, &[], &frame.repeat(2)), Some((3_072, 48_000)));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut line = Line::default();
        for time in [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX] {
            line.pass(time, AAC_44);
            line.pass(time, Length { samples: u32::MAX, sample_rate_hz: 0 });
        }
    }
}
