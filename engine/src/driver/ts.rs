//! Publishers of transport streams over TCP.

use std::sync::Arc;

use corelay_protocols::Session as _;
use corelay_protocols::ts_tcp::{self, Session, Settings, StreamName};

use super::intake::{Intake, Verdict};
use super::{Activity, Context, Publish, Step};
use crate::clock::Micros;
use crate::hub::Notice;
use crate::shard::Ending;
use crate::stats::Failure;

/// One connection.
pub struct TsDriver {
    session: Session,
    intake: Option<Box<Intake>>,
}

impl TsDriver {
    /// A driver for a connection accepted at `now`.
    pub fn new(settings: Arc<Settings>, now: Micros) -> Self {
        Self { session: Session::new(settings, now.as_millis()), intake: None }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let result = self.session.handle_timeout(cx.now.as_millis());
        self.intake.as_ref().map_or(Ok(()), |intake| intake.check_idle(cx.now))?;
        self.after(cx, result)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: &Notice) -> Step {
        let Some(intake) = &mut self.intake else { return Ok(()) };
        match intake.handle_notice(cx, notice) {
            Verdict::Nothing => Ok(()),
            Verdict::Accepted => self.drive(cx),
            Verdict::Over(ending) => {
                self.intake = None;
                Err(ending)
            }
        }
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        if let Some(intake) = self.intake.take() {
            intake.close(cx);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|at| Micros::from_millis(at.0));
        let idle = self.intake.as_ref().map(|intake| intake.poll_timeout());
        [session, idle].into_iter().flatten().min()
    }

    pub(super) fn wants_input(&self) -> bool {
        !self.is_asking()
    }

    pub(super) fn reads_at_leisure(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.reads_at_leisure())
    }

    pub(super) fn activity(&self) -> Activity {
        let publish = |intake: &Intake| Activity {
            role: "publish",
            stream: intake.key().to_string(),
            ..Activity::default()
        };
        self.intake.as_deref().map(publish).unwrap_or_default()
    }

    /// What it publishes, for the API.
    pub(super) fn intake(&mut self) -> Option<&mut Intake> {
        self.intake.as_deref_mut()
    }

    fn is_asking(&self) -> bool {
        self.intake.as_ref().is_some_and(|intake| intake.is_asking())
    }

    fn after(&mut self, cx: &mut Context<'_>, result: Result<(), ts_tcp::Error>) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(Ending::Fault(failure(&error), error.to_string())),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        while !self.is_asking() {
            match self.session.poll_event() {
                Some(ts_tcp::Event::Publish(stream)) => self.publish(cx, &stream)?,
                Some(ts_tcp::Event::Block(block)) => {
                    let sync_losses = self.session.counters().sync_losses;
                    if let Some(intake) = &mut self.intake {
                        intake.take(cx, &block, sync_losses);
                    }
                }
                None => break,
            }
        }
        Ok(())
    }

    fn publish(&mut self, cx: &mut Context<'_>, stream: &StreamName) -> Step {
        let StreamName { app, name, query } = stream;
        let ask = Publish { app, name, query, protocol: "ts", agent: "", url: "" };
        match Intake::ask(cx, ask) {
            Ok(intake) => {
                self.intake = Some(Box::new(intake));
                Ok(())
            }
            Err(why) => Err(Ending::Done(format!("may not publish: {}", why.text()))),
        }
    }
}

fn failure(error: &ts_tcp::Error) -> Failure {
    match error {
        ts_tcp::Error::TimedOut { .. } => Failure::Timeout,
        ts_tcp::Error::NoPackets { .. } => Failure::Limit,
        ts_tcp::Error::Malformed { .. } => Failure::Protocol,
    }
}
