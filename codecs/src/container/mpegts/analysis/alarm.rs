//! The indicators of ETSI TR 101 290, 5.2: counts, and alarms that are raised and cleared with
//! hysteresis.

use std::collections::VecDeque;

use super::Settings;
use crate::container::mpegts::Pid;

/// A kind of error. The numbers are those of TR 101 290 V1.4.1; the ones that are missing need the
/// complete service information or a buffer model, and take their place here when they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    /// 1.1 TS_sync_loss.
    TsSyncLoss,
    /// 1.2 Sync_byte_error.
    SyncByteError,
    /// 1.3 PAT_error: too rare, another table on its PID, scrambled.
    PatError,
    /// 1.4 Continuity_count_error: lost, out of order, more than twice.
    ContinuityCountError,
    /// 1.5 PMT_error: too rare, scrambled.
    PmtError,
    /// 1.6 PID_error: a PID of the PMT does not occur.
    PidError,
    /// 2.1 Transport_error: a demodulator could not repair a packet.
    TransportError,
    /// 2.2 CRC_error, in PAT, CAT, PMT and SDT.
    CrcError,
    /// 2.3a PCR_repetition_error.
    PcrRepetitionError,
    /// 2.3b PCR_discontinuity_indicator_error.
    PcrDiscontinuityIndicatorError,
    /// 2.4 PCR_accuracy_error: by byte position, in streams of constant rate.
    PcrAccuracyError,
    /// 2.5 PTS_error.
    PtsError,
    /// 2.6 CAT_error: scrambled packets without a CAT, another table on its PID.
    CatError,
    /// 3.4 Unreferenced_PID.
    UnreferencedPid,
}

impl Indicator {
    /// Every indicator, in the order of the numbers.
    pub const ALL: [Self; 14] = [
        Self::TsSyncLoss,
        Self::SyncByteError,
        Self::PatError,
        Self::ContinuityCountError,
        Self::PmtError,
        Self::PidError,
        Self::TransportError,
        Self::CrcError,
        Self::PcrRepetitionError,
        Self::PcrDiscontinuityIndicatorError,
        Self::PcrAccuracyError,
        Self::PtsError,
        Self::CatError,
        Self::UnreferencedPid,
    ];

    /// Its number: "2.3a".
    pub const fn number(self) -> &'static str {
        match self {
            Self::TsSyncLoss => "1.1",
            Self::SyncByteError => "1.2",
            Self::PatError => "1.3",
            Self::ContinuityCountError => "1.4",
            Self::PmtError => "1.5",
            Self::PidError => "1.6",
            Self::TransportError => "2.1",
            Self::CrcError => "2.2",
            Self::PcrRepetitionError => "2.3a",
            Self::PcrDiscontinuityIndicatorError => "2.3b",
            Self::PcrAccuracyError => "2.4",
            Self::PtsError => "2.5",
            Self::CatError => "2.6",
            Self::UnreferencedPid => "3.4",
        }
    }

    /// Its name, as the report writes it: "PCR_repetition_error".
    pub const fn name(self) -> &'static str {
        match self {
            Self::TsSyncLoss => "TS_sync_loss",
            Self::SyncByteError => "Sync_byte_error",
            Self::PatError => "PAT_error",
            Self::ContinuityCountError => "Continuity_count_error",
            Self::PmtError => "PMT_error",
            Self::PidError => "PID_error",
            Self::TransportError => "Transport_error",
            Self::CrcError => "CRC_error",
            Self::PcrRepetitionError => "PCR_repetition_error",
            Self::PcrDiscontinuityIndicatorError => "PCR_discontinuity_indicator_error",
            Self::PcrAccuracyError => "PCR_accuracy_error",
            Self::PtsError => "PTS_error",
            Self::CatError => "CAT_error",
            Self::UnreferencedPid => "Unreferenced_PID",
        }
    }

    /// Priority: 1 is needed for decoding, 2 is to be watched, 3 depends on the application.
    pub fn priority(self) -> u8 {
        self.number().as_bytes().first().map_or(0, |digit| digit - b'0')
    }
}

/// An alarm that was raised or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which one.
    pub indicator: Indicator,
    /// When, in us of the analyser's time.
    pub at_us: u64,
    /// Where the newest error was; `None` when it belongs to no PID.
    pub pid: Option<Pid>,
    /// Raised or cleared.
    pub change: Change,
}

/// What an [`Event`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The alarm is raised.
    Raised {
        /// What was measured: us for intervals and steps, ns for accuracy, otherwise a count.
        value: u64,
    },
    /// There was no error for the set time.
    Cleared {
        /// Errors while the alarm was raised.
        errors: u64,
        /// For how long it was raised, in us.
        raised_us: u64,
    },
}

/// One indicator's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmState {
    /// Which one.
    pub indicator: Indicator,
    /// Errors since the analyser was made.
    pub errors: u64,
    /// The alarm is raised.
    pub is_raised: bool,
    /// Where the newest error was.
    pub pid: Option<Pid>,
    /// Time of the newest error; `None` before the first one.
    pub last_us: Option<u64>,
}

/// All indicators.
#[derive(Debug)]
pub(super) struct Alarms {
    alarms: [Alarm; Indicator::ALL.len()],
    events: VecDeque<Event>,
    raise_errors: u32,
    clear_after_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Alarm {
    state: AlarmState,
    window_errors: u32,
    raised_at_us: u64,
    /// Errors when it was raised.
    errors_before: u64,
}

impl Alarms {
    pub(super) fn new(settings: &Settings) -> Self {
        let alarm = |indicator| Alarm {
            state: AlarmState { indicator, errors: 0, is_raised: false, pid: None, last_us: None },
            window_errors: 0,
            raised_at_us: 0,
            errors_before: 0,
        };
        Self {
            alarms: Indicator::ALL.map(alarm),
            events: VecDeque::new(),
            raise_errors: settings.raise_errors.max(1),
            clear_after_us: settings.clear_after_us,
        }
    }

    /// Counts an error.
    #[cold]
    pub(super) fn error(
        &mut self,
        indicator: Indicator,
        pid: Option<Pid>,
        value: u64,
        now_us: u64,
    ) {
        let Some(alarm) = self.alarms.get_mut(indicator as usize) else { return };
        let state = &mut alarm.state;
        state.errors += 1;
        (state.pid, state.last_us) = (pid, Some(now_us));
        alarm.window_errors = alarm.window_errors.saturating_add(1);
        if state.is_raised || alarm.window_errors < self.raise_errors {
            return;
        }
        state.is_raised = true;
        (alarm.raised_at_us, alarm.errors_before) = (now_us, state.errors - 1);
        let change = Change::Raised { value };
        self.push(Event { indicator, at_us: now_us, pid, change });
    }

    /// The condition of an error that was counted goes on.
    pub(super) fn holds(&mut self, indicator: Indicator, now_us: u64) {
        if let Some(alarm) = self.alarms.get_mut(indicator as usize) {
            alarm.state.last_us = Some(now_us);
        }
    }

    /// Ends a window: clears what is over.
    pub(super) fn end_window(&mut self, now_us: u64) {
        for index in 0..self.alarms.len() {
            let Some(alarm) = self.alarms.get_mut(index) else { continue };
            alarm.window_errors = 0;
            let state = &mut alarm.state;
            let quiet_us = now_us.saturating_sub(state.last_us.unwrap_or(now_us));
            if !state.is_raised || quiet_us < self.clear_after_us {
                continue;
            }
            state.is_raised = false;
            let change = Change::Cleared {
                errors: state.errors - alarm.errors_before,
                raised_us: now_us.saturating_sub(alarm.raised_at_us),
            };
            let (indicator, pid) = (state.indicator, state.pid);
            self.push(Event { indicator, at_us: now_us, pid, change });
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn states(&self) -> [AlarmState; Indicator::ALL.len()] {
        self.alarms.map(|alarm| alarm.state)
    }

    pub(super) fn errors(&self, indicator: Indicator) -> u64 {
        self.alarms.get(indicator as usize).map_or(0, |alarm| alarm.state.errors)
    }

    /// The oldest is forgotten when nobody asks.
    fn push(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// Each indicator raised and cleared twice.
const EVENTS_MAX: usize = 4 * Indicator::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    #[test]
    fn an_alarm_is_raised_once_and_cleared_when_it_was_quiet() {
        let mut alarms = Alarms::new(&Settings::default());
        let pid = Some(Pid::new(0x100));
        for n in 0..3 {
            alarms.error(Indicator::ContinuityCountError, pid, 1, n * S);
            alarms.end_window(n * S);
        }
        let raised = alarms.poll_event().expect("raised");
        assert_eq!((raised.at_us, raised.change), (0, Change::Raised { value: 1 }));
        assert_eq!(alarms.poll_event(), None);
        alarms.end_window(6 * S);
        assert_eq!(alarms.poll_event(), None, "not quiet for long enough");
        alarms.end_window(7 * S);
        let cleared = alarms.poll_event().expect("cleared");
        assert_eq!(cleared.change, Change::Cleared { errors: 3, raised_us: 7 * S });
        alarms.error(Indicator::ContinuityCountError, pid, 1, 8 * S);
        assert!(matches!(alarms.poll_event().expect("again").change, Change::Raised { .. }));
    }

    #[test]
    fn fewer_errors_in_a_window_than_set_raise_nothing() {
        let settings = Settings { raise_errors: 3, ..Settings::default() };
        let mut alarms = Alarms::new(&settings);
        for second in 0..10 {
            for _ in 0..2 {
                alarms.error(Indicator::TransportError, None, 1, second * S);
            }
            alarms.end_window(second * S);
        }
        assert_eq!((alarms.poll_event(), alarms.errors(Indicator::TransportError)), (None, 20));
        for _ in 0..3 {
            alarms.error(Indicator::TransportError, None, 1, 10 * S);
        }
        assert!(alarms.poll_event().is_some());
    }

    #[test]
    fn a_condition_that_holds_is_not_cleared_and_not_counted() {
        let mut alarms = Alarms::new(&Settings::default());
        alarms.error(Indicator::PatError, Some(Pid::PAT), 600_000, 0);
        for second in 1..60 {
            alarms.holds(Indicator::PatError, second * S);
            alarms.end_window(second * S);
        }
        assert_eq!(alarms.errors(Indicator::PatError), 1);
        assert!(alarms.poll_event().is_some() && alarms.poll_event().is_none());
        alarms.end_window(64 * S);
        assert!(matches!(alarms.poll_event().expect("over").change, Change::Cleared { .. }));
    }

    #[test]
    fn events_that_nobody_takes_do_not_pile_up() {
        let settings = Settings { clear_after_us: 0, ..Settings::default() };
        let mut alarms = Alarms::new(&settings);
        for n in 0..1_000 {
            alarms.error(Indicator::PtsError, None, 1, n);
            alarms.end_window(n);
        }
        let events: Vec<_> = std::iter::from_fn(|| alarms.poll_event()).collect();
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events.last().expect("events").at_us, 999);
    }

    #[test]
    fn numbers_and_order_are_those_of_the_report() {
        let numbers: Vec<_> = Indicator::ALL.iter().map(|indicator| indicator.number()).collect();
        assert!(numbers.is_sorted());
        for (index, indicator) in Indicator::ALL.into_iter().enumerate() {
            assert_eq!(indicator as usize, index);
        }
        assert_eq!(Indicator::PtsError.priority(), 2);
    }
}
