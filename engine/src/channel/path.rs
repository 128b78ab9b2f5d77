//! What packets go through from the input on air to the outputs and the hub.

use corelay_codecs::container::mpegts::scan::Scanner;
use corelay_codecs::container::mpegts::splice::{self, Splicer};

use super::blocks::Blocks;
use super::output::Output;
use super::select::Why;
use crate::clock::Micros;
use crate::hub::{Hub, PublisherId};

/// See the module.
pub struct Path {
    /// The input on air.
    current: usize,
    /// The input to go to at its next entry point, and why.
    next: Option<(usize, Why)>,
    /// One for each input: finds entry points while it is not on air.
    scanners: Vec<Scanner>,
    splicer: Splicer,
    /// Packets that the splicer has changed, kept for its memory.
    spliced: Vec<u8>,
    blocks: Blocks,
    /// Where it is sent.
    pub outputs: Vec<Output>,
    publisher: Option<PublisherId>,
    has_packets: bool,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are on air, or not wanted.
    Yes,
    /// They brought the entry point that was awaited: their input is on air now.
    Switched(Why),
}

impl Taken {
    /// What became of several pieces.
    pub fn or(self, other: Self) -> Self {
        if self == Self::Yes { other } else { self }
    }
}

impl Path {
    /// A path for so many inputs; packets are gathered for `block_wait` before the hub gets them.
    pub fn new(inputs: usize, outputs: Vec<Output>, block_wait: Micros) -> Self {
        Self {
            current: 0,
            next: None,
            scanners: (0..inputs).map(|_| Scanner::new()).collect(),
            splicer: Splicer::new(splice::Settings {
                reserve_us: RESERVE_US,
                ..Default::default()
            }),
            spliced: Vec::new(),
            blocks: Blocks::new(block_wait),
            outputs,
            publisher: None,
            has_packets: false,
        }
    }

    /// The input on air.
    pub fn current(&self) -> usize {
        self.current
    }

    /// The hub takes the packets of this publication.
    pub fn publish(&mut self, publisher: Option<PublisherId>) {
        self.publisher = publisher;
    }

    /// There were packets since [`Self::begin_with`].
    pub fn has_packets(&self) -> bool {
        self.has_packets
    }

    /// What the splicer has done.
    pub fn splicer(&self) -> &Splicer {
        &self.splicer
    }

    /// Forgets what came: the inputs are closed, and joiners must not get it.
    pub fn forget(&mut self, hub: &mut Hub) {
        self.blocks.restart();
        self.scanners.iter_mut().for_each(Scanner::reset);
        if let Some(publisher) = self.publisher {
            hub.restart(publisher);
        }
    }

    /// Takes whole packets of an input.
    pub fn take(&mut self, from: usize, packets: &[u8], hub: &mut Hub, now: Micros) -> Taken {
        if from == self.current {
            self.pass(packets, hub, now);
            return Taken::Yes;
        }
        let Some(scanner) = self.scanners.get_mut(from) else { return Taken::Yes };
        let mut entry = None;
        scanner.packets_and_tables(packets, |at, tables| {
            entry.get_or_insert((at, tables));
        });
        let next = self.next.filter(|&(next, _)| next == from);
        let (Some((at, tables)), Some((_, why))) = (entry, next) else { return Taken::Yes };
        self.switch_with(from, &tables, hub, now);
        self.pass(&packets[at..], hub, now);
        Taken::Switched(why)
    }

    /// Goes to an input at its next entry point, or (`None`) stays.
    pub fn prepare(&mut self, next: Option<(usize, Why)>) {
        self.next = next.filter(|&(next, _)| next != self.current);
    }

    /// Begins with an input, before there were any packets.
    pub fn begin_with(&mut self, input: usize) {
        (self.current, self.next, self.has_packets) = (input, None, false);
    }

    /// Puts an input on air: what comes of it from now on continues counters and clocks.
    pub fn switch(&mut self, to: usize, hub: &mut Hub, now: Micros) {
        if let Some(scanner) = self.scanners.get(to) {
            let tables = scanner.tables();
            self.switch_with(to, &tables, hub, now);
        }
    }

    /// Its tables go first, so that nobody reads its packets by those of the other one.
    fn switch_with(&mut self, to: usize, tables: &[u8], hub: &mut Hub, now: Micros) {
        (self.next, self.current) = (None, to);
        self.continue_with_another(hub, now);
        self.scanners[to].reset();
        self.pass(tables, hub, now);
    }

    /// The input on air begins anew: another connection, the same place.
    pub fn continue_with_another(&mut self, hub: &mut Hub, now: Micros) {
        self.splicer.switch(now.0);
        let rest = self.blocks.restart();
        let Some(publisher) = self.publisher else { return };
        if let Some((block, tables)) = rest {
            hub.ingest_packets(publisher, block, tables, now);
        }
        hub.mark_discontinuity(publisher);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, hub: &mut Hub, now: Micros) {
        if let (Some((block, tables)), Some(publisher)) =
            (self.blocks.take_due(now), self.publisher)
        {
            hub.ingest_packets(publisher, block, tables, now);
        }
        for output in &mut self.outputs {
            output.handle_timeout(now);
        }
    }

    /// When [`Self::handle_timeout`] must be called.
    pub fn next_due(&self) -> Option<Micros> {
        let outputs = self.outputs.iter().filter_map(Output::next_due);
        outputs.chain(self.blocks.due()).min()
    }

    /// Sends packets to the outputs.
    pub fn send(&mut self, packets: &[u8], now: Micros) {
        self.outputs.iter_mut().for_each(|output| output.send(packets, now));
    }

    /// Sends packets of the input on air to the outputs and to the hub.
    fn pass(&mut self, packets: &[u8], hub: &mut Hub, now: Micros) {
        if packets.is_empty() {
            return;
        }
        self.has_packets = true;
        let Self { splicer, spliced, outputs, blocks, publisher, .. } = self;
        let packets = if splicer.is_transparent() {
            splicer.observe(packets, now.0);
            packets
        } else {
            spliced.clear();
            spliced.extend_from_slice(packets);
            splicer.packets(spliced, now.0);
            spliced
        };
        for output in outputs {
            output.send(packets, now);
        }
        if let Some(publisher) = *publisher {
            blocks.push(packets, now, |(block, tables)| {
                hub.ingest_packets(publisher, block, tables, now);
            });
        }
    }
}

/// More than arrivals on a local network vary by.
const RESERVE_US: u32 = 10_000;
