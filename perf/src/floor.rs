//! The floor: the least a server on the same reactor can do.
//!
//! It speaks no protocol. Whoever connects gets the head of an HTTP answer and from then on, at
//! every beat, the same bytes as everybody else: one send each. What a relay costs above this, at
//! the same bytes and the same interval, is what its own work costs.
//!
//! Invariants
//! - The bytes of a beat are shared by all, and differ from those of the next beat, as in a relay.
//! - What a socket does not take is left out and not tried again.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::Context;
use corelay::rt::{self, CoreSpec, Poller, Watch};

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
    io::stdout().flush()?;
    let spec = CoreSpec { name: "floor".to_owned(), cpu: config.cpu };
    let core = rt::spawn_core(spec, move || async move {
        if let Err(error) = serve(&listener, config).await {
            eprintln!("the floor has ended: {error}");
        }
    });
    core.and_then(rt::CoreHandle::join).map_err(anyhow::Error::msg)
}

/// Waits and sends as a core of the relay does: in an epoll set, with a turn for the reactor once
/// per beat.
async fn serve(listener: &TcpListener, config: FloorConfig) -> io::Result<()> {
    let mut poller = Poller::new()?;
    poller.registry().add(listener.as_raw_fd(), 0, Watch::Listener)?;
    let mut players = Vec::new();
    let beat_bytes = config.kbit_s * 125.0 * config.interval.as_secs_f64();
    let shared_bytes = SHARED_BYTES.max(beat_bytes as usize);
    let bytes = vec![0x5A_u8; shared_bytes + beat_bytes as usize + 1];
    let (begun_us, interval_us) = (clock::now_us(), config.interval.as_micros() as u64);
    for beat in 1.. {
        let due_us = begun_us + beat * interval_us;
        while let left_us @ 1.. = due_us.saturating_sub(clock::now_us()) {
            if poller.wait(Duration::from_micros(left_us)) {
                accept(listener, &mut players);
            }
        }
        let sent = (beat as f64 * beat_bytes) as usize;
        let next = ((beat + 1) as f64 * beat_bytes) as usize;
        let place = sent % shared_bytes;
        send(&mut players, bytes.get(place..place + (next - sent)).unwrap_or(&bytes));
        rt::let_io_in().await;
    }
    Ok(())
}

/// Takes all who wait, and sends them the head.
fn accept(listener: &TcpListener, players: &mut Vec<TcpStream>) {
    while let Ok((mut stream, _)) = listener.accept() {
        let taken = stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| stream.write_all(HEAD));
        if taken.is_ok() {
            players.push(stream);
        }
    }
}

/// Sends to everybody, and drops who is gone.
fn send(players: &mut Vec<TcpStream>, bytes: &[u8]) {
    players.retain(|player| match socket::send(player.as_raw_fd(), bytes) {
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        Ok(_) => true,
    });
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
/// What a relay's log of ten seconds at 2 Mbit/s holds: the sends do not all hit one cached page.
const SHARED_BYTES: usize = 5 << 19;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn everybody_gets_the_head_and_then_the_bytes_of_each_beat_until_they_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut clients: Vec<TcpStream> =
            (0..2).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        let mut players = Vec::new();
        while players.len() < 2 {
            accept(&listener, &mut players);
        }
        send(&mut players, b"beat");
        for client in &mut clients {
            let mut got = vec![0; HEAD.len() + 4];
            client.read_exact(&mut got).unwrap();
            assert_eq!(got, [HEAD, b"beat"].concat());
        }
        clients.pop();
        for _ in 0..100 {
            send(&mut players, b"beat");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(players.len(), 1);
    }
}
