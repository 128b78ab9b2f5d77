//! Packets for the analyser. The first byte says how the rest becomes packets: as it is, or 16 bytes
//! each, filled up.

use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::analysis::{Analyser, Settings, TimeSource};

/// Nothing panics, PIDs stay within the limit, and every packet is counted once.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let time = if mode & 2 == 0 { TimeSource::Arrival } else { TimeSource::Pcr };
    let mut analyser = Analyser::new(Settings { time, pids_max: 16, ..Settings::default() });
    let bytes = if mode & 1 == 0 { rest.to_vec() } else { filled_up(rest) };
    // The other bits are the time between blocks, in steps of 20 ms.
    let step_us = u64::from(mode >> 2) * 20_000;
    let mut now_us = 0;
    for block in bytes.chunks(7 * PACKET_SIZE) {
        analyser.packets(block, now_us);
        now_us += step_us;
        analyser.tick(now_us);
        while analyser.poll_event().is_some() {}
    }
    let snapshot = analyser.snapshot();
    assert_eq!(snapshot.totals.packets as usize, bytes.len() / PACKET_SIZE);
    assert!(snapshot.pids.len() <= 16 + 33);
    let of_pids: u64 = snapshot.pids.iter().map(|pid| pid.packets).sum();
    assert!(of_pids + snapshot.totals.untracked_packets <= snapshot.totals.packets);
}

fn filled_up(bytes: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    for start in bytes.chunks(16) {
        packets.extend_from_slice(start);
        packets.resize(packets.len().next_multiple_of(PACKET_SIZE), 0xFF);
    }
    packets
}
