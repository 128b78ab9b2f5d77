//! Transport streams made of access units: what viewers get at joins, takeovers, gaps and skips.

use std::collections::HashMap;

use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::Tag;
use corelay_codecs::container::mpegts::packet::{Packet, Pcr};

use super::media::{is_key, tag};
use super::rig::*;
use super::tracks::AVCC;
use crate::hub::*;

pub fn config(ms: u32) -> Tag {
    tag(TagType::Video, ms, [&[0x17, 0, 0, 0, 0], AVCC].concat())
}

/// One picture of one slice.
fn picture(ms: u32, is_key: bool, bytes: usize) -> Tag {
    let nal = if is_key { 0x65 } else { 0x41 };
    let mut body = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    body.extend_from_slice(&(bytes as u32).to_be_bytes());
    body.push(nal);
    body.resize(9 + bytes, 0x80);
    tag(TagType::Video, ms, body)
}

/// A second of pictures, the first of them a keyframe.
pub fn second(from_ms: u32, bytes: usize) -> Vec<Tag> {
    (0..25).map(|n| picture(from_ms + n * 40, n == 0, bytes)).collect()
}

/// What a transport stream says of itself.
pub struct Seen {
    pub pictures: usize,
    pub keyframes: usize,
    pub gaps: usize,
}

/// Reads what a viewer has got. Fails unless it is whole packets that begin with a PAT, and unless
/// decoding can start at the first picture.
pub fn look(got: &[u8]) -> Seen {
    assert_eq!(got.len() % 188, 0, "whole packets");
    let mut seen = Seen { pictures: 0, keyframes: 0, gaps: 0 };
    let mut counters: HashMap<u16, u8> = HashMap::new();
    for (index, bytes) in got.chunks_exact(188).enumerate() {
        let packet = Packet::parse(bytes).expect("a packet");
        let pid = packet.pid().value();
        assert!(index > 0 || pid == 0, "PAT first");
        if packet.has_payload() {
            let counter = packet.continuity_counter();
            let before = counters.insert(pid, counter);
            let is_gap = before.is_some_and(|before| counter != (before + 1) & 0xF);
            seen.gaps += usize::from(is_gap);
            let goes_on = pid != 0x100 || (packet.starts_unit() && packet.is_random_access());
            assert!(!is_gap || goes_on, "it goes on in the middle of a group");
        }
        if pid == 0x100 && packet.starts_unit() {
            seen.pictures += 1;
            seen.keyframes += usize::from(packet.is_random_access());
            assert!(seen.keyframes > 0, "the first picture is a keyframe");
        }
    }
    seen
}

#[test]
fn a_transport_stream_goes_on_without_a_gap_when_another_publisher_takes_over() {
    for second_at in [0, 1] {
        let mut rig = Rig::new(2);
        let key = rig.key(0);
        let first = rig.publish(0, &key);
        rig.send(first, &[config(0)]);
        rig.send(first, &second(0, 2_000));
        let viewer = rig.play(1, &key, Watch::form(Form::HttpTs));
        let again = rig.publish(second_at, &key);
        rig.send(again, &[config(9_000_000)]);
        rig.send(again, &second(9_000_000, 2_000));
        rig.send(again, &second(9_001_000, 2_000));
        let seen = look(&rig.peers[viewer].got);
        assert_eq!((seen.pictures, seen.keyframes, seen.gaps), (75, 3, 0));
        let late = rig.play(0, &key, Watch::form(Form::HttpTs));
        rig.send(again, &second(9_002_000, 2_000));
        let seen = look(&rig.peers[late].got);
        assert_eq!((seen.pictures, seen.keyframes, seen.gaps), (50, 2, 0));
    }
}

/// What stands in WebSocket messages.
fn unframed(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let [0x82, length, rest @ ..] = bytes {
        let (head, length) = match length {
            126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk().unwrap()))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk().unwrap())),
            length => (0, u64::from(*length)),
        };
        let (message, behind) = rest[head..].split_at(length as usize);
        payload.extend_from_slice(message);
        bytes = behind;
    }
    assert!(bytes.is_empty(), "whole messages");
    payload
}

/// The longest time between two PCRs, in milliseconds, and the number of PATs.
fn clocks_and_tables(bytes: &[u8]) -> (i64, usize) {
    let (mut last, mut longest, mut tables): (Option<Pcr>, _, _) = (None, 0, 0);
    for bytes in bytes.chunks_exact(188) {
        let packet = Packet::parse(bytes).expect("a packet");
        tables += usize::from(packet.pid().value() == 0);
        if let Some(pcr) = packet.adaptation_field().and_then(|field| field.pcr()) {
            longest = last.map_or(0, |last| longest.max(pcr.since(last) / 27_000));
            last = Some(pcr);
        }
    }
    (longest, tables)
}

#[test]
fn clocks_and_tables_of_a_transport_stream_come_as_often_as_the_settings_say() {
    for (form, pcr_interval_ms, tables_interval_ms, longest, tables) in [
        (Form::HttpTs, 40, 100, 40..=40, 30..=45),
        (Form::HttpTs, 10, 20, 5..=10, 145..=155),
        (Form::WebSocketTs, 20, 50, 15..=20, 60..=80),
        (Form::HttpTs, 100, 1_000, 40..=100, 3..=6),
    ] {
        let mut rig = Rig::with(1, |config| {
            config.ts.pcr_interval_ms = pcr_interval_ms;
            config.ts.tables_interval_ms = tables_interval_ms;
        });
        let key = rig.key(0);
        let publisher = rig.publish(0, &key);
        let viewer = rig.play(0, &key, Watch::form(form));
        rig.send(publisher, &[config(0)]);
        (0..3).for_each(|n| rig.send(publisher, &second(n * 1_000, 2_000)));
        let got = &rig.peers[viewer].got;
        let got = if form == Form::WebSocketTs { &unframed(got) } else { got };
        let seen = clocks_and_tables(got);
        let is_right = longest.contains(&seen.0) && tables.contains(&seen.1);
        assert!(is_right, "{form:?} {pcr_interval_ms} {tables_interval_ms}: {seen:?}");
    }
}

#[test]
fn a_slow_viewer_of_a_transport_stream_skips_whole_groups_and_sees_the_gap_in_the_counters() {
    let mut rig = Rig::with(1, |config| {
        config.applications.default.skips_max = 1_000;
        config.applications.default.behind_bytes_max = 100_000;
    });
    let key = rig.key(0);
    let publisher = rig.publish(0, &key);
    rig.send(publisher, &[config(0)]);
    let slow = rig.play(0, &key, Watch::stuck(Form::HttpTs));
    let sent: Vec<Tag> = (0..20).flat_map(|n| second(n * 1_000, 2_000)).collect();
    for (index, tag) in sent.iter().enumerate() {
        rig.send(publisher, std::slice::from_ref(tag));
        if index % 5 == 0 {
            rig.sip(slow, 6_001);
        }
    }
    rig.peers[slow].reads = true;
    rig.pass(1_000);
    let seen = look(&rig.peers[slow].got);
    let keys = sent.iter().filter(|tag| is_key(tag)).count();
    assert!(seen.keyframes < keys && seen.gaps > 0, "{} of {keys} groups", seen.keyframes);
}
