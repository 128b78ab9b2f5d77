//! What a player does by the clock: reading slowly, acknowledging, leaving, and what is left of it
//! at the edges of the window.

use bytes::BytesMut;

use super::{Common, Manner, Player, Reading, Stage, Tally};
use crate::client::acknowledgement;
use crate::sys::socket;

impl Player {
    /// The window opens: nothing before it counts.
    pub(in crate::play) fn open_window(&mut self) {
        self.window_bytes = 0;
        self.stalled = false;
        if let Stage::Parsing(talk) = &mut self.stage {
            talk.sampler.open_window();
        }
    }

    /// Looks after the player every [`TICK_US`](super::super::driver::TICK_US).
    pub(in crate::play) fn tick(&mut self, passed_us: u64, common: &mut Common<'_>) {
        if let (Stage::Counting, Manner::Slow { bytes_per_s }) = (&self.stage, self.manner) {
            let budget = bytes_per_s * passed_us / 1_000_000;
            if budget > 0
                && let Reading::Over(why) = self.count(budget as usize, common)
            {
                return self.end(why, common);
            }
        } else if matches!(self.stage, Stage::Counting | Stage::Parsing(_))
            && !self.stalled
            && common.now_us.saturating_sub(self.heard_us) > STALL_US
        {
            self.stalled = true;
            common.tally.stalls += 1;
        }
        self.acknowledge(common.now_us);
    }

    /// Tells an RTMP server what a player that does not parse has received.
    fn acknowledge(&mut self, now_us: u64) {
        if !self.is_rtmp || !matches!(self.stage, Stage::Counting) {
            return;
        }
        let due = self.bytes - self.acknowledged_bytes >= ACKNOWLEDGE_BYTES
            || now_us.saturating_sub(self.acknowledged_us) >= ACKNOWLEDGE_US;
        if let (true, Some(fd)) = (due, &self.fd) {
            (self.acknowledged_bytes, self.acknowledged_us) = (self.bytes, now_us);
            let mut out = BytesMut::from(&acknowledgement(self.bytes)[..]);
            if let Some(tls) = &mut self.tls {
                // It keeps what it cannot take now.
                let _ = tls.write(&out.split());
                tls.take_output(&mut out);
            }
            // A socket without room for so little is not in need of a sign of life.
            let _ = socket::send(socket::raw(fd), &out);
        }
    }

    /// Leaves on purpose, if it only counts; says whether it did.
    pub(in crate::play) fn leave(&mut self) -> bool {
        let leaves = matches!(self.stage, Stage::Counting) && self.manner == Manner::Count;
        if leaves {
            (self.stage, self.fd) = (Stage::Away, None);
        }
        leaves
    }

    /// Adds its bytes at the end of the run. Whoever waits for a keyframe has failed if it had the
    /// time to join, and is cut off by the end of the run if not.
    pub(in crate::play) fn finish(&self, now_us: u64, join_timeout_us: u64, tally: &mut Tally) {
        tally.window_bytes_sum += self.window_bytes;
        let healthy = !matches!(self.manner, Manner::Slow { .. });
        match self.stage {
            Stage::Counting | Stage::Parsing(_) if healthy => {
                tally.window_bytes.push(self.window_bytes);
            }
            Stage::Joining(_) if now_us.saturating_sub(self.begun_us) < join_timeout_us => {
                tally.left_early += 1;
            }
            Stage::Joining(_) => {
                tally.failed += 1;
                tally.reason("no keyframe within the time to join".to_owned());
            }
            _ => {}
        }
    }
}

/// Without data for this long a player has stalled.
const STALL_US: u64 = 1_000_000;
/// As often as a player with the usual window of 2.5 MB sends acknowledgements.
const ACKNOWLEDGE_BYTES: u64 = 2_500_000;
/// Well within the time servers wait for an answer to a ping, which is not parsed here.
const ACKNOWLEDGE_US: u64 = 15_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Recipe};
    use crate::play::player::{Sampler, Talk};
    use crate::target::Target;

    /// A player that began at this time and waits for its keyframe.
    fn joining(begun_us: u64) -> Player {
        let recipe = Recipe::new(&Target::parse("http://127.0.0.1/live/a.flv").unwrap());
        let talk = Talk {
            client: Client::new(&recipe, 0, begun_us),
            unsent: BytesMut::new(),
            sampler: Sampler::default(),
            connected: true,
        };
        let mut player = Player::new(Manner::Count, false);
        (player.begun_us, player.stage) = (begun_us, Stage::Joining(Box::new(talk)));
        player
    }

    #[test]
    fn a_join_cut_off_by_the_end_of_the_run_is_no_failure() {
        let mut tally = Tally::default();
        joining(9_000_000).finish(10_000_000, 2_000_000, &mut tally);
        assert_eq!((tally.left_early, tally.failed), (1, 0));
        joining(8_000_000).finish(10_000_000, 2_000_000, &mut tally);
        assert_eq!((tally.left_early, tally.failed), (1, 1));
        assert!(tally.reasons.keys().any(|why| why.starts_with("no keyframe")));
    }
}
