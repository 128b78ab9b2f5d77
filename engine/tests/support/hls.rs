//! A viewer of HLS that keeps everything it gets: every version of a playlist, every segment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::http::{self, Response};
use super::relay::Relay;
use super::{LIMIT, wait_for};

/// Address of a stream's multivariant playlist, with a query or without.
pub fn url(relay: &Relay, app: &str, name: &str, query: &str) -> String {
    format!("http://{}/{app}/{name}.m3u8{query}", relay.http())
}

/// GETs what is there, or will be soon.
///
/// # Panics
/// When it is not there in the end.
pub fn await_200(address: SocketAddr, path: &str) -> Response {
    wait_for(&format!("{path} is served"), LIMIT, || {
        let response = http::get(address, path);
        assert!(matches!(response.status, 200 | 404 | 503), "{path}: {}", response.text());
        (response.status == 200).then_some(response)
    })
}

/// The path of a URI that stands in the playlist at `base`.
pub fn resolve(base: &str, uri: &str) -> String {
    let folder = base.split('?').next().unwrap_or_default();
    let mut folder: Vec<&str> = folder.split('/').collect();
    folder.pop();
    let mut uri = uri;
    while let Some(rest) = uri.strip_prefix("../") {
        folder.pop();
        uri = rest;
    }
    format!("{}/{uri}", folder.join("/"))
}

/// The variants of a multivariant playlist: attributes, and path of the media playlist.
pub fn variants(address: SocketAddr, path: &str) -> Vec<(String, String)> {
    let text = await_200(address, path).text();
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter_map(|pair| {
        let attributes = pair[0].strip_prefix("#EXT-X-STREAM-INF:")?;
        Some((attributes.to_owned(), resolve(path, pair[1])))
    });
    pairs.collect()
}

/// The path of the media playlist of the first variant.
pub fn media_path(address: SocketAddr, path: &str) -> String {
    let variants = variants(address, path);
    variants.into_iter().next().unwrap_or_else(|| panic!("{path} has no variant")).1
}

/// What a viewer got.
#[derive(Debug, Default)]
pub struct Watched {
    /// Each version of the playlist that was loaded, with the time in ms.
    pub playlists: Vec<(u64, String)>,
    /// Name and bytes of each segment that was listed, by its number.
    pub segments: BTreeMap<u64, (String, Vec<u8>)>,
    /// The same of each part of low latency, by the number of its segment and its own.
    pub parts: BTreeMap<(u64, u64), (String, Vec<u8>)>,
    /// The same of each initialization section.
    pub inits: BTreeMap<String, Vec<u8>>,
}

impl Watched {
    /// The segments in a row, each initialization section in front of those that need it.
    pub fn bytes(&self) -> Vec<u8> {
        let media = self.segments.values().flat_map(|(_, bytes)| bytes);
        self.inits.values().flatten().chain(media).copied().collect()
    }

    /// The newest playlist.
    pub fn last(&self) -> &str {
        self.playlists.last().map_or("", |(_, text)| text)
    }

    /// Whether one of the playlists has a line that begins so.
    pub fn has_line(&self, start: &str) -> bool {
        self.playlists.iter().any(|(_, text)| text.lines().any(|line| line.starts_with(start)))
    }

    fn take(&mut self, address: SocketAddr, path: &str, at_ms: u64, text: &str) {
        if self.last() == text {
            return;
        }
        self.playlists.push((at_ms, text.to_owned()));
        for line in text.lines() {
            if let Some(init) = line.strip_prefix("#EXT-X-MAP:") {
                let uri = attribute(init, "URI").expect("a map has a URI");
                let bytes = || http::get(address, &resolve(path, uri)).body;
                self.inits.entry(uri.to_owned()).or_insert_with(bytes);
            } else if let Some(part) = line.strip_prefix("#EXT-X-PART:") {
                let uri = attribute(part, "URI").expect("a part has a URI");
                let mut numbers = uri.split('.').map_while(|word| word.parse::<u64>().ok());
                let (msn, index) = (numbers.next(), numbers.next());
                let number = (msn.expect("a number"), index.expect("a number"));
                let get = || (uri.to_owned(), fetch(address, &resolve(path, uri)));
                self.parts.entry(number).or_insert_with(get);
            } else if !line.starts_with('#') {
                let msn: u64 = line.split('.').next().and_then(|msn| msn.parse().ok()).unwrap();
                let get = || (line.to_owned(), fetch(address, &resolve(path, line)));
                self.segments.entry(msn).or_insert_with(get);
            }
        }
    }
}

/// # Panics
/// When what a playlist lists is not there.
fn fetch(address: SocketAddr, path: &str) -> Vec<u8> {
    let response = http::get(address, path);
    assert_eq!(response.status, 200, "{path} is listed: {}", response.text());
    response.body
}

/// The value of an attribute, without quotes.
pub fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let at = if list.starts_with(&format!("{name}=")) {
        name.len() + 1
    } else {
        list.find(&format!(",{name}="))? + name.len() + 2
    };
    let rest = &list[at..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    }
}

/// A viewer that goes on until it is stopped.
pub struct Viewer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Watched>,
}

impl Viewer {
    /// Follows a media playlist; with `low_latency` in its query, by blocking reload and delta updates.
    pub fn follow(address: SocketAddr, path: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, path) = (Arc::clone(&stop), path.to_owned());
        let thread = thread::spawn(move || watch(address, &path, |_| flag.load(Ordering::Relaxed)));
        Self { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Watched {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it was served to the end")
    }
}

/// Follows a media playlist until it has seen enough.
///
/// # Panics
/// When that takes longer than the rig's limit, or anything that is listed is not there.
pub fn watch_until(
    address: SocketAddr,
    path: &str,
    mut is_enough: impl FnMut(&Watched) -> bool,
) -> Watched {
    let deadline = Instant::now() + LIMIT;
    watch(address, path, |watched| {
        let enough = is_enough(watched);
        assert!(enough || Instant::now() < deadline, "in vain so far: {}", watched.last());
        enough
    })
}

fn watch(address: SocketAddr, path: &str, mut is_over: impl FnMut(&Watched) -> bool) -> Watched {
    let started = Instant::now();
    let mut watched = Watched::default();
    let mut text = await_200(address, path).text();
    loop {
        watched.take(address, path, started.elapsed().as_millis() as u64, &text);
        if is_over(&watched) {
            return watched;
        }
        let is_ended = text.lines().any(|line| line == "#EXT-X-ENDLIST");
        let is_blocking = path.contains("low_latency") && !is_ended;
        let next = if is_blocking { next_version(path, &text) } else { path.to_owned() };
        if !is_blocking {
            thread::sleep(Duration::from_millis(200));
        }
        let response = http::get(address, &next);
        assert_eq!(response.status, 200, "{next}: {}", response.text());
        let hint = is_blocking.then(|| hint(&text).to_owned());
        text = response.text();
        assert!(hint.is_none_or(|hint| !text.contains(&hint)), "{next} came too early: {text}");
    }
}

/// What a playlist of low latency says of the next part; empty when there is none.
fn hint(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT:")).unwrap_or_default()
}

/// The URL that is answered when the part that the playlist hints at is there (RFC 8216bis 6.2.5.2).
fn next_version(path: &str, text: &str) -> String {
    let uri = attribute(hint(text), "URI").expect("low latency has a hint");
    let mut numbers = uri.split('.');
    let mut next = || numbers.next().expect("MSN.PART");
    format!("{path}&_HLS_msn={}&_HLS_part={}&_HLS_skip=YES", next(), next())
}
