//! A core's channels, in its loop.

use super::Shard;
use crate::channel::output::EARLY_US;
use crate::channel::{Channels, Environment};
use crate::clock::Micros;
use crate::driver::link::{LinkEvent, LinkId};
use crate::hub::{ConnectionId, Notice};

impl Shard {
    pub(super) fn start_channels(&mut self, now: Micros) {
        self.with_channels(now, Channels::start);
        self.hand_over_notices(now);
    }

    pub(super) fn end_channels(&mut self, now: Micros) {
        self.with_channels(now, Channels::end);
    }

    /// Takes what an input has received.
    pub(super) fn receive(&mut self, slot: u32, input: usize, now: Micros) {
        self.with_channels(now, |channels, env| channels.receive(slot, input, env));
    }

    /// Lets channels do what is left and what is due.
    pub(super) fn run_channels(&mut self, now: Micros) {
        if self.channels.has_rest() {
            self.with_channels(now, Channels::receive_rest);
        }
        if self.channels.next_due().is_some_and(|due| due.0 <= now.0 + EARLY_US) {
            self.with_channels(now, Channels::handle_timeouts);
        }
    }

    pub(super) fn tick_channels(&mut self, now: Micros) {
        self.with_channels(now, Channels::tick);
    }

    pub(super) fn tell_channel(&mut self, id: ConnectionId, notice: Notice, now: Micros) {
        self.with_channels(now, |channels, env| channels.handle_notice(id, notice, env));
    }

    pub(super) fn with_channels<T>(
        &mut self,
        now: Micros,
        call: impl FnOnce(&mut Channels, &mut Environment<'_>) -> T,
    ) -> T {
        let mut env = Environment {
            hub: &mut self.hub,
            registry: &self.registry,
            logger: &mut self.logger,
            stats: &self.stats,
            now,
        };
        call(&mut self.channels, &mut env)
    }

    pub(super) fn tell_link(&mut self, id: LinkId, event: &LinkEvent, now: Micros) {
        self.with_channels(now, |channels, env| channels.handle_link(id, event, env));
    }
}
