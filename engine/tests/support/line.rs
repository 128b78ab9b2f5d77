//! A headend that publishes over TCP.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::headend::Headend;
use crate::support::http;
use crate::support::relay::Relay;

/// The transport stream of a headend over TCP, as `iptv/news`, until it is stopped: the bytes.
pub struct Line {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<u8>>,
}

impl Line {
    /// Begins to send, at the rate of the stream.
    pub fn start(relay: &Relay, mut headend: Headend) -> Self {
        let mut socket = http::open(relay.ts());
        socket.write_all(b"corelay iptv/news\n").unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (started, mut sent) = (Instant::now(), Vec::new());
            while !flag.load(Ordering::Relaxed) {
                let due = started + Duration::from_micros(headend.elapsed_us());
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let packets = headend.next_packets(21);
                socket.write_all(&packets).expect("the relay takes it");
                sent.extend(packets);
            }
            sent
        });
        Self { stop, thread }
    }

    /// Ends it, and gives what was sent.
    pub fn stop(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the relay kept it")
    }
}
