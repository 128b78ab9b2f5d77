//! Rules of the chunk stream, one test each.

use bytes::{Bytes, BytesMut};

use super::*;
use crate::rtmp::error::Error;
use crate::rtmp::event::{MediaKind, MessageStreamId};

mod encoder;
mod oracle;
mod random;

/// Limits that no test meets by accident.
pub(super) const LIMITS: ReaderLimits =
    ReaderLimits { chunk_size_max: 1 << 20, message_bytes_max: 1 << 20, chunk_streams_max: 8 };

/// Everything that comes out of `input`, given in pieces of `piece_bytes`.
pub(super) fn read_pieces(input: &[u8], piece_bytes: usize) -> Result<Vec<Message>, Error> {
    let mut reader = ChunkReader::new(LIMITS);
    let mut messages = Vec::new();
    for mut piece in input.chunks(piece_bytes) {
        while let Some(message) = reader.push(&mut piece)? {
            messages.push(message);
        }
        assert!(piece.is_empty());
    }
    assert_eq!(reader.bytes_read(), input.len() as u64);
    Ok(messages)
}

/// Everything that comes out of `input`, which must not depend on how it is cut.
pub(super) fn read(input: &[u8]) -> Result<Vec<Message>, Error> {
    let whole = read_pieces(input, input.len().max(1));
    for piece_bytes in [1, 2, 3, 7, 64] {
        assert_eq!(read_pieces(input, piece_bytes), whole, "in pieces of {piece_bytes}");
    }
    whole
}

fn message(chunk_stream_id: u32, timestamp_ms: u32, type_id: u8, payload: &[u8]) -> Message {
    Message {
        chunk_stream_id,
        timestamp_ms,
        type_id,
        message_stream_id: MessageStreamId(1),
        payload: Bytes::copy_from_slice(payload),
    }
}

/// A type 0 chunk header with a 1-byte basic header and message stream 1.
fn full(chunk_stream_id: u8, time: u32, message_bytes: u32, type_id: u8) -> Vec<u8> {
    let mut header = vec![chunk_stream_id];
    header.extend(&time.to_be_bytes()[1..]);
    header.extend(&message_bytes.to_be_bytes()[1..]);
    header.extend([type_id, 1, 0, 0, 0]);
    header
}

fn violation(input: &[u8]) -> &'static str {
    match read(input) {
        Err(Error::Violation(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn limit(input: &[u8]) -> &'static str {
    match read(input) {
        Err(Error::LimitExceeded { setting, value, limit }) if value > limit => setting,
        other => panic!("{other:?}"),
    }
}

fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 256) as u8).collect()
}

// Golden vectors, made by hand from the tables of Adobe RTMP 1.0, 5.3.2.

#[test]
fn example_1_of_the_specification_reads_as_it_says() {
    // Four audio messages of 32 bytes, 20 ms apart, on chunk stream 3, message stream 12345.
    let mut input = vec![0x03, 0x00, 0x03, 0xE8, 0x00, 0x00, 0x20, 0x08, 0x39, 0x30, 0x00, 0x00];
    input.extend([1; 32]);
    input.extend([0x83, 0x00, 0x00, 0x14]);
    input.extend([2; 32]);
    input.push(0xC3);
    input.extend([3; 32]);
    input.push(0xC3);
    input.extend([4; 32]);
    assert_eq!(input.len(), 44 + 36 + 33 + 33);

    let messages = read(&input).unwrap();
    let times: Vec<_> = messages.iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [1000, 1020, 1040, 1060]);
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message.message_stream_id, MessageStreamId(12345));
        assert_eq!((message.chunk_stream_id, message.type_id), (3, 8));
        assert_eq!(message.payload, vec![at as u8 + 1; 32]);
    }
}

#[test]
fn example_2_of_the_specification_reads_and_writes_as_it_says() {
    // One video message of 307 bytes, cut into 128, 128 and 51.
    let body = body(307);
    let mut wire = vec![0x04, 0x00, 0x03, 0xE8, 0x00, 0x01, 0x33, 0x09, 0x3A, 0x30, 0x00, 0x00];
    wire.extend(&body[..128]);
    wire.push(0xC4);
    wire.extend(&body[128..256]);
    wire.push(0xC4);
    wire.extend(&body[256..]);
    assert_eq!(wire.len(), 140 + 129 + 52);

    let mut expected = message(4, 1000, 9, &body);
    expected.message_stream_id = MessageStreamId(12346);
    assert_eq!(read(&wire).unwrap(), [expected]);

    let mut out = BytesMut::new();
    ChunkWriter::new().write(4, 1000, 9, MessageStreamId(12346), &body, &mut out);
    assert_eq!(out, wire);
}

#[test]
fn a_type_1_header_changes_length_and_type_and_adds_a_delta() {
    let mut input = full(5, 100, 2, 8);
    input.extend(b"ab");
    input.extend([0x45, 0, 0, 7, 0, 0, 3, 9]);
    input.extend(b"cde");
    assert_eq!(read(&input).unwrap(), [message(5, 100, 8, b"ab"), message(5, 107, 9, b"cde")]);
}

#[test]
fn a_type_3_header_after_type_0_repeats_its_timestamp_as_the_delta() {
    let mut input = full(5, 23, 2, 8);
    input.extend(b"ab\xC5cd");
    assert_eq!(read(&input).unwrap(), [message(5, 23, 8, b"ab"), message(5, 46, 8, b"cd")]);
}

#[test]
fn the_delta_is_added_once_per_message_and_not_per_chunk() {
    let body = body(300);
    let mut input = full(5, 50, 300, 9);
    input.extend([&body[..128], &[0xC5], &body[128..256], &[0xC5], &body[256..]].concat());
    input.extend([0x85, 0, 0, 10]);
    input.extend([&body[..128], &[0xC5], &body[128..256], &[0xC5], &body[256..]].concat());
    assert_eq!(read(&input).unwrap(), [message(5, 50, 9, &body), message(5, 60, 9, &body)]);
}

#[test]
fn chunk_stream_ids_of_one_two_and_three_bytes_are_read_and_written() {
    let forms: [(u32, &[u8]); 8] = [
        (2, &[2]),
        (63, &[63]),
        (64, &[0, 0]),
        (319, &[0, 255]),
        (320, &[1, 0, 1]),
        (65_599, &[1, 255, 255]),
        (575, &[1, 255, 1]),
        (64, &[1, 0, 0]),
    ];
    for (at, (id, basic)) in forms.into_iter().enumerate() {
        let input = [basic, &full(0, 9, 1, 18)[1..], b"x"].concat();
        assert_eq!(read(&input).unwrap(), [message(id, 9, 18, b"x")]);
        let mut out = BytesMut::new();
        ChunkWriter::new().write(id, 9, 18, MessageStreamId(1), b"x", &mut out);
        // The last form is longer than needed; it is read but never written.
        assert_eq!(out == input, at < 7, "{id}");
    }
}

#[test]
fn a_message_without_body_is_complete_with_its_header() {
    let mut input = full(5, 1, 0, 8);
    input.extend(full(6, 2, 0, 9));
    assert_eq!(read(&input).unwrap(), [message(5, 1, 8, b""), message(6, 2, 9, b"")]);
}

#[test]
fn chunk_streams_may_interleave() {
    let (video, audio) = (body(200), body(130));
    let mut input = full(6, 40, 200, 9);
    input.extend(&video[..128]);
    input.extend(full(4, 41, 130, 8));
    input.extend(&audio[..128]);
    input.extend([&[0xC6], &video[128..], &[0xC4], &audio[128..]].concat());
    assert_eq!(read(&input).unwrap(), [message(6, 40, 9, &video), message(4, 41, 8, &audio)]);
}

#[test]
fn timestamps_wrap_at_32_bits() {
    let mut input = full(5, 0xFF_FFFF, 1, 8);
    input.extend([0xFF, 0xFF, 0xFF, 0xF0, b'a']);
    input.extend([0x85, 0, 0, 0x20, b'b']);
    assert_eq!(
        read(&input).unwrap(),
        [message(5, 0xFFFF_FFF0, 8, b"a"), message(5, 0x10, 8, b"b")]
    );
}

#[test]
fn an_extended_timestamp_holds_values_that_need_it_and_others() {
    for time in [0xFF_FFFF_u32, 0x100_0000, 0xFFFF_FFFF, 5] {
        let mut input = full(5, 0xFF_FFFF, 1, 8);
        input.extend(time.to_be_bytes());
        input.push(b'a');
        assert_eq!(read(&input).unwrap(), [message(5, time, 8, b"a")]);
    }
}

#[test]
fn a_delta_may_be_extended() {
    let mut input = full(5, 1, 1, 8);
    input.extend(b"a\x85\xFF\xFF\xFF\x01\x00\x00\x00b");
    // Repeated by a type 3 that begins a message, and not repeated.
    input.extend(b"\xC5\x01\x00\x00\x00c\xC5d");
    let times: Vec<_> = read(&input).unwrap().iter().map(|m| m.timestamp_ms).collect();
    assert_eq!(times, [1, 0x100_0001, 0x200_0001, 0x300_0001]);
}

#[test]
fn type_3_chunks_may_repeat_the_extended_timestamp_or_not() {
    let body = body(300);
    let time = 0x0123_4567_u32.to_be_bytes();
    let mut first = full(5, 0xFF_FFFF, 300, 9);
    first.extend(time);
    first.extend(&body[..128]);
    let repeating =
        [&first, &[0xC5][..], &time, &body[128..256], &[0xC5], &time, &body[256..]].concat();
    let silent = [&first, &[0xC5][..], &body[128..256], &[0xC5], &body[256..]].concat();
    let expected = [message(5, 0x0123_4567, 9, &body)];
    assert_eq!(read(&repeating).unwrap(), expected);
    assert_eq!(read(&silent).unwrap(), expected);
}

#[test]
fn type_3_chunks_may_repeat_the_time_of_a_message_that_had_a_delta() {
    let body = body(129);
    let mut input = full(5, 1, 1, 8);
    input.extend(b"a\x45\xFF\xFF\xFF\x00\x00\x81\x09\x01\x00\x00\x00");
    input.extend([&body[..128], &[0xC5, 1, 0, 0, 1], &body[128..]].concat());
    assert_eq!(read(&input).unwrap()[1], message(5, 0x100_0001, 9, &body));
}

#[test]
fn data_that_starts_like_an_unrepeated_extended_timestamp_is_not_lost() {
    // The second chunk has 1 byte of data, the third 3; both look like the field's beginning, and
    // the chunk behind them has to be found again.
    for tail in [&[1, 0x23, 0x45][..], &[1, 0x23], &[1]] {
        let body = [body(128), tail.to_vec()].concat();
        let mut input = full(5, 0xFF_FFFF, body.len() as u32, 9);
        input.extend(0x0123_4567_u32.to_be_bytes());
        input.extend([&body[..128], &[0xC5], tail].concat());
        input.extend(full(4, 6, 1, 8));
        input.push(b'x');
        let expected = [message(5, 0x0123_4567, 9, &body), message(4, 6, 8, b"x")];
        assert_eq!(read(&input).unwrap(), expected);
    }
}

#[test]
fn data_that_equals_a_short_timestamp_is_not_taken_for_it() {
    let body = [body(128), vec![0, 0, 3, 0xE8], body(128)].concat();
    let mut input = full(5, 1000, 260, 9);
    input.extend([&body[..128], &[0xC5], &body[128..256], &[0xC5], &body[256..]].concat());
    assert_eq!(read(&input).unwrap(), [message(5, 1000, 9, &body)]);
}

#[test]
fn chunk_size_change_applies_to_the_next_chunk() {
    let body = body(300);
    let mut input = full(6, 1, 300, 9);
    input.extend(&body[..128]);
    input.extend(full(2, 0, 4, 1));
    input.extend(200_u32.to_be_bytes());
    // The message under way goes on with the new size.
    input.extend([&[0xC6], &body[128..]].concat());
    let messages = read(&input).unwrap();
    assert_eq!(messages[0].type_id, 1);
    assert_eq!(messages[1], message(6, 1, 9, &body));
    assert_eq!(messages.len(), 2);
}

#[test]
fn chunk_sizes_outside_the_bounds_are_refused() {
    let set = |size: u32| [full(2, 0, 4, 1), size.to_be_bytes().to_vec()].concat();
    assert!(violation(&set(0)).contains("Set Chunk Size"));
    assert!(violation(&set(0x8000_0000)).contains("Set Chunk Size"));
    assert_eq!(limit(&set((1 << 20) + 1)), "chunk_size_in_max");
    assert_eq!(read(&set(1 << 20)).unwrap().len(), 1);
    assert_eq!(read(&set(1)).unwrap().len(), 1);
    let short = [full(2, 0, 3, 1), vec![0, 0, 1]].concat();
    assert_eq!(read(&short), Err(Error::Malformed { at: 15, what: "Set Chunk Size" }));
}

#[test]
fn a_type_3_chunk_after_an_abort_begins_a_message() {
    let body = body(200);
    let mut input = full(6, 10, 200, 9);
    input.extend(&body[..128]);
    input.extend(full(2, 0, 4, 2));
    input.extend(6_u32.to_be_bytes());
    input.extend([&[0xC6], &body[..128], &[0xC6], &body[128..]].concat());
    let messages = read(&input).unwrap();
    assert_eq!(messages[0].type_id, 2);
    assert_eq!(messages[1], message(6, 20, 9, &body));
    assert_eq!(messages.len(), 2);
}

#[test]
fn an_abort_of_nothing_changes_nothing() {
    for id in [2_u32, 6, 99] {
        let mut input = full(6, 10, 1, 9);
        input.push(b'a');
        input.extend(full(2, 0, 4, 2));
        input.extend(id.to_be_bytes());
        input.extend(full(6, 20, 1, 9));
        input.push(b'b');
        let messages = read(&input).unwrap();
        assert_eq!(
            (&messages[0], &messages[2]),
            (&message(6, 10, 9, b"a"), &message(6, 20, 9, b"b"))
        );
    }
    let short = [full(2, 0, 3, 2), vec![0, 0, 6]].concat();
    assert!(matches!(read(&short), Err(Error::Malformed { what: "Abort", .. })));
}

#[test]
fn an_abort_in_the_middle_of_a_chunk_drops_the_rest_of_it() {
    let mut reader = ChunkReader::new(LIMITS);
    let start = [full(6, 10, 100, 9), body(40)].concat();
    assert_eq!(reader.push(&mut start.as_slice()), Ok(None));
    reader.abort(6);
    let rest = [vec![0; 60], full(6, 20, 1, 9), vec![b'x']].concat();
    assert_eq!(reader.push(&mut rest.as_slice()), Ok(Some(message(6, 20, 9, b"x"))));
}

#[test]
fn a_chunk_stream_must_begin_with_a_full_header() {
    assert!(violation(&[0x45, 0, 0, 7, 0, 0, 3, 9]).contains("full header"));
    assert!(violation(&[0x85, 0, 0, 7]).contains("full header"));
    assert!(violation(&[0xC5]).contains("full header"));
    assert!(violation(&[0x82, 0, 0, 7]).contains("full header"));
    assert!(violation(&[0xC2]).contains("full header"));
}

#[test]
fn librtmp_may_open_the_control_chunk_stream_with_a_type_1_header() {
    // A ping response as librtmp sends it when it has sent no other control message.
    let input = [0x42, 0, 0, 9, 0, 0, 6, 4, 0, 7, 0, 0, 0, 1];
    let messages = read(&input).unwrap();
    assert_eq!(messages[0].message_stream_id, MessageStreamId(0));
    assert_eq!((messages[0].timestamp_ms, messages[0].type_id), (9, 4));
}

#[test]
fn a_message_must_not_begin_inside_another_on_its_chunk_stream() {
    let mut input = full(6, 10, 200, 9);
    input.extend(body(128));
    input.extend(full(6, 10, 200, 9));
    assert!(violation(&input).contains("before the last one"));
}

#[test]
fn messages_over_the_limit_are_refused_at_their_header() {
    let longest = LIMITS.message_bytes_max;
    assert_eq!(limit(&full(6, 10, longest + 1, 9)), "message_bytes_max");
    assert_eq!(limit(&full(6, 10, 0xFF_FFFF, 9)), "message_bytes_max");
    assert_eq!(read(&full(6, 10, longest, 9)), Ok(vec![]));
}

#[test]
fn messages_under_way_together_are_limited() {
    let mut reader = ChunkReader::new(LIMITS);
    let set = [full(2, 0, 4, 1), (1_u32 << 20).to_be_bytes().to_vec()].concat();
    reader.push(&mut set.as_slice()).unwrap();
    reader.set_chunk_size((1 << 20) - 1).unwrap();
    let nearly = body((1 << 20) - 1);
    for id in [4, 5] {
        let chunk = [full(id, 0, 1 << 20, 9), nearly.clone()].concat();
        assert_eq!(reader.push(&mut chunk.as_slice()), Ok(None));
    }
    let chunk = [full(6, 0, 3, 9), vec![0; 3]].concat();
    let error = reader.push(&mut chunk.as_slice()).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { setting: "message_bytes_max", .. }));
}

#[test]
fn chunk_streams_over_the_limit_are_refused() {
    let open = |id| [full(id, 0, 1, 8), vec![0]].concat();
    let eight: Vec<u8> = (3..11).flat_map(open).collect();
    assert_eq!(read(&eight).unwrap().len(), 8);
    assert_eq!(limit(&[eight, open(11)].concat()), "chunk_streams_max");
}

#[test]
fn a_lying_length_costs_nothing_until_it_is_sent() {
    let mut reader = ChunkReader::new(LIMITS);
    let start = [full(6, 0, 1 << 20, 9), vec![0; 128]].concat();
    assert_eq!(reader.push(&mut start.as_slice()), Ok(None));
    assert_eq!(reader.reserved_bytes(), reader::RESERVE_BYTES_MAX);
}

#[test]
fn a_large_message_grows_in_few_steps() {
    let mut out = BytesMut::new();
    ChunkWriter::new().write(6, 0, 9, MessageStreamId(1), &body(1 << 20), &mut out);
    let mut reader = ChunkReader::new(LIMITS);
    let mut sizes = Vec::new();
    for mut piece in out[..out.len() - 1].chunks(1000) {
        assert_eq!(reader.push(&mut piece), Ok(None));
        sizes.push(reader.reserved_bytes());
    }
    sizes.dedup();
    assert_eq!(sizes.len(), 3);
    assert_eq!((sizes[0], sizes[2]), (reader::RESERVE_BYTES_MAX, 1 << 20));
}

#[test]
fn a_payload_has_a_buffer_of_exactly_its_size() {
    for bytes in [1, 128, 5000, 70_000, 300_000] {
        let mut out = BytesMut::new();
        let mut writer = ChunkWriter::new();
        writer.write(6, 0, 9, MessageStreamId(1), &body(bytes), &mut out);
        let mut reader = ChunkReader::new(LIMITS);
        let message = reader.push(&mut &out[..]).unwrap().unwrap();
        let buffer = message.payload.try_into_mut().expect("nothing else holds it");
        assert_eq!((buffer.len(), buffer.capacity()), (bytes, bytes));
        assert_eq!(reader.reserved_bytes(), 0);
    }
}

#[test]
fn media_are_written_alike_whoever_writes_them() {
    let (header, payload) = (body(5), body(400));
    for (kind, id, type_id) in
        [(MediaKind::Audio, 4, 8), (MediaKind::Data, 5, 18), (MediaKind::Video, 6, 9)]
    {
        for (time, chunk_size) in [(0, 128), (0xFF_FFFE, 3), (0xFF_FFFF, 128), (u32::MAX, 405)] {
            let mut media = Vec::new();
            let stream = MessageStreamId(1);
            write_media(kind, time, stream, &header, &payload, chunk_size, &mut media);
            assert_eq!(media.len(), framed_bytes(405, time, chunk_size));

            let whole = [&header[..], &payload].concat();
            let mut out = BytesMut::new();
            let mut writer = ChunkWriter::new();
            writer.set_chunk_size(chunk_size);
            writer.write(id, time, type_id, stream, &whole, &mut out);
            assert_eq!(out, media);

            let mut reader = ChunkReader::new(LIMITS);
            reader.set_chunk_size(chunk_size).unwrap();
            let read = reader.push(&mut &media[..]).unwrap();
            assert_eq!(read, Some(message(id, time, type_id, &whole)));
        }
    }
}

#[test]
fn a_chunk_size_of_zero_is_written_as_one() {
    let mut media = Vec::new();
    write_media(MediaKind::Audio, 0, MessageStreamId(1), b"", b"ab", 0, &mut media);
    assert_eq!(media, [full(4, 0, 2, 8), b"a\xC4b".to_vec()].concat());
}
