//! A receive window. The first two bytes are its settings, then every four bytes are a datagram:
//! time passed, sequence number, and what is odd about it.

use corelay_codecs::container::rtp::{Header, Reorder, ReorderSettings};

/// Whatever comes in is handed out at most once, in order unless the sender started anew, and waits
/// no longer than it may.
pub fn run(data: &[u8]) {
    let Some(([window, wait], rest)) = data.split_first_chunk() else {
        return;
    };
    let window_packets = u16::from(*window) * 2;
    let settings = ReorderSettings { window_packets, wait_us: u64::from(*wait) * 100 };
    let mut reorder = Reorder::new(settings);
    let (mut now_us, mut handed_out, mut valid) = (0, 0_u64, 0_u64);
    let mut last: Option<(u16, u64)> = None;
    for &[time, high, low, kind] in rest.as_chunks::<4>().0 {
        now_us += u64::from(time) * 50;
        let datagram = datagram(u16::from_be_bytes([high, low]), kind, now_us);
        valid += u64::from(kind != 0xFF);
        // A restart inside of this call makes the order a new one.
        let restarts = reorder.counters().restarts;
        let mut payloads = Vec::new();
        if kind & 0x10 == 0 || kind == 0xFF {
            reorder.handle_timeout(now_us, |payload| payloads.push(payload.to_vec()));
        }
        reorder.push(&datagram, now_us, |payload| payloads.push(payload.to_vec()));
        let is_new = reorder.counters().restarts != restarts;
        for payload in payloads {
            handed_out += 1;
            let (sequence, arrived_us) = read(&payload);
            if let Some((before, _)) = last.filter(|_| !is_new) {
                assert!((1..0x8000).contains(&sequence.wrapping_sub(before)), "order");
            }
            assert!(arrived_us <= now_us);
            last = Some((sequence, arrived_us));
        }
        let due_us = reorder.poll_timeout();
        assert_eq!(due_us.is_some(), reorder.held() > 0);
        assert!(due_us.is_none_or(|at_us| at_us > now_us && at_us <= now_us + settings.wait_us));
        assert!(reorder.held() < usize::from(window_packets.clamp(1, 512)));
    }
    reorder.flush(|_| handed_out += 1);
    let counters = reorder.counters();
    assert_eq!((reorder.held(), counters.flow.received), (0, valid));
    assert!(handed_out + counters.too_late + counters.stray <= valid);
}

/// The payload is the sequence number and the time.
fn datagram(sequence: u16, kind: u8, now_us: u64) -> Vec<u8> {
    let ssrc = u32::from(kind & 1);
    let header = Header { marker: false, payload_type: 33, sequence, timestamp: 0, ssrc };
    let mut datagram = header.to_bytes().to_vec();
    datagram.extend_from_slice(&sequence.to_be_bytes());
    datagram.extend_from_slice(&now_us.to_be_bytes());
    if kind == 0xFF {
        datagram[0] = 0x47;
    }
    datagram
}

fn read(payload: &[u8]) -> (u16, u64) {
    let (sequence, time) = payload.split_first_chunk().expect("two bytes and eight");
    (u16::from_be_bytes(*sequence), u64::from_be_bytes(time.try_into().expect("eight bytes")))
}
