//! The loop of one thread of players.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::HlsVenue;
use super::player::{Common, Player};
use super::result::Tally;
use crate::play::stage::{Phase, Shared};
use crate::sys::clock;
use crate::sys::epoll::Epoll;

/// One thread's players and their schedule.
pub(super) struct Driver {
    epoll: Epoll,
    shared: Arc<Shared>,
    players: Vec<Player>,
    schedule: BinaryHeap<Reverse<(u64, usize)>>,
    venue: HlsVenue,
    stamps: bool,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Driver {
    /// For players that begin at these times.
    pub(super) fn new(
        venue: HlsVenue,
        players: Vec<(u64, Player)>,
        stamps: bool,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let begins =
            players.iter().enumerate().map(|(index, (begins, _))| Reverse((*begins, index)));
        Ok(Self {
            epoll: Epoll::new()?,
            shared,
            schedule: begins.collect(),
            players: players.into_iter().map(|(_, player)| player).collect(),
            venue,
            stamps,
            buffer: vec![0; READ_BYTES],
            tally: Tally::default(),
        })
    }

    /// Plays until the run is over.
    ///
    /// # Errors
    /// The operating system refused to wait.
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let mut phase = Phase::Joining;
        loop {
            let count = self.epoll.wait(self.wait_us())?;
            let entered = self.shared.phase();
            if entered == Phase::Measuring && phase == Phase::Joining {
                self.tally.open_window();
            }
            phase = entered;
            if phase == Phase::Leaving {
                break;
            }
            self.handle_ready(count);
            self.handle_due();
        }
        let Self { players, mut tally, .. } = self;
        players.iter().for_each(|player| player.finish(&mut tally));
        Ok(tally)
    }

    fn wait_us(&self) -> u64 {
        let next_us = self.schedule.peek().map_or(u64::MAX, |Reverse((due_us, _))| *due_us);
        next_us.saturating_sub(clock::now_us()).min(LOOK_AROUND_US)
    }

    fn handle_ready(&mut self, count: usize) {
        for number in 0..count {
            let Some(ready) = self.epoll.ready(number) else { break };
            let (index, which) = Player::of_token(ready.token);
            self.with(index, |player, common| player.ready(which, ready, common));
        }
    }

    fn handle_due(&mut self) {
        for _ in 0..DUE_PER_TURN {
            let Some(Reverse((due_us, index))) = self.schedule.peek().copied() else { return };
            if due_us > clock::now_us() {
                return;
            }
            self.schedule.pop();
            self.with(index, |player, common| player.due(common));
        }
    }

    fn with(&mut self, index: usize, act: impl FnOnce(&mut Player, &mut Common<'_>)) {
        let Some(player) = self.players.get_mut(index) else { return };
        let mut common = Common {
            epoll: &self.epoll,
            shared: &self.shared,
            tally: &mut self.tally,
            buffer: &mut self.buffer,
            schedule: &mut self.schedule,
            address: self.venue.address,
            stamps: self.stamps,
            now_us: clock::now_us(),
            window_start_us: self.shared.window_start_us.load(Ordering::Relaxed),
            heard: 0,
        };
        act(player, &mut common);
    }
}

/// How soon the window's edges are noticed.
const LOOK_AROUND_US: u64 = 20_000;
/// Players looked after before those that have answers are.
const DUE_PER_TURN: usize = 64;
/// One read: a good part of a segment.
const READ_BYTES: usize = 256 << 10;
