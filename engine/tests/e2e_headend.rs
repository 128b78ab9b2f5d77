//! The generated stream of a headend is one that ffmpeg takes for what it says that it is.

#[allow(dead_code, unreachable_pub)] // Other test programs use other parts of it.
#[path = "support/headend.rs"]
mod headend;
mod support;

use headend::{Headend, Settings};
use support::{Scratch, ffmpeg};

#[test]
fn ffprobe_finds_every_stream_and_ffmpeg_decodes_every_picture() {
    let scratch = Scratch::new("headend");
    let file = scratch.file("headend.ts");
    let mut headend = Headend::new(Settings::default());
    std::fs::write(&file, headend.next_ms(10_000)).expect("scratch is writable");
    let path = file.to_str().expect("UTF-8");
    let streams = ffmpeg::probe(&scratch, path);
    let of_program: Vec<_> = streams
        .iter()
        .filter(|stream| stream["id"].as_str() != Some("0x12"))
        .map(|stream| (stream["id"].as_str(), stream["codec_name"].as_str()))
        .collect();
    let expected = [
        (Some("0x101"), Some("h264")),
        (Some("0x102"), Some("aac")),
        (Some("0x103"), Some("mp2")),
        (Some("0x10a"), Some("dvb_teletext")),
        (Some("0x10b"), Some("dvb_subtitle")),
        (Some("0x10c"), Some("scte_35")),
        (Some("0x10d"), None),
        (Some("0x10e"), Some("bin_data")),
    ];
    assert_eq!(of_program, expected);
    let hashes = ffmpeg::picture_hashes(&scratch, &file);
    assert_eq!(hashes.len(), 250);
    // One picture for each second, and neighbours differ now and then.
    assert!(hashes.chunks(25).all(|group| group.iter().all(|hash| *hash == group[0])));
    assert!(hashes.iter().any(|hash| *hash != hashes[0]));
}
