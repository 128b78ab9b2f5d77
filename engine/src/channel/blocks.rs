//! From packets to the units of a stream: gathered for a few milliseconds, cut where viewers may start.
//!
//! Invariants
//! - Every packet comes out once, in order; a block begins at each entry point.
//! - Nothing waits longer than the time given: [`Blocks::due`] says when.

use bytes::{Bytes, BytesMut};
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::scan::Scanner;

use crate::clock::Micros;

/// See the module.
#[derive(Debug)]
pub struct Blocks {
    scanner: Scanner,
    /// How long packets may be gathered.
    wait: Micros,
    gathered: BytesMut,
    /// The tables in front of what is gathered, if that begins at an entry point.
    tables: Option<Bytes>,
    /// When the first of the gathered packets came.
    since: Micros,
    /// Where viewers may start in the packets at hand, and the tables in front; kept for its memory.
    entries: Vec<(usize, Bytes)>,
}

/// A block, and the newest PAT and PMT packets if viewers may start at it.
pub type Block = (TsBlock, Option<Bytes>);

impl Blocks {
    /// Gathers packets for `wait`; `Micros(0)`: not at all.
    pub fn new(wait: Micros) -> Self {
        Self {
            scanner: Scanner::new(),
            wait,
            gathered: BytesMut::new(),
            tables: None,
            since: Micros(0),
            entries: Vec::new(),
        }
    }

    /// Takes packets that must be copied.
    pub fn push(&mut self, packets: &[u8], now: Micros, mut out: impl FnMut(Block)) {
        self.find_entries(packets);
        let mut entries = std::mem::take(&mut self.entries);
        let mut from = 0;
        for (entry, tables) in entries.drain(..) {
            self.gather(&packets[from..entry], now);
            out_if_any(self.cut(), &mut out);
            self.tables = Some(tables);
            from = entry;
        }
        self.gather(&packets[from..], now);
        self.entries = entries;
        let is_due = self.due().is_some_and(|due| due <= now);
        if is_due || self.gathered.len() >= GATHERED_BYTES_MAX {
            out_if_any(self.cut(), &mut out);
        }
    }

    /// Takes packets whose memory is shared; they do not wait.
    pub fn push_block(&mut self, block: &TsBlock, mut out: impl FnMut(Block)) {
        self.find_entries(block.bytes());
        let mut from = 0;
        let mut tables = None;
        for (entry, tables_there) in self.entries.drain(..) {
            let before = block.bytes().slice(from..entry);
            out_if_any(shared(before, tables.replace(tables_there)), &mut out);
            from = entry;
        }
        out_if_any(shared(block.bytes().slice(from..), tables), &mut out);
    }

    /// Gives what is gathered, if it has waited long enough.
    pub fn take_due(&mut self, now: Micros) -> Option<Block> {
        if self.due()? <= now { self.cut() } else { None }
    }

    /// When what is gathered must go on.
    pub fn due(&self) -> Option<Micros> {
        (!self.gathered.is_empty()).then(|| Micros(self.since.0 + self.wait.0))
    }

    /// Packets of another stream follow.
    pub fn restart(&mut self) -> Option<Block> {
        self.scanner.reset();
        self.cut()
    }

    fn find_entries(&mut self, packets: &[u8]) {
        let Self { scanner, entries, .. } = self;
        entries.clear();
        scanner.packets_and_tables(packets, |entry, tables| entries.push((entry, tables)));
    }

    fn gather(&mut self, packets: &[u8], now: Micros) {
        if packets.is_empty() {
            return;
        }
        if self.gathered.is_empty() {
            self.since = now;
        }
        if self.gathered.capacity() - self.gathered.len() < packets.len() {
            self.gathered.reserve(packets.len().max(CHUNK_BYTES));
        }
        self.gathered.extend_from_slice(packets);
    }

    fn cut(&mut self) -> Option<Block> {
        shared(self.gathered.split().freeze(), self.tables.take())
    }
}

fn shared(bytes: Bytes, tables: Option<Bytes>) -> Option<Block> {
    debug_assert!(bytes.len().is_multiple_of(PACKET_SIZE), "whole packets");
    let block = TsBlock::new(bytes).ok().filter(|block| !block.is_empty())?;
    Some((block, tables))
}

fn out_if_any(block: Option<Block>, out: &mut impl FnMut(Block)) {
    block.into_iter().for_each(out);
}

/// As much as one unit should hold: a few milliseconds of the fastest streams.
const GATHERED_BYTES_MAX: usize = 348 * PACKET_SIZE;
/// Memory is asked for in pieces of this size, which many blocks share.
const CHUNK_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use corelay_codecs::container::flv::TagType;
    use corelay_codecs::container::flv::demux::parse_tag;
    use corelay_codecs::container::mpegts::mux;

    /// avcC of x264, 320x180.
    const AVCC: &[u8] =
        b"\x01\x42\xc0\x0c\xff\xe1\x00\x19\x67\x42\xc0\x0c\xd9\x01\x41\x9f\x9f\x01\x10\
\x00\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x42\xa4\x80\x01\x00\x05\x68\xcb\x83\xcb\x20";

    /// Three seconds of a picture every 40 ms, and where each second begins.
    fn stream() -> (Vec<u8>, Vec<usize>) {
        let mut muxer = mux::Muxer::new(mux::Settings::default());
        let mut packets = Vec::new();
        let mut seconds = Vec::new();
        let mut write = |ms: i64, body: Vec<u8>, packets: &mut Vec<u8>| {
            for unit in parse_tag(TagType::Video, ms, body.into()).unwrap() {
                muxer.write(&unit, packets);
            }
        };
        write(0, [&[0x17, 0, 0, 0, 0], AVCC].concat(), &mut packets);
        for picture in 0..75 {
            let is_key = picture % 25 == 0;
            let (head, nal) = if is_key { (0x17, 0x65) } else { (0x27, 0x41) };
            let mut body = vec![head, 1, 0, 0, 0, 0, 0, 2, 0, nal];
            body.resize(9 + 512, 0x80);
            let from = packets.len();
            write(picture * 40, body, &mut packets);
            if is_key {
                // The muxer writes tables in front.
                let is_picture = |packet: &[u8]| packet[1..3] == [0x41, 0x00];
                let tables = packets[from..].chunks(PACKET_SIZE).position(is_picture);
                seconds.push(from + tables.unwrap() * PACKET_SIZE);
            }
        }
        (packets, seconds)
    }

    #[test]
    fn every_packet_comes_out_once_and_blocks_begin_at_entry_points() {
        let (packets, seconds) = stream();
        for (step, shares) in [(1, false), (7, false), (40, false), (7, true), (1_000, true)] {
            let mut blocks = Blocks::new(Micros(5_000));
            let (mut got, mut entries) = (Vec::new(), Vec::new());
            let mut now = Micros(0);
            let mut take = |(block, tables): Block| {
                if let Some(tables) = tables {
                    assert_eq!((tables[0], tables.len()), (0x47, 2 * PACKET_SIZE));
                    entries.push(got.len());
                }
                got.extend_from_slice(block.bytes());
            };
            for piece in packets.chunks(step * PACKET_SIZE) {
                now.0 += 1_000;
                if shares {
                    let block = TsBlock::new(Bytes::copy_from_slice(piece)).unwrap();
                    blocks.push_block(&block, &mut take);
                } else {
                    blocks.push(piece, now, &mut take);
                }
            }
            assert_eq!(blocks.due().is_some(), !shares && blocks.take_due(now).is_none());
            blocks.restart().into_iter().for_each(&mut take);
            assert!(got == packets, "step {step}");
            assert_eq!(entries, seconds, "step {step}");
        }
    }

    #[test]
    fn gathered_packets_wait_no_longer_than_they_may() {
        let (packets, _) = stream();
        let mut blocks = Blocks::new(Micros(5_000));
        let none = |_: Block| panic!("nothing is due");
        blocks.push(&packets[2 * PACKET_SIZE..3 * PACKET_SIZE], Micros(100), none);
        assert_eq!(blocks.due(), Some(Micros(5_100)));
        assert!(blocks.take_due(Micros(5_099)).is_none());
        let (block, tables) = blocks.take_due(Micros(5_100)).unwrap();
        assert_eq!((block.packet_count(), tables), (1, None));
        assert_eq!(blocks.due(), None);
    }
}
