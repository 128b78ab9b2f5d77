//! Test media, made by ffmpeg once per target directory, and read as FLV tags.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::flv::{self, Tag, VIDEO};
use super::{Scratch, peer};

/// Changing a recipe below means a new folder, so that files of the old one are not taken for it.
const EDITION: &str = "media-1";
/// Frames per second of all test pictures.
pub const FRAME_RATE: usize = 25;
/// Length of all test media.
pub const SECONDS: usize = 6;
/// Number of pictures.
pub const PICTURES: usize = FRAME_RATE * SECONDS;

/// What there is to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// H.264 with B-frames, a keyframe each second, and AAC.
    AudioVideo,
    /// AAC alone.
    AudioOnly,
    /// H.264 with B-frames alone.
    VideoOnly,
    /// HEVC with B-frames alone; the FLV tags are Enhanced RTMP's.
    Hevc,
    /// AV1 alone; the FLV tags are Enhanced RTMP's.
    Av1,
}

impl Media {
    /// The file: FLV, but for HEVC and AV1, which this ffmpeg writes only to MP4.
    pub fn path(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(EDITION);
        std::fs::create_dir_all(&folder).expect("the target directory is writable");
        let name = match self {
            Self::AudioVideo => "av.flv",
            Self::AudioOnly => "audio.flv",
            Self::VideoOnly => "video.flv",
            Self::Hevc => "hevc.mp4",
            Self::Av1 => "av1.mp4",
        };
        // Test programs run at the same time: one makes the file, the others wait for it.
        let lock = File::create(folder.join(format!("{name}.lock"))).expect("writable");
        lock.lock().expect("file locks work here");
        let path = folder.join(name);
        if !path.exists() {
            self.make(&folder, &path);
        }
        path
    }

    fn make(self, folder: &Path, path: &Path) {
        let scratch = Scratch::new("media");
        let seconds = SECONDS.to_string();
        let picture = format!("testsrc2=size=320x180:rate={FRAME_RATE}");
        let mut args = vec!["-hide_banner", "-loglevel", "error", "-y"];
        if self != Self::AudioOnly {
            args.extend(["-f", "lavfi", "-i", &picture]);
        }
        if matches!(self, Self::AudioVideo | Self::AudioOnly) {
            args.extend(["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=3"]);
            args.extend(["-c:a", "aac", "-b:a", "64k", "-ac", "2", "-ar", "44100"]);
        }
        match self {
            Self::AudioVideo | Self::VideoOnly => args.extend([
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-bf",
                "2",
                "-b:v",
                "300k",
                "-g",
                "25",
                "-keyint_min",
                "25",
                "-sc_threshold",
                "0",
                "-pix_fmt",
                "yuv420p",
                "-threads",
                "1",
            ]),
            Self::Hevc => args.extend([
                "-c:v",
                "libx265",
                "-preset",
                "superfast",
                "-pix_fmt",
                "yuv420p",
                "-x265-params",
                "keyint=25:min-keyint=25:scenecut=0:bframes=2:pools=1:log-level=error",
            ]),
            Self::Av1 => args.extend([
                "-c:v",
                "libsvtav1",
                "-preset",
                "12",
                "-g",
                "25",
                "-pix_fmt",
                "yuv420p",
                "-svtav1-params",
                "lp=1",
            ]),
            Self::AudioOnly => {}
        }
        let part = folder.join(format!("part-{}", path.file_name().unwrap().to_str().unwrap()));
        args.extend(["-t", &seconds, "-bitexact", part.to_str().unwrap()]);
        peer::run(&scratch, "ffmpeg", &args, Duration::from_secs(120));
        std::fs::rename(&part, path).expect("same folder");
    }

    /// The media as FLV tags: what a publisher of it sends.
    pub fn tags(self) -> Vec<Tag> {
        let path = self.path();
        match self {
            Self::Hevc => return enhanced_tags(&path, b"hvc1", b"hvcC"),
            Self::Av1 => return enhanced_tags(&path, b"av01", b"av1C"),
            _ => {}
        }
        let tags = flv::read(&std::fs::read(path).expect("just made"));
        // The end-of-sequence tag is not wanted in a stream that is repeated.
        tags.into_iter().filter(|tag| tag.is_media() || tag.is_config() || tag.kind == 18).collect()
    }
}

/// How long one round of some media lasts when it is repeated, in milliseconds. The sound lasts a
/// little longer than the picture; a frame's length on top keeps time going forward.
pub fn period_ms(tags: &[Tag]) -> u32 {
    tags.iter().map(|tag| tag.timestamp_ms).max().unwrap_or(0) + 1000 / FRAME_RATE as u32
}

/// Enhanced RTMP v1, "Defining Additional Video Codecs": tags from the samples of an MP4 file. ffprobe
/// says where each sample lies; the box of the configuration is found by its name.
fn enhanced_tags(path: &Path, fourcc: &[u8; 4], config_box: &[u8; 4]) -> Vec<Tag> {
    let file = std::fs::read(path).expect("just made");
    let at = file.windows(4).position(|name| name == config_box).expect("a configuration");
    let size = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
    let mut config = vec![0x90];
    config.extend_from_slice(fourcc);
    config.extend_from_slice(&file[at + 4..at - 4 + size]);
    let mut tags = vec![Tag { kind: VIDEO, timestamp_ms: 0, body: config }];

    let scratch = Scratch::new("probe");
    let args = ["-v", "error", "-show_packets", "-of", "json", path.to_str().unwrap()];
    let probed = peer::run(&scratch, "ffprobe", &args, super::LIMIT);
    let probed: serde_json::Value = serde_json::from_str(&probed.stdout).expect("JSON");
    let packets = probed["packets"].as_array().expect("packets");
    let number = |packet: &serde_json::Value, key: &str| -> f64 {
        packet[key].as_str().and_then(|text| text.parse().ok()).expect("a number")
    };
    let start = number(&packets[0], "dts_time");
    for packet in packets {
        let (dts, pts) = (number(packet, "dts_time"), number(packet, "pts_time"));
        let offset_ms = ((pts - dts) * 1000.0).round() as i32;
        let (at, size) = (number(packet, "pos") as usize, number(packet, "size") as usize);
        let key = packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
        let frame_type: u8 = if key { 0x90 } else { 0xa0 };
        let mut body = Vec::new();
        if fourcc == b"av01" {
            body.push(frame_type | 1); // CodedFrames: AV1 has no composition time.
            body.extend_from_slice(fourcc);
        } else if offset_ms == 0 {
            body.push(frame_type | 3); // CodedFramesX: no composition time.
            body.extend_from_slice(fourcc);
        } else {
            body.push(frame_type | 1);
            body.extend_from_slice(fourcc);
            body.extend_from_slice(&offset_ms.to_be_bytes()[1..]);
        }
        body.extend_from_slice(&file[at..at + size]);
        let timestamp_ms = ((dts - start) * 1000.0).round() as u32;
        tags.push(Tag { kind: VIDEO, timestamp_ms, body });
    }
    tags
}
