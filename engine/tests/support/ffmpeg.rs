//! ffmpeg and ffprobe as publisher, player and judge.

use std::path::Path;

use serde_json::Value;

use super::media::Media;
use super::peer::{self, Peer};
use super::{LIMIT, Scratch};

/// Publishes a file once, in real time, without touching its frames.
pub fn publish(scratch: &Scratch, media: Media, url: &str) -> Peer {
    let path = media.path();
    let args = ["-re", "-i", path.to_str().unwrap(), "-c", "copy", "-f", "flv", url];
    Peer::spawn(scratch, "ffmpeg", &[&QUIET[..], &args].concat())
}

/// Publishes a file over and over until it is stopped.
pub fn publish_forever(scratch: &Scratch, media: Media, url: &str) -> Peer {
    let path = media.path();
    let input = ["-re", "-stream_loop", "-1", "-i", path.to_str().unwrap()];
    let output = ["-c", "copy", "-f", "flv", url];
    Peer::spawn(scratch, "ffmpeg", &[&QUIET[..], &input, &output].concat())
}

/// Plays a stream into an FLV file without touching its frames, until it ends or is stopped.
pub fn record(scratch: &Scratch, url: &str, file: &Path) -> Peer {
    let args = ["-copyts", "-i", url, "-c", "copy", "-f", "flv", file.to_str().unwrap()];
    Peer::spawn(scratch, "ffmpeg", &[&QUIET[..], &args].concat())
}

/// Decodes a stream for some seconds of media, and returns the number of pictures. Any decoding
/// error fails.
pub fn decode(scratch: &Scratch, url: &str, seconds: u32) -> usize {
    let seconds = seconds.to_string();
    let args = ["-xerror", "-i", url, "-t", &seconds, "-map", "0:v", "-f", "framemd5", "-"];
    let finished = peer::run(scratch, "ffmpeg", &[&QUIET[..], &args].concat(), LIMIT);
    assert!(finished.stderr.trim().is_empty(), "decoding {url}: {}", finished.stderr);
    finished.stdout.lines().filter(|line| !line.starts_with('#')).count()
}

/// Hashes of the decoded pictures of a file, in order. Any decoding error fails.
pub fn picture_hashes(scratch: &Scratch, file: &Path) -> Vec<String> {
    let args = ["-i", file.to_str().unwrap(), "-map", "0:v", "-f", "framemd5", "-"];
    let args = [&["-v", "error", "-nostdin"][..], &args].concat();
    let finished = peer::run(scratch, "ffmpeg", &args, LIMIT);
    assert_eq!(finished.stderr.trim(), "", "decoding {}", file.display());
    let frames = finished.stdout.lines().filter(|line| !line.starts_with('#'));
    frames.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}

/// What ffprobe says about the tracks of a stream, in its order.
pub fn probe(scratch: &Scratch, url: &str) -> Vec<Value> {
    let args = ["-v", "error", "-show_streams", "-of", "json", url];
    let finished = peer::run(scratch, "ffprobe", &args, LIMIT);
    let answer: Value = serde_json::from_str(&finished.stdout).expect("ffprobe writes JSON");
    answer["streams"].as_array().expect("streams is an array").clone()
}

const QUIET: [&str; 5] = ["-hide_banner", "-loglevel", "warning", "-nostdin", "-y"];
