//! A relay that serves by TLS too, and viewers of it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::flv::{self, AUDIO, VIDEO};
use super::media::Media;
use super::relay::Relay;
use super::tls::{self, Authority, Client, Secure};
use super::witness::Publisher;
use super::{LIMIT, Scratch, wait_until};

/// A relay with a certificate for this machine.
pub struct Secured {
    /// The relay.
    pub relay: Relay,
    /// Who issued its certificate.
    pub authority: Authority,
    /// PEM file of the authority's certificate.
    pub ca: String,
    /// Where its certificate is: `server.pem`, `server.key`.
    pub files: Scratch,
}

impl Secured {
    /// Starts it with these settings.
    pub fn start(settings: &str) -> Self {
        let files = Scratch::new("certificates");
        let authority = Authority::new("the test's authority");
        let pair = authority.issue(&["localhost", "127.0.0.1"]).write(files.path(), "server");
        let ca = files.file("ca.pem");
        std::fs::write(&ca, authority.pem()).expect("scratch is writable");
        let certificates = format!("tls.certificates = [{}]", pair.toml());
        let relay = Relay::start_secure(&format!("{certificates}\n{settings}"));
        Self { relay, authority, ca: ca.to_str().unwrap().to_owned(), files }
    }

    /// Publishes `live/test`, without TLS.
    pub fn publish(&self) -> Publisher {
        let address = self.relay.rtmp();
        let publisher = Publisher::start(address, "live", "test", Media::AudioVideo.tags());
        self.relay.await_publisher("live", "test");
        publisher
    }

    /// Connects to HTTPS.
    pub fn connect(&self) -> Secure {
        let config = Client::trusting(&self.authority).config();
        tls::connect(&config, self.relay.listening("https"), "localhost").expect("a handshake")
    }

    /// Asks for `live/test.flv`, and reads the head of the answer.
    pub fn play(&self) -> Secure {
        let mut stream = self.connect();
        get(&mut stream, "/live/test.flv");
        stream
    }
}

/// Asks for a path by HTTP/1.1, and reads the head of the answer.
///
/// # Panics
/// If it is not 200.
pub fn get(stream: &mut (impl Read + Write), path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is open");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("ASCII");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    head
}

/// A viewer that reads in a thread of its own.
pub struct Watching {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<u8>>,
}

impl Watching {
    /// Begins to read.
    pub fn start(mut stream: impl Read + Send + 'static) -> Self {
        let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (flag, count_of_bytes) = (Arc::clone(&stop), Arc::clone(&received));
        let thread = std::thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
            while !flag.load(Ordering::Relaxed) {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                    Err(error) => panic!("the viewer lost its stream: {error}"),
                }
                count_of_bytes.store(bytes.len(), Ordering::Relaxed);
            }
            bytes
        });
        Self { stop, received, thread }
    }

    /// Waits until it has received so many bytes more.
    pub fn await_more(&self, bytes: usize) {
        let enough = self.received.load(Ordering::Relaxed) + bytes;
        wait_until("the viewer is served", LIMIT, || {
            self.thread.is_finished() || self.received.load(Ordering::Relaxed) >= enough
        });
    }

    /// Ends it; what it has read.
    ///
    /// # Panics
    /// If it lost its stream.
    pub fn stop(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("served to the end")
    }
}

/// What was received is an unbroken run of what was sent, from a keyframe on; the number of pictures.
pub fn assert_whole(bytes: &[u8]) -> usize {
    let (sent, received) = (Media::AudioVideo.tags(), flv::read(bytes));
    let run = flv::assert_run(VIDEO, &sent, &received);
    assert_eq!(run.first % 25, 0);
    flv::assert_run(AUDIO, &sent, &received);
    run.count
}
