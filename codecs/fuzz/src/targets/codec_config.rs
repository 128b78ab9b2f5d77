//! Configuration records and frames: the first byte chooses the codec, the rest is read as both,
//! and made into what MP4 and playlists say of it.

use corelay_codecs::TrackInfo;
use corelay_codecs::codec::{CODECS, aac, h264, h265, mp3, rfc6381};

/// No bytes make a parser panic, and what one tells is about its own codec.
pub fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    let row = &CODECS[usize::from(choice) % CODECS.len()];
    for describe in [row.from_config, row.from_frame].into_iter().flatten() {
        if let Some(info) = describe(bytes) {
            assert_eq!(info.codec, row.id);
            assert!(info.frame_rate >= 0.0);
        }
    }
    if let Some(mp4) = &row.mp4
        && (mp4.config)(bytes).is_some()
    {
        let info = TrackInfo { codec: row.id, ..TrackInfo::default() };
        assert!(rfc6381(&info, bytes).is_some_and(|name| name.is_ascii()));
    }
    let _ = h264::Sps::parse(bytes);
    let _ = h265::Sps::parse(bytes);
    let _ = mp3::FrameHeader::parse(bytes);
    let _ = aac::AudioSpecificConfig::parse(bytes);
    if let Some(record) = h264::ConfigurationRecord::parse(bytes) {
        assert!((1..=4).contains(&record.nal_length_size));
    }
    if let Some(record) = h265::ConfigurationRecord::parse(bytes) {
        assert!((1..=4).contains(&record.nal_length_size));
    }
}
