//! What the owner of a stream makes of it for HLS: one packaging for each form in use.

use std::sync::Arc;

use corelay_codecs::container::mpegts::psi::{Limits, Tables};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};
use corelay_codecs::{CodecId, TsBlock};
use corelay_config::HlsForm;
use corelay_protocols::hls::encrypt::encrypt;
use corelay_protocols::hls::{Event, Form, Packager, Presentation};
use smallvec::SmallVec;

use crate::clock::{Clock, Micros};
use crate::hub::bridge::Bridge;
use crate::hub::feed::Feed;
use crate::hub::memory::{Budget, Charge};
use crate::hub::unit::{Essence, Unit};
use crate::mesh::CoreIndex;

/// The packagings of one stream.
#[derive(Debug, Default)]
pub struct Packagings {
    /// One for each form in use.
    pub list: SmallVec<[Packaging; 1]>,
    /// Cores that want to know which form suits the stream, and until when they do.
    pub asking: SmallVec<[(CoreIndex, Micros); 2]>,
}

/// One form of a stream.
#[derive(Debug)]
pub struct Packaging {
    /// The form.
    pub form: Form,
    /// Cores that serve it.
    pub cores: SmallVec<[CoreIndex; 4]>,
    packager: Packager,
    presentation: Presentation,
    /// Takes access units out of packets, where they are needed.
    bridge: Option<Box<Bridge>>,
    charge: Charge,
    has_units: bool,
    /// Whole segments are encrypted with it.
    key: Option<[u8; 16]>,
    is_shortened: bool,
}

/// What a packaging is made of.
pub struct PackagingParts {
    /// Cuts the stream.
    pub packager: Packager,
    /// Takes what comes of it.
    pub presentation: Presentation,
    /// Takes access units out of packets, where they are needed.
    pub bridge: Option<Bridge>,
    /// The memory ceiling.
    pub budget: Arc<Budget>,
    /// Encrypts whole segments.
    pub key: Option<[u8; 16]>,
}

/// What came of a unit.
pub type Events = SmallVec<[Event; 2]>;

impl Packagings {
    /// No core serves the stream or wants to.
    pub fn is_unused(&self) -> bool {
        self.asking.is_empty() && self.list.iter().all(|one| one.cores.is_empty())
    }

    /// Nothing is made of the stream.
    pub fn is_empty(&self) -> bool {
        self.asking.is_empty() && self.list.is_empty()
    }

    /// The packaging of a form.
    pub fn of(&mut self, form: Form) -> Option<&mut Packaging> {
        self.list.iter_mut().find(|one| one.form == form)
    }

    /// How many have a shortened window.
    pub fn shortened(&self) -> usize {
        self.list.iter().filter(|one| one.is_shortened()).count()
    }

    /// Memory that its segments hold.
    pub fn bytes(&self) -> usize {
        self.list.iter().map(|one| one.charge.bytes()).sum()
    }

    /// A core does not serve a form any more. Gives up the packaging if nobody does.
    pub fn leave(&mut self, core: CoreIndex, form: Form, always_on: bool) {
        if let Some(packaging) = self.of(form) {
            packaging.cores.retain(|it| *it != core);
        }
        self.list.retain(|one| always_on || one.form != form || !one.cores.is_empty());
    }
}

impl Packaging {
    /// Begins with what the feed keeps for joiners.
    pub fn new(form: Form, parts: PackagingParts, feed: &Feed, clock: &Clock) -> Self {
        let PackagingParts { packager, presentation, bridge, budget, key } = parts;
        let mut packaging = Self {
            form,
            cores: SmallVec::new(),
            packager,
            presentation,
            bridge: bridge.map(Box::new),
            charge: Charge::new(budget),
            has_units: false,
            key,
            is_shortened: false,
        };
        let past = feed.snapshot();
        for unit in past.prologue.units().iter().chain(&past.gop) {
            packaging.take(unit, clock);
        }
        packaging
    }

    /// Shortens its window while memory is short, and gives it back its length afterwards. The new length
    /// if that changes it.
    pub fn fit(&mut self, is_short: bool, usual: (usize, usize)) -> Option<(usize, usize)> {
        if self.is_shortened == is_short {
            return None;
        }
        self.is_shortened = is_short;
        let window = if is_short { SHORT_WINDOW } else { usual };
        self.presentation.set_window(window.0, window.1);
        self.account();
        Some(window)
    }

    /// Its window is shortened, because memory is short.
    pub fn is_shortened(&self) -> bool {
        self.is_shortened
    }

    /// What has been made so far.
    pub fn presentation(&self) -> &Presentation {
        &self.presentation
    }

    /// Takes a unit of the stream. Gives what is new for those who serve it.
    pub fn take(&mut self, unit: &Unit, clock: &Clock) -> Events {
        if unit.late_joiners_only {
            return Events::new();
        }
        let is_other_source = match &unit.essence {
            Essence::Transport(packets) => unit.starts_epoch || packets.is_discontinuity,
            Essence::Elementary(_) => unit.starts_epoch,
        };
        if is_other_source && self.has_units {
            self.restart(unit.received, clock);
        }
        self.has_units = true;
        let received_us = clock.unix_us(unit.received);
        match &unit.essence {
            Essence::Elementary(access_unit) => {
                self.packager.push_unit(access_unit, unit.entry_point, received_us);
            }
            Essence::Transport(packets) => match self.bridge.as_mut() {
                None => {
                    let (block, tables) = (&packets.block, &packets.tables);
                    self.packager.push_packets(block, tables, unit.entry_point, received_us);
                }
                Some(bridge) => {
                    let units = bridge.take(unit);
                    self.push_bridged(&units, clock);
                    self.push_beside(&packets.block);
                }
            },
        }
        self.settle()
    }

    /// Units that have waited for others long enough go on.
    pub fn handle_timeout(&mut self, now: Micros, clock: &Clock) -> Events {
        let units = self.bridge.as_mut().map(|bridge| bridge.handle_timeout(now));
        let Some(units) = units.filter(|units| !units.is_empty()) else { return Events::new() };
        self.push_bridged(&units, clock);
        self.settle()
    }

    /// The publisher has gone, and may come back: what there is becomes a whole segment.
    pub fn finish(&mut self, now: Micros, clock: &Clock) -> Events {
        let units = self.bridge.as_mut().map(|bridge| bridge.finish(now)).unwrap_or_default();
        self.push_bridged(&units, clock);
        self.packager.finish();
        self.settle()
    }

    /// It does not come back.
    pub fn end(&mut self) {
        self.presentation.end();
    }

    /// Another publisher or input: what it sends has nothing to do with what came before.
    fn restart(&mut self, now: Micros, clock: &Clock) {
        let units = self.bridge.as_mut().map(|bridge| bridge.finish(now)).unwrap_or_default();
        self.push_bridged(&units, clock);
        self.packager.discontinuity();
    }

    fn push_bridged(&mut self, units: &[Arc<Unit>], clock: &Clock) {
        for unit in units.iter().filter(|unit| !unit.late_joiners_only) {
            let Some(access_unit) = unit.access_unit() else { continue };
            let received_us = clock.unix_us(unit.received);
            self.packager.push_unit(access_unit, unit.entry_point, received_us);
        }
    }

    /// What of a transport stream is no unit: its subtitles.
    fn push_beside(&mut self, block: &TsBlock) {
        let Some(bridge) = self.bridge.as_deref() else { return };
        if let Some(program) = bridge.program() {
            self.packager.push_beside(block, program, |time| bridge.place(time));
        }
    }

    fn settle(&mut self) -> Events {
        let mut events = Events::new();
        while let Some(event) = self.packager.poll_event() {
            match (&event, self.key) {
                (Event::Part(..), Some(_)) => {}
                (Event::Segment(rendition, segment), Some(key)) => {
                    let segment = Arc::new(encrypt(segment, &key));
                    let parts = segment.parts.iter().cloned();
                    events.extend(parts.map(|part| Event::Part(*rendition, part)));
                    events.push(Event::Segment(*rendition, segment));
                }
                _ => events.push(event),
            }
        }
        events.iter().for_each(|event| self.presentation.apply(event));
        if !events.is_empty() {
            self.account();
        }
        events
    }

    fn account(&mut self) {
        self.charge.set(self.presentation.media_bytes() + self.packager.held_bytes());
    }
}

/// Segments that are listed and kept besides while memory is short: a presentation lists more if these are
/// not three target durations.
const SHORT_WINDOW: (usize, usize) = (3, 1);

/// The form that suits a stream: what its codecs need, if the configuration leaves it open. `None` while
/// nothing is known of them.
pub fn natural_form(setting: HlsForm, feed: &Feed) -> Option<Form> {
    match setting {
        HlsForm::Ts => return Some(Form::Ts),
        HlsForm::Fmp4 => return Some(Form::Fmp4),
        HlsForm::Auto => {}
    }
    let needs_fmp4 = if feed.is_transport() {
        of_tables(feed.prologue().tables())?
    } else {
        let tracks = feed.tracks();
        (!tracks.is_empty()).then(|| tracks.iter().any(|track| is_for_fmp4(track.info.codec)))?
    };
    Some(if needs_fmp4 { Form::Fmp4 } else { Form::Ts })
}

/// Players take these from fragmented MP4 only (HLS Authoring Specification 1.5 to 1.7, 2.2).
fn is_for_fmp4(codec: CodecId) -> bool {
    matches!(
        codec,
        CodecId::H265
            | CodecId::H266
            | CodecId::Av1
            | CodecId::Vp8
            | CodecId::Vp9
            | CodecId::Opus
            | CodecId::Flac
    )
}

/// The same of a transport stream, by its PMT.
fn of_tables(packets: &[u8]) -> Option<bool> {
    let mut tables = Tables::new(Limits::default());
    for packet in packets.as_chunks::<PACKET_SIZE>().0 {
        tables.push(Packet::new(packet), &mut |_| {});
    }
    let mut streams = tables.programs().flat_map(|program| &program.streams).peekable();
    streams.peek()?;
    Some(streams.any(|es| is_for_fmp4(es.format.codec())))
}
