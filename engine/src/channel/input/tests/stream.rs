//! Packets for tests.

use bytes::Bytes;
use corelay_codecs::codec::CodecId;
use corelay_codecs::container::mpegts::mux::{Muxer, Settings};
use corelay_codecs::container::mpegts::{PACKET_SIZE, Packet};
use corelay_codecs::{AccessUnit, FlvBody, Timestamp, TrackId, TrackKind, UnitKind};

pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;
pub const SECOND_AUDIO: u16 = 0x102;
pub const PAT: u16 = 0;
pub const PMT: u16 = 0x1000;

const SECOND: TrackId = TrackId { kind: TrackKind::Audio, index: 1 };

fn unit(track: TrackId, kind: UnitKind, ms: i64, payload: Vec<u8>) -> AccessUnit {
    let codec = if track == TrackId::VIDEO { CodecId::H264 } else { CodecId::Aac };
    let (dts, payload) = (Timestamp::from_millis(ms), Bytes::from(payload));
    AccessUnit { track, kind, codec, dts, pts_offset: 0, payload, flv: FlvBody::Build }
}

/// Pictures every 40 ms and sound every 20 ms, with a second sound in the PMT; packets every 20 ms.
pub struct Stream {
    muxer: Muxer,
    at_ms: i64,
    has_second_audio: bool,
}

impl Stream {
    pub fn new() -> Self {
        let mut muxer = Muxer::new(Settings { audio_bundle_ms: 0, ..Settings::default() });
        let avcc = [1, 100, 0, 40, 0xFF, 0xE1, 0, 2, 0x67, 0xAA, 1, 0, 2, 0x68, 0xBB];
        for (track, config) in [
            (TrackId::VIDEO, avcc.to_vec()),
            (TrackId::AUDIO, vec![0x11, 0x90]),
            (SECOND, vec![0x11, 0x90]),
        ] {
            muxer.write(&unit(track, UnitKind::Config, 0, config), &mut Vec::new());
        }
        Self { muxer, at_ms: 0, has_second_audio: false }
    }

    /// The second sound is sent from now on.
    pub fn send_second_audio(&mut self) {
        self.has_second_audio = true;
    }

    /// The packets of the next 20 ms.
    pub fn next(&mut self) -> Vec<u8> {
        let (ms, mut out) = (self.at_ms, Vec::new());
        self.at_ms += 20;
        if ms % 40 == 0 {
            let kind = UnitKind::Frame { random_access: ms % 1_000 == 0 };
            let mut payload = 3_000_u32.to_be_bytes().to_vec();
            payload.resize(3_004, 0x41);
            self.muxer.write(&unit(TrackId::VIDEO, kind, ms, payload), &mut out);
        }
        let kind = UnitKind::Frame { random_access: true };
        self.muxer.write(&unit(TrackId::AUDIO, kind, ms, vec![0x21; 300]), &mut out);
        if self.has_second_audio {
            self.muxer.write(&unit(SECOND, kind, ms, vec![0x21; 300]), &mut out);
        }
        out
    }
}

/// The packets that `keep` keeps.
pub fn only(packets: &[u8], mut keep: impl FnMut(u16) -> bool) -> Vec<u8> {
    let packets = packets.as_chunks::<PACKET_SIZE>().0.iter();
    packets.filter(|packet| keep(Packet::new(packet).pid().value())).flatten().copied().collect()
}

/// One packet with a number in it.
pub fn numbered(number: u32) -> [u8; PACKET_SIZE] {
    let mut packet = [0; PACKET_SIZE];
    packet[..4].copy_from_slice(&[0x47, 0x01, 0x23, 0x10 | (number % 16) as u8]);
    packet[4..8].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Numbers of packets.
pub fn numbers(packets: &[u8]) -> Vec<u32> {
    let number = |packet: &[u8; PACKET_SIZE]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
    packets.as_chunks().0.iter().map(number).collect()
}
