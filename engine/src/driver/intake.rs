//! A transport stream that is published over a connection: asked for, watched, cut into units, handed to
//! the hub.

use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::analysis::{self, TimeSource};
use corelay_codecs::container::mpegts::psi::{EsInfo, Program, Tables};
use tracing::Level;

use super::{Context, Publish};
use crate::app::Denied;
use crate::channel::input::{InputSnapshot, Watch};
use crate::channel::{Blocks, describe_alarm};
use crate::clock::Micros;
use crate::hub::{EndReason, Notice, PublisherId, Refusal, StreamKey};
use crate::shard::Ending;
use crate::stats::Failure;

/// See the module. It must be closed.
pub struct Intake {
    id: PublisherId,
    key: StreamKey,
    /// The hub has accepted it.
    is_accepted: bool,
    /// How long it may send nothing, in milliseconds.
    idle_timeout_ms: u64,
    last_media: Micros,
    /// Somebody watches, or may: its input cannot wait.
    is_watched: bool,
    blocks: Blocks,
    watch: Watch,
    sync_losses: u64,
    /// The programs that the log has told of: their number and version.
    told: Vec<(u16, u8)>,
    looked: Micros,
}

/// What the hub says of a publication.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing that matters, or not of this one.
    Nothing,
    /// It may begin.
    Accepted,
    /// It may not, or is over; the hub has forgotten it.
    Over(Ending),
}

impl Intake {
    /// Asks for a stream.
    ///
    /// # Errors
    /// Why it may not be published; that has been logged.
    pub fn ask(cx: &mut Context<'_>, ask: Publish<'_>) -> Result<Self, Denied> {
        let (id, key) = cx.publish(ask)?;
        let policy = cx.hub.policy(ask.app);
        // A connection brings packets in bursts: only their own clocks tell the time.
        let settings = analysis::Settings { time: TimeSource::Pcr, ..Default::default() };
        Ok(Self {
            id,
            key,
            is_accepted: false,
            idle_timeout_ms: policy.map_or(u64::MAX, |policy| policy.publisher_idle_timeout_ms),
            last_media: cx.now,
            is_watched: true,
            blocks: Blocks::new(Micros(0)),
            watch: Watch::new(settings, None, SILENCE_MS),
            sync_losses: 0,
            told: Vec::new(),
            looked: Micros(0),
        })
    }

    /// Takes what the hub says.
    pub fn handle_notice(&mut self, cx: &mut Context<'_>, notice: &Notice) -> Verdict {
        match notice {
            Notice::PublishAccepted(id) if *id == self.id => {
                (self.last_media, self.is_accepted) = (cx.now, true);
                cx.log(Level::INFO, format!("publishes {}", self.key));
                Verdict::Accepted
            }
            Notice::Watched(id, watched) if *id == self.id => {
                self.is_watched = *watched;
                Verdict::Nothing
            }
            Notice::PublishRefused(id, why) if *id == self.id => {
                cx.limits.unpublish();
                Verdict::Over(refused(*why))
            }
            Notice::PublishEnded(id, why) if *id == self.id => {
                cx.limits.unpublish();
                Verdict::Over(Ending::Done(EndReason::text(*why).to_owned()))
            }
            _ => Verdict::Nothing,
        }
    }

    /// Takes packets; `sync_losses` were met so far in finding them.
    pub fn take(&mut self, cx: &mut Context<'_>, block: &TsBlock, sync_losses: u64) {
        self.last_media = cx.now;
        for _ in std::mem::replace(&mut self.sync_losses, sync_losses)..sync_losses {
            self.watch.report_sync_loss(cx.now);
        }
        self.watch.packets(block.bytes(), cx.now);
        self.blocks.push_block(block, |(block, tables)| {
            cx.hub.ingest_packets(self.id, block, tables, cx.now);
        });
        if cx.now.millis_since(self.looked) >= LOOK_MS {
            self.looked = cx.now;
            self.watch.tick(cx.now);
            self.tell(cx);
        }
    }

    /// An answer of the hub is awaited: no event and no input before it.
    pub fn is_asking(&self) -> bool {
        !self.is_accepted
    }

    /// Fails when nothing came for too long.
    ///
    /// # Errors
    /// The connection must end.
    pub fn check_idle(&self, now: Micros) -> Result<(), Ending> {
        let ms = self.idle_timeout_ms;
        if now.millis_since(self.last_media) < ms {
            return Ok(());
        }
        let why = format!("no packets for {ms} ms (publisher_idle_timeout_ms)");
        Err(Ending::Fault(Failure::Timeout, why))
    }

    /// When [`Self::check_idle`] must be called.
    pub fn poll_timeout(&self) -> Micros {
        self.last_media.after_millis(self.idle_timeout_ms)
    }

    /// Nobody waits for what it brings.
    pub fn reads_at_leisure(&self) -> bool {
        !self.is_watched
    }

    /// The publication.
    pub fn id(&self) -> PublisherId {
        self.id
    }

    /// Its stream.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Gives the stream back.
    pub fn close(mut self, cx: &mut Context<'_>) {
        self.log_counters(cx);
        cx.limits.unpublish();
        cx.hub.unpublish(self.id, cx.now);
    }

    /// Writes what was counted into the log.
    fn log_counters(&mut self, cx: &mut Context<'_>) {
        self.tell(cx);
        let met = self.watch.analyser().snapshot().totals;
        let line = format!(
            "{} packets, {} sync losses, {} continuity errors, {} CRC errors, {} scrambled packets",
            met.packets, met.sync_losses, met.counter_errors, met.crc_errors, met.scrambled_packets
        );
        cx.log(Level::INFO, line);
    }

    /// For the API; `tables`: with all tables and PIDs.
    pub fn snapshot(&mut self, url: String, tables: bool, now: Micros) -> InputSnapshot {
        let health = self.watch.health(now);
        let summary = InputSnapshot { url, health, ..InputSnapshot::of_watch(&self.watch) };
        if tables { summary.with_tables(&self.watch) } else { summary }
    }

    /// Says what the stream holds, when that is new, and which alarms were raised or cleared.
    fn tell(&mut self, cx: &mut Context<'_>) {
        for line in self.news() {
            cx.log(Level::INFO, line);
        }
        while let Some(alarm) = self.watch.poll_alarm() {
            let (level, text) = describe_alarm(&alarm);
            cx.log(level, text);
        }
    }

    fn news(&mut self) -> Vec<String> {
        let tables = self.watch.analyser().tables();
        let known = |program: &Program| (program.program_number, program.version);
        if tables.programs().map(known).eq(self.told.iter().copied()) {
            return Vec::new();
        }
        let told = std::mem::take(&mut self.told);
        self.told = tables.programs().map(known).collect();
        let is_new = |program: &&Program| !told.contains(&known(program));
        tables.programs().filter(is_new).map(|program| describe(program, tables)).collect()
    }
}

fn refused(why: Refusal) -> Ending {
    let text = |what| format!("publication refused: {what}");
    match why {
        Refusal::NameTaken => Ending::Done(text("somebody publishes there already")),
        Refusal::TooMany => {
            Ending::Fault(Failure::Limit, text("the server has streams_max streams"))
        }
        Refusal::Stopping => Ending::Done(text("the server is stopping")),
    }
}

/// A program in a line: `program 1 "News": H.264 (PID 256), AAC (PID 257, deu)`.
fn describe(program: &Program, tables: &Tables) -> String {
    let stream = |es: &EsInfo| {
        let comma = if es.language.is_empty() { "" } else { ", " };
        format!("{} (PID {}{comma}{})", es.format.name(), es.pid.value(), es.language)
    };
    let streams: Vec<String> = program.streams.iter().map(stream).collect();
    let number = program.program_number;
    let name = match tables.service(number) {
        Some(service) if !service.name.is_empty() => format!(" {:?}", service.name),
        _ => String::new(),
    };
    format!("program {number}{name}: {}", streams.join(", "))
}

/// A longer pause is a silence: what follows is a new beginning.
const SILENCE_MS: u64 = 500;
/// How often it is looked for news.
const LOOK_MS: u64 = 250;
