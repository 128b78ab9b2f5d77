//! One publisher's connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use corelay_protocols::rtmp::{ClientEvent, ClientSession, ClientSettings, MediaKind};
use corelay_protocols::session::{Millis, Session};

use crate::sys::socket;

/// A connection that publishes or will.
pub(super) struct Connection {
    fd: OwnedFd,
    session: ClientSession,
    unsent: BytesMut,
    connected: bool,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// Those of [`socket::connect`].
    pub(super) fn open(
        address: SocketAddr,
        settings: Arc<ClientSettings>,
        seed: u64,
        now_us: u64,
    ) -> io::Result<Self> {
        let fd = socket::connect(address, None)?;
        let session = ClientSession::new(settings, seed.to_ne_bytes(), Millis(now_us / 1_000));
        Ok(Self { fd, session, unsent: BytesMut::new(), connected: false })
    }

    /// The descriptor, valid while the connection lives.
    pub(super) fn fd(&self) -> std::os::fd::RawFd {
        socket::raw(&self.fd)
    }

    /// Its socket is ready: sends and reads what can be; true when the server has just taken the
    /// stream.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(super) fn ready(&mut self, now_us: u64, buffer: &mut [u8]) -> Result<bool, String> {
        let mut published = false;
        loop {
            let read = match socket::read(self.fd(), buffer) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            };
            let input = buffer.get(..read).unwrap_or_default();
            let result = self.session.handle_input(Millis(now_us / 1_000), input);
            while let Some(event) = self.session.poll_event() {
                match event {
                    ClientEvent::Publishing => published = true,
                    ClientEvent::Ended => return Err("the server ended the stream".to_owned()),
                    _ => {}
                }
            }
            result.map_err(|error| error.to_string())?;
        }
        self.flush()?;
        Ok(published)
    }

    /// Queues one message.
    pub(super) fn send(&mut self, kind: MediaKind, timestamp_ms: u32, body: &[u8]) {
        self.session.send_media(kind, timestamp_ms, body);
    }

    /// Sends what waits, as far as the socket takes it; returns how much it took.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn flush(&mut self) -> Result<usize, String> {
        if !self.connected {
            if let Some(error) = socket::take_error(self.fd.as_fd()) {
                return Err(format!("cannot connect: {error}"));
            }
            self.connected = true;
        }
        let mut taken = 0;
        loop {
            if self.unsent.is_empty() {
                let Some(bytes) = self.session.poll_output() else { return Ok(taken) };
                match self.send_now(&bytes)? {
                    Some(sent) if sent == bytes.len() => taken += sent,
                    sent => {
                        let sent = sent.unwrap_or(0);
                        taken += sent;
                        self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
                    }
                }
                if self.unsent.is_empty() {
                    continue;
                }
                return Ok(taken);
            }
            match self.send_now(&self.unsent)? {
                Some(sent) => {
                    taken += sent;
                    self.unsent.advance(sent);
                }
                None => {
                    while let Some(bytes) = self.session.poll_output() {
                        self.unsent.extend_from_slice(&bytes);
                    }
                    return Ok(taken);
                }
            }
        }
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// Says goodbye, as far as the socket takes it at once.
    pub(super) fn close(mut self) {
        self.session.close();
        // What cannot be sent now is left out: the close says as much.
        let _ = self.flush();
    }

    fn send_now(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        match socket::send(socket::raw(&self.fd), bytes) {
            Ok(sent) => Ok(Some(sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
