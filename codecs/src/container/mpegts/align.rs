//! Bytes in any pieces into whole packets: for TCP, HTTP and files. A datagram holds whole packets
//! already: [`datagram`] only looks.
//!
//! Packets stand 188 bytes apart; 204 with Reed-Solomon parity behind each (ETSI EN 300 429), 192
//! with a time stamp between them (M2TS files). Parity and time stamps are left out.
//!
//! Invariants
//! - Every packet of a block starts with the sync byte.
//! - Packets 188 bytes apart that arrive whole are slices of what was pushed; only a packet over a
//!   border of pieces is copied.
//! - It holds fewer than `lock_packets` or `loss_packets` packets, whichever are more.

use bytes::{Bytes, BytesMut};

use super::Error;
use super::packet::{PACKET_SIZE, PACKET_WITH_PARITY_SIZE, SYNC_BYTE};
use crate::ts_block::TsBlock;

/// When sync is found and lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Sync bytes at the right distance that make sync: 1 to 100, default 5 (ETSI TR 101 290
    /// 5.2.1).
    pub lock_packets: usize,
    /// Wrong sync bytes in a row that lose it: 1 to 100, default 3. Fewer are single damaged
    /// packets, which are left out.
    pub loss_packets: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lock_packets: 5, loss_packets: 3 }
    }
}

/// What was met so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given out.
    pub packets: u64,
    /// Packets left out for a wrong sync byte, sync being kept: TR 101 290 1.2.
    pub sync_byte_errors: u64,
    /// Times that sync was lost: TR 101 290 1.1.
    pub sync_losses: u64,
    /// Bytes outside any packet: in front of the first sync and while it was lost.
    pub skipped_bytes: u64,
}

/// Finds packets in a byte stream: [`push`](Self::push) what arrived.
#[derive(Debug)]
pub struct Aligner {
    settings: Settings,
    /// Distance of packets while in sync.
    stride: Option<usize>,
    /// Bytes of the last piece that no decision could be made on.
    carry: BytesMut,
    /// Parity or time stamp bytes to leave out before the next packet.
    gap_bytes: usize,
    counters: Counters,
}

impl Aligner {
    /// Numbers outside of their range are taken as the nearest one inside.
    pub fn new(settings: Settings) -> Self {
        let settings = Settings {
            lock_packets: settings.lock_packets.clamp(1, PACKETS_MAX),
            loss_packets: settings.loss_packets.clamp(1, PACKETS_MAX),
        };
        Self {
            settings,
            stride: None,
            carry: BytesMut::new(),
            gap_bytes: 0,
            counters: Counters::default(),
        }
    }

    /// Takes the next bytes and hands out the packets that are complete, in order.
    pub fn push(&mut self, mut piece: Bytes, mut on_block: impl FnMut(TsBlock)) {
        while !piece.is_empty() {
            if !self.carry.is_empty() {
                self.move_to_carry(&mut piece);
                let joined = self.carry.split().freeze();
                self.consume(joined, &mut on_block);
            } else {
                self.consume(std::mem::take(&mut piece), &mut on_block);
            }
        }
    }

    /// True while packets are where they are expected.
    pub fn is_in_sync(&self) -> bool {
        self.stride.is_some()
    }

    /// Distance of packets in bytes, 188, 204 or 192; `None` without sync.
    pub fn packet_distance(&self) -> Option<usize> {
        self.stride
    }

    /// What was met so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes held until more arrive.
    pub fn buffered_bytes(&self) -> usize {
        self.carry.len()
    }

    /// In sync, only what completes the packet that was cut, so that the rest is not copied.
    /// Otherwise a window large enough to decide on.
    fn move_to_carry(&mut self, piece: &mut Bytes) {
        let is_cut_packet = self.carry.first() == Some(&SYNC_BYTE);
        let wanted = match self.stride {
            Some(_) if is_cut_packet => PACKET_SIZE,
            Some(stride) => self.settings.loss_packets * stride,
            None => 2 * self.settings.lock_packets * STRIDES_MAX,
        };
        let missing = wanted.saturating_sub(self.carry.len()).max(1).min(piece.len());
        self.carry.extend_from_slice(&piece.split_to(missing));
    }

    fn consume(&mut self, mut bytes: Bytes, on_block: &mut impl FnMut(TsBlock)) {
        loop {
            let step = match self.stride {
                Some(stride) => self.take_packets(&mut bytes, stride, on_block),
                None => self.search(&mut bytes),
            };
            if step == Step::NeedMore {
                self.carry.extend_from_slice(&bytes);
                return;
            }
        }
    }

    /// Hands out the packets at the front, and looks at what follows them.
    fn take_packets(
        &mut self,
        bytes: &mut Bytes,
        stride: usize,
        on_block: &mut impl FnMut(TsBlock),
    ) -> Step {
        let gap = self.gap_bytes.min(bytes.len());
        let _left_out = bytes.split_to(gap);
        self.gap_bytes -= gap;
        let is_packet = |packet: &[u8]| packet.len() >= PACKET_SIZE && packet[0] == SYNC_BYTE;
        let count = bytes.chunks(stride).take_while(|packet| is_packet(packet)).count();
        if count > 0 {
            let size = ((count - 1) * stride + PACKET_SIZE).min(bytes.len());
            let row = bytes.split_to(size);
            self.gap_bytes = stride - PACKET_SIZE;
            self.counters.packets += count as u64;
            on_block(block_of(row, stride));
            return Step::Again;
        }
        match bytes.first() {
            None | Some(&SYNC_BYTE) => Step::NeedMore,
            Some(_) => self.pass_damage(bytes, stride),
        }
    }

    /// The packet at the front has no sync byte: it alone is damaged, or sync is lost.
    fn pass_damage(&mut self, bytes: &mut Bytes, stride: usize) -> Step {
        for damaged in 1..self.settings.loss_packets {
            match bytes.get(damaged * stride) {
                None => return Step::NeedMore,
                Some(&SYNC_BYTE) => {
                    self.counters.sync_byte_errors += damaged as u64;
                    let _left_out = bytes.split_to(damaged * stride);
                    return Step::Again;
                }
                Some(_) => {}
            }
        }
        self.counters.sync_losses += 1;
        self.stride = None;
        Step::Again
    }

    /// Looks for enough sync bytes at one of the distances.
    fn search(&mut self, bytes: &mut Bytes) -> Step {
        let mut at = 0;
        let step = loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(next) = rest.iter().position(|&byte| byte == SYNC_BYTE) else {
                at = bytes.len();
                break Step::NeedMore;
            };
            at += next;
            let rest = bytes.get(at..).unwrap_or_default();
            match find_stride(rest, self.settings.lock_packets) {
                Ok(Some(stride)) => {
                    (self.stride, self.gap_bytes) = (Some(stride), 0);
                    break Step::Again;
                }
                Ok(None) => break Step::NeedMore,
                Err(NoStride) => at += 1,
            }
        };
        self.counters.skipped_bytes += at as u64;
        let _skipped = bytes.split_to(at);
        step
    }
}

impl Default for Aligner {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

/// The packets of one datagram: n x 188 or n x 204 bytes, each with its sync byte.
///
/// # Errors
/// [`Error::Malformed`] with the position of the first packet that is incomplete or has no sync
/// byte.
pub fn datagram(bytes: Bytes) -> Result<TsBlock, Error> {
    let has_sync = |stride: usize| bytes.chunks(stride).position(|packet| packet[0] != SYNC_BYTE);
    let has_parity = !bytes.len().is_multiple_of(PACKET_SIZE)
        && bytes.len().is_multiple_of(PACKET_WITH_PARITY_SIZE);
    let stride = if has_parity { PACKET_WITH_PARITY_SIZE } else { PACKET_SIZE };
    if let Some(index) = has_sync(stride) {
        let at = (index * stride) as u64;
        return Err(Error::Malformed { at, what: "TS packet sync byte in a datagram" });
    }
    if has_parity { Ok(block_of(bytes, stride)) } else { TsBlock::new(bytes) }
}

#[derive(PartialEq, Eq)]
enum Step {
    Again,
    NeedMore,
}

struct NoStride;

/// The distance at which sync bytes stand from the front on; `None` while it cannot be told.
fn find_stride(bytes: &[u8], lock_packets: usize) -> Result<Option<usize>, NoStride> {
    let mut is_undecided = false;
    for stride in STRIDES {
        let mut syncs = bytes.iter().step_by(stride).take(lock_packets);
        if syncs.all(|&byte| byte == SYNC_BYTE) {
            // Never before a more common distance is ruled out: pieces must not matter.
            if bytes.len() > (lock_packets - 1) * stride && !is_undecided {
                return Ok(Some(stride));
            }
            is_undecided = true;
        }
    }
    if is_undecided { Ok(None) } else { Err(NoStride) }
}

/// The packets of a row that starts and ends with one.
fn block_of(row: Bytes, stride: usize) -> TsBlock {
    let packets = if stride == PACKET_SIZE {
        row
    } else {
        let mut packets = BytesMut::with_capacity(row.len());
        for packet in row.chunks(stride) {
            packets.extend_from_slice(packet.get(..PACKET_SIZE).unwrap_or_default());
        }
        packets.freeze()
    };
    TsBlock::new(packets).expect("every chunk gave 188 bytes")
}

/// Distances of packets, the most common first.
const STRIDES: [usize; 3] = [PACKET_SIZE, PACKET_WITH_PARITY_SIZE, 192];
const STRIDES_MAX: usize = PACKET_WITH_PARITY_SIZE;
/// Bounds the memory, at 20 KB.
const PACKETS_MAX: usize = 100;

#[cfg(test)]
mod tests;
