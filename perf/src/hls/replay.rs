//! A stream recorded from one server and put into a folder again, segment by segment in its own
//! time, as a packager would: for another server to serve the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::fetch::Source;
use super::playlist::{MediaPlaylist, Playlist, parse, resolve};
use crate::sys::threads;
use crate::target::Target;

/// A playlist with all its segments.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The multivariant playlist and its path.
    multivariant: (String, String),
    /// Path of the media playlist, without its query.
    path: String,
    /// Lines in front of the first segment, but that with the sequence number.
    head: Vec<String>,
    first: u64,
    segments: Vec<Segment>,
    extension: String,
    map: Option<(String, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct Segment {
    /// Its lines in the playlist, but that with the URI.
    lines: Vec<String>,
    duration: Duration,
    bytes: Vec<u8>,
}

impl Recording {
    /// Fetches what a live stream's multivariant playlist leads to.
    ///
    /// # Errors
    /// The server does not answer, or not with HLS.
    pub fn take(target: &Target) -> anyhow::Result<Self> {
        let Target::Http(http) = target else { bail!("HLS is recorded by http:// only") };
        let mut source = Source::connect(target.resolve()?, &http.authority)?;
        let multivariant = source.get(&http.path)?;
        let Playlist::Multivariant(uri) = read(&multivariant)? else {
            bail!("`{}` is no multivariant playlist", http.path);
        };
        let path = resolve(&http.path, &uri);
        let text = source.get(&path)?;
        let Playlist::Media(media) = read(&text)? else {
            bail!("`{path}` is no media playlist");
        };
        let map = media.map.as_ref().map(|uri| {
            let bytes = source.get(&resolve(&path, uri))?;
            anyhow::Ok((without_query(uri).to_owned(), bytes))
        });
        let mut recording = Self {
            multivariant: (without_query(&http.path).to_owned(), without_queries(&multivariant)?),
            path: without_query(&path).to_owned(),
            head: Vec::new(),
            first: media.first,
            segments: Vec::new(),
            extension: String::new(),
            map: map.transpose()?,
        };
        recording.take_segments(&media, &text, &mut |uri| source.get(&resolve(&path, uri)))?;
        Ok(recording)
    }

    fn take_segments(
        &mut self,
        media: &MediaPlaylist,
        text: &[u8],
        get: &mut dyn FnMut(&str) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let first = media.segments.first().context("a playlist has no segments")?;
        let (_, extension) = without_query(first).rsplit_once('.').unwrap_or_default();
        self.extension = extension.to_owned();
        let mut lines = Vec::new();
        for line in str::from_utf8(text)?.lines() {
            if line.starts_with("#EXT-X-MEDIA-SEQUENCE") || line.starts_with("#EXT-X-MAP") {
                continue;
            }
            let of_segment = SEGMENT_TAGS.contains(&line.split(':').next().unwrap_or_default());
            if line.is_empty() || line.starts_with('#') {
                let kept = if of_segment { &mut lines } else { &mut self.head };
                kept.push(line.to_owned());
                continue;
            }
            let duration = lines.iter().find_map(|line: &String| {
                let seconds = line.strip_prefix("#EXTINF:")?.split(',').next()?;
                Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
            });
            let duration = duration.context("a segment has no duration")?;
            let lines = std::mem::take(&mut lines);
            self.segments.push(Segment { lines, duration, bytes: get(line)? });
        }
        Ok(())
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The playlist that begins so many segments behind the recorded one.
    fn playlist(&self, passed: u64) -> String {
        let mut lines = self.head.clone();
        let first = self.first + passed;
        lines.push(format!("#EXT-X-MEDIA-SEQUENCE:{first}"));
        lines.extend(self.map.iter().map(|(uri, _)| format!("#EXT-X-MAP:URI=\"{uri}\"")));
        for number in first..first + self.segments.len() as u64 {
            lines.extend_from_slice(&self.segment(number).lines);
            lines.push(format!("{number}.{}", self.extension));
        }
        lines.join("\n") + "\n"
    }

    fn segment(&self, number: u64) -> &Segment {
        let index = (number - self.first) % self.segments.len() as u64;
        &self.segments[index as usize]
    }
}

fn read(text: &[u8]) -> anyhow::Result<Playlist> {
    parse(text).map_err(anyhow::Error::msg)
}

fn without_query(uri: &str) -> &str {
    uri.split_at(uri.find('?').unwrap_or(uri.len())).0
}

fn without_queries(playlist: &[u8]) -> anyhow::Result<String> {
    let lines = str::from_utf8(playlist)?.lines();
    let lines = lines.map(|line| if line.starts_with('#') { line } else { without_query(line) });
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// A recording that goes on in a folder, over and over. Dropping it ends it.
pub struct Replay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Replay {
    /// Writes what there is at once, and each further segment when its time has come, by a thread
    /// on `cpu`. The folder is the root of the server's paths.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn start(recording: Recording, root: &Path, cpu: Option<usize>) -> anyhow::Result<Self> {
        let (path, text) = &recording.multivariant;
        put(&place(root, path), text.as_bytes())?;
        let mut folder = Folder { playlist: place(root, &recording.path), recording, passed: 0 };
        folder.begin()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            let _ = cpu.map(threads::pin_to);
            folder.go_on(&stopped);
        };
        let thread = thread::Builder::new().name("replay".to_owned()).spawn(work)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What a replay has written.
struct Folder {
    recording: Recording,
    playlist: PathBuf,
    passed: u64,
}

impl Folder {
    fn begin(&self) -> anyhow::Result<()> {
        if let Some((uri, bytes)) = &self.recording.map {
            put(&self.playlist.with_file_name(uri), bytes)?;
        }
        let first = self.recording.first;
        for number in first..first + self.recording.segments.len() as u64 {
            self.put_segment(number)?;
        }
        put(&self.playlist, self.recording.playlist(0).as_bytes())
    }

    fn go_on(&mut self, stop: &AtomicBool) {
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let newest = self.recording.first + self.passed + self.recording.segments.len() as u64;
            due += self.recording.segment(newest).duration;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(left.min(LOOK_AROUND));
            }
            self.passed += 1;
            let playlist = self.recording.playlist(self.passed);
            let written =
                self.put_segment(newest).and_then(|()| put(&self.playlist, playlist.as_bytes()));
            if let Err(error) = written {
                eprintln!("the replay has ended: {error:#}");
                return;
            }
            if let Some(gone) = (self.passed + self.recording.first).checked_sub(SPARE_SEGMENTS) {
                let _ = fs::remove_file(self.place_of(gone));
            }
        }
    }

    fn put_segment(&self, number: u64) -> anyhow::Result<()> {
        put(&self.place_of(number), &self.recording.segment(number).bytes)
    }

    fn place_of(&self, number: u64) -> PathBuf {
        self.playlist.with_file_name(format!("{number}.{}", self.recording.extension))
    }
}

fn place(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Writes a file that readers see whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().unwrap_or(path)).with_context(cannot)?;
    let new = path.with_extension("new");
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).with_context(cannot)
}

/// Tags that belong to the segment behind them (RFC 8216 4.3.2).
const SEGMENT_TAGS: [&str; 5] = [
    "#EXTINF",
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-PROGRAM-DATE-TIME",
    "#EXT-X-DATERANGE",
    "#EXT-X-BYTERANGE",
];
/// How soon an end is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// Segments no longer listed that stay in the folder.
const SPARE_SEGMENTS: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(duration: Duration) -> Recording {
        let media = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n\
            #EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:2.0,\n7.ts?s=1\n\
            #EXT-X-PROGRAM-DATE-TIME:x\n#EXTINF:1.5,\n8.ts?s=1\n";
        let Playlist::Media(parsed) = read(media.as_bytes()).unwrap() else { panic!() };
        let variants = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns.hls/ts/index.m3u8?session=1\n";
        let mut recording = Recording {
            multivariant: ("/live/s.m3u8".to_owned(), without_queries(variants).unwrap()),
            path: "/live/s.hls/ts/index.m3u8".to_owned(),
            head: Vec::new(),
            first: parsed.first,
            segments: Vec::new(),
            extension: String::new(),
            map: Some(("i.mp4".to_owned(), b"map".to_vec())),
        };
        let mut get = |uri: &str| Ok(uri.as_bytes().to_vec());
        recording.take_segments(&parsed, media.as_bytes(), &mut get).unwrap();
        recording.segments.iter_mut().for_each(|segment| segment.duration = duration);
        recording
    }

    #[test]
    fn the_playlist_goes_on_with_the_same_segments_under_new_numbers() {
        let recording = recording(Duration::from_secs(2));
        let expected = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n\
            #EXT-X-MEDIA-SEQUENCE:8\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:x\n\
            #EXTINF:1.5,\n8.ts\n#EXTINF:2.0,\n9.ts\n";
        assert_eq!(recording.playlist(1), expected);
        assert_eq!(
            (recording.segment(9).bytes.as_slice(), recording.segments()),
            (&b"7.ts?s=1"[..], 2)
        );
    }

    #[test]
    fn a_folder_gets_new_segments_and_loses_old_ones() {
        let root = std::env::temp_dir().join(format!("corelay-perf-replay-{}", std::process::id()));
        let replay = Replay::start(recording(Duration::from_millis(20)), &root, None).unwrap();
        let folder = root.join("live/s.hls/ts");
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let variants = fs::read_to_string(root.join("live/s.m3u8")).unwrap();
        assert!(variants.ends_with("\ns.hls/ts/index.m3u8\n"), "{variants}");
        assert_eq!((read("i.mp4").as_str(), read("7.ts").as_str()), ("map", "7.ts?s=1"));
        let started = Instant::now();
        while !read("index.m3u8").contains("\n20.ts\n") {
            assert!(started.elapsed() < Duration::from_secs(20), "{}", read("index.m3u8"));
            thread::sleep(Duration::from_millis(5));
        }
        drop(replay);
        assert!(read("20.ts").ends_with(".ts?s=1") && !folder.join("8.ts").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
