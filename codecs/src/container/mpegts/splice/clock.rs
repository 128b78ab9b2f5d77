//! One program's clock over a switch of sources.

use super::Settings;
use crate::container::mpegts::packet::{Pcr, Pid};
use crate::container::mpegts::timestamp;

/// Where the clock of what goes out is, and what is added to the times of the source.
///
/// Invariants
/// - `shift` is a multiple of 300 ticks of 27 MHz, so that PCR base, PTS and DTS move by the same
///   number of ticks of 90 kHz and the PCR's extension stays.
#[derive(Debug)]
pub(super) struct Clock {
    /// `None` while no table tells.
    pub(super) program_number: Option<u16>,
    /// [`Pid::NULL`] while no table tells.
    pub(super) pcr_pid: Pid,
    /// Pictures or sound are scrambled: their times cannot be changed.
    pub(super) is_scrambled: bool,
    /// The next PCR is to have the discontinuity_indicator.
    pub(super) must_mark: bool,
    state: State,
    shift: i64,
    /// The newest PCR that went out.
    last: Option<Mark>,
    /// From the PCR before to the newest one, in ticks.
    interval: u64,
    /// Mean, in ticks; 0 before it is known.
    ticks_per_packet: u64,
    /// Start of the present measurement of the mean.
    window: Option<Mark>,
}

/// What `shift` is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of the new source was seen.
    Unset,
    /// Taken from a PTS; the first PCR will correct it.
    Provisional,
    Settled,
}

/// A PCR on its way.
#[derive(Clone, Copy, Debug)]
struct Mark {
    pcr: Pcr,
    at_us: u64,
    /// Number of the packet since the start.
    packet: u64,
}

/// Where in time and in the stream something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Time at the end of the block of packets.
    pub(super) now_us: u64,
    /// Number of the packet since the start.
    pub(super) packet: u64,
    /// Packets behind it in its block.
    pub(super) behind: u64,
}

impl Clock {
    /// A clock that nobody has seen: its times stay.
    pub(super) fn new(program_number: Option<u16>, pcr_pid: Pid) -> Self {
        Self {
            program_number,
            pcr_pid,
            is_scrambled: false,
            must_mark: false,
            state: State::Settled,
            shift: 0,
            last: None,
            interval: 0,
            ticks_per_packet: 0,
            window: None,
        }
    }

    /// Another source follows.
    pub(super) fn switch(&mut self) {
        (self.state, self.shift) = (State::Unset, 0);
        self.is_scrambled = false;
        self.must_mark = false;
        self.window = None;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.state == State::Settled
    }

    /// What is added to times of the source, in ticks of 27 MHz.
    pub(super) fn shift(&self) -> i64 {
        self.shift
    }

    /// A PCR goes out.
    pub(super) fn pcr_sent(&mut self, pcr: Pcr, place: Place) {
        let mark = Mark { pcr, at_us: self.arrival_us(place), packet: place.packet };
        let step = self.last.map(|last| pcr.since(last.pcr));
        let step = step.and_then(|step| u64::try_from(step).ok());
        match step.filter(|&step| step <= PCR_STEP_MAX) {
            Some(step) => {
                self.interval = step;
                self.measure(mark);
            }
            None => self.window = Some(mark),
        }
        self.last = Some(mark);
    }

    /// From a decoding time that goes out to the clock, in 90 kHz; `None` without a clock.
    pub(super) fn lead(&self, time: u64, place: Place) -> Option<i64> {
        Some(timestamp::difference(time, self.expected(place)?.base()))
    }

    /// The first PCR of the new source: `shift` is final. `has_history` tells that something went
    /// out before.
    pub(super) fn settle(
        &mut self,
        pcr: Pcr,
        place: Place,
        settings: &Settings,
        has_history: bool,
    ) {
        let step = self.expected(place).map(|expected| expected.since(pcr));
        (self.shift, self.must_mark) = match step {
            None => (0, has_history),
            Some(step) if step.abs() <= settings.same_clock_ticks() => (0, false),
            Some(_) if self.is_scrambled => (0, true),
            Some(step) => (round(step - self.reserve(place, settings.reserve_ticks())), false),
        };
        self.state = State::Settled;
    }

    /// A decoding time of the new source before its first PCR: it goes on as far in front of the
    /// clock as times of its PID were before.
    pub(super) fn settle_for_now(&mut self, time: u64, lead: i64, place: Place, same_max: i64) {
        if self.state != State::Unset {
            return;
        }
        self.state = State::Provisional;
        let step = self.expected(place).map_or(0, |expected| {
            let time = timestamp::difference(timestamp::wrap(time as i64 - lead), expected.base());
            -time * 300
        });
        self.shift = if step.abs() <= same_max || self.is_scrambled { 0 } else { round(step) };
    }

    /// The time that the clock has come to: by the time that passed since its newest PCR, or by the
    /// packets since then where they are ahead of it.
    fn expected(&self, place: Place) -> Option<Pcr> {
        let last = self.last?;
        let passed = self.arrival_us(place).saturating_sub(last.at_us).saturating_mul(27);
        let packets = place.packet.saturating_sub(last.packet);
        let by_position = packets.saturating_mul(self.ticks_per_packet).min(self.interval);
        let step = passed.max(by_position).max(300) % Pcr::MODULUS;
        Some(Pcr::new(last.pcr.ticks() + step))
    }

    /// How far the clock of a source with another clock is put behind the expected one, so that it is
    /// not ahead of the source that may return: arrivals, by which the time is told, vary.
    fn reserve(&self, place: Place, reserve_max: i64) -> i64 {
        let ahead = self.last.zip(self.expected(place)).map(|(last, at)| at.since(last.pcr));
        (ahead.unwrap_or(0) / 2).clamp(0, reserve_max)
    }

    /// When a packet would have come, if the packets of its block had come one by one.
    fn arrival_us(&self, place: Place) -> u64 {
        let behind = place.behind.saturating_mul(self.ticks_per_packet) / 27;
        let earliest = self.last.map_or(0, |last| last.at_us);
        place.now_us.saturating_sub(behind.min(BLOCK_MAX_US)).max(earliest).min(place.now_us)
    }

    fn measure(&mut self, mark: Mark) {
        let Some(start) = self.window else {
            self.window = Some(mark);
            return;
        };
        let ticks = u64::try_from(mark.pcr.since(start.pcr)).unwrap_or(0);
        if ticks >= WINDOW_TICKS {
            let packets = mark.packet.saturating_sub(start.packet);
            self.ticks_per_packet = ticks / packets.max(1);
            self.window = Some(mark);
        }
    }
}

/// The time that lies `shift` ticks of 27 MHz behind `time`, 33 bits of 90 kHz.
pub(super) fn shifted_time(time: u64, shift: i64) -> u64 {
    timestamp::wrap(time as i64 + shift / 300)
}

/// The PCR that lies `shift` ticks of 27 MHz behind `pcr`.
pub(super) fn shifted_pcr(pcr: Pcr, shift: i64) -> Pcr {
    let modulus = Pcr::MODULUS as i64;
    Pcr::new((pcr.ticks() as i64 + shift.rem_euclid(modulus)) as u64)
}

/// To the next multiple of 300.
fn round(ticks: i64) -> i64 {
    (ticks + 150).div_euclid(300) * 300
}

/// A longer step from PCR to PCR says nothing about rates: 1 s in ticks of 27 MHz.
const PCR_STEP_MAX: u64 = 27_000_000;
/// The rate is measured over this time at least: half a second levels out the size of pictures.
const WINDOW_TICKS: u64 = 13_500_000;
/// A block of packets is taken for this long at most, in us.
const BLOCK_MAX_US: u64 = 500_000;
