//! The floor: the least a server on the same reactor can do.
//!
//! It speaks no protocol. Whoever connects gets the head of an HTTP answer and from then on, at every
//! beat, the same bytes as everybody else: one send each. What a relay costs above this, at the same
//! bytes and the same interval, is what its own work costs.
//!
//! Invariants
//! - The bytes of a beat are shared by all, and differ from those of the next beat, as in a relay.
//! - What a socket does not take is left out and not tried again.

use std::cell::RefCell;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use corelay::rt::{self, CoreSpec};

use crate::sys::{clock, socket};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct FloorConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The CPU to run on.
    pub cpu: usize,
    /// Bit rate per player in kbit/s.
    pub kbit_s: f64,
    /// From one beat to the next.
    pub interval: Duration,
}

/// Prints the address it listens on and serves for ever.
///
/// # Errors
/// It cannot listen, or the reactor does not start.
pub fn run(config: FloorConfig) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).context("the floor cannot listen")?;
    listener.set_nonblocking(true)?;
    println!("listening http {}", listener.local_addr()?);
    println!("ready");
    std::io::stdout().flush()?;
    let spec = CoreSpec { name: "floor".to_owned(), cpu: config.cpu, spin: Duration::ZERO };
    let core = rt::spawn_core(spec, move || serve(listener, config));
    core.and_then(rt::CoreHandle::join).map_err(anyhow::Error::msg)
}

/// Accepts on one task and sends on another, as a relay does.
async fn serve(listener: TcpListener, config: FloorConfig) {
    let players = Rc::new(RefCell::new(Vec::new()));
    rt::spawn(accept(listener, Rc::clone(&players)));
    let beat_bytes = config.kbit_s * 125.0 * config.interval.as_secs_f64();
    let bytes = vec![0x5A_u8; (SHARED_BYTES.max(beat_bytes as usize)) + beat_bytes as usize + 1];
    let (begun_us, interval_us) = (clock::now_us(), config.interval.as_micros() as u64);
    for beat in 1.. {
        let due_us = begun_us + beat * interval_us;
        rt::sleep(Duration::from_micros(due_us.saturating_sub(clock::now_us()))).await;
        let sent = (beat as f64 * beat_bytes) as usize;
        let next = ((beat + 1) as f64 * beat_bytes) as usize;
        let place = sent % SHARED_BYTES.max(beat_bytes as usize);
        send_all(&players, bytes.get(place..place + (next - sent)).unwrap_or(&bytes)).await;
    }
}

async fn accept(listener: TcpListener, players: Rc<RefCell<Vec<TcpStream>>>) {
    loop {
        while let Ok((mut stream, _)) = listener.accept() {
            let taken = stream
                .set_nonblocking(true)
                .and_then(|()| stream.set_nodelay(true))
                .and_then(|()| stream.write_all(HEAD));
            if taken.is_ok() {
                players.borrow_mut().push(stream);
            }
        }
        rt::sleep(ACCEPT_INTERVAL).await;
    }
}

/// Sends to everybody, in slices between which accepts come in.
async fn send_all(players: &RefCell<Vec<TcpStream>>, bytes: &[u8]) {
    let mut next = 0;
    loop {
        next = send_slice(&mut players.borrow_mut(), next, bytes);
        if next >= players.borrow().len() {
            return;
        }
        rt::let_io_in().await;
    }
}

/// Sends to some from `next` on, drops who is gone, and returns who is next.
fn send_slice(players: &mut Vec<TcpStream>, mut next: usize, bytes: &[u8]) -> usize {
    for _ in 0..PLAYERS_PER_SLICE {
        let Some(player) = players.get(next) else { break };
        match socket::send(player.as_raw_fd(), bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                players.swap_remove(next);
            }
            _ => next += 1,
        }
    }
    next
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
/// What a relay's log of ten seconds at 2 Mbit/s holds: the sends do not all hit one cached page.
const SHARED_BYTES: usize = 5 << 19;
/// About a millisecond of sends.
const PLAYERS_PER_SLICE: usize = 128;
/// Joins are not what is measured here.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(5);
