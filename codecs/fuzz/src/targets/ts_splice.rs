//! Packets for the splicer. The first byte says how the rest becomes packets, as for the scanner,
//! the second one how often the source changes.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::splice::{Settings, Splicer};

/// PIDs, flags and payload sizes stay; counters of a PID move by one number from switch to switch;
/// nothing is changed while the splicer says that it is transparent, nor in packets without sense.
pub fn run(data: &[u8]) {
    let &[mode, switches, ref rest @ ..] = data else {
        return;
    };
    let mut bytes = packets(mode, rest);
    let same_clock_ms = if mode & 2 == 0 { 0 } else { 1_000 };
    let reserve_us = if mode & 4 == 0 { 0 } else { 10_000 };
    let settings = Settings { same_clock_ms, reserve_us, clocks_max: 3 };
    let mut splicer = Splicer::new(settings);
    let mut shifts = vec![None; 0x2000];
    let block_packets = usize::from(mode >> 2) % 16 + 1;
    let step_us = u64::from(switches >> 4) * 20_000;
    for (index, block) in bytes.chunks_mut(block_packets * PACKET_SIZE).enumerate() {
        let now_us = index as u64 * step_us;
        if index % (usize::from(switches & 0x0F) + 1) == 1 {
            splicer.switch(now_us);
            shifts.fill(None);
        }
        let (before, is_transparent) = (block.to_vec(), splicer.is_transparent());
        if is_transparent && mode & 4 == 0 {
            splicer.observe(block, now_us);
        } else {
            splicer.packets(block, now_us);
        }
        assert!(!is_transparent || before == block);
        let packets = before.as_chunks::<PACKET_SIZE>().0.iter();
        for (before, after) in packets.zip(block.as_chunks::<PACKET_SIZE>().0) {
            check(before, after, &mut shifts, is_transparent);
        }
    }
}

fn check(
    before: &[u8; PACKET_SIZE],
    after: &[u8; PACKET_SIZE],
    shifts: &mut [Option<u8>],
    is_transparent: bool,
) {
    let pid = usize::from(before[1] & 0x1F) << 8 | usize::from(before[2]);
    if before[0] != 0x47 || before[1] & 0x80 != 0 || pid == 0x1FFF {
        return assert_eq!(before, after);
    }
    assert_eq!(before[..3], after[..3]);
    assert_eq!(before[3] & 0xF0, after[3] & 0xF0);
    if before[3] & 0x20 != 0 {
        assert_eq!(before[4], after[4]);
    }
    let shift = after[3].wrapping_sub(before[3]) & 0x0F;
    if !is_transparent {
        assert_eq!(*shifts[pid].get_or_insert(shift), shift);
    }
    // Two PCRs, two times, or versions and cues with their CRCs.
    let changed = before.iter().zip(after).filter(|(before, after)| before != after).count();
    assert!(changed <= 2 + 12 + 10 + 9 * 5, "{changed}");
}

/// The packets that the rest of an input is made into.
pub fn packets(mode: u8, bytes: &[u8]) -> Vec<u8> {
    if mode & 1 == 0 {
        return bytes.to_vec();
    }
    let mut packets = Vec::new();
    for start in bytes.chunks(16) {
        packets.extend_from_slice(start);
        packets.resize(packets.len().next_multiple_of(PACKET_SIZE), 0xFF);
    }
    packets
}
