//! What the relay's analysis of a transport stream costs, within this process.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use corelay_codecs::container::mpegts::analysis::{Analyser, Settings};
use corelay_codecs::container::mpegts::packet::PACKET_SIZE;

use super::measure::Run;
use crate::figures::Spread;
use crate::sys::threads;
use crate::sys::udp::DATAGRAM_BYTES;
use crate::udp::stream::Stream;

/// Nanoseconds per packet when so many streams take turns, datagram by datagram: many do not find
/// what they know of their PIDs in the processor's nearest memory.
///
/// # Errors
/// There is no such CPU.
pub(super) fn measure(streams: usize, cpu: usize) -> anyhow::Result<Run> {
    let work = move || threads::pin_to(cpu).map(|()| nanoseconds(streams));
    let result = thread::spawn(work).join();
    let ns = result.map_err(|_| anyhow::anyhow!("the analysis panicked"))?;
    let ns_per_packet = Some(ns.with_context(|| format!("cannot run on CPU {cpu}"))?);
    Ok(Run { ns_per_packet, ..Run::default() })
}

/// The median of several passes over two seconds of each stream.
fn nanoseconds(streams: usize) -> f64 {
    let mut media = Stream::new(0, BIT_RATE);
    let mut datagrams = Vec::new();
    while media.due_ns() < STREAM_NS {
        let mut datagram = [0; DATAGRAM_BYTES];
        let due_us = media.due_ns() / 1_000;
        media.write_next(0, &mut datagram);
        datagrams.push((due_us, datagram));
    }
    let mut analysers: Vec<Analyser> =
        (0..streams).map(|_| Analyser::new(Settings::default())).collect();
    let packets = datagrams.len() * (DATAGRAM_BYTES / PACKET_SIZE) * streams;
    let passes = (PACKETS_AIM / packets.max(1)).clamp(3, 100) as u64;
    let mut pass = |number: u64| {
        let begun = Instant::now();
        for (due_us, datagram) in &datagrams {
            for analyser in &mut analysers {
                analyser.packets(datagram, number * STREAM_NS / 1_000 + due_us);
                while analyser.poll_event().is_some() {}
            }
        }
        begun.elapsed().as_nanos() as f64 / packets.max(1) as f64
    };
    pass(0);
    Spread::of(&(1..=passes).map(pass).collect::<Vec<_>>()).median
}

/// About how long it takes.
pub(super) const ESTIMATE: Duration = Duration::from_millis(300);
const BIT_RATE: u64 = 8_000_000;
/// A whole number of everything that comes round: frames, groups of pictures, tables.
const STREAM_NS: u64 = 2_000_000_000;
/// A few tenths of a second.
const PACKETS_AIM: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_costs_some_nanoseconds() {
        let run = measure(2, threads::cpus().unwrap()[0]).unwrap();
        let ns = run.ns_per_packet.unwrap();
        assert!((0.1..100_000.0).contains(&ns), "{ns}");
        assert!(measure(1, usize::MAX).is_err());
    }
}
