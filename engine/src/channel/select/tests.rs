use proptest::prelude::*;

use super::*;

const S: u64 = 1_000;

/// As shipped.
const FAILOVER: Failover = Failover {
    silence_ms: 500,
    tables_ms: 2_000,
    continuity_errors_max: 50,
    scrambled: false,
    tracks_ms: 2_000,
    bitrate_min_kbps: 0,
    entry_wait_ms: 200,
    return_ms: 10_000,
};

fn at(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

/// An input as a test makes it: what is wrong with it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Silent,
    OutOfSync,
    NoPat,
    NoPmt,
    NoTracks,
    Scrambled,
    Errors,
    Thin,
}

const STATES: [State; 9] = [
    State::Good,
    State::Silent,
    State::OutOfSync,
    State::NoPat,
    State::NoPmt,
    State::NoTracks,
    State::Scrambled,
    State::Errors,
    State::Thin,
];

#[derive(Clone, Debug)]
struct Input {
    state: State,
    health: Health,
    /// Since when it truly is in this state.
    since: Micros,
}

impl Input {
    fn new(state: State) -> Self {
        Self { state, health: Health::default(), since: Micros(0) }
    }

    fn set(&mut self, state: State, now: Micros) {
        if state != self.state {
            (self.state, self.since) = (state, now);
        }
    }

    fn run(&mut self, failover: &Failover, now: Micros) {
        let health = &mut self.health;
        if self.state == State::Silent {
            return;
        }
        let is_anew =
            health.last_packet.is_none_or(|last| now.millis_since(last) >= failover.silence_ms);
        if is_anew {
            health.heard_since = Some(now);
        }
        health.last_packet = Some(now);
        health.is_in_sync = self.state != State::OutOfSync;
        if self.state != State::NoPat {
            health.last_pat = Some(now);
        }
        if self.state != State::NoPmt {
            health.last_pmt = Some(now);
        }
        if self.state != State::NoTracks {
            health.last_tracks = Some(now);
        }
        health.is_scrambled = self.state == State::Scrambled;
        health.continuity_errors = if self.state == State::Errors { 100 } else { 0 };
        health.bitrate_kbps = Some(if self.state == State::Thin { 10 } else { 8_000 });
    }
}

/// Inputs, a selector, and a channel that makes its switches.
struct Rig {
    failover: Failover,
    selector: Selector,
    decision: Decision,
    /// The fault of each input when that was decided.
    faults: Vec<Option<Why>>,
    /// When each input last had one.
    last_faults: Vec<Micros>,
    inputs: Vec<Input>,
    now: Micros,
    /// Entry points stand so far apart; 0: there are none.
    entry_ms: u64,
    switches: Vec<(u64, usize, Why)>,
}

impl Rig {
    fn new(states: &[State], failover: Failover) -> Self {
        Self {
            failover,
            selector: Selector::new(states.len(), failover, at(0)),
            decision: Decision::Stay,
            faults: Vec::new(),
            last_faults: vec![at(0); states.len()],
            inputs: states.iter().map(|&state| Input::new(state)).collect(),
            now: at(0),
            entry_ms: 0,
            switches: Vec::new(),
        }
    }

    fn healths(&self) -> Vec<Health> {
        self.inputs.iter().map(|input| input.health).collect()
    }

    /// One step of 10 ms, as the core's loop makes it. True when a switch was made.
    fn step(&mut self) -> bool {
        self.now = self.now.after_millis(10);
        for input in &mut self.inputs {
            input.run(&self.failover, self.now);
        }
        if self.now >= self.selector.next_due() {
            let healths = self.healths();
            self.decision = self.selector.decide(&healths, self.now);
            let fault = |health: &Health| match health.last_packet {
                None => Some(Why::Silent { ms: 0 }),
                Some(_) => health.fault(&self.failover, self.now),
            };
            self.faults = healths.iter().map(fault).collect();
            for (last, fault) in self.last_faults.iter_mut().zip(&self.faults) {
                *last = if fault.is_some() { self.now } else { *last };
            }
        }
        let Decision::Switch { to, why, at_entry_until } = self.decision else { return false };
        let ms = self.now.0 / 1_000;
        let is_entry = self.entry_ms > 0
            && ms.is_multiple_of(self.entry_ms)
            && self.inputs[to].state != State::Silent;
        let is_due = self.now >= at_entry_until || is_entry;
        if is_due {
            self.selector.switched(to, self.now);
            self.decision = Decision::Stay;
            self.switches.push((ms, to, why));
        }
        is_due
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.step();
        }
    }

    fn set(&mut self, input: usize, state: State) {
        let now = self.now;
        self.inputs[input].set(state, now);
    }
}

fn good(inputs: usize) -> Rig {
    let failover = Failover { scrambled: true, bitrate_min_kbps: 1_000, ..FAILOVER };
    let mut rig = Rig::new(&vec![State::Good; inputs], failover);
    rig.run(2 * S);
    assert!(rig.switches.is_empty());
    rig
}

#[test]
fn each_fault_is_left_within_its_time_and_told() {
    for (state, label, limit_ms) in [
        (State::Silent, "silent", 500),
        (State::OutOfSync, "out_of_sync", 0),
        (State::NoPat, "no_tables", 2_000),
        (State::NoPmt, "no_tables", 2_000),
        (State::NoTracks, "no_tracks", 2_000),
        (State::Scrambled, "scrambled", 0),
        (State::Errors, "continuity_errors", 0),
        (State::Thin, "bitrate_low", 0),
    ] {
        let mut rig = good(2);
        rig.set(0, state);
        rig.run(limit_ms + 200 + 120);
        let [(ms, 1, why)] = rig.switches[..] else { panic!("{state:?}: {:?}", rig.switches) };
        assert_eq!(why.label(), label);
        assert!(ms - 2_000 >= limit_ms + 200, "{state:?}: the wait for an entry, {ms}");
        assert_eq!(rig.selector.current(), 1);
        assert!(why.is_fault() && !why.to_string().is_empty());
    }
}

#[test]
fn an_entry_point_that_comes_soon_is_taken() {
    let mut rig = good(2);
    rig.entry_ms = 50;
    rig.set(0, State::Silent);
    rig.run(600);
    assert!(matches!(rig.switches[..], [(2_500..=2_560, 1, Why::Silent { .. })]));
}

#[test]
fn a_fault_that_ends_before_the_entry_point_calls_the_switch_off() {
    let mut rig = good(2);
    rig.set(0, State::Silent);
    rig.run(600);
    let decision = rig.selector.decide(&rig.healths(), rig.now);
    let Decision::Switch { to: 1, at_entry_until, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(rig.selector.decide(&rig.healths(), rig.now), decision, "it holds");
    assert!(at_entry_until <= rig.now.after_millis(200));
    rig.set(0, State::Good);
    rig.run(20 * S);
    assert!(rig.switches.is_empty() && rig.selector.current() == 0);
}

#[test]
fn the_way_back_waits_for_the_hold_down_and_for_an_entry_point() {
    let mut rig = good(2);
    rig.set(0, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 1);
    rig.set(0, State::Good);
    rig.run(9_900);
    rig.set(0, State::Silent);
    rig.run(600);
    rig.set(0, State::Good);
    let begin = rig.now.0 / 1_000;
    rig.entry_ms = 3_700;
    rig.run(20 * S);
    let [_, (ms, 0, Why::Preferred { good_ms })] = rig.switches[..] else {
        panic!("{:?}", rig.switches)
    };
    assert!(good_ms >= 10_000 && ms >= begin + 10_000 && ms % 3_700 == 0, "{ms}");
}

#[test]
fn without_a_way_back_the_channel_stays() {
    let mut rig = good(2);
    rig.selector.failover.return_ms = 0;
    rig.set(0, State::Silent);
    rig.run(S);
    rig.set(0, State::Good);
    rig.run(100 * S);
    assert_eq!((rig.switches.len(), rig.selector.current()), (1, 1));
    rig.set(1, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 0, "unless the other fails");
}

#[test]
fn what_is_set_to_zero_is_not_looked_at() {
    let zero = Failover {
        tables_ms: 0,
        continuity_errors_max: 0,
        tracks_ms: 0,
        bitrate_min_kbps: 0,
        ..FAILOVER
    };
    for state in [State::NoPat, State::NoPmt, State::NoTracks, State::Errors, State::Thin] {
        let mut rig = Rig::new(&[State::Good; 2], zero);
        rig.run(S);
        rig.set(0, state);
        rig.run(60 * S);
        assert!(rig.switches.is_empty(), "{state:?}");
        rig.set(1, state);
        rig.set(0, State::Silent);
        rig.run(S);
        assert_eq!(rig.selector.current(), 1, "{state:?} is good enough to go to");
    }
}

#[test]
fn one_input_never_switches() {
    let mut rig = good(1);
    for state in STATES {
        rig.set(0, state);
        rig.run(5 * S);
    }
    assert!(rig.switches.is_empty());
    let mut none = Selector::new(0, FAILOVER, at(0));
    assert_eq!(none.decide(&[], at(10_000)), Decision::Stay);
    none.switched(0, at(10_000));
    assert_eq!(none.current(), 0);
}

#[test]
fn the_preferred_one_of_several_good_ones_is_chosen() {
    let mut rig = good(4);
    rig.set(1, State::Errors);
    rig.run(S);
    rig.set(0, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 2);
}

#[test]
fn when_none_is_good_one_with_packets_is_better_than_none() {
    let mut rig = good(3);
    rig.set(1, State::NoPat);
    rig.set(2, State::Errors);
    rig.run(5 * S);
    rig.set(0, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 2, "disturbed is better than broken");
    rig.set(2, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 1, "broken is better than silent");
    rig.set(1, State::Silent);
    rig.run(60 * S);
    assert_eq!((rig.selector.current(), rig.switches.len()), (1, 2), "all silent: stay");
}

#[test]
fn two_disturbed_inputs_do_not_make_the_channel_flap() {
    let mut rig = good(2);
    for _ in 0..60 {
        rig.set(0, State::Errors);
        rig.set(1, State::Good);
        rig.run(S);
        rig.set(0, State::Good);
        rig.set(1, State::Errors);
        rig.run(S);
    }
    assert_eq!(rig.switches.len(), 1, "{:?}", rig.switches);
}

#[test]
fn an_input_that_is_late_at_the_start_is_waited_for_as_long_as_for_any_packet() {
    let mut rig = Rig::new(&[State::Silent, State::Good], FAILOVER);
    rig.run(400);
    rig.set(0, State::Good);
    rig.run(20 * S);
    assert!(rig.switches.is_empty());
    let mut rig = Rig::new(&[State::Silent, State::Good], FAILOVER);
    rig.run(750);
    assert!(matches!(rig.switches[..], [(_, 1, Why::Silent { ms: 500..=720 })]));
}

#[test]
fn an_input_without_tables_yet_is_not_switched_to_while_another_is_good() {
    let mut rig = good(3);
    rig.inputs[1].health = Health::default();
    rig.set(1, State::NoPmt);
    rig.run(100);
    rig.set(0, State::Silent);
    rig.run(S);
    assert_eq!(rig.selector.current(), 2);
}

#[test]
fn an_input_that_returns_is_good_when_its_tables_have_come_anew() {
    let mut rig = good(2);
    rig.set(1, State::Silent);
    rig.run(S);
    rig.set(1, State::NoPmt);
    rig.set(0, State::OutOfSync);
    rig.run(S);
    assert_eq!(rig.selector.current(), 0);
    rig.set(1, State::Good);
    rig.run(300);
    assert_eq!(rig.selector.current(), 1);
}

#[test]
fn tables_that_were_missing_during_a_silence_are_no_fault_of_what_follows() {
    let mut rig = good(1);
    rig.set(0, State::Silent);
    rig.run(30 * S);
    rig.set(0, State::NoPat);
    rig.run(1_500);
    let fault = |rig: &Rig| rig.inputs[0].health.fault(&rig.failover, rig.now);
    assert_eq!(fault(&rig), None);
    rig.run(S);
    assert!(matches!(fault(&rig), Some(Why::NoTable { table: Table::Pat, ms: 2_000..2_600 })));
}

#[test]
fn cold_inputs_are_wanted_when_the_one_on_air_fails_and_preferred_ones_always() {
    let mut rig = good(3);
    let wanted = |rig: &Rig| (0..3).map(|n| rig.selector.wants_open(n)).collect::<Vec<_>>();
    assert_eq!(wanted(&rig), [true, false, false]);
    rig.inputs[1].health = Health::default();
    rig.inputs[2].health = Health::default();
    rig.set(0, State::Silent);
    rig.run(560);
    assert_eq!(wanted(&rig), [true, true, true]);
    rig.run(S);
    assert_eq!((rig.selector.current(), wanted(&rig)), (1, vec![true, true, false]));
}

#[test]
fn labels_are_distinct_and_in_their_places() {
    let whys = [
        Why::Silent { ms: 1 },
        Why::OutOfSync,
        Why::NoTable { table: Table::Pat, ms: 1 },
        Why::NoTrack { ms: 1 },
        Why::Scrambled,
        Why::ContinuityErrors { count: 1 },
        Why::BitrateLow { kbps: 1, min_kbps: 2 },
        Why::Preferred { good_ms: 1 },
    ];
    assert!(whys.iter().map(|why| why.label()).eq(Why::LABELS));
}

/// Of one input: states one after the other, and how long each lasts in ms.
fn script() -> impl Strategy<Value = Vec<(State, u64)>> {
    let state = prop_oneof![
        4 => Just(State::Good),
        3 => Just(State::Silent),
        3 => prop::sample::select(STATES.to_vec()),
    ];
    let ms = prop_oneof![10..1_000_u64, 500..5_000_u64, 5_000..30_000_u64];
    prop::collection::vec((state, ms), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_failures_keep_the_rules(
        scripts in prop::collection::vec(script(), 1..5),
        entry_ms in prop_oneof![Just(0), 40..3_000_u64],
        return_ms in prop_oneof![Just(0), Just(10_000), 100..20_000_u64],
    ) {
        let failover = Failover {
            scrambled: true, bitrate_min_kbps: 1_000, return_ms, ..FAILOVER
        };
        let first: Vec<State> = scripts.iter().map(|script| script[0].0).collect();
        let mut rig = Rig { entry_ms: entry_ms / 10 * 10, ..Rig::new(&first, failover) };
        let mut next: Vec<(usize, u64)> = scripts.iter().map(|script| (0, script[0].1)).collect();
        // Detection, the wait for an entry, two looks.
        let limit_ms = failover.silence_ms + failover.entry_wait_ms + 50;
        let mut dead_and_another_good_ms = 0;
        for _ in 0..6_000 {
            for (input, (place, ms_left)) in next.iter_mut().enumerate() {
                if *ms_left < 10 {
                    *place = (*place + 1) % scripts[input].len();
                    *ms_left += scripts[input][*place].1;
                    rig.set(input, scripts[input][*place].0);
                }
                *ms_left -= 10;
            }
            let before = rig.selector.current();
            let has_switched = rig.step();
            let is_alone = scripts.len() == 1;
            prop_assert!(!is_alone || !has_switched);

            // A dead input is not stayed on while another is good.
            let current = rig.selector.current();
            let is_dead = rig.inputs[current].state == State::Silent;
            let is_good = |one: &Input| {
                one.state == State::Good && rig.now.millis_since(one.since) >= 30
            };
            let has_good = rig.inputs.iter().any(is_good);
            dead_and_another_good_ms = match is_dead && has_good && current == before {
                true => dead_and_another_good_ms + 10,
                false => 0,
            };
            prop_assert!(dead_and_another_good_ms <= limit_ms, "stayed on a dead input");

            if let Some(&(_, to, why)) = rig.switches.last().filter(|_| has_switched) {
                prop_assert_ne!(to, before);
                let target = &rig.inputs[to];
                // It was alive when that was decided.
                let heard_ms = target.health.last_packet.map(|last| rig.now.millis_since(last));
                let limit_ms = failover.silence_ms + ALERT_INTERVAL_MS;
                prop_assert!(heard_ms.is_some_and(|ms| ms < limit_ms), "it is dead");
                if let Why::Preferred { .. } = why {
                    prop_assert!(to < before && return_ms > 0);
                    prop_assert_eq!(rig.faults[to], None);
                    let good_ms = rig.now.millis_since(rig.last_faults[to]);
                    prop_assert!(good_ms >= return_ms, "within the hold-down");
                } else {
                    prop_assert!(rig.faults[before].is_some(), "left without a fault");
                }
            }
        }
    }
}
