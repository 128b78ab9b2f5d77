//! Says what a packager sees of a transport stream, and what that costs for each packet:
//! `cargo run --release --example ts_outline -- in.ts`.

use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::PACKET_SIZE;
use corelay_codecs::container::mpegts::outline::{Event, Outline};
use corelay_codecs::scte35::SpliceInfo;

fn main() -> ExitCode {
    let Some(input) = std::env::args().nth(1) else {
        eprintln!("usage: ts_outline IN.ts");
        return ExitCode::FAILURE;
    };
    match std::fs::read(&input) {
        Ok(bytes) => {
            let blocks = blocks(Bytes::from(bytes));
            describe(&blocks);
            measure(&blocks);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{input}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// In blocks of seven packets, as they come by UDP.
fn blocks(bytes: Bytes) -> Vec<TsBlock> {
    let size = bytes.len() / PACKET_SIZE * PACKET_SIZE;
    let block = |at: usize| bytes.slice(at..size.min(at + 7 * PACKET_SIZE));
    (0..size).step_by(7 * PACKET_SIZE).filter_map(|at| TsBlock::new(block(at)).ok()).collect()
}

fn describe(blocks: &[TsBlock]) {
    let mut starts = 0;
    let mut outline = Outline::default();
    for block in blocks {
        outline.push(block, |event| match event {
            Event::Start { .. } => starts += 1,
            Event::Cue { section, pts } => println!("{pts:?}: {:?}", SpliceInfo::parse(&section)),
            other => println!("{other:?}"),
        });
    }
    println!("{starts} starts on {:?}", outline.main());
}

/// Of a stream that goes round, once its tracks are known: the best of many rounds. A file that does
/// not fit the cache measures the memory.
fn measure(blocks: &[TsBlock]) {
    let mut outline = Outline::default();
    let mut starts = 0_u64;
    let mut round = || {
        let start = Instant::now();
        for block in blocks {
            outline.push(block, |event| starts += u64::from(matches!(event, Event::Start { .. })));
        }
        start.elapsed().as_nanos() as f64
    };
    let first = round();
    let best = (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min);
    let packets = blocks.iter().map(TsBlock::packet_count).sum::<usize>().max(1) as f64;
    println!("first round {:.1} ns a packet, then {:.1}", first / packets, best / packets);
}

const ROUNDS: u32 = 100;
