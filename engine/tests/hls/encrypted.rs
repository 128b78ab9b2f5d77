//! Encrypted frames (SAMPLE-AES), read back by ffmpeg: every frame is one that was published.

use std::collections::HashSet;
use std::path::Path;

use super::support::hls::{url, variants, watch_until};
use super::support::media::{FRAME_RATE, Media};
use super::support::peer::{self, Peer};
use super::support::relay::Relay;
use super::support::witness::Publisher;
use super::support::{LIMIT, Scratch, http};
use super::{SHORT, publish, save, violations};

/// Settings for encrypted frames; the file with the key lives as long as the scratch.
fn encrypted(scratch: &Scratch) -> String {
    let key = save(scratch, "hls.key", KEY);
    format!("hls.key = \"{}\"\nhls.encryption = \"sample-aes\"\n", key.display())
}

/// Hashes of what ffmpeg makes of an input, in its order. It may say nothing but that.
fn hashes(scratch: &Scratch, input: &[&str], output: &[&str]) -> Vec<String> {
    let args = [&["-v", "error", "-nostdin"], input, output, &["-f", "framemd5", "-"]].concat();
    let finished = peer::run(scratch, "ffmpeg", &args, LIMIT);
    assert_eq!(finished.stderr.trim(), "", "{args:?}");
    let frames = finished.stdout.lines().filter(|line| !line.starts_with('#'));
    // Side data may follow.
    frames.filter_map(|line| line.split(',').nth(5)).map(|hash| hash.trim().to_owned()).collect()
}

/// The same of an encrypted file.
fn decrypted(scratch: &Scratch, file: &Path, output: &[&str]) -> Vec<String> {
    let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = format!("file:{}", file.display());
    // Where it can seek, this ffmpeg takes the ranges of one fragment for those of another.
    hashes(scratch, &["-seekable", "0", "-decryption_key", &key, "-i", &file], output)
}

/// Fails unless all are among those of the file that was published.
fn assert_published(scratch: &Scratch, file: &Path, output: &[&str], found: &[String]) {
    let published = hashes(scratch, &["-i", file.to_str().unwrap()], output);
    let published: HashSet<_> = published.iter().collect();
    let others = found.iter().filter(|hash| !published.contains(hash)).count();
    assert_eq!(others, 0, "of {} by {output:?}", found.len());
}

#[test]
fn ffmpeg_finds_the_published_frames_in_transport_segments() {
    let scratch = Scratch::new("encrypted");
    let (relay, _publisher) = publish(&encrypted(&scratch));
    let (_, path) = variants(relay.http(), "/live/test.m3u8?form=ts&low_latency").remove(0);
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 2);
    assert!(watched.has_line("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"key"), "{}", watched.last());
    assert!(watched.has_line("#EXT-X-PART:"), "{}", watched.last());
    assert_eq!(violations(&watched), [], "{}", watched.last());
    let url = url(&relay, "live", "test", "?form=ts");
    let (file, input) = (Media::AudioVideo.path(), ["-i", &url, "-t", "2"]);
    let pictures = hashes(&scratch, &input, PICTURES);
    assert!((45..=52).contains(&pictures.len()), "{} pictures in 2 s", pictures.len());
    assert_published(&scratch, &file, PICTURES, &pictures);
    // Decoded sound depends on where decoding began; the frames themselves do not.
    let bare = [SOUND, &["-bsf:a", "aac_adtstoasc"]].concat();
    let sound = hashes(&scratch, &input, &bare);
    assert!(sound.len() > 80, "{} frames of sound in 2 s", sound.len());
    assert_published(&scratch, &file, SOUND, &sound);
}

#[test]
fn ffmpeg_finds_the_published_frames_in_fragments_by_the_key() {
    let scratch = Scratch::new("encrypted");
    let (relay, _publisher) = publish(&encrypted(&scratch));
    let (_, path) = variants(relay.http(), "/live/test.m3u8?form=fmp4&low_latency").remove(0);
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 3);
    assert_eq!(violations(&watched), [], "{}", watched.last());
    let file = save(&scratch, "encrypted.mp4", &watched.bytes());
    let published = Media::AudioVideo.path();
    let pictures = decrypted(&scratch, &file, PICTURES);
    assert_eq!(pictures.len(), watched.segments.len() * FRAME_RATE);
    assert_published(&scratch, &published, PICTURES, &pictures);
    let sound = decrypted(&scratch, &file, SOUND);
    assert!(sound.len() > watched.segments.len() * 40, "{} frames of sound", sound.len());
    assert_published(&scratch, &published, SOUND, &sound);
}

#[test]
fn a_transport_stream_is_taken_apart_and_its_ac3_encrypted() {
    let scratch = Scratch::new("encrypted");
    let relay = Relay::start(&format!("{SHORT}{}", encrypted(&scratch)));
    let (source, file) = (Media::AudioVideo.path(), scratch.file("ac3.ts"));
    let (source, file_text) = (source.to_str().unwrap(), file.to_str().unwrap());
    let make = ["-v", "error", "-nostdin", "-i", source, "-c:v", "copy", "-c:a", "ac3", file_text];
    assert_eq!(peer::run(&scratch, "ffmpeg", &make, LIMIT).stderr.trim(), "");
    let target = format!("tcp://{}", relay.ts());
    let args = ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", file_text];
    let args = [&args[..], &["-c", "copy", "-f", "mpegts", &target]].concat();
    let _publisher = Peer::spawn(&scratch, "ffmpeg", &args);
    relay.await_publisher("live", "ts");
    let url = url(&relay, "live", "ts", "?form=ts");
    let input = ["-i", &url, "-t", "2"];
    for (output, least) in [(PICTURES, 45), (SOUND, 50)] {
        let found = hashes(&scratch, &input, output);
        assert!(found.len() >= least, "{} by {output:?}", found.len());
        assert_published(&scratch, &file, output, &found);
    }
}

#[test]
fn hevc_is_encrypted_in_fragments_and_not_served_clear_in_transport_segments() {
    let scratch = Scratch::new("encrypted");
    let relay = Relay::start(&format!("{SHORT}hls.wait_ms = 3000\n{}", encrypted(&scratch)));
    let _publisher = Publisher::start(relay.rtmp(), "live", "test", Media::Hevc.tags());
    relay.await_publisher("live", "test");
    let (_, path) = variants(relay.http(), "/live/test.m3u8").remove(0);
    let watched = watch_until(relay.http(), &path, |watched| watched.segments.len() >= 3);
    let file = save(&scratch, "encrypted.mp4", &watched.bytes());
    let pictures = decrypted(&scratch, &file, PICTURES);
    let expected = watched.segments.len() * FRAME_RATE;
    assert!((expected - 2..=expected).contains(&pictures.len()), "{} pictures", pictures.len());
    assert_published(&scratch, &Media::Hevc.path(), PICTURES, &pictures);
    assert_eq!(http::get(relay.http(), "/live/test.m3u8?form=ts").status, 503);
}

const KEY: &[u8; 16] = b"sixteen byte key";
const PICTURES: &[&str] = &["-map", "0:v"];
const SOUND: &[&str] = &["-map", "0:a", "-c", "copy"];
