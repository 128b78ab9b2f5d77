//! Deadlines: handshake, silence, idleness.

use super::streams::Role;
use super::{Phase, ServerSession};
use crate::rtmp::error::Error;
use crate::rtmp::message::UserControl;
use crate::session::Millis;

/// The moments that deadlines are counted from.
#[derive(Debug)]
pub(super) struct Timers {
    now: Millis,
    opened: Millis,
    received: Millis,
    /// The last command, or the last media of a publication.
    active: Millis,
    pinged: Option<Millis>,
    /// An answer came from outside, at a time not known here: all is counted anew from the next call.
    resumed: bool,
}

impl Timers {
    pub(super) fn new(now: Millis) -> Self {
        Self { now, opened: now, received: now, active: now, pinged: None, resumed: false }
    }

    /// Notes that bytes came in: the peer is alive.
    pub(super) fn received(&mut self, now: Millis) {
        self.advance(now);
        self.received = now;
        self.pinged = None;
    }

    /// Notes that the peer does something.
    pub(super) fn active(&mut self) {
        self.active = self.now;
    }

    /// Notes that the driver has answered a question.
    pub(super) fn resume(&mut self) {
        self.resumed = true;
    }

    fn advance(&mut self, now: Millis) {
        self.now = now;
        if std::mem::take(&mut self.resumed) {
            (self.received, self.active) = (now, now);
        }
    }
}

impl ServerSession {
    /// When [`Self::check_timers`] must be called.
    pub(super) fn deadline(&self) -> Option<Millis> {
        if self.failure.is_some() || self.timers.resumed {
            return Some(self.timers.now);
        }
        if matches!(self.phase, Phase::Ended) || self.question.is_some() {
            return None;
        }
        if !self.connected {
            return Some(self.timers.opened + self.settings.handshake_timeout_ms);
        }
        [self.idle_deadline(), self.ping_deadline()].into_iter().flatten().min()
    }

    /// Sends the ping that is due.
    pub(super) fn check_timers(&mut self, now: Millis) -> Result<(), Error> {
        self.timers.advance(now);
        if matches!(self.phase, Phase::Ended) || self.question.is_some() {
            return Ok(());
        }
        let settings = &self.settings;
        if !self.connected {
            let limit_ms = settings.handshake_timeout_ms;
            return self.expire(
                Some(self.timers.opened + limit_ms),
                Error::TimedOut {
                    what: "command connect",
                    setting: "handshake_timeout_ms",
                    limit_ms,
                },
            );
        }
        self.expire(
            self.idle_deadline(),
            Error::TimedOut {
                what: "command",
                setting: "idle_timeout_ms",
                limit_ms: settings.idle_timeout_ms,
            },
        )?;
        if self.timers.pinged.is_some() {
            return self.expire(
                self.ping_deadline(),
                Error::TimedOut {
                    what: "answer to a ping",
                    setting: "ping_timeout_ms",
                    limit_ms: settings.ping_timeout_ms,
                },
            );
        }
        if self.ping_deadline().is_some_and(|deadline| deadline <= now) {
            self.timers.pinged = Some(now);
            // The low 32 bits of the time, as the message has them.
            self.output.user(UserControl::PingRequest(now.0 as u32));
        }
        Ok(())
    }

    fn expire(&self, deadline: Option<Millis>, error: Error) -> Result<(), Error> {
        match deadline {
            Some(deadline) if deadline <= self.timers.now => Err(error),
            _ => Ok(()),
        }
    }

    /// Players are not idle: they only listen. How long a publisher may be silent is its application's
    /// affair, which the driver knows.
    fn idle_deadline(&self) -> Option<Millis> {
        let in_use = self.streams.iter().any(|(_, role)| !matches!(role, Role::Idle));
        let timeout_ms = self.settings.idle_timeout_ms;
        (timeout_ms > 0 && !in_use).then(|| self.timers.active + timeout_ms)
    }

    fn ping_deadline(&self) -> Option<Millis> {
        match self.timers.pinged {
            Some(pinged) => Some(pinged + self.settings.ping_timeout_ms),
            None => {
                let interval_ms = self.settings.ping_interval_ms;
                (interval_ms > 0).then(|| self.timers.received + interval_ms)
            }
        }
    }
}
