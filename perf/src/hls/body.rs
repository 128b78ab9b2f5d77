//! What segments and parts must be like, and when their first frame was sent.

use crate::stamp::{self, Stamp};

/// Looks whether a segment or part is whole packets of a transport stream or whole boxes with a
/// movie fragment.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(body: &[u8]) -> Result<(), String> {
    let wrong = match body.first() {
        None => Some("it is empty"),
        Some(&SYNC_BYTE) => check_packets(body),
        Some(_) => check_boxes(body),
    };
    wrong.map_or(Ok(()), |wrong| Err(format!("a segment is wrong: {wrong}")))
}

fn check_packets(body: &[u8]) -> Option<&'static str> {
    let packets = body.chunks_exact(PACKET_BYTES);
    if !packets.remainder().is_empty() {
        return Some("its last packet is cut off");
    }
    let in_sync = packets.into_iter().all(|packet| packet.first() == Some(&SYNC_BYTE));
    (!in_sync).then_some("a packet has no sync byte")
}

/// Boxes with their sizes (ISO/IEC 14496-12 4.2), one behind the other to the end.
fn check_boxes(body: &[u8]) -> Option<&'static str> {
    let (mut rest, mut has_fragment, mut has_data) = (body, false, false);
    while !rest.is_empty() {
        let Some(([a, b, c, d], behind)) = rest.split_first_chunk() else {
            return Some("a box is cut off");
        };
        let size = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if size < 8 {
            return Some("a box has no size");
        }
        match behind.get(..4) {
            Some(b"moof") => has_fragment = true,
            Some(b"mdat") => has_data = true,
            _ => {}
        }
        let Some(next) = rest.get(size..) else { return Some("a box is cut off") };
        rest = next;
    }
    (!has_fragment || !has_data).then_some("it has no movie fragment")
}

/// The first stamp in a part: fragmented MP4 has frames in one piece, a transport stream in the
/// payloads of one PID.
pub(super) fn first_stamp(body: &[u8]) -> Option<Stamp> {
    if body.first() != Some(&SYNC_BYTE) {
        return stamp::find(body);
    }
    let mut payloads: Vec<(u16, Vec<u8>)> = Vec::new();
    for packet in body.chunks_exact(PACKET_BYTES) {
        let Some((pid, payload)) = payload(packet) else { continue };
        let index = payloads.iter().position(|(own, _)| *own == pid).unwrap_or(payloads.len());
        if index == payloads.len() {
            payloads.push((pid, Vec::new()));
        }
        let Some((_, gathered)) = payloads.get_mut(index) else { continue };
        let before = gathered.len().saturating_sub(stamp::STAMP_BYTES);
        gathered.extend_from_slice(payload);
        let found = gathered.get(before..).and_then(stamp::find);
        if found.is_some() {
            return found;
        }
    }
    None
}

/// PID and payload of a packet (ISO/IEC 13818-1 2.4.3.2).
fn payload(packet: &[u8]) -> Option<(u16, &[u8])> {
    let [SYNC_BYTE, high, low, flags, rest @ ..] = packet else { return None };
    let pid = u16::from_be_bytes([high & 0x1F, *low]);
    let payload = match flags >> 4 & 3 {
        1 => Some(rest),
        3 => rest.split_first().and_then(|(length, rest)| rest.get(usize::from(*length)..)),
        _ => None,
    };
    payload.map(|payload| (pid, payload))
}

/// The sequence number and the part in the last segment of a path such as `/a/271.2.ts?x`.
pub(super) fn part_number(path: &str) -> Option<(u64, u64)> {
    let (path, _) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut pieces = path.rsplit('/').next()?.split('.');
    Some((pieces.next()?.parse().ok()?, pieces.next()?.parse().ok()?))
}

const SYNC_BYTE: u8 = 0x47;
const PACKET_BYTES: usize = 188;

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { sent_us: 0x1_2345_6789, sequence: 7 };

    /// Packets of PID 256 with these payload bytes each, behind one of PID 0.
    fn packets(data: &[u8], payload_bytes: usize) -> Vec<u8> {
        let mut out = [&[SYNC_BYTE, 0x40, 0, 0x10][..], &[0xFF; 184]].concat();
        for piece in data.chunks(payload_bytes) {
            out.extend([SYNC_BYTE, 0x01, 0x00]);
            match 184 - piece.len() {
                0 => out.push(0x10),
                stuffing => {
                    out.extend([0x30, (stuffing - 1) as u8]);
                    out.extend(std::iter::repeat_n(0xFF, stuffing - 1));
                }
            }
            out.extend(piece);
        }
        out
    }

    fn boxes(kinds: &[&[u8; 4]]) -> Vec<u8> {
        kinds.iter().flat_map(|kind| [&[0, 0, 0, 12][..], &kind[..], b"data"].concat()).collect()
    }

    #[test]
    fn stamps_are_found_however_the_packets_cut_them() {
        let mut unit = Vec::new();
        stamp::write(STAMP, &mut unit);
        let frame = [&[0x55; 100], &unit[4..], &[0xAA; 200]].concat();
        for payload_bytes in [10, 33, 100, 120, 183, 184] {
            let body = packets(&frame, payload_bytes);
            check(&body).unwrap();
            assert_eq!(first_stamp(&body), Some(STAMP), "{payload_bytes}");
        }
        assert_eq!(first_stamp(&[boxes(&[b"moof"]), frame].concat()), Some(STAMP));
        assert_eq!(first_stamp(&packets(&[1; 400], 184)), None);
    }

    #[test]
    fn segments_that_are_cut_or_out_of_sync_are_found() {
        let whole = packets(&[1; 400], 184);
        let cut = &whole[..whole.len() - 1];
        assert!(check(cut).unwrap_err().contains("cut off"));
        let mut shifted = whole.clone();
        shifted.remove(200);
        shifted.push(0);
        assert!(check(&shifted).unwrap_err().contains("sync byte"));
        assert!(check(&[]).is_err());
    }

    #[test]
    fn boxes_have_to_fill_a_segment_and_hold_a_fragment() {
        check(&boxes(&[b"styp", b"moof", b"mdat"])).unwrap();
        let wrong = |body: &[u8]| check(body).unwrap_err();
        assert!(wrong(&boxes(&[b"styp", b"moof"])).contains("no movie fragment"));
        assert!(wrong(&boxes(&[b"moof", b"mdat"])[..20]).contains("cut off"));
        assert!(wrong(&[0; 16]).contains("no size"));
        assert!(wrong(&[0, 0, 0]).contains("cut off"));
    }

    #[test]
    fn parts_are_numbered_in_their_names() {
        assert_eq!(part_number("/live/s.hls/ts/271.12.ts?session=1.2"), Some((271, 12)));
        assert_eq!(part_number("/live/s.hls/ts/271.ts"), None);
    }
}
