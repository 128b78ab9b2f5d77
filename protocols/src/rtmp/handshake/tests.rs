//! Rules of the handshake, and an independent implementation (crate rml_rtmp) as the other side.

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};

use super::digest::{Scheme, Side};
use super::*;

const SEED: [u8; 8] = *b"corelay!";

/// C0, a C1 made by `make`, a C2 and the first byte behind the handshake.
fn client_bytes(make: impl FnOnce(&mut Packet)) -> Vec<u8> {
    let mut c1 = pattern();
    c1[..8].fill(0);
    make(&mut c1);
    let mut input = vec![VERSION_PLAIN];
    input.extend(c1);
    input.extend([0xC2; PACKET_BYTES]);
    input.push(b'!');
    input
}

fn pattern() -> Packet {
    std::array::from_fn(|at| (at * 7 + 3) as u8)
}

/// What the server answers to all of `input`, in pieces of `piece_bytes`.
fn serve(input: &[u8], piece_bytes: usize) -> Result<(Progress, BytesMut), Error> {
    let mut server = ServerHandshake::new(SEED);
    let mut out = BytesMut::new();
    let mut total = Progress { consumed: 0, done: false };
    for piece in input.chunks(piece_bytes) {
        let progress = server.push(piece, &mut out)?;
        total = Progress { consumed: total.consumed + progress.consumed, done: progress.done };
    }
    Ok((total, out))
}

/// S1 and S2 as answered to `input`, which must not depend on how it is cut.
fn answer(input: &[u8]) -> (Packet, Packet) {
    let whole = serve(input, input.len()).unwrap();
    assert_eq!(whole.0, Progress { consumed: 1 + 2 * PACKET_BYTES, done: true });
    for piece_bytes in [1, 1537, 1000] {
        assert_eq!(serve(input, piece_bytes).unwrap(), whole, "pieces of {piece_bytes}");
    }
    let out = whole.1;
    assert_eq!((out.len(), out[0]), (1 + 2 * PACKET_BYTES, VERSION_PLAIN));
    (out[1..1537].try_into().unwrap(), out[1537..].try_into().unwrap())
}

fn refusal(input: &[u8]) -> String {
    let mut out = BytesMut::new();
    let error = ServerHandshake::new(SEED).push(input, &mut out).unwrap_err();
    assert!(out.is_empty(), "nothing is answered");
    error.to_string()
}

// Golden vectors: HMACs computed with Python's hmac and hashlib over the same pattern of bytes.

#[test]
fn digests_and_signatures_are_those_of_an_independent_computation() {
    let golden = [
        (Side::Client, Scheme::Zero, 290, "36d27b365b84e5e55f376e2f24f3a7dd"),
        (Side::Client, Scheme::One, 942, "492c04ebd265e6343c4c12f5580a4639"),
        (Side::Server, Scheme::Zero, 290, "2e691a99791972c8b772eb258df6475d"),
        (Side::Server, Scheme::One, 942, "01d1722f262d0920a2fd6c2cff614d03"),
    ];
    for (side, scheme, at, hex) in golden {
        let mut packet = pattern();
        let digest = digest::imprint(&mut packet, side, scheme);
        assert_eq!(to_hex(&digest[..16]), hex);
        assert_eq!(packet[at..at + 32], digest);
        for first in [Scheme::Zero, Scheme::One] {
            assert_eq!(digest::find(&packet, side, first), Some((scheme, digest)));
        }
    }
    // Offset bytes whose sum is over the modulus.
    for (scheme, offset_at, at, hex) in [
        (Scheme::Zero, 8, 304, "c1c4d86ce5cca20618851620a8624740"),
        (Scheme::One, 772, 1068, "95d2828697a0ae79e41b97743880c62d"),
    ] {
        let mut packet = pattern();
        packet[8..12].fill(0xFF);
        packet[772..776].fill(0xFF);
        let digest = digest::imprint(&mut packet, Side::Client, scheme);
        assert_eq!(packet[offset_at..offset_at + 4], [0xFF; 4]);
        assert_eq!((&packet[at..at + 32], to_hex(&digest[..16]).as_str()), (&digest[..], hex));
    }
    let answered: digest::Digest = std::array::from_fn(|at| at as u8);
    let golden = [
        (Side::Client, "284c96e80458de5bca470ddda3f8a553"),
        (Side::Server, "7fce027fd61c568e1d886d89070214fd"),
    ];
    for (side, hex) in golden {
        let mut packet = pattern();
        digest::sign(&mut packet, side, &answered);
        assert_eq!(to_hex(&packet[1504..1520]), hex);
        assert!(digest::is_signed(&packet, side, &answered));
        packet[77] ^= 1;
        assert!(!digest::is_signed(&packet, side, &answered));
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_plain_c1_is_echoed() {
    let input = client_bytes(|_| {});
    let (s1, s2) = answer(&input);
    assert_eq!(s1[..8], [0; 8], "no version, so no digest is looked for");
    assert_eq!(s2, input[1..1537]);
}

#[test]
fn a_c1_with_digest_is_answered_with_a_digest_of_its_scheme() {
    for scheme in [Scheme::Zero, Scheme::One] {
        let mut c1_digest = digest::Digest::default();
        let input = client_bytes(|c1| {
            c1[VERSION_FIELD].copy_from_slice(&[9, 0, 124, 2]);
            c1_digest = digest::imprint(c1, Side::Client, scheme);
        });
        let (s1, s2) = answer(&input);
        assert!(s1[4] >= 3, "ffmpeg looks for a digest only then");
        assert_eq!(digest::find(&s1, Side::Server, scheme).unwrap().0, scheme);
        assert!(digest::is_signed(&s2, Side::Server, &c1_digest));
    }
}

#[test]
fn a_version_without_a_valid_digest_is_answered_plainly() {
    let input = client_bytes(|c1| {
        c1[VERSION_FIELD].copy_from_slice(&[9, 0, 124, 2]);
        digest::imprint(c1, Side::Client, Scheme::One);
        c1[1000] ^= 1;
    });
    let (s1, s2) = answer(&input);
    assert_eq!(s1[VERSION_FIELD], [0; 4]);
    assert_eq!(s2, input[1..1537]);
}

#[test]
fn a_digest_under_version_zero_is_not_looked_for() {
    let input = client_bytes(|c1| {
        digest::imprint(c1, Side::Client, Scheme::Zero);
    });
    assert_eq!(answer(&input).1, input[1..1537]);
}

#[test]
fn the_answer_is_sent_before_c2_arrives() {
    let input = client_bytes(|_| {});
    let (progress, out) = serve(&input[..1537], 1537).unwrap();
    assert_eq!(progress, Progress { consumed: 1537, done: false });
    assert_eq!(out.len(), 1 + 2 * PACKET_BYTES);
    assert!(serve(&input[..1536], 1536).unwrap().1.is_empty());
}

#[test]
fn a_push_after_the_end_consumes_nothing() {
    let input = client_bytes(|_| {});
    let mut server = ServerHandshake::new(SEED);
    let mut out = BytesMut::new();
    server.push(&input, &mut out).unwrap();
    let progress = server.push(b"more", &mut out).unwrap();
    assert_eq!(progress, Progress { consumed: 0, done: true });
}

#[test]
fn alien_peers_are_told_apart() {
    assert!(refusal(b"GET / HTTP/1.1\r\n").contains("HTTP on the RTMP port"));
    assert!(refusal(b"POST /open/1 HTTP/1.1\r\n").contains("HTTP on the RTMP port"));
    assert!(refusal(&[0x16, 3, 1, 2, 0]).contains("TLS on the RTMP port"));
    let mut packets = vec![b'G'; 1];
    packets.resize(188, 0);
    packets.push(b'G');
    assert!(refusal(&packets).contains("transport stream"));
    for version in [0, 1, 2, 4, 5, 7, 31, b'G', 0xFF] {
        assert!(refusal(&[version]).ends_with("not RTMP at byte 0"), "{version}");
    }
    for version in [6, 8, 9] {
        assert!(refusal(&[version]).contains("unsupported: RTMPE"));
    }
}

#[test]
fn the_client_and_the_server_agree_in_both_styles() {
    for (style, verified) in [(Style::Plain, false), (Style::Digest, true)] {
        let mut client = ClientHandshake::new([1; 8], style);
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        client.start(&mut to_server);
        let mut server = ServerHandshake::new([2; 8]);
        let c1 = server.push(&to_server.split(), &mut to_client).unwrap();
        assert!(!c1.done);
        for byte in to_client.split() {
            assert_eq!(client.push(&[byte], &mut to_server).unwrap().consumed, 1);
        }
        assert!(client.push(b"", &mut to_server).unwrap().done);
        assert_eq!(client.is_verified(), verified);
        assert!(server.push(&to_server.split(), &mut to_client).unwrap().done);
        assert!(to_client.is_empty());
    }
}

#[test]
fn a_client_with_digest_accepts_a_server_that_only_echoes() {
    let mut client = ClientHandshake::new(SEED, Style::Digest);
    let mut out = BytesMut::new();
    client.start(&mut out);
    let c1 = out.split();
    let s1 = pattern();
    let reply = [&[VERSION_PLAIN], &s1[..], &c1[1..], b"!"].concat();
    let progress = client.push(&reply, &mut out).unwrap();
    assert_eq!(progress, Progress { consumed: 1 + 2 * PACKET_BYTES, done: true });
    assert_eq!(out, s1[..], "C2 is the plain echo");
    assert!(!client.is_verified());
}

#[test]
fn a_client_does_not_take_a_bad_signature_for_a_good_one() {
    let mut client = ClientHandshake::new(SEED, Style::Digest);
    let (mut out, mut reply) = (BytesMut::new(), BytesMut::new());
    client.start(&mut out);
    ServerHandshake::new([9; 8]).push(&out.split(), &mut reply).unwrap();
    reply[3000] ^= 1;
    assert!(client.push(&reply, &mut out).unwrap().done);
    assert!(!client.is_verified());
}

#[test]
fn a_client_refuses_a_server_that_does_not_speak_rtmp() {
    let mut client = ClientHandshake::new(SEED, Style::Plain);
    let error = client.push(b"HTTP/1.1 400 Bad Request", &mut BytesMut::new()).unwrap_err();
    assert!(error.to_string().contains("HTTP on the RTMP port"));
}

#[test]
fn different_seeds_send_different_bytes() {
    let start = |seed| {
        let mut out = BytesMut::new();
        ClientHandshake::new(seed, Style::Plain).start(&mut out);
        out
    };
    assert_eq!(start([1; 8]), start([1; 8]));
    assert_ne!(start([1; 8]), start([2; 8]));
}

#[test]
fn the_oracle_completes_a_handshake_as_client() {
    let mut client = Handshake::new(PeerType::Client);
    let mut server = ServerHandshake::new(SEED);
    let mut out = BytesMut::new();
    let c0_c1 = client.generate_outbound_p0_and_p1().unwrap();
    assert!(!server.push(&c0_c1, &mut out).unwrap().done);
    let HandshakeProcessResult::Completed { response_bytes, remaining_bytes } =
        client.process_bytes(&out).unwrap()
    else {
        panic!("S0, S1 and S2 are all a client waits for");
    };
    assert!(remaining_bytes.is_empty());
    assert!(server.push(&response_bytes, &mut out).unwrap().done);
}

#[test]
fn the_oracle_completes_a_handshake_as_server() {
    let mut client = ClientHandshake::new(SEED, Style::Digest);
    let mut server = Handshake::new(PeerType::Server);
    let mut out = BytesMut::new();
    client.start(&mut out);
    let HandshakeProcessResult::InProgress { response_bytes } =
        server.process_bytes(&out.split()).unwrap()
    else {
        panic!("C2 is still to come");
    };
    assert!(client.push(&response_bytes, &mut out).unwrap().done);
    assert!(client.is_verified());
    let done = server.process_bytes(&out).unwrap();
    assert!(matches!(done, HandshakeProcessResult::Completed { .. }));
}
