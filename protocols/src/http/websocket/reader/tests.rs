use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A frame as a client sends it.
fn client_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![opcode.bits() | if fin { FIN } else { 0 }];
    match payload.len() {
        length @ 0..=125 => frame.push(MASKED | length as u8),
        length @ 126..=0xFFFF => {
            frame.push(MASKED | LENGTH_16);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | LENGTH_64);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn read_all(reader: &mut FrameReader, mut input: &[u8]) -> Result<Vec<Incoming>, Error> {
    let mut all = Vec::new();
    while let Some(incoming) = reader.push(&mut input)? {
        all.push(incoming);
    }
    assert!(input.is_empty(), "the reader left input behind");
    Ok(all)
}

fn read(input: &[u8]) -> Result<Vec<Incoming>, Error> {
    read_all(&mut FrameReader::new(100_000), input)
}

fn message(opcode: Opcode, payload_bytes: u64) -> Incoming {
    Incoming::Message { opcode, payload_bytes }
}

// RFC 6455 5.7: a single-frame masked text message, "Hello", and a masked pong.
const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
const PONG_HELLO: [u8; 11] = [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];

#[test]
fn the_frames_of_the_specification_are_read() {
    assert_eq!(client_frame(true, Opcode::Text, b"Hello"), HELLO);
    assert_eq!(read(&HELLO), Ok(vec![message(Opcode::Text, 5)]));
    assert_eq!(read(&PONG_HELLO), Ok(vec![Incoming::Pong(b"Hello".to_vec())]));
}

#[test]
fn every_length_form_is_read() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let frame = client_frame(true, Opcode::Binary, &vec![7; length]);
        assert_eq!(read(&frame), Ok(vec![message(Opcode::Binary, length as u64)]), "{length}");
    }
}

#[test]
fn a_control_frame_between_fragments_does_not_disturb_the_message() {
    let input = [
        client_frame(false, Opcode::Text, b"Hel"),
        client_frame(true, Opcode::Ping, b"now?"),
        client_frame(false, Opcode::Continuation, b""),
        client_frame(true, Opcode::Continuation, b"lo"),
        client_frame(true, Opcode::Close, &[0x03, 0xE8, b'b', b'y', b'e']),
    ]
    .concat();
    let expected = vec![
        Incoming::Ping(b"now?".to_vec()),
        message(Opcode::Text, 5),
        Incoming::Close(Some(1000)),
    ];
    assert_eq!(read(&input), Ok(expected.clone()));
    for at in 0..input.len() {
        let mut reader = FrameReader::new(100);
        let mut split = read_all(&mut reader, &input[..at]).expect("first part");
        split.extend(read_all(&mut reader, &input[at..]).expect("second part"));
        assert_eq!(split, expected, "split at {at}");
        assert_eq!(reader.bytes_read(), input.len() as u64);
    }
}

#[test]
fn an_unmasked_frame_is_refused_at_its_second_byte() {
    let violation = Error::Violation("a WebSocket frame from a client must be masked");
    assert_eq!(read(&[0x81, 0x05]), Err(violation));
    assert_eq!(read(&[0x81]), Ok(vec![]));
}

#[test]
fn frames_against_the_rules_are_refused() {
    let long_ping = client_frame(true, Opcode::Ping, &[0; 126]);
    let cases: [(&str, Vec<u8>); 14] = [
        ("RSV1", vec![0xC1, 0x80]),
        ("RSV2", vec![0xA1, 0x80]),
        ("RSV3", vec![0x91, 0x80]),
        ("reserved data opcode", vec![0x83, 0x80]),
        ("reserved control opcode", vec![0x8B, 0x80]),
        ("fragmented ping", vec![0x09, 0x80]),
        ("ping of 126 bytes", long_ping),
        ("125 in 16 bits", vec![0x82, 0xFE, 0, 125, 1, 2, 3, 4]),
        ("65535 in 64 bits", vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 1, 2, 3, 4]),
        ("length with its top bit", vec![0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
        ("continuation of nothing", client_frame(true, Opcode::Continuation, b"x")),
        ("close code of one byte", client_frame(true, Opcode::Close, &[3])),
        ("close code 1005", client_frame(true, Opcode::Close, &1005_u16.to_be_bytes())),
        ("close reason", client_frame(true, Opcode::Close, &[0x03, 0xE8, 0xFF])),
    ];
    for (what, input) in cases {
        let error = read(&input).expect_err(what);
        assert!(matches!(error, Error::Violation(_) | Error::Malformed { .. }), "{what}: {error}");
    }
    let nested = [client_frame(false, Opcode::Text, b"a"), client_frame(true, Opcode::Text, b"b")];
    assert!(matches!(read(&nested.concat()), Err(Error::Violation(_))));
}

#[test]
fn a_message_over_the_limit_is_refused_when_it_is_announced() {
    let limit_exceeded = |value| {
        Err(Error::LimitExceeded { setting: "websocket_message_bytes_max", value, limit: 4 })
    };
    let read = |input: &[u8]| read_all(&mut FrameReader::new(4), input);
    assert_eq!(
        read(&client_frame(true, Opcode::Text, b"four")),
        Ok(vec![message(Opcode::Text, 4)])
    );
    assert_eq!(read(&client_frame(true, Opcode::Text, b"fives")[..6]), limit_exceeded(5));
    let fragments = [
        client_frame(false, Opcode::Text, b"abc"),
        client_frame(true, Opcode::Continuation, b"de"),
    ];
    assert_eq!(read(&fragments.concat()), limit_exceeded(5));
    let huge = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
    assert_eq!(read(&huge), limit_exceeded(i64::MAX as u64));
}

#[test]
fn a_close_frame_may_carry_nothing() {
    assert_eq!(read(&client_frame(true, Opcode::Close, b"")), Ok(vec![Incoming::Close(None)]));
}

fn any_frames() -> impl Strategy<Value = Vec<(Opcode, Vec<u8>)>> {
    let opcode = prop_oneof![
        Just(Opcode::Ping),
        Just(Opcode::Pong),
        Just(Opcode::Text),
        Just(Opcode::Binary)
    ];
    prop::collection::vec((opcode, prop::collection::vec(any::<u8>(), 0..126)), 0..8)
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in any_frames(),
        cuts in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let input: Vec<u8> = frames.iter().flat_map(|(o, p)| client_frame(true, *o, p)).collect();
        let expected: Vec<_> = frames
            .into_iter()
            .map(|(opcode, payload)| match opcode {
                Opcode::Ping => Incoming::Ping(payload),
                Opcode::Pong => Incoming::Pong(payload),
                opcode => message(opcode, payload.len() as u64),
            })
            .collect();
        let mut reader = FrameReader::new(1000);
        let (mut rest, mut all) = (&input[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (part, later) = rest.split_at((*cut).min(rest.len()));
            all.extend(read_all(&mut reader, part).expect("valid frames"));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(input in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&input);
    }
}
