//! A transport stream in the body of a request: POST or PUT.

use bytes::Bytes;
use corelay_codecs::container::mpegts::align::Aligner;
use corelay_protocols::Session as _;
use corelay_protocols::http::PublishRequest;
use tracing::Level;

use super::HttpDriver;
use crate::clock::Micros;
use crate::driver::intake::{Intake, Verdict};
use crate::driver::{Activity, Context, Publish, Step};
use crate::hub::{Notice, PublisherId};
use crate::shard::Ending;
use crate::stats::Failure;

/// A publication under way.
pub(super) struct Upload {
    intake: Intake,
    aligner: Aligner,
    /// Bytes passed over when the last packet came.
    skipped_before: u64,
    agent: String,
    url: String,
}

impl Upload {
    pub(super) fn poll_timeout(&self) -> Micros {
        self.intake.poll_timeout()
    }

    pub(super) fn reads_at_leisure(&self) -> bool {
        self.intake.reads_at_leisure()
    }

    pub(super) fn publisher(&self) -> PublisherId {
        self.intake.id()
    }

    pub(super) fn intake(&mut self) -> &mut Intake {
        &mut self.intake
    }

    pub(super) fn activity(&self) -> Activity {
        Activity {
            role: "publish",
            stream: self.intake.key().to_string(),
            agent: self.agent.clone(),
            url: self.url.clone(),
        }
    }
}

impl HttpDriver {
    pub(super) fn publish(&mut self, cx: &mut Context<'_>, request: &PublishRequest) {
        let PublishRequest { app, name, query, host, user_agent: agent, .. } = request;
        let extension = request.container.extension();
        let url = format!("{}://{host}/{app}/{name}.{extension}", cx.scheme("http"));
        let ask = Publish { app, name, query, protocol: "http", agent, url: &url };
        match Intake::ask(cx, ask) {
            Ok(intake) => {
                let (aligner, skipped_before) = (Aligner::default(), 0);
                let agent = agent.clone();
                let upload = Upload { intake, aligner, skipped_before, agent, url };
                self.upload = Some(Box::new(upload));
            }
            Err(why) => self.session.reject_publish(why.http_status(), why.text()),
        }
    }

    pub(super) fn handle_upload_notice(&mut self, cx: &mut Context<'_>, notice: &Notice) -> Step {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        match upload.intake.handle_notice(cx, notice) {
            Verdict::Nothing => return Ok(()),
            Verdict::Accepted => self.session.accept_publish(),
            Verdict::Over(ending) => {
                self.upload = None;
                let (Ending::Done(why) | Ending::Fault(_, why)) = &ending else {
                    return Err(ending);
                };
                self.session.reject_publish(503, why);
                cx.log(Level::INFO, format!("the publication is over: {why}"));
            }
        }
        self.drive(cx)
    }

    /// Finds the packets in the next bytes of what is published.
    pub(super) fn take(&mut self, cx: &mut Context<'_>, bytes: Bytes) -> Step {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let Upload { intake, aligner, skipped_before, .. } = &mut **upload;
        let before = aligner.counters();
        let mut blocks = smallvec::SmallVec::<[_; 2]>::new();
        aligner.push(bytes, |block| blocks.push(block));
        let met = aligner.counters();
        for block in &blocks {
            intake.take(cx, block, met.sync_losses);
        }
        if met.packets > before.packets {
            *skipped_before = met.skipped_bytes;
        }
        let (unsynced, limit) =
            (met.skipped_bytes - *skipped_before, self.settings.unsynced_bytes_max);
        if unsynced <= limit {
            return Ok(());
        }
        let why = format!("no packets in {unsynced} bytes; `unsynced_bytes_max` is {limit}");
        self.end_upload(cx);
        self.session.reject_publish(415, &why);
        while let Some(bytes) = self.session.poll_output() {
            cx.outbox.push(bytes);
        }
        Err(Ending::Fault(Failure::Limit, why))
    }

    /// What is published is complete.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        self.end_upload(cx);
        self.session.finish_publish();
    }

    pub(super) fn end_upload(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = self.upload.take() {
            upload.intake.close(cx);
        }
    }

    /// # Errors
    /// Nothing was published for too long.
    pub(super) fn check_upload(&self, cx: &Context<'_>) -> Step {
        self.upload.as_ref().map_or(Ok(()), |upload| upload.intake.check_idle(cx.now))
    }
}
