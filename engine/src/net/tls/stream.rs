//! The TLS side of one connection.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::sync::Arc;

use rustls::{ContentType, HandshakeKind, ServerConfig, ServerConnection};

use super::acceptor::HTTP_2;
use super::error::Error;

/// How a handshake ended, for the log and the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The session was resumed from a ticket: no certificate was sent, nothing was signed.
    pub is_resumed: bool,
    /// HTTP/2 was agreed on.
    pub is_http2: bool,
    /// Version, cipher suite and server name.
    pub what: String,
}

/// See the module. Order of calls: [`Self::receive`] whatever comes, [`Self::send`] while there is
/// output; [`Self::encrypt`] once [`Self::is_handshaking`] is false; [`Self::close`] at the end.
///
/// # Cost
/// About 8 KiB of memory when nothing is under way: the record that is being read has 4 KiB of its own.
#[derive(Debug)]
pub struct Stream {
    connection: ServerConnection,
    /// The first byte has been looked at.
    has_begun: bool,
    /// The handshake's end has been told.
    is_told: bool,
    /// Where the peer's records end.
    records: Records,
    is_closed: bool,
}

impl Stream {
    /// A stream that waits for its peer's first words.
    ///
    /// # Errors
    /// The settings contradict themselves, which their making would have shown.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let mut connection = ServerConnection::new(config)?;
        connection.set_buffer_limit(Some(OUTPUT_BYTES_MAX));
        let records = Records::default();
        Ok(Self { connection, has_begun: false, is_told: false, records, is_closed: false })
    }

    /// Takes what came from the peer, and adds what it says in plain to `plain`. True when the peer says
    /// that it sends no more (close_notify).
    ///
    /// # Errors
    /// The connection is over; there may be an alert to send.
    pub fn receive(&mut self, ciphertext: &[u8], plain: &mut Vec<u8>) -> Result<bool, Error> {
        if let Some(&first) = ciphertext.first().filter(|_| !self.has_begun) {
            self.has_begun = true;
            if first != u8::from(ContentType::Handshake) {
                return Err(Error::NotTls(first));
            }
        }
        self.records.follow(ciphertext);
        let mut rest = ciphertext;
        while !rest.is_empty() {
            match self.connection.read_tls(&mut rest) {
                // Behind the peer's close_notify nothing is read.
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(error) => return Err(Error::Violation(error.to_string())),
            }
            let state = self.connection.process_new_packets()?;
            let (start, bytes) = (plain.len(), state.plaintext_bytes_to_read());
            plain.resize(start + bytes, 0);
            if let Some(room) = plain.get_mut(start..).filter(|room| !room.is_empty()) {
                let read = self.connection.reader().read(room).unwrap_or(0);
                plain.truncate(start + read);
            }
            if state.peer_has_closed() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True while keys are being agreed on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// How the handshake ended, once.
    pub fn take_handshake(&mut self) -> Option<Handshake> {
        if self.is_told || self.is_handshaking() {
            return None;
        }
        self.is_told = true;
        let connection = &self.connection;
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let version = connection.protocol_version().and_then(|version| version.as_str());
        let (version, suite) = (version.unwrap_or("TLS"), self.suite().unwrap_or_default());
        let name = connection.server_name().unwrap_or("no name");
        let how = if is_resumed { ", resumed" } else { "" };
        let is_http2 = connection.alpn_protocol() == Some(HTTP_2);
        let what = format!("{version} {suite} for {name}{how}");
        Some(Handshake { is_resumed, is_http2, what })
    }

    /// Encrypts as much of `slices` as there is room for, and gives the bytes taken.
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if self.is_closed || self.is_handshaking() {
            return 0;
        }
        // It fails only behind a fault that has ended the connection.
        self.connection.writer().write_vectored(slices).unwrap_or(0)
    }

    /// There is something to send.
    pub fn has_output(&self) -> bool {
        self.connection.wants_write()
    }

    /// Gives `send` what is to be sent, and takes off what it took. Bytes taken.
    ///
    /// # Errors
    /// Those of `send`.
    pub fn send(
        &mut self,
        send: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.connection.write_tls(&mut Sink(send))
    }

    /// Says that we send no more (RFC 8446 6.1).
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.connection.send_close_notify();
        }
    }

    /// The cipher suite, once there is one.
    pub(super) fn suite(&self) -> Option<&'static str> {
        self.connection.negotiated_cipher_suite()?.suite().as_str()
    }

    /// It can be taken over by the kernel now: everything that was received is decrypted, and everything
    /// that was encrypted is sent.
    pub fn is_between_records(&self) -> bool {
        let is_open = !self.is_closed && !self.is_handshaking();
        is_open && !self.has_output() && self.records.is_between()
    }

    /// Its connection, to be taken over by the kernel.
    pub(super) fn into_connection(self) -> ServerConnection {
        self.connection
    }
}

/// A function as a writer.
struct Sink<F>(F);

impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> io::Write for Sink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (self.0)(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Follows the record headers (RFC 8446 5.1: type, version, two bytes of length) of what is received.
#[derive(Debug, Default)]
struct Records {
    /// Bytes of the header seen.
    header: usize,
    /// Bytes of the fragment to come.
    left: usize,
}

impl Records {
    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.header == HEADER_BYTES {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
            } else {
                match self.header {
                    3 => self.left = usize::from(byte) << 8,
                    4 => self.left |= usize::from(byte),
                    _ => {}
                }
                self.header += 1;
                bytes = rest;
            }
            if self.header == HEADER_BYTES && self.left == 0 {
                self.header = 0;
            }
        }
    }

    fn is_between(&self) -> bool {
        self.header == 0
    }
}

/// Ciphertext that waits for one connection's socket: four records of 16 KiB. More would only wait in our
/// memory instead of the log, which is there anyway.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;
const HEADER_BYTES: usize = 5;
