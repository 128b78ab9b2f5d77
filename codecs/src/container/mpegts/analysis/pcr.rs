//! The clock of a program: its steps, its jitter in arrival, and its accuracy by byte position.
//!
//! Jitter is how much the arrival of PCRs varies against what they say: the network's share, coarse
//! by as much as packets arrive together. Accuracy is how far a PCR is from the line that a
//! constant rate draws through all PCRs of a window, by the position of its packet in the stream:
//! the multiplexer's share. It means nothing in a stream of variable rate, and is not given for one
//! (ETSI TR 101 290 5.2.2, indicator 2.4, and 5.3.2.7). A rate is taken for constant when there are
//! null packets, which nobody else sends, and PCRs agree on it.

use crate::container::mpegts::packet::{PACKET_SIZE, Pcr};

/// What is known of a program's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PcrState {
    /// PCRs since the analyser was made.
    pub count: u64,
    /// Longest step from one PCR to the next in the last window, by what they say, in us.
    pub interval_max_us: u64,
    /// Longest time between their arrivals in the last window, in us.
    pub arrival_max_us: u64,
    /// Steps that were announced by a discontinuity_indicator.
    pub announced_discontinuities: u64,
    /// From the earliest to the latest arrival against the clock in the last window, in us. Without
    /// meaning with [`TimeSource::Pcr`](super::TimeSource::Pcr), which knows no arrivals.
    pub jitter_us: u64,
    /// Largest distance from the line of constant rate in the last window, in ns; `None` when the
    /// stream has a variable rate, or too few PCRs.
    pub accuracy_ns: Option<u64>,
    /// The transport stream's rate by this clock in the last window, in bit/s; 0 when unknown.
    pub rate_bps: u64,
}

/// The worst of several clocks in the last window; their worst need not be those of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorstClock {
    /// As [`PcrState::interval_max_us`]; 0 without a clock.
    pub interval_max_us: u64,
    /// As [`PcrState::jitter_us`].
    pub jitter_us: u64,
    /// As [`PcrState::accuracy_ns`], of those that have one.
    pub accuracy_ns: Option<u64>,
}

impl WorstClock {
    /// Takes another clock into account.
    pub fn add(&mut self, clock: &PcrState) {
        self.interval_max_us = self.interval_max_us.max(clock.interval_max_us);
        self.jitter_us = self.jitter_us.max(clock.jitter_us);
        self.accuracy_ns = self.accuracy_ns.max(clock.accuracy_ns);
    }
}

/// What is wrong with one PCR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PcrFault {
    /// Longer than the interval allows, in us.
    Repetition(u64),
    /// A step, in us, that is none forwards or too large, and is not announced.
    Discontinuity(u64),
}

/// Measures one PCR PID.
#[derive(Debug)]
pub(super) struct PcrMeter {
    state: PcrState,
    last: Option<Last>,
    window: Window,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    pcr: Pcr,
    arrival_us: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    interval_max_us: u64,
    arrival_max_us: u64,
    /// Arrival minus clock, relative to the first PCR of the window: lowest and highest, in us.
    early_us: i64,
    late_us: i64,
    /// Clock since the first PCR of the window, in ticks of 27 MHz.
    ticks: i64,
    first_arrival_us: Option<u64>,
    first_packet: u64,
}

/// A PCR by position and clock, relative to the first of the window.
#[derive(Clone, Copy, Debug)]
struct Sample {
    bytes: f64,
    ticks: f64,
}

impl PcrMeter {
    pub(super) fn new() -> Self {
        Self {
            state: PcrState::default(),
            last: None,
            window: Window::default(),
            samples: Vec::new(),
        }
    }

    /// Takes the PCR in packet number `packet` of the stream. At most two faults.
    pub(super) fn push(
        &mut self,
        pcr: Pcr,
        is_announced: bool,
        packet: u64,
        arrival_us: u64,
        interval_us: u64,
        step_us: u64,
    ) -> [Option<PcrFault>; 2] {
        self.state.count += 1;
        let last = self.last.replace(Last { pcr, arrival_us });
        let Some(last) = last.filter(|_| !is_announced) else {
            self.state.announced_discontinuities += u64::from(is_announced);
            self.begin(packet, arrival_us);
            return [None, None];
        };
        let step = pcr.since(last.pcr);
        let is_jump = step <= 0 || step.unsigned_abs() > step_us.saturating_mul(TICKS_PER_US);
        let magnitude_us = step.unsigned_abs() / TICKS_PER_US;
        let mut faults = [None, None];
        // A step of a second and more is no slow repetition, but another time.
        if step > 0 && magnitude_us < 1_000_000 {
            self.window.interval_max_us = self.window.interval_max_us.max(magnitude_us);
            if magnitude_us > interval_us {
                faults[0] = Some(PcrFault::Repetition(magnitude_us));
            }
        }
        let arrival_step_us = arrival_us.saturating_sub(last.arrival_us);
        self.window.arrival_max_us = self.window.arrival_max_us.max(arrival_step_us);
        if is_jump {
            faults[1] = Some(PcrFault::Discontinuity(magnitude_us));
            self.begin(packet, arrival_us);
        } else {
            self.sample(step, packet, arrival_us);
        }
        faults
    }

    pub(super) fn state(&self) -> PcrState {
        self.state
    }

    /// The last PCR.
    pub(super) fn last(&self) -> Option<Pcr> {
        self.last.map(|last| last.pcr)
    }

    /// Ends the window; the accuracy when it could be measured, in ns. `is_stuffed`: there were null
    /// packets.
    pub(super) fn end_window(&mut self, is_stuffed: bool) -> Option<u64> {
        let window = std::mem::take(&mut self.window);
        self.state.interval_max_us = window.interval_max_us;
        self.state.arrival_max_us = window.arrival_max_us;
        self.state.jitter_us = window.late_us.abs_diff(window.early_us);
        let line = Line::through(&self.samples);
        self.state.rate_bps = line.map_or(0, |line| line.rate_bps());
        let line = line.filter(|_| is_stuffed);
        self.state.accuracy_ns = line.and_then(|line| line.accuracy_ns(&self.samples));
        self.samples.clear();
        self.state.accuracy_ns
    }

    /// The line starts anew; the maxima of the window stay.
    fn begin(&mut self, packet: u64, arrival_us: u64) {
        self.samples.clear();
        self.samples.push(Sample { bytes: 0.0, ticks: 0.0 });
        (self.window.ticks, self.window.first_packet) = (0, packet);
        (self.window.early_us, self.window.late_us) = (0, 0);
        self.window.first_arrival_us = Some(arrival_us);
    }

    fn sample(&mut self, step: i64, packet: u64, arrival_us: u64) {
        let Some(first_arrival_us) = self.window.first_arrival_us else {
            return self.begin(packet, arrival_us);
        };
        let window = &mut self.window;
        window.ticks += step;
        let arrival = arrival_us.saturating_sub(first_arrival_us) as i64;
        let late = arrival - window.ticks / TICKS_PER_US as i64;
        window.early_us = window.early_us.min(late);
        window.late_us = window.late_us.max(late);
        if self.samples.len() < SAMPLES_MAX {
            let packets = packet.saturating_sub(window.first_packet);
            let bytes = packets as f64 * PACKET_SIZE as f64;
            self.samples.push(Sample { bytes, ticks: window.ticks as f64 });
        }
    }
}

/// The line of least squares: ticks = intercept + slope * bytes.
#[derive(Clone, Copy, Debug)]
struct Line {
    intercept: f64,
    slope: f64,
}

impl Line {
    fn through(samples: &[Sample]) -> Option<Self> {
        if samples.len() < SAMPLES_MIN {
            return None;
        }
        let count = samples.len() as f64;
        let mean = |value: fn(&Sample) -> f64| samples.iter().map(value).sum::<f64>() / count;
        let (bytes, ticks) = (mean(|sample| sample.bytes), mean(|sample| sample.ticks));
        let (mut covariance, mut variance) = (0.0, 0.0);
        for sample in samples {
            covariance += (sample.bytes - bytes) * (sample.ticks - ticks);
            variance += (sample.bytes - bytes) * (sample.bytes - bytes);
        }
        let slope = covariance / variance;
        // Packets without a position in between: no line.
        let line = Self { intercept: ticks - slope * bytes, slope };
        (slope.is_finite() && slope > 0.0).then_some(line)
    }

    fn rate_bps(self) -> u64 {
        (8.0 * Pcr::HZ as f64 / self.slope) as u64
    }

    /// Largest distance from the line; `None` when the rate is not constant.
    fn accuracy_ns(self, samples: &[Sample]) -> Option<u64> {
        let pairs = || samples.iter().zip(samples.iter().skip(1));
        let is_constant = pairs().all(|(earlier, later)| {
            let expected = self.slope * (later.bytes - earlier.bytes);
            let deviation = (later.ticks - earlier.ticks) / expected - 1.0;
            deviation.abs() <= RATE_DEVIATION_MAX
        });
        let distance =
            |sample: &Sample| (sample.ticks - self.intercept - self.slope * sample.bytes).abs();
        let ticks = samples.iter().map(distance).fold(0.0, f64::max);
        is_constant.then_some((ticks * 1_000.0 / TICKS_PER_US as f64) as u64)
    }
}

const TICKS_PER_US: u64 = Pcr::HZ / 1_000_000;
/// Fewer PCRs draw a line that fits them anyway.
const SAMPLES_MIN: usize = 8;
/// A second with a PCR every 4 ms; more of them add nothing.
const SAMPLES_MAX: usize = 256;
/// From one PCR to the next a stream of constant rate keeps it to this share, which is 800 us in a
/// step of 40 ms: PCRs that are worse are no measure of anything.
const RATE_DEVIATION_MAX: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_US: u64 = 100_000;

    /// A second of a stream of 500 packets a PCR, one PCR every 20 ms, with an error in ticks.
    fn measure(error: impl Fn(u64) -> i64, packets: impl Fn(u64) -> u64) -> PcrState {
        let mut meter = PcrMeter::new();
        for n in 0..50_u64 {
            let ticks = (10_000_000 + n * 540_000).strict_add_signed(error(n));
            let faults = meter.push(
                Pcr::new(ticks),
                false,
                packets(n),
                n * 20_000,
                INTERVAL_US,
                INTERVAL_US,
            );
            assert_eq!(faults, [None, None]);
        }
        meter.end_window(true);
        meter.state()
    }

    #[test]
    fn a_constant_rate_is_accurate_and_known() {
        let state = measure(|_| 0, |n| n * 500);
        assert_eq!(state.accuracy_ns, Some(0));
        assert_eq!(state.rate_bps, 500 * 188 * 8 * 50);
        assert_eq!((state.interval_max_us, state.jitter_us, state.count), (20_000, 0, 50));
    }

    #[test]
    fn one_wrong_pcr_is_measured_in_nanoseconds() {
        // 27 ticks are 1 us.
        let state = measure(|n| if n == 25 { 27 } else { 0 }, |n| n * 500);
        let accuracy = state.accuracy_ns.expect("constant rate");
        assert!((950..=1_000).contains(&accuracy), "{accuracy}");
        assert_eq!(state.jitter_us, 1);
    }

    #[test]
    fn a_variable_rate_has_no_accuracy() {
        let state = measure(|_| 0, |n| n * 500 + if n % 2 == 0 { 100 } else { 0 });
        assert_eq!(state.accuracy_ns, None);
        assert!(state.rate_bps > 0);
        let mut meter = PcrMeter::new();
        for n in 0..50 {
            meter.push(Pcr::new(n * 540_000), false, n * 500, n * 20_000, INTERVAL_US, INTERVAL_US);
        }
        assert_eq!(meter.end_window(false), None, "constant by chance: nothing is stuffed");
    }

    #[test]
    fn steps_back_jumps_and_slow_clocks_are_faults_unless_announced() {
        let mut meter = PcrMeter::new();
        let mut at = 0;
        let mut push = |ms: u64, is_announced| {
            at += 1;
            meter.push(Pcr::new(ms * 27_000), is_announced, at, at * 40_000, 100_000, 100_000)
        };
        assert_eq!(push(1_000, false), [None, None]);
        assert_eq!(push(1_100, false), [None, None]);
        let slow = push(1_201, false);
        assert_eq!(slow[0], Some(PcrFault::Repetition(101_000)));
        assert_eq!(slow[1], Some(PcrFault::Discontinuity(101_000)));
        assert_eq!(push(1_100, false), [None, Some(PcrFault::Discontinuity(101_000))]);
        assert_eq!(push(1_100, false), [None, Some(PcrFault::Discontinuity(0))]);
        assert_eq!(push(9_000, false), [None, Some(PcrFault::Discontinuity(7_900_000))]);
        assert_eq!(push(500, true), [None, None]);
        assert_eq!(push(540, false), [None, None]);
        assert_eq!(meter.state().announced_discontinuities, 1);
    }

    #[test]
    fn late_arrivals_are_jitter_and_not_inaccuracy() {
        let mut meter = PcrMeter::new();
        for n in 0..50_u64 {
            let late = if n % 10 == 9 { 7_000 } else { 0 };
            let pcr = Pcr::new(Pcr::MODULUS - 5 * 540_000 + n * 540_000);
            let arrival = n * 20_000 + late;
            meter.push(pcr, false, n * 500, arrival, INTERVAL_US, INTERVAL_US);
        }
        assert_eq!(meter.end_window(true), Some(0));
        let state = meter.state();
        assert_eq!((state.jitter_us, state.arrival_max_us), (7_000, 27_000));
    }

    #[test]
    fn nonsense_is_measured_without_a_panic() {
        let mut meter = PcrMeter::new();
        for n in 0..1_000_u64 {
            let pcr = Pcr::new(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % Pcr::MODULUS);
            meter.push(pcr, n % 7 == 0, u64::MAX - n, n % 3, 0, u64::MAX);
        }
        meter.end_window(true);
        let mut still = PcrMeter::new();
        for n in 0..100 {
            still.push(Pcr::new(n), false, 5, 5, INTERVAL_US, INTERVAL_US);
        }
        assert_eq!((still.end_window(true), still.state().rate_bps), (None, 0));
    }
}
