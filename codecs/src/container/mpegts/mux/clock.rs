//! What time it is in the transport stream: where the PCR stands, and when PCR and tables are due.
//!
//! ```text
//!              lead                       lead: what a decoder buffers
//!      |<---------------->|
//!     now               reached           the latest decoding time of any unit
//! ----+---x------+----------+-----> time
//!        PCR    late unit
//! ```
//!
//! Invariants
//! - `now` is `reached` - `lead`, and goes back only at a discontinuity.
//! - A unit that is let through has a decoding time of at least the next PCR.

use super::NotCarried;
use super::settings::{Settings, ticks};

/// The clock of one multiplex. Times are ticks of 90 kHz of the transport stream, not wrapped.
#[derive(Debug)]
pub(super) struct Clock {
    pcr_interval: i64,
    tables_interval: i64,
    sdt_interval: i64,
    lead: i64,
    lead_max: i64,
    gap_max: i64,
    start: i64,
    /// Added to stream time; `None` before the first unit.
    offset: Option<i64>,
    reached: i64,
    /// How much the last unit moved the clock.
    step: i64,
    last_pcr: i64,
    last_tables: i64,
    last_sdt: i64,
    /// Units in a row of other tracks than the PCR's that are too far ahead to be followed.
    ahead: u32,
}

/// What a unit does to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Time goes on.
    On,
    /// Time jumps: the next PCR must say so.
    Jump,
}

/// What must be written before a unit, in the order of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Pcr(i64),
    /// PAT and PMT, dated by a PCR.
    Tables(i64),
}

impl Clock {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            pcr_interval: ticks(settings.pcr_interval_ms.max(1)),
            tables_interval: ticks(settings.tables_interval_ms.max(1)),
            sdt_interval: ticks(settings.sdt_interval_ms),
            lead: ticks(settings.lead_ms),
            lead_max: ticks(settings.lead_max_ms),
            gap_max: ticks(settings.gap_max_ms),
            start: ticks(settings.start_ms),
            offset: None,
            reached: 0,
            step: 0,
            last_pcr: 0,
            last_tables: 0,
            last_sdt: 0,
            ahead: 0,
        }
    }

    /// How far the PCR is behind the latest unit, in ticks.
    pub(super) fn lead(&self) -> i64 {
        self.lead
    }

    /// Where the PCR stands.
    pub(super) fn now(&self) -> i64 {
        self.reached - self.lead
    }

    /// Stream time as time of the transport stream. Before the first unit: as if it were that.
    pub(super) fn time(&self, stream_ticks: i64) -> i64 {
        stream_ticks.saturating_add(self.offset_from(stream_ticks))
    }

    /// The same for what does not move the clock: not before the next PCR, and not further ahead than
    /// a unit could be.
    pub(super) fn bounded_time(&self, stream_ticks: i64) -> i64 {
        let earliest = self.last_pcr + self.pcr_interval;
        self.time(stream_ticks).min(self.reached + self.gap_max).max(earliest)
    }

    /// Moves on to a unit of decoding time `dts` (stream time). `drives` is true for the track that
    /// carries the PCR.
    ///
    /// # Errors
    /// [`NotCarried::TooLate`] and [`NotCarried::TooEarly`], and time stands still.
    pub(super) fn advance(&mut self, dts: i64, drives: bool) -> Result<Move, NotCarried> {
        let time = self.time(dts);
        if self.offset.is_none() {
            self.begin(dts, time);
            return Ok(Move::On);
        }
        let distance = time.saturating_sub(self.reached);
        if distance > self.gap_max {
            return self.jump_ahead(time, drives);
        }
        self.ahead = if drives { self.ahead } else { 0 };
        let late = self.last_pcr + self.pcr_interval - time;
        if distance < 0 && late > 0 {
            return self.wait_for(time, late, drives);
        }
        self.step = distance.max(0);
        self.reached = self.reached.max(time);
        Ok(Move::On)
    }

    /// What is due before `now`, oldest first.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let pcr = self.last_pcr + self.pcr_interval;
        let tables = self.last_tables + self.tables_interval;
        let next = pcr.min(tables);
        if next >= self.now() {
            return None;
        }
        self.last_pcr = next;
        if tables > pcr {
            return Some(Due::Pcr(next));
        }
        self.last_tables = next;
        Some(Due::Tables(next))
    }

    /// True when PAT and PMT are due, or would be due before the next unit if that comes as this one
    /// came.
    pub(super) fn wants_tables(&self) -> bool {
        self.now() + self.step >= self.last_tables + self.tables_interval
    }

    /// PAT and PMT were written at `at`; true when the SDT shall go with them.
    pub(super) fn tables_written(&mut self, at: i64) -> bool {
        self.last_tables = at;
        // Tables come at most `tables_interval` later.
        let is_sdt_due = at + self.tables_interval > self.last_sdt + self.sdt_interval;
        if is_sdt_due {
            self.last_sdt = at;
        }
        is_sdt_due
    }

    /// True when a unit of the PCR's track shall carry the PCR: one that is not `eager` only when
    /// half of the interval is over.
    pub(super) fn takes_pcr(&mut self, eager: bool) -> bool {
        let since = self.now() - self.last_pcr;
        let takes = since > 0 && (eager || since * 2 >= self.pcr_interval);
        if takes {
            self.last_pcr = self.now();
        }
        takes
    }

    /// A PCR was written at `now`.
    pub(super) fn pcr_written(&mut self) {
        self.last_pcr = self.now();
    }

    fn offset_from(&self, stream_ticks: i64) -> i64 {
        // The first PCR is not below zero, because some players take that for a wrap.
        self.offset.unwrap_or(self.start.max(self.lead - stream_ticks))
    }

    fn begin(&mut self, dts: i64, time: i64) {
        self.offset = Some(self.offset_from(dts));
        self.restart_at(time);
    }

    fn restart_at(&mut self, time: i64) {
        self.reached = time;
        self.step = 0;
        self.ahead = 0;
        self.last_pcr = self.now() - self.pcr_interval;
        self.last_tables = self.now() - self.tables_interval;
        self.last_sdt = self.now() - self.sdt_interval;
    }

    /// The PCR's track leads the clock over a gap; another track only when that was no single unit.
    fn jump_ahead(&mut self, time: i64, drives: bool) -> Result<Move, NotCarried> {
        self.ahead += 1;
        if !drives && self.ahead < UNITS_AHEAD_MAX {
            return Err(NotCarried::TooEarly);
        }
        self.restart_at(time);
        Ok(Move::Jump)
    }

    /// Lets the clock wait for a track that is behind: the lead grows. What is further behind than
    /// that is too late; but the PCR's track may start over.
    fn wait_for(&mut self, time: i64, late: i64, drives: bool) -> Result<Move, NotCarried> {
        let lead = self.lead + late + self.pcr_interval;
        if lead <= self.lead_max {
            let reached = self.reached;
            self.lead = lead;
            self.restart_at(reached);
            return Ok(Move::Jump);
        }
        if !drives {
            return Err(NotCarried::TooLate);
        }
        self.restart_at(time);
        Ok(Move::Jump)
    }
}

/// Units of other tracks that may be ahead in a row before the clock follows them: about half a
/// second of sound.
const UNITS_AHEAD_MAX: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 90;

    fn clock() -> Clock {
        Clock::new(&Settings::default())
    }

    #[test]
    fn the_pcr_is_behind_by_the_lead_and_never_below_zero() {
        let mut clock = clock();
        assert_eq!(clock.advance(0, true), Ok(Move::On));
        assert_eq!((clock.time(0), clock.now()), (1_000 * MS, 700 * MS));
        let mut clock = self::clock();
        assert_eq!(clock.advance(-5_000 * MS, true), Ok(Move::On));
        assert_eq!((clock.time(-5_000 * MS), clock.now()), (300 * MS, 0));
    }

    #[test]
    fn a_gap_is_filled_with_pcrs_and_tables_in_order() {
        let mut clock = clock();
        clock.advance(0, true).expect("first");
        assert!(clock.takes_pcr(true));
        let start = clock.now();
        clock.tables_written(start);
        clock.advance(130 * MS, true).expect("later");
        let due: Vec<_> = std::iter::from_fn(|| {
            let due = clock.take_due()?;
            if let Due::Tables(at) = due {
                clock.tables_written(at);
            }
            Some(due)
        })
        .collect();
        let at = |ms: i64| start + ms * MS;
        assert_eq!(due, [Due::Pcr(at(40)), Due::Pcr(at(80)), Due::Tables(at(100))]);
        assert!(clock.takes_pcr(true) && !clock.takes_pcr(true));
    }

    /// Does what the muxer does before each unit, and returns when tables and PCRs were written.
    fn written(times_ms: impl Iterator<Item = (i64, bool)>) -> (Vec<i64>, Vec<i64>) {
        let mut clock = clock();
        let (mut tables, mut pcrs) = (Vec::new(), Vec::new());
        for (ms, drives) in times_ms {
            assert_eq!(clock.advance(ms * MS, drives), Ok(Move::On));
            while let Some(due) = clock.take_due() {
                let (Due::Pcr(at) | Due::Tables(at)) = due;
                pcrs.push(at);
                if matches!(due, Due::Tables(_)) {
                    clock.tables_written(at);
                    tables.push(at);
                }
            }
            if clock.wants_tables() {
                tables.push(clock.now());
                clock.tables_written(clock.now());
            }
            if drives && clock.takes_pcr(true) {
                pcrs.push(clock.now());
            }
        }
        (tables, pcrs)
    }

    #[test]
    fn tables_and_pcrs_are_never_later_than_they_may_be() {
        for video_ms in [16, 20, 33, 40, 41, 42, 67, 99, 100, 101, 500, 2_000] {
            for audio_ms in [21, 24, 43, 50, 333] {
                let video = (0..60_000).step_by(video_ms).map(|ms| (ms, true));
                let audio = (0..60_000).step_by(audio_ms).map(|ms| (ms, false));
                let mut times: Vec<_> = video.chain(audio).collect();
                times.sort_by_key(|&(ms, drives)| (ms, !drives));
                let (tables, pcrs) = written(times.into_iter());
                let gaps = |times: &[i64]| {
                    times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
                };
                assert!(gaps(&tables).iter().all(|&gap| gap <= 100 * MS), "{video_ms} {audio_ms}");
                assert!(gaps(&pcrs).iter().all(|&gap| (1..=40 * MS).contains(&gap)));
                assert!(tables.len() <= 60_000 / 50, "not much more often than asked for");
            }
        }
    }

    #[test]
    fn a_track_that_is_behind_makes_the_lead_grow_up_to_the_limit() {
        let mut clock = clock();
        clock.advance(10_000 * MS, true).expect("first");
        assert!(clock.takes_pcr(true));
        assert_eq!(clock.advance(9_740 * MS, false), Ok(Move::On), "within the lead");
        assert_eq!(clock.advance(9_000 * MS, false), Ok(Move::Jump));
        assert!(clock.time(9_000 * MS) >= clock.now() + 40 * MS);
        assert_eq!(clock.advance(9_010 * MS, false), Ok(Move::On));
        assert_eq!(clock.advance(4_000 * MS, false), Err(NotCarried::TooLate));
        assert_eq!(clock.advance(4_000 * MS, true), Ok(Move::Jump), "starts over");
    }

    #[test]
    fn another_track_leads_over_a_gap_only_when_it_goes_on_there() {
        let mut clock = clock();
        clock.advance(0, true).expect("first");
        let before = clock.now();
        assert_eq!(clock.advance(60_000 * MS, false), Err(NotCarried::TooEarly));
        assert_eq!(clock.now(), before);
        let moves: Vec<_> = (1..30).map(|n| clock.advance((60_000 + n * 21) * MS, false)).collect();
        assert_eq!(moves.iter().filter(|moved| **moved == Ok(Move::Jump)).count(), 1);
        assert_eq!(clock.now(), clock.time((60_000 + 29 * 21) * MS) - clock.lead());
        assert_eq!(clock.advance(120_000 * MS, true), Ok(Move::Jump));
    }

    #[test]
    fn sound_that_is_always_ahead_is_waited_for() {
        let mut clock = clock();
        let mut refused = 0;
        let mut jumps = 0;
        for n in 0..500 {
            for (ms, drives) in [(n * 40, true), (n * 40 + 3_000, false)] {
                match clock.advance(ms * MS, drives) {
                    Ok(moved) => jumps += i32::from(moved == Move::Jump),
                    Err(_) => refused += 1,
                }
                while clock.take_due().is_some() {}
            }
        }
        assert_eq!((refused, jumps), (24, 2));
        assert!(clock.lead() >= 2_900 * MS);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        for first in [i64::MIN / 4, 0, i64::MAX / 4] {
            for second in [i64::MIN / 4, 0, i64::MAX / 4] {
                let mut clock = clock();
                let _ = clock.advance(first, true);
                let _ = clock.advance(second, false);
                let _ = clock.advance(second, true);
            }
        }
    }
}
