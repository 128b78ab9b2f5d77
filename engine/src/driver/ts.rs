//! Publishers of transport streams over TCP.

use std::sync::Arc;

use corelay_codecs::container::mpegts::demux::{self, Demuxer, Event, Output, Reason};
use corelay_codecs::{TrackKind, TsBlock};
use corelay_protocols::Session as _;
use corelay_protocols::ts_tcp::{self, Session, StreamName};
use tracing::Level;

use super::{Activity, Context, Publish, Step};
use crate::clock::Micros;
use crate::hub::{EndReason, Notice, PublisherId, Refusal, StreamKey};
use crate::shard::Ending;
use crate::stats::Failure;

/// Settings of every connection.
#[derive(Clone, Debug)]
pub struct TsSettings {
    /// Of the session.
    pub session: Arc<ts_tcp::Settings>,
    /// What is taken out of the streams.
    pub demux: demux::Settings,
}

/// One connection.
pub struct TsDriver {
    session: Session,
    demuxer: Demuxer,
    /// What came of the last block, kept for its memory.
    outputs: Vec<Output>,
    publication: Option<Publication>,
    /// An answer of the hub is awaited: no event and no input before it.
    asking: bool,
}

struct Publication {
    id: PublisherId,
    key: StreamKey,
    /// How long it may send nothing, in milliseconds.
    idle_timeout_ms: u64,
    last_media: Micros,
    /// Somebody watches, or may: its input cannot wait.
    watched: bool,
}

impl TsDriver {
    /// A driver for a connection accepted at `now`.
    pub fn new(settings: &TsSettings, now: Micros) -> Self {
        Self {
            session: Session::new(Arc::clone(&settings.session), now.as_millis()),
            demuxer: Demuxer::new(settings.demux.clone()),
            outputs: Vec::new(),
            publication: None,
            asking: false,
        }
    }

    pub(super) fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        let result = self.session.handle_input(cx.now.as_millis(), input);
        self.after(cx, result)
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let result = self.session.handle_timeout(cx.now.as_millis());
        if let Some(Publication { last_media, idle_timeout_ms: ms, .. }) = self.publication
            && cx.now.millis_since(last_media) >= ms
        {
            let why = format!("no packets for {ms} ms (publisher_idle_timeout_ms)");
            return Err(Ending::Fault(Failure::Timeout, why));
        }
        self.after(cx, result)
    }

    pub(super) fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        let mine = self.publication.as_mut();
        match notice {
            Notice::PublishAccepted(id) => {
                if let Some(publication) = mine.filter(|publication| publication.id == id) {
                    publication.last_media = cx.now;
                    let line = format!("publishes {}", publication.key);
                    self.asking = false;
                    cx.log(Level::INFO, line);
                    return self.drive(cx);
                }
            }
            Notice::Watched(id, watched) => {
                if let Some(publication) = mine.filter(|publication| publication.id == id) {
                    publication.watched = watched;
                }
            }
            Notice::PublishRefused(id, why) if self.publishes(id) => {
                self.forget(cx);
                let (failure, text) = match why {
                    Refusal::NameTaken => (None, "somebody publishes there already"),
                    Refusal::TooMany => {
                        (Some(Failure::Limit), "the server has streams_max streams")
                    }
                    Refusal::Stopping => (None, "the server is stopping"),
                };
                let text = format!("publication refused: {text}");
                return Err(match failure {
                    Some(failure) => Ending::Fault(failure, text),
                    None => Ending::Done(text),
                });
            }
            Notice::PublishEnded(id, why) if self.publishes(id) => {
                self.forget(cx);
                return Err(Ending::Done(EndReason::text(why).to_owned()));
            }
            // Behind the end of the publication, or the shard's, or for viewers.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        if self.publication.is_none() {
            return;
        }
        self.demuxer.finish(&mut self.outputs);
        self.hand_out(cx);
        self.log_counters(cx);
        if let Some(publication) = self.publication.take() {
            cx.limits.unpublish();
            cx.hub.unpublish(publication.id, cx.now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Micros> {
        let session = self.session.poll_timeout().map(|at| Micros::from_millis(at.0));
        let idle =
            self.publication.as_ref().map(|one| one.last_media.after_millis(one.idle_timeout_ms));
        [session, idle].into_iter().flatten().min()
    }

    pub(super) fn wants_input(&self) -> bool {
        !self.asking
    }

    pub(super) fn reads_at_leisure(&self) -> bool {
        self.publication.as_ref().is_some_and(|publication| !publication.watched)
    }

    pub(super) fn activity(&self) -> Activity {
        match &self.publication {
            Some(publication) => Activity {
                role: "publish",
                stream: publication.key.to_string(),
                ..Activity::default()
            },
            None => Activity::default(),
        }
    }

    fn after(&mut self, cx: &mut Context<'_>, result: Result<(), ts_tcp::Error>) -> Step {
        let step = self.drive(cx);
        match result {
            Ok(()) => step,
            Err(error) => Err(Ending::Fault(failure(&error), error.to_string())),
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Step {
        while !self.asking {
            match self.session.poll_event() {
                Some(ts_tcp::Event::Publish(stream)) => self.publish(cx, &stream)?,
                Some(ts_tcp::Event::Block(block)) => self.take(cx, &block),
                None => break,
            }
        }
        Ok(())
    }

    fn publish(&mut self, cx: &mut Context<'_>, stream: &StreamName) -> Step {
        let StreamName { app, name, query } = stream;
        let ask = Publish { app, name, query, protocol: "ts", agent: "", url: "" };
        let denied = |why: &'static str| Ending::Done(format!("may not publish: {why}"));
        let (id, key) = cx.publish(ask).map_err(|why| denied(why.text()))?;
        let idle_timeout_ms =
            cx.hub.policy(app).map_or(u64::MAX, |policy| policy.publisher_idle_timeout_ms);
        let publication =
            Publication { id, key, idle_timeout_ms, last_media: cx.now, watched: true };
        self.publication = Some(publication);
        self.asking = true;
        Ok(())
    }

    fn take(&mut self, cx: &mut Context<'_>, block: &TsBlock) {
        let Some(publication) = &mut self.publication else { return };
        publication.last_media = cx.now;
        self.demuxer.push(block, &mut self.outputs);
        self.hand_out(cx);
    }

    /// Gives units to the hub, and says what else the stream holds.
    fn hand_out(&mut self, cx: &mut Context<'_>) {
        let Some(Publication { id, .. }) = self.publication else { return };
        for output in self.outputs.drain(..) {
            match output {
                Output::Unit(unit) => cx.hub.ingest(id, unit, cx.now),
                Output::Event(event) => {
                    if let Some(line) = describe(&event) {
                        cx.log(Level::INFO, line);
                    }
                }
            }
        }
    }

    fn log_counters(&self, cx: &mut Context<'_>) {
        let (sync, met) = (self.session.counters(), self.demuxer.counters());
        cx.log(
            Level::INFO,
            format!(
                "{} packets, {} bytes skipped, {} sync losses, {} continuity errors, {} CRC errors, \
                 {} scrambled packets, {} units, {} units left out",
                sync.packets,
                sync.skipped_bytes,
                sync.sync_losses,
                met.continuity_errors,
                met.crc_errors,
                met.scrambled_packets,
                met.units,
                met.units_damaged
            ),
        );
    }

    fn publishes(&self, id: PublisherId) -> bool {
        self.publication.as_ref().is_some_and(|publication| publication.id == id)
    }

    /// The hub has forgotten the publication.
    fn forget(&mut self, cx: &mut Context<'_>) {
        self.publication = None;
        self.asking = false;
        cx.limits.unpublish();
    }
}

/// What is worth a log line: what the stream holds. Single errors are counted.
fn describe(event: &Event) -> Option<String> {
    match event {
        Event::Program { program_number } => Some(format!("takes program {program_number}")),
        Event::Track { track, pid, format } => {
            let kind = if track.kind == TrackKind::Video { "video" } else { "audio" };
            Some(format!("PID {pid} is {kind} track {}: {}", track.index, format.name()))
        }
        Event::NotCarried { pid, format, reason } => {
            let why = match reason {
                Reason::NotAudioVideo => "neither pictures nor sound",
                Reason::Unsupported(what) => what,
                Reason::NotChosen => "not chosen",
                Reason::TooMany => "more tracks of its kind than are carried",
            };
            Some(format!("PID {pid} is not carried: {}, {why}", format.name()))
        }
        Event::Scrambled { pid, is_scrambled: true } => Some(format!("PID {pid} is scrambled")),
        Event::Vanished { pid } => Some(format!("PID {pid} has no packets any more")),
        Event::Returned { pid } => Some(format!("PID {pid} has packets again")),
        Event::NoProgram { packets } => Some(format!("no program in {packets} packets")),
        _ => None,
    }
}

fn failure(error: &ts_tcp::Error) -> Failure {
    match error {
        ts_tcp::Error::TimedOut { .. } => Failure::Timeout,
        ts_tcp::Error::NoPackets { .. } => Failure::Limit,
        ts_tcp::Error::Malformed { .. } => Failure::Protocol,
    }
}
