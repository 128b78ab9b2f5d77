//! The slow-viewer policy: whole groups of pictures are skipped, and who skips too often is closed.

use super::{Notices, Outlet, prologue_bytes};
use crate::clock::Micros;
use crate::hub::message::{CloseReason, Notice};
use crate::hub::subscriber::State;
use crate::hub::unit::Prologue;
use crate::stats::SkipReason;
use corelay_config::Policy;

/// How much a log may keep at present.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimit {
    /// Bytes; `u64::MAX` when memory is not short.
    pub bytes_max: u64,
    /// The ceiling over all logs is exceeded.
    pub is_short: bool,
}

impl Outlet {
    /// Applies the slow-viewer policy, and gives back the memory that nobody needs.
    pub fn enforce(
        &mut self,
        policy: &Policy,
        prologue: &Prologue,
        now: Micros,
        memory: MemoryLimit,
        notices: &mut Notices,
        mut skipped: impl FnMut(SkipReason),
    ) {
        let bytes_max = (policy.log_bytes_max as u64).min(memory.bytes_max);
        let limit = self.log.limit(bytes_max, policy.log_ms_max);
        for index in 0..self.subscribers.len() {
            if let Some(reason) = self.skip_reason(index, policy, limit, memory) {
                self.skip(index, policy, prologue, now, notices);
                skipped(reason);
            }
        }
        self.trim(limit);
    }

    /// Why a viewer may not stay where it is.
    fn skip_reason(
        &self,
        index: usize,
        policy: &Policy,
        limit: u64,
        memory: MemoryLimit,
    ) -> Option<SkipReason> {
        let subscriber = &self.subscribers[index];
        let (at, edge) = (subscriber.at, self.log.edge());
        if !subscriber.holds_log() || at == edge {
            return None;
        }
        if edge - at > policy.behind_bytes_max as u64 {
            Some(SkipReason::BehindBytes)
        } else if self.log.behind_ms(at) > policy.behind_ms_max {
            Some(SkipReason::BehindTime)
        } else if at < limit {
            Some(if memory.is_short { SkipReason::Memory } else { SkipReason::LogLimit })
        } else {
            None
        }
    }

    fn skip(
        &mut self,
        index: usize,
        policy: &Policy,
        prologue: &Prologue,
        now: Micros,
        notices: &mut Notices,
    ) {
        self.take_rest(index, notices);
        let (edge, entry) = (self.log.edge(), self.log.newest_entry());
        let config_at = self.entry_config_at;
        let (log, muxer) = (&self.log, &mut self.muxer);
        let subscriber = &mut self.subscribers[index];
        match entry.filter(|&entry| entry > subscriber.at) {
            Some(entry) => {
                if config_at.is_some_and(|config_at| config_at >= subscriber.at) {
                    subscriber.held = true;
                    let head = prologue_bytes(muxer, log, entry, self.has_video, prologue);
                    notices.push((subscriber.connection, Notice::Private(subscriber.id, head)));
                }
                subscriber.at = entry;
            }
            None => {
                subscriber.at = edge;
                subscriber.state = State::Lost;
                self.has_waiting = true;
            }
        }
        subscriber.chunk_end = subscriber.at;
        if now.millis_since(subscriber.skips_since) > policy.skips_window_ms {
            (subscriber.skips, subscriber.skips_since) = (0, now);
        }
        subscriber.skips += 1;
        if subscriber.skips > policy.skips_max {
            let (skips, window_ms) = (subscriber.skips, policy.skips_window_ms);
            let reason = CloseReason::TooSlow { skips, window_ms };
            notices.push((subscriber.connection, Notice::Close(reason)));
        }
    }

    /// Forgets what no viewer and no joiner needs, and everything before `limit`.
    fn trim(&mut self, limit: u64) {
        let (edge, tail) = (self.log.edge(), self.log.tail());
        let wanted = self.log.newest_entry().unwrap_or(edge).min(self.flushed_to.max(tail));
        if wanted <= tail && limit <= tail {
            return;
        }
        let held = self.subscribers.iter().filter(|subscriber| subscriber.holds_log());
        let oldest = held.map(|subscriber| subscriber.at).min().unwrap_or(edge);
        self.log.trim(wanted.max(limit).min(self.log.chunk_start(oldest)));
        if self.cut.as_ref().is_some_and(|(at, _)| *at < self.log.tail()) {
            self.cut = None;
        }
    }
}
