//! A storm of TLS clients: each connects, agrees with the server and leaves.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::figures::{Distribution, Summary};
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::{clock, socket, threads};
use crate::target::Target;
use crate::tls::{Tls, client_config};

/// Where the storm goes, and how strong it is.
#[derive(Clone, Debug)]
pub struct HandshakesConfig {
    /// A target by TLS.
    pub target: Target,
    /// Clients that begin per second.
    pub per_s: f64,
    /// The longest it may last.
    pub duration: Duration,
    /// The CPU the thread is pinned to.
    pub cpu: Option<usize>,
}

/// What became of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HandshakesResult {
    /// Clients that began.
    pub begun: u64,
    /// Clients that agreed with the server.
    pub done: u64,
    /// Clients that were refused or closed.
    pub failed: u64,
    /// Clients that were left out, because too many others had no answer yet.
    pub left_out: u64,
    /// Why clients failed, and how many for that reason.
    pub reasons: BTreeMap<String, u64>,
    /// From connecting to the end of the handshake, in microseconds.
    pub took_us: Option<Summary>,
}

/// A storm under way, on a thread of its own.
pub struct Handshakes {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<HandshakesResult>>,
}

impl Handshakes {
    /// Begins.
    ///
    /// # Errors
    /// The target is not known, or the operating system refuses a thread.
    pub fn start(config: HandshakesConfig) -> anyhow::Result<Self> {
        threads::raise_descriptor_limit();
        let mut storm = Storm::new(&config)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            // Unpinned it runs as well, only less evenly.
            let _ = config.cpu.map(threads::pin_to);
            storm.run(config.duration, &stopped).context("the storm stopped")
        };
        let thread = thread::Builder::new().name("handshakes".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it.
    ///
    /// # Errors
    /// The thread failed.
    pub fn stop(self) -> anyhow::Result<HandshakesResult> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the storm's thread panicked"))?
    }
}

struct Storm {
    epoll: Epoll,
    address: SocketAddr,
    host: String,
    tls: Arc<ClientConfig>,
    per_s: f64,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    took: Distribution,
    result: HandshakesResult,
}

struct Client {
    fd: OwnedFd,
    tls: Tls,
    unsent: BytesMut,
    is_connected: bool,
    begun_us: u64,
}

impl Storm {
    fn new(config: &HandshakesConfig) -> anyhow::Result<Self> {
        Ok(Self {
            epoll: Epoll::new().context("cannot make an epoll")?,
            address: config.target.resolve()?,
            host: config.target.host().to_owned(),
            tls: client_config(),
            per_s: config.per_s,
            clients: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ_BYTES],
            took: Distribution::default(),
            result: HandshakesResult::default(),
        })
    }

    fn run(&mut self, duration: Duration, stop: &AtomicBool) -> io::Result<HandshakesResult> {
        let begun_us = clock::now_us();
        let end_us = begun_us.saturating_add(duration.as_micros() as u64);
        let mut due = 0;
        loop {
            let now_us = clock::now_us();
            if now_us >= end_us || stop.load(Ordering::Relaxed) {
                break;
            }
            let due_now = ((now_us - begun_us) as f64 * self.per_s / 1e6) as u64;
            let turn = (due_now - due).min(BEGIN_PER_TURN);
            due += turn;
            for _ in 0..turn {
                self.begin(now_us);
            }
            let next_us = begun_us + ((due + 1) as f64 / self.per_s.max(0.001) * 1e6) as u64;
            let count = self.epoll.wait(next_us.saturating_sub(now_us).min(LOOK_AROUND_US))?;
            for number in 0..count {
                let Some(ready) = self.epoll.ready(number) else { break };
                self.ready(ready);
            }
        }
        let mut result = std::mem::take(&mut self.result);
        result.took_us = self.took.summary_us();
        Ok(result)
    }

    fn begin(&mut self, now_us: u64) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        if place >= CLIENTS_MAX {
            self.clients.pop();
            self.result.left_out += 1;
            return;
        }
        self.result.begun += 1;
        match self.connect(place, now_us) {
            Ok(client) => self.clients[place] = Some(client),
            Err(why) => self.end(place, Err(why)),
        }
    }

    fn connect(&self, place: usize, now_us: u64) -> Result<Client, String> {
        let fd = socket::connect(self.address, None).map_err(|error| error.to_string())?;
        self.epoll.add(socket::raw(&fd), place).map_err(|error| error.to_string())?;
        let mut tls = Tls::new(&self.tls, &self.host)?;
        let mut unsent = BytesMut::new();
        tls.take_output(&mut unsent);
        Ok(Client { fd, tls, unsent, is_connected: false, begun_us: now_us })
    }

    fn ready(&mut self, ready: Ready) {
        let place = ready.token;
        let Some(Some(client)) = self.clients.get_mut(place) else { return };
        match client.ready(ready, &mut self.buffer) {
            Ok(false) => {}
            Ok(true) => {
                let took_us = clock::now_us() - client.begun_us;
                self.end(place, Ok(took_us));
            }
            Err(why) => self.end(place, Err(why)),
        }
    }

    fn end(&mut self, place: usize, outcome: Result<u64, String>) {
        match outcome {
            Ok(took_us) => {
                self.result.done += 1;
                self.took.record_us(took_us);
            }
            Err(why) => {
                self.result.failed += 1;
                *self.result.reasons.entry(why).or_default() += 1;
            }
        }
        if let Some(client) = self.clients.get_mut(place) {
            *client = None;
            self.free.push(place);
        }
    }
}

impl Client {
    /// True once both sides have agreed and the server has been told so.
    fn ready(&mut self, ready: Ready, buffer: &mut [u8]) -> Result<bool, String> {
        if !self.is_connected && ready.writable {
            if let Some(error) = socket::take_error(self.fd.as_fd()) {
                return Err(format!("cannot connect: {error}"));
            }
            self.is_connected = true;
        }
        let mut plain = Vec::new();
        let mut readable = ready.readable;
        while readable {
            match socket::read(socket::raw(&self.fd), buffer) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(read) => {
                    self.tls.handle_input(buffer.get(..read).unwrap_or_default(), &mut plain)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => readable = false,
                Err(error) => return Err(error.to_string()),
            }
        }
        self.tls.take_output(&mut self.unsent);
        while self.is_connected && !self.unsent.is_empty() {
            match socket::send(socket::raw(&self.fd), &self.unsent) {
                Ok(sent) => self.unsent.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(self.is_connected && self.unsent.is_empty() && !self.tls.is_handshaking())
    }
}

/// Clients that may be without an answer at one time: more only shows that the server is behind.
const CLIENTS_MAX: usize = 4_000;
/// Clients that begin before those with answers are served.
const BEGIN_PER_TURN: u64 = 16;
/// How soon an end is noticed.
const LOOK_AROUND_US: u64 = 20_000;
/// A server's flight with a chain of certificates.
const READ_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::server_config;
    use rustls::{ServerConnection, Stream};
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn clients_agree_with_a_server_and_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("https://{}/x", listener.local_addr().unwrap()));
        let server = server_config();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut connection = ServerConnection::new(Arc::clone(&server)).unwrap();
                // Its clients leave without a word.
                let _ = Stream::new(&mut connection, &mut stream).read(&mut [0; 16]);
            }
        });
        let storm = Handshakes::start(HandshakesConfig {
            target: target.unwrap(),
            per_s: 50.0,
            duration: Duration::from_secs(60),
            cpu: None,
        });
        thread::sleep(Duration::from_millis(500));
        let result = storm.unwrap().stop().unwrap();
        assert!(result.done > 0 && result.failed == 0, "{result:?}");
        assert!(result.begun <= 30 && result.took_us.unwrap().count == result.done, "{result:?}");
    }

    #[test]
    fn refusals_are_counted_with_their_reason() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let storm = Handshakes::start(HandshakesConfig {
            target: Target::parse(&format!("https://{address}/x")).unwrap(),
            per_s: 100.0,
            duration: Duration::from_millis(200),
            cpu: None,
        });
        let storm = storm.unwrap();
        while !storm.is_over() {
            thread::sleep(Duration::from_millis(5));
        }
        let result = storm.stop().unwrap();
        assert!(result.failed > 0 && result.done == 0, "{result:?}");
        assert!(result.reasons.keys().all(|why| why.contains("refused")), "{result:?}");
    }
}
