//! Where transport-stream packets are written: blocks of memory that neighbouring parts share, so
//! that no part has more memory than bytes, and none is copied.
//!
//! Invariant: what is taken out was written in the same order, and no packet lies in two slices.

use bytes::{BufMut, Bytes, BytesMut};
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::{ByteSink, Chunk};

/// The bytes of the open part, and room for more.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    sealed: Vec<Bytes>,
    sealed_bytes: usize,
    block: BytesMut,
}

impl Blocks {
    /// Number of bytes that were written and not taken out.
    pub(super) fn len(&self) -> usize {
        self.sealed_bytes + self.block.len()
    }

    /// Takes out everything.
    pub(super) fn take(&mut self) -> Chunk {
        self.seal();
        self.sealed_bytes = 0;
        let mut chunk = Chunk::default();
        chunk.extend(self.sealed.drain(..));
        chunk
    }

    /// Takes out what is in front of the first PAT that begins at or behind `from`, or what is in
    /// front of `from` when none does.
    pub(super) fn take_to_tables(&mut self, from: usize) -> Chunk {
        let all = self.take();
        let end = offset_of_pat(&all, from).unwrap_or(from);
        let (mut front, mut at) = (Chunk::default(), 0);
        for slice in all.slices() {
            let cut = end.saturating_sub(at).min(slice.len());
            front.push(slice.slice(..cut));
            self.keep(slice.slice(cut..));
            at += slice.len();
        }
        front
    }

    fn keep(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.sealed_bytes += slice.len();
            self.sealed.push(slice);
        }
    }

    fn seal(&mut self) {
        let written = self.block.split().freeze();
        self.keep(written);
    }
}

impl ByteSink for Blocks {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.block.capacity() == self.block.len() {
                self.seal();
                self.block = BytesMut::with_capacity(BLOCK_BYTES);
            }
            let room = self.block.capacity() - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.put_slice(now);
            bytes = later;
        }
    }
}

/// Offset of the first packet of the PAT at or behind `from`.
fn offset_of_pat(chunk: &Chunk, from: usize) -> Option<usize> {
    let mut at = 0;
    for slice in chunk.slices() {
        for packet in slice.as_chunks::<PACKET_SIZE>().0 {
            if at >= from && packet[1] & 0x1F == 0 && packet[2] == 0 {
                return Some(at);
            }
            at += PACKET_SIZE;
        }
    }
    None
}

/// A few pictures of a usual channel. A stream wastes the block that is being filled and what is still held
/// of the oldest one: with 64 KiB that was 10 % of the memory of a window at 0.5 Mbit/s.
const BLOCK_BYTES: usize = 87 * PACKET_SIZE;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u8, number: u8) -> [u8; PACKET_SIZE] {
        let mut packet = [number; PACKET_SIZE];
        packet[..3].copy_from_slice(&[0x47, 0x40, pid]);
        packet
    }

    #[test]
    fn parts_lie_behind_each_other_in_the_same_memory() {
        let mut blocks = Blocks::default();
        blocks.put(&packet(1, 1));
        let first = blocks.take();
        blocks.put(&packet(1, 2)[..100]);
        blocks.put(&packet(1, 2)[100..]);
        let second = blocks.take();
        assert_eq!((first.to_vec(), second.to_vec()), (packet(1, 1).into(), packet(1, 2).into()));
        let end = first.slices()[0].as_ptr_range().end;
        assert_eq!(end, second.slices()[0].as_ptr());
        assert_eq!((blocks.len(), blocks.take().len()), (0, 0));
    }

    #[test]
    fn packets_do_not_lie_in_two_blocks_and_nothing_is_lost() {
        let mut blocks = Blocks::default();
        let written: Vec<u8> = (0..1_000).flat_map(|n| packet(1, n as u8)).collect();
        written.chunks(77).for_each(|piece| blocks.put(piece));
        assert_eq!(blocks.len(), written.len());
        let chunk = blocks.take();
        assert_eq!(chunk.slices().len(), written.len().div_ceil(BLOCK_BYTES));
        assert!(chunk.slices().iter().all(|slice| slice.len() % PACKET_SIZE == 0));
        assert_eq!(chunk.to_vec(), written);
    }

    #[test]
    fn a_cut_is_made_at_the_tables() {
        let mut blocks = Blocks::default();
        for (pid, number) in [(0, 1), (1, 2), (1, 3), (0, 4), (1, 5)] {
            blocks.put(&packet(pid, number));
        }
        let front = blocks.take_to_tables(2 * PACKET_SIZE);
        assert_eq!(front.to_vec(), [packet(0, 1), packet(1, 2), packet(1, 3)].concat());
        blocks.put(&packet(1, 6));
        assert_eq!(blocks.take_to_tables(PACKET_SIZE).to_vec(), packet(0, 4));
        assert_eq!(blocks.take().to_vec(), [packet(1, 5), packet(1, 6)].concat());
    }
}
