//! One keep-alive connection, with at most one request under way.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{Buf, Bytes, BytesMut};

use super::answer::Answer;
use super::player::Common;
use crate::sys::epoll::Ready;
use crate::sys::socket;

/// A connection, opened when it is needed.
#[derive(Debug, Default)]
pub(super) struct Connection {
    fd: Option<OwnedFd>,
    is_connected: bool,
    unsent: BytesMut,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    answer: Answer,
    asked_us: u64,
}

/// A request that has its answer.
#[derive(Debug)]
pub(super) struct Answered {
    /// When it was asked for.
    pub(super) asked_us: u64,
    /// When the last byte was there.
    pub(super) arrived_us: u64,
    /// The body, if it is kept.
    pub(super) body: Vec<u8>,
}

impl Connection {
    /// Asks; `token` is what the connection is known by. Connects first where it has to.
    ///
    /// # Errors
    /// It cannot connect, or the connection is gone.
    pub(super) fn ask(
        &mut self,
        request: &Bytes,
        keeps: bool,
        token: usize,
        common: &mut Common<'_>,
    ) -> Result<(), String> {
        if self.fd.is_none() {
            let why = |error: io::Error| format!("cannot connect: {error}");
            self.open(common.address, token, common).map_err(why)?;
        }
        self.under_way = Some(UnderWay { answer: Answer::new(keeps), asked_us: common.now_us });
        if !self.is_connected || !self.unsent.is_empty() {
            self.unsent.extend_from_slice(request);
            return Ok(());
        }
        let sent = self.send(request)?;
        self.unsent.extend_from_slice(request.get(sent..).unwrap_or_default());
        Ok(())
    }

    fn open(&mut self, address: SocketAddr, token: usize, common: &Common<'_>) -> io::Result<()> {
        let fd = socket::connect(address, None)?;
        if common.stamps {
            socket::stamp_arrivals(socket::raw(&fd))?;
        }
        common.epoll.add(socket::raw(&fd), token)?;
        (self.fd, self.is_connected) = (Some(fd), false);
        self.unsent.clear();
        Ok(())
    }

    /// Closes it, with what is under way.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Does what its socket is ready for; returns the answer once that is whole.
    ///
    /// # Errors
    /// Why the request has failed. An end between two requests is no failure.
    pub(super) fn ready(
        &mut self,
        ready: Ready,
        common: &mut Common<'_>,
    ) -> Result<Option<Answered>, String> {
        if ready.writable {
            self.flush()?;
        }
        if !ready.readable {
            return Ok(None);
        }
        let result = self.read(common);
        if ready.ended && !matches!(result, Err(_) | Ok(None)) {
            // The server ends it behind this answer; the next request needs another one.
            self.close();
        }
        result
    }

    fn flush(&mut self) -> Result<(), String> {
        let Some(fd) = &self.fd else { return Ok(()) };
        if !self.is_connected {
            if let Some(error) = socket::take_error(fd.as_fd()) {
                return Err(format!("cannot connect: {error}"));
            }
            self.is_connected = true;
        }
        while !self.unsent.is_empty() {
            match self.send(&self.unsent)? {
                0 => break,
                sent => self.unsent.advance(sent),
            }
        }
        Ok(())
    }

    /// Sends a first part of `bytes`, which may be none.
    fn send(&self, bytes: &[u8]) -> Result<usize, String> {
        let Some(fd) = &self.fd else { return Ok(0) };
        match socket::send(socket::raw(fd), bytes) {
            Ok(sent) => Ok(sent),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    fn read(&mut self, common: &mut Common<'_>) -> Result<Option<Answered>, String> {
        loop {
            let Some(fd) = self.fd.as_ref().map(socket::raw) else { return Ok(None) };
            let countable = self.under_way.as_ref().map_or(0, |one| one.answer.countable());
            let room = self.room(common.buffer.len());
            let result = if countable > 0 {
                socket::discard(fd, countable).map(|read| (read, common.now_us))
            } else {
                let buffer = common.buffer.get_mut(..room).unwrap_or_default();
                match common.stamps {
                    true => socket::read_stamped(fd, buffer),
                    false => socket::read(fd, buffer).map(|read| (read, common.now_us)),
                }
            };
            let (read, arrived_us) = match result {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.to_string()),
            };
            if read == 0 {
                let is_idle = self.under_way.is_none();
                self.close();
                let why = || "the server closed the connection".to_owned();
                return if is_idle { Ok(None) } else { Err(why()) };
            }
            common.tally.bytes += read as u64;
            common.heard += read as u64;
            let UnderWay { mut answer, asked_us } =
                self.under_way.take().ok_or("the server says something unasked")?;
            match countable {
                0 => answer.handle_input(common.buffer.get(..read).unwrap_or_default())?,
                _ => answer.count(read)?,
            }
            if answer.is_whole() {
                let body = answer.into_body();
                return Ok(Some(Answered { asked_us, arrived_us, body }));
            }
            self.under_way = Some(UnderWay { answer, asked_us });
            // Less than there was room for is all there is: the next arrival is told of.
            if countable == 0 && read < room {
                return Ok(None);
            }
        }
    }

    /// How much is read at once: of a body that is only counted, little more than its head.
    fn room(&self, buffer_bytes: usize) -> usize {
        let keeps = self.under_way.as_ref().is_some_and(|one| one.answer.keeps());
        if keeps { buffer_bytes } else { HEAD_READ_BYTES.min(buffer_bytes) }
    }
}

/// A head and a small playlist.
const HEAD_READ_BYTES: usize = 4 << 10;
