//! Arrivals against the clock that a transport stream carries.
//!
//! Between two PCRs the bytes of a stream are spread evenly (ISO/IEC 13818-1 2.4.2.2), so each
//! datagram has a time of its own: that of its first byte. The offset of its arrival to that time is
//! constant when the sender keeps to the clock exactly. Over a window of ten seconds a straight line
//! is fitted to the offsets (least squares): its slope is the difference in rate between the two
//! clocks, which is no error of the sender, and what is left are the errors.
//!
//! Left out: what lies before the first and behind the last PCR, and intervals in which packets are
//! missing or the clock jumps.

use corelay_codecs::container::mpegts::packet::{PACKET_SIZE, Packet, Pcr, Pid};
use serde::{Deserialize, Serialize};

use crate::figures::{Distribution, Summary};

/// One stream's clock and the arrivals since its last PCR.
#[derive(Debug, Default)]
pub struct ClockLine {
    /// The first PID that carried a PCR, and its last continuity counter.
    pid: Option<(Pid, u8)>,
    /// Packets so far.
    place: u64,
    /// The last PCR: its place, the reference and nanoseconds since the first one.
    last: Option<(u64, Pcr, i64)>,
    /// Packets are missing since then.
    is_broken: bool,
    /// Datagrams since then: the place of their first packet and their arrival.
    pending: Vec<(u64, u64)>,
    /// Nanoseconds of the stream's clock, and the offset of the arrival to it, both from the first.
    samples: Vec<(i64, i64)>,
    first_arrival_ns: u64,
}

/// Errors of many streams.
#[derive(Debug, Default)]
pub struct ClockErrors {
    errors: Distribution,
    within: u64,
    drift_ppm_max: f64,
}

/// How well datagrams keep to the clocks of their streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockResult {
    /// Datagrams that were judged.
    pub datagrams: u64,
    /// The share of them that came within 1 ms of their time, 0 to 1.
    pub within_1_ms: f64,
    /// How far from their time they came, either way, in microseconds.
    pub error_us: Summary,
    /// The greatest difference in rate between a stream's clock and this machine's, in millionths.
    pub drift_ppm_max: f64,
}

impl ClockLine {
    /// Takes a datagram in.
    pub fn datagram(&mut self, bytes: &[u8], arrived_ns: u64, errors: &mut ClockErrors) {
        self.pending.push((self.place, arrived_ns));
        for packet in bytes.as_chunks::<PACKET_SIZE>().0 {
            self.packet(Packet::new(packet), errors);
            self.place += 1;
        }
        if self.pending.len() > PENDING_MAX {
            self.pending.clear();
            self.last = None;
        }
    }

    /// Ends the line and counts its errors; it can begin anew.
    pub fn finish(&mut self, errors: &mut ClockErrors) {
        errors.add_line(&self.samples);
        *self = Self::default();
    }

    fn packet(&mut self, packet: Packet<'_>, errors: &mut ClockErrors) {
        let pcr = packet.pcr();
        match &mut self.pid {
            None if pcr.is_some() => {
                self.pid = Some((packet.pid(), packet.continuity_counter()));
            }
            Some((pid, counter)) if *pid == packet.pid() => {
                let expected = (*counter + u8::from(packet.has_payload())) & 0xF;
                *counter = packet.continuity_counter();
                if *counter != expected {
                    self.is_broken = true;
                }
            }
            _ => return,
        }
        if let Some(pcr) = pcr {
            self.clock(pcr, errors);
        }
    }

    fn clock(&mut self, pcr: Pcr, errors: &mut ClockErrors) {
        let Some((place, before, before_ns)) = self.last else {
            return self.begin(pcr, errors);
        };
        let ticks = pcr.since(before);
        if !(1..=INTERVAL_TICKS_MAX).contains(&ticks) {
            return self.begin(pcr, errors);
        }
        let interval_ns = ticks * 1_000 / TICKS_PER_US;
        let packets = (self.place - place).max(1) as i64;
        if std::mem::take(&mut self.is_broken) {
            // Their places are not known.
            self.pending.clear();
        }
        for (at, arrived_ns) in self.pending.drain(..) {
            if self.samples.is_empty() {
                self.first_arrival_ns = arrived_ns;
            }
            let due_ns = before_ns + (at as i64 - place as i64) * interval_ns / packets;
            let offset_ns = arrived_ns as i64 - self.first_arrival_ns as i64 - due_ns;
            self.samples.push((due_ns, offset_ns));
        }
        let now_ns = before_ns + interval_ns;
        self.last = Some((self.place, pcr, now_ns));
        let begun_ns = self.samples.first().map_or(now_ns, |(due_ns, _)| *due_ns);
        if now_ns - begun_ns >= WINDOW_NS {
            errors.add_line(&self.samples);
            self.samples.clear();
        }
    }

    /// Begins a line with this PCR; what came before is another one.
    fn begin(&mut self, pcr: Pcr, errors: &mut ClockErrors) {
        errors.add_line(&self.samples);
        self.samples.clear();
        self.pending.clear();
        self.is_broken = false;
        self.last = Some((self.place, pcr, 0));
    }
}

impl ClockErrors {
    fn add_line(&mut self, samples: &[(i64, i64)]) {
        if samples.len() < SAMPLES_MIN {
            return;
        }
        let count = samples.len() as f64;
        let mean = |of: fn(&(i64, i64)) -> i64| samples.iter().map(of).sum::<i64>() as f64 / count;
        let (mean_due, mean_offset) = (mean(|(due, _)| *due), mean(|(_, offset)| *offset));
        let (mut together, mut alone) = (0.0, 0.0);
        for (due, offset) in samples {
            let due = *due as f64 - mean_due;
            together += due * (*offset as f64 - mean_offset);
            alone += due * due;
        }
        let slope = if alone > 0.0 { together / alone } else { 0.0 };
        for (due, offset) in samples {
            let line = mean_offset + slope * (*due as f64 - mean_due);
            let error_us = (*offset as f64 - line).abs() / 1e3;
            self.errors.record_us(error_us as u64);
            self.within += u64::from(error_us <= NEAR_US);
        }
        self.drift_ppm_max = self.drift_ppm_max.max(slope.abs() * 1e6);
    }

    /// What there is to say; `None` when no stream had a clock.
    pub fn result(&self) -> Option<ClockResult> {
        let datagrams = self.errors.count();
        Some(ClockResult {
            datagrams,
            within_1_ms: self.within as f64 / datagrams as f64,
            error_us: self.errors.summary_us()?,
            drift_ppm_max: self.drift_ppm_max,
        })
    }
}

const NEAR_US: f64 = 1_000.0;
const TICKS_PER_US: i64 = 27;
/// A clock reference that comes later than this begins a line of its own: five times what is allowed
/// (100 ms, 2.7.2), so that streams with a fault are still measured.
const INTERVAL_TICKS_MAX: i64 = 500 * 27_000;
/// Long enough for a slope, and short enough for a clock to be straight.
const WINDOW_NS: i64 = 10_000_000_000;
/// Less is no line.
const SAMPLES_MIN: usize = 20;
/// Half a second of 100 Mbit/s: a stream without a clock takes no more memory.
const PENDING_MAX: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::udp::DATAGRAM_BYTES;
    use crate::udp::stream::Stream;

    /// 5 s of a stream whose datagrams leave `out` nanoseconds after they are due.
    fn result(mut out: impl FnMut(u64, u64) -> Option<u64>) -> Option<ClockResult> {
        let mut stream = Stream::new(0, 8_000_000);
        let (mut line, mut errors) = (ClockLine::default(), ClockErrors::default());
        while stream.due_ns() < 5_000_000_000 {
            let (due_ns, number, mut datagram) =
                (stream.due_ns(), stream.sequence(), [0; DATAGRAM_BYTES]);
            stream.write_next(0, &mut datagram);
            if let Some(late_ns) = out(number, due_ns) {
                line.datagram(&datagram, 1_700_000_000_000_000_000 + due_ns + late_ns, &mut errors);
            }
        }
        line.finish(&mut errors);
        errors.result()
    }

    #[test]
    fn a_delay_that_is_constant_is_no_error() {
        let result = result(|_, _| Some(200_000_000)).unwrap();
        assert!(result.error_us.max <= 1.0 && result.drift_ppm_max < 0.1, "{result:?}");
        assert_eq!(result.within_1_ms, 1.0);
        assert!(result.datagrams > 3_700, "{result:?}");
    }

    #[test]
    fn a_clock_of_another_rate_is_a_slope_and_no_error() {
        let result = result(|_, due_ns| Some(due_ns / 20_000)).unwrap();
        assert!((result.drift_ppm_max - 50.0).abs() < 0.5, "{result:?}");
        assert!(result.error_us.max <= 2.0, "{result:?}");
    }

    #[test]
    fn datagrams_that_come_late_are_the_share_that_is_not_within() {
        let result =
            result(|number, _| Some(if number % 100 == 7 { 3_000_000 } else { 0 })).unwrap();
        assert!((result.within_1_ms - 0.99).abs() < 0.001, "{result:?}");
        assert!((result.error_us.max - 2_970.0).abs() < 20.0, "{result:?}");
        assert!(result.error_us.p50 < 40.0, "{result:?}");
    }

    #[test]
    fn what_was_lost_does_not_move_the_clock_of_the_rest() {
        let result = result(|number, _| (number % 200 != 150).then_some(0)).unwrap();
        assert!(result.error_us.max <= 1.0, "{result:?}");
        assert!(result.datagrams > 2_500, "{result:?}");
    }

    #[test]
    fn without_a_clock_there_is_nothing_to_say_and_memory_is_bounded() {
        let (mut line, mut errors) = (ClockLine::default(), ClockErrors::default());
        for at in 0..20_000 {
            line.datagram(&[0x47; DATAGRAM_BYTES], at, &mut errors);
        }
        assert!(line.pending.len() <= PENDING_MAX);
        line.finish(&mut errors);
        assert_eq!(errors.result(), None);
    }
}
