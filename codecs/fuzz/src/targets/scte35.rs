//! Messages of SCTE 35. Behind a first byte that says whether their CRC is made right, so that what
//! is in them is reached.

use corelay_codecs::scte35::{SpliceInfo, is_section};

/// What can be read is one whole section; times have 33 bits; no prefix of it can be read.
pub fn run(data: &[u8]) {
    let Some((&mode, section)) = data.split_first() else {
        return;
    };
    let mut section = section.to_vec();
    if mode & 1 != 0 {
        finish(&mut section);
    }
    let Ok(info) = SpliceInfo::parse(&section) else {
        return;
    };
    let size = 3 + (usize::from(section[1] & 0x0F) << 8 | usize::from(section[2]));
    assert!(is_section(&section[..size]));
    assert_eq!(SpliceInfo::parse(&section[..size]), Ok(info.clone()));
    assert!((0..size).all(|end| SpliceInfo::parse(&section[..end]).is_err()));
    let cues = info.cues();
    assert!(cues.len() <= info.segmentations.len().max(1));
    for cue in cues {
        assert!(cue.pts.is_none_or(|pts| pts < 1 << 33));
        assert!(cue.duration_ticks.is_none_or(|ticks| ticks < 1 << 40));
    }
}

/// Makes length and CRC those of the whole input.
fn finish(section: &mut [u8]) {
    let Some(end) = section.len().checked_sub(4).filter(|end| (3..4_000).contains(end)) else {
        return;
    };
    let length = (end + 1) as u16;
    section[1] = section[1] & 0xF0 | (length >> 8) as u8;
    section[2] = length as u8;
    let crc = section[..end].iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc & 0x8000_0000 != 0 { 0x04C1_1DB7 } else { 0 }
        })
    });
    section[end..].copy_from_slice(&crc.to_be_bytes());
}
