//! The newest PAT and PMT packets, kept as they were received.

use bytes::Bytes;
use libmpegts::utils::crc32b;

use crate::container::mpegts::{PACKET_SIZE, Packet, Pid};

/// Packets of PAT and PMTs that a viewer gets in front of the stream.
///
/// A *piece* is the packet in which a section starts, and the packets in which it goes on. A piece
/// takes the place of the one before with the same section, and goes to the end: so the counters of
/// a PID go on from piece to piece and to the packet that comes next.
///
/// Invariants
/// - At most [`PACKETS_MAX`] packets; those of the PAT and of the wanted PID displace others.
#[derive(Debug, Default)]
pub(super) struct Prologue {
    pieces: Vec<Piece>,
    packets: usize,
    /// Memory of a piece that was displaced.
    spare: Vec<u8>,
    /// The section that is being checked.
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    pid: Pid,
    /// `None` when the header of its first section is not whole in its first packet.
    section: Option<SectionName>,
    /// Whole packets.
    bytes: Vec<u8>,
    /// Bytes of its last section that have not come.
    missing: usize,
}

/// What tells a section from the others of its PID (ISO/IEC 13818-1 2.4.4.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SectionName {
    table_id: u8,
    extension: u16,
    version: u8,
    is_current: bool,
    number: u8,
}

impl SectionName {
    fn read(section: &[u8]) -> Option<Self> {
        let &[table_id, _, _, high, low, version, number] = section.first_chunk()?;
        Some(Self {
            table_id,
            extension: u16::from_be_bytes([high, low]),
            version: version >> 1 & 0x1F,
            is_current: version & 1 != 0,
            number,
        })
    }

    /// True when `old` is out of date once this section is there: the same section, another version
    /// of it, or the announcement of what is valid now.
    fn replaces(self, old: Self) -> bool {
        let is_same_table = self.table_id == old.table_id && self.extension == old.extension;
        let is_same_version = self.version == old.version;
        is_same_table
            && match self.is_current == old.is_current {
                true => !is_same_version || self.number == old.number,
                false => self.is_current && is_same_version,
            }
    }
}

impl Prologue {
    /// Takes a packet of a table PID; `wanted` is the PID whose packets are worth more than those
    /// of others.
    pub(super) fn push(&mut self, packet: Packet<'_>, wanted: Option<Pid>) {
        let (pid, payload) = (packet.pid(), packet.payload());
        if payload.is_empty() || packet.is_scrambled() {
            return;
        }
        let last = self.pieces.iter().rposition(|piece| piece.pid == pid);
        let last_counter = last.and_then(|index| self.pieces.get(index)?.last_counter());
        let counter = packet.continuity_counter();
        if last_counter == Some(counter) && !packet.is_discontinuity() {
            return; // sent twice
        }
        let follows = last_counter.is_some_and(|last| (last + 1) & 0x0F == counter);
        let open = last.filter(|&index| self.pieces.get(index).is_some_and(|p| p.missing > 0));
        match (packet.starts_unit(), open) {
            (false, Some(open)) if follows => self.go_on(open, packet),
            (false, Some(open)) => self.remove(open),
            (false, None) => {}
            (true, open) => {
                let pointer = payload.first().map_or(0, |&pointer| usize::from(pointer));
                if let Some(open) = open {
                    let tail = payload.get(1..1 + pointer).unwrap_or_default();
                    self.end(open, follows, tail);
                }
                self.start(packet, pointer, wanted);
            }
        }
    }

    /// Keeps the packets of these PIDs only.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Pid) -> bool) {
        self.pieces.retain(|piece| is_kept(piece.pid));
        self.packets = self.pieces.iter().map(Piece::packets).sum();
    }

    /// All packets: those of the PAT, of the wanted PID, of the others.
    pub(super) fn bytes(&self, wanted: Option<Pid>) -> Bytes {
        let mut all = Vec::with_capacity(self.packets * PACKET_SIZE);
        for rank in 0..RANKS {
            for piece in self.pieces.iter().filter(|piece| piece.rank(wanted) == rank) {
                all.extend_from_slice(&piece.bytes);
            }
        }
        Bytes::from(all)
    }

    fn start(&mut self, packet: Packet<'_>, pointer: usize, wanted: Option<Pid>) {
        let Some(sections) = packet.payload().get(1 + pointer..) else {
            return;
        };
        let mut piece = Piece {
            pid: packet.pid(),
            section: SectionName::read(sections),
            bytes: std::mem::take(&mut self.spare),
            missing: missing_bytes(sections),
        };
        piece.bytes.clear();
        piece.bytes.extend_from_slice(packet.bytes());
        let is_damaged = piece.missing == 0 && !self.displace(&piece, &[]);
        if is_damaged || !self.make_room(piece.rank(wanted), wanted) {
            self.spare = piece.bytes;
            return;
        }
        self.packets += 1;
        self.pieces.push(piece);
    }

    /// A packet in which no section starts.
    fn go_on(&mut self, open: usize, packet: Packet<'_>) {
        let Some(piece) = self.pieces.get_mut(open) else { return };
        if self.packets >= PACKETS_MAX {
            return self.remove(open);
        }
        piece.bytes.extend_from_slice(packet.bytes());
        piece.missing = piece.missing.saturating_sub(packet.payload().len());
        self.packets += 1;
        if piece.missing == 0 {
            self.complete(open, &[]);
        }
    }

    /// A packet in which the next section starts; `tail` stands in front of that.
    fn end(&mut self, open: usize, follows: bool, tail: &[u8]) {
        match self.pieces.get_mut(open) {
            Some(piece) if follows && piece.missing <= tail.len() => piece.missing = 0,
            _ => return self.remove(open),
        }
        self.complete(open, tail);
    }

    /// A piece that was begun is whole.
    fn complete(&mut self, open: usize, tail: &[u8]) {
        let piece = self.pieces.remove(open);
        match self.displace(&piece, tail) {
            true => self.pieces.push(piece),
            false => self.packets -= piece.packets(),
        }
    }

    /// Removes what a whole piece makes out of date; false when it is damaged and does not count.
    fn displace(&mut self, piece: &Piece, tail: &[u8]) -> bool {
        if !piece.is_good(tail, &mut self.scratch) {
            return false;
        }
        while let Some(index) = self.pieces.iter().position(|old| piece.replaces(old)) {
            self.remove(index);
        }
        true
    }

    /// True when there is room for one packet of this rank, for which a lower one may have to go.
    fn make_room(&mut self, rank: u8, wanted: Option<Pid>) -> bool {
        while self.packets >= PACKETS_MAX {
            let lower = self.pieces.iter().rposition(|piece| piece.rank(wanted) > rank);
            let Some(index) = lower else { return false };
            self.remove(index);
        }
        true
    }

    fn remove(&mut self, index: usize) {
        if index < self.pieces.len() {
            let piece = self.pieces.remove(index);
            self.packets -= piece.packets();
            self.spare = piece.bytes;
        }
    }
}

impl Piece {
    fn packets(&self) -> usize {
        self.bytes.len() / PACKET_SIZE
    }

    fn last_counter(&self) -> Option<u8> {
        let last = self.bytes.last_chunk::<PACKET_SIZE>()?;
        Some(Packet::new(last).continuity_counter())
    }

    fn replaces(&self, old: &Self) -> bool {
        let is_newer = match (self.section, old.section) {
            (Some(new), Some(old)) => new.replaces(old),
            (new, old) => new == old,
        };
        self.pid == old.pid && is_newer
    }

    /// True when its first section has a right CRC; `tail` is what follows its packets.
    fn is_good(&self, tail: &[u8], section: &mut Vec<u8>) -> bool {
        section.clear();
        for (index, packet) in self.bytes.as_chunks::<PACKET_SIZE>().0.iter().enumerate() {
            let payload = Packet::new(packet).payload();
            let start = match (index, payload.first()) {
                (0, Some(&pointer)) => 1 + usize::from(pointer),
                _ => 0,
            };
            section.extend_from_slice(payload.get(start..).unwrap_or_default());
        }
        section.extend_from_slice(tail);
        let Some(&[table_id, high, low]) = section.first_chunk() else { return false };
        let size = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
        let has_crc = high & 0x80 != 0;
        let is_table = matches!(table_id, TABLE_PAT | TABLE_PMT);
        match section.get(..size) {
            Some(section) if has_crc => crc32b(section) == 0,
            section => section.is_some() && !is_table,
        }
    }

    /// The lower, the more it is worth.
    fn rank(&self, wanted: Option<Pid>) -> u8 {
        match self.pid {
            Pid::PAT => 0,
            pid if Some(pid) == wanted => 1,
            _ => RANKS - 1,
        }
    }
}

/// Bytes of the last section in `bytes` that are in later packets.
fn missing_bytes(mut bytes: &[u8]) -> usize {
    while let Some(&[table_id, high, low]) = bytes.first_chunk() {
        if table_id == STUFFING {
            break;
        }
        let size = 3 + usize::from(u16::from_be_bytes([high & 0x0F, low]));
        match bytes.get(size..) {
            Some(rest) => bytes = rest,
            None => return size - bytes.len(),
        }
    }
    0
}

/// A prologue is repeated for every viewer; 64 packets are 12 KiB.
const PACKETS_MAX: usize = 64;
const RANKS: u8 = 3;
const TABLE_PAT: u8 = 0x00;
const TABLE_PMT: u8 = 0x02;
/// A table_id that none has: the rest of the packet is empty.
const STUFFING: u8 = 0xFF;
