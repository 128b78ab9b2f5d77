//! Random messages, headers of every format, random interleaving.

use proptest::prelude::*;

use super::encoder::{Encoder, Habits};
use super::*;

const CHUNK_STREAMS: [u32; 6] = [3, 4, 63, 64, 319, 65_599];

/// What one message is to be.
#[derive(Clone, Debug)]
struct Plan {
    step: u32,
    type_id: u8,
    message_stream_id: u32,
    body_bytes: usize,
    format_max: u8,
}

fn plan() -> impl Strategy<Value = Plan> {
    let step =
        prop_oneof![Just(0), Just(20), 0..2000_u32, Just(0xFF_FFFF), Just(0xFF_FFFE), any::<u32>()];
    let body_bytes = prop_oneof![Just(0_usize), Just(1), Just(100), 0..700_usize];
    (step, 3..23_u8, 0..2_u32, body_bytes, 0..4_u8).prop_map(
        |(step, type_id, message_stream_id, body_bytes, format_max)| Plan {
            step,
            // Few types, so that headers can be left out.
            type_id: if type_id < 18 { 8 } else { type_id },
            message_stream_id,
            body_bytes,
            format_max,
        },
    )
}

/// The wire form of rounds of messages, one per chunk stream at most and cut into each other as
/// `order` says, and the messages in the order in which they become complete.
fn encode(rounds: &[Vec<Plan>], habits: Habits, order: &[usize]) -> (Vec<u8>, Vec<Message>) {
    let mut encoder = Encoder::new(habits);
    let mut times = [0_u32; CHUNK_STREAMS.len()];
    let (mut wire, mut messages) = (Vec::new(), Vec::new());
    let mut order = order.iter().cycle();
    for round in rounds {
        let mut waiting = Vec::new();
        for (at, plan) in round.iter().enumerate() {
            times[at] = times[at].wrapping_add(plan.step);
            let mut message =
                message(CHUNK_STREAMS[at], times[at], plan.type_id, &body(plan.body_bytes));
            message.message_stream_id = MessageStreamId(plan.message_stream_id);
            let chunks = encoder.chunks(&message, plan.format_max);
            waiting.push((message, chunks.into_iter()));
        }
        while !waiting.is_empty() {
            let at = order.next().unwrap() % waiting.len();
            wire.extend(waiting[at].1.next().unwrap());
            if waiting[at].1.len() == 0 {
                messages.push(waiting.remove(at).0);
            }
        }
    }
    (wire, messages)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_any_encoder_writes_is_read_as_it_was(
        rounds in prop::collection::vec(prop::collection::vec(plan(), 1..=6), 1..6),
        chunk_size in prop_oneof![Just(1_usize), Just(128), 2..300_usize],
        repeats_extended: bool,
        order in prop::collection::vec(0..6_usize, 1..20),
        piece_bytes in 1..400_usize,
    ) {
        let habits = Habits { chunk_size, repeats_extended };
        let (mut wire, mut messages) = encode(&rounds, habits, &order);
        // A short last chunk can look like an extended timestamp until something follows it.
        wire.extend(full(7, 0, 0, 8));
        messages.push(message(7, 0, 8, b""));
        for piece_bytes in [piece_bytes, 1, wire.len()] {
            let mut reader = ChunkReader::new(LIMITS);
            reader.set_chunk_size(chunk_size as u32).unwrap();
            let mut seen = Vec::new();
            for mut piece in wire.chunks(piece_bytes) {
                while let Some(message) = reader.push(&mut piece).unwrap() {
                    seen.push(message);
                }
            }
            prop_assert_eq!(&seen, &messages);
            prop_assert_eq!(reader.bytes_read(), wire.len() as u64);
        }
    }

    #[test]
    fn no_input_makes_the_reader_panic(input in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&input);
    }
}
