//! The loop of one thread of players.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Venue;
use super::player::{Common, Player};
use super::result::Tally;
use super::seats::{Seat, Seats};
use super::stage::{Phase, Shared};
use crate::sys::clock;
use crate::sys::epoll::Epoll;

/// One thread's players and their clock.
pub(super) struct Driver {
    epoll: Epoll,
    shared: Arc<Shared>,
    venues: Vec<Venue>,
    seats: Vec<Seat>,
    players: Vec<Player>,
    buffer: Vec<u8>,
    plain: Vec<u8>,
    tally: Tally,
    begin_us: u64,
    join_timeout_us: u64,
    /// Seats whose player has begun.
    begun: usize,
    ticked_us: u64,
    churn_per_s: f64,
    churned: u64,
    churn_next: usize,
}

impl Driver {
    pub(super) fn new(seats: Seats, shared: Arc<Shared>, begin_us: u64) -> io::Result<Self> {
        let Seats { seats, venues, churn_per_s, join_timeout_us, .. } = seats;
        let is_rtmp = |seat: &Seat| venues.get(seat.venue).is_some_and(|venue| venue.is_rtmp);
        let players = seats.iter().map(|seat| Player::new(seat.manner, is_rtmp(seat))).collect();
        Ok(Self {
            epoll: Epoll::new()?,
            shared,
            players,
            venues,
            seats,
            buffer: vec![0; READ_BYTES],
            plain: Vec::new(),
            tally: Tally::default(),
            begin_us,
            join_timeout_us,
            begun: 0,
            ticked_us: begin_us,
            churn_per_s,
            churned: 0,
            churn_next: 0,
        })
    }

    /// Plays until the run is over.
    ///
    /// # Errors
    /// The operating system refused to wait.
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut phase = Phase::Joining;
        while phase != Phase::Leaving {
            let count = self.epoll.wait(self.wait_us(clock::now_us()))?;
            let entered = self.shared.phase();
            if entered != phase {
                phase = entered;
                self.enter(phase);
            }
            self.handle_ready(count);
            self.begin_due();
            if phase == Phase::Measuring {
                self.churn();
            }
            self.tick();
        }
        let Self { players, mut tally, join_timeout_us, .. } = self;
        let now_us = clock::now_us();
        players.iter().for_each(|player| player.finish(now_us, join_timeout_us, &mut tally));
        Ok(tally)
    }

    fn enter(&mut self, phase: Phase) {
        if phase == Phase::Measuring {
            self.tally.open_window();
            self.players.iter_mut().for_each(Player::open_window);
        }
    }

    /// Until the next player begins or the next look at the clock, whichever comes first.
    fn wait_us(&self, now_us: u64) -> u64 {
        let next_begin = self.seats.get(self.begun).map(|seat| self.begin_us + seat.begins_us);
        let until = next_begin.unwrap_or(u64::MAX).min(self.ticked_us + TICK_US);
        until.saturating_sub(now_us).min(if self.churn_per_s > 0.0 { CHURN_US } else { TICK_US })
    }

    fn handle_ready(&mut self, count: usize) {
        for index in 0..count {
            let Some(ready) = self.epoll.ready(index) else { break };
            self.with(ready.token, |player, common| player.ready(ready, common));
        }
    }

    fn begin_due(&mut self) {
        let passed_us = clock::now_us().saturating_sub(self.begin_us);
        for _ in 0..BEGIN_PER_TURN {
            let due = self.seats.get(self.begun).is_some_and(|seat| seat.begins_us <= passed_us);
            if !due || clock::now_us() < self.begin_us {
                break;
            }
            self.begin(self.begun);
            self.begun += 1;
        }
    }

    fn begin(&mut self, index: usize) {
        let Some(venue) = self.seats.get(index).and_then(|seat| self.venues.get(seat.venue)) else {
            return;
        };
        let venue = venue.clone();
        self.with(index, |player, common| player.begin(&venue, common));
    }

    /// Lets players leave and come back at the rate asked for.
    fn churn(&mut self) {
        let start_us = self.shared.window_start_us.load(Ordering::Relaxed);
        let passed_us = clock::now_us().saturating_sub(start_us);
        let due = (passed_us as f64 * self.churn_per_s / 1e6) as u64;
        for _ in self.churned..due.min(self.churned + BEGIN_PER_TURN as u64) {
            self.churned += 1;
            let index = self.churn_next;
            self.churn_next = (index + 1) % self.players.len().max(1);
            if self.players.get_mut(index).is_some_and(Player::leave) {
                self.begin(index);
            }
        }
    }

    fn tick(&mut self) {
        let passed_us = clock::now_us().saturating_sub(self.ticked_us);
        if passed_us < TICK_US {
            return;
        }
        self.ticked_us += passed_us;
        for index in 0..self.begun {
            self.with(index, |player, common| player.tick(passed_us, common));
        }
    }

    fn with(&mut self, token: usize, act: impl FnOnce(&mut Player, &mut Common<'_>)) {
        let Some(player) = self.players.get_mut(token) else { return };
        let mut common = Common {
            epoll: &self.epoll,
            shared: &self.shared,
            tally: &mut self.tally,
            buffer: &mut self.buffer,
            plain: &mut self.plain,
            token,
            now_us: clock::now_us(),
            window_start_us: self.shared.window_start_us.load(Ordering::Relaxed),
        };
        act(player, &mut common);
    }
}

/// How often slow players read and all are looked after.
const TICK_US: u64 = 50_000;
/// How often players come and go, while they do.
const CHURN_US: u64 = 1_000;
/// Players that begin before those that play are read again.
const BEGIN_PER_TURN: usize = 64;
/// One read: a burst of a few hundred milliseconds at television bit rates.
const READ_BYTES: usize = 256 << 10;
