//! One player: joins, then parses, counts or reads slowly.

mod upkeep;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use bytes::{Buf, BytesMut};

use super::Venue;
use super::result::Tally;
use super::sampler::{Sampler, is_keyframe};
use super::seats::Manner;
use super::stage::Shared;
use crate::client::{Client, Received};
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::socket;
use crate::tls::Tls;

/// What all players of a thread use.
pub(super) struct Common<'a> {
    pub(super) epoll: &'a Epoll,
    pub(super) shared: &'a Shared,
    pub(super) tally: &'a mut Tally,
    pub(super) buffer: &'a mut [u8],
    /// What the bytes at hand say, where they come by TLS.
    pub(super) plain: &'a mut Vec<u8>,
    /// The token of the player at hand.
    pub(super) token: usize,
    pub(super) now_us: u64,
    pub(super) window_start_us: u64,
}

/// One player.
#[derive(Debug)]
pub(super) struct Player {
    manner: Manner,
    is_rtmp: bool,
    fd: Option<OwnedFd>,
    tls: Option<Tls>,
    stage: Stage,
    begun_us: u64,
    heard_us: u64,
    bytes: u64,
    window_bytes: u64,
    acknowledged_us: u64,
    acknowledged_bytes: u64,
    has_joined: bool,
    stalled: bool,
}

#[derive(Debug)]
enum Stage {
    /// Not begun, or over.
    Away,
    /// Before its first keyframe.
    Joining(Box<Talk>),
    /// Parses everything.
    Parsing(Box<Talk>),
    /// Counts bytes.
    Counting,
}

/// The protocol of a player that parses.
#[derive(Debug)]
struct Talk {
    client: Client,
    unsent: BytesMut,
    sampler: Sampler,
    connected: bool,
}

/// What reading a connection came to.
enum Reading {
    /// All that was there was read.
    Empty,
    /// It is over.
    Over(String),
}

impl Player {
    pub(super) fn new(manner: Manner, is_rtmp: bool) -> Self {
        Self {
            manner,
            is_rtmp,
            fd: None,
            tls: None,
            stage: Stage::Away,
            begun_us: 0,
            heard_us: 0,
            bytes: 0,
            window_bytes: 0,
            acknowledged_us: 0,
            acknowledged_bytes: 0,
            has_joined: false,
            stalled: false,
        }
    }

    /// Connects.
    pub(super) fn begin(&mut self, venue: &Venue, common: &mut Common<'_>) {
        self.begun_us = common.now_us;
        (self.heard_us, self.acknowledged_us) = (common.now_us, common.now_us);
        (self.bytes, self.acknowledged_bytes) = (0, 0);
        match self.connect(venue, common) {
            Ok(()) => {
                let seed = common.now_us ^ (common.token as u64) << 32;
                let client = Client::new(&venue.recipe, seed, common.now_us);
                let (unsent, sampler) = (BytesMut::new(), Sampler::default());
                self.stage =
                    Stage::Joining(Box::new(Talk { client, unsent, sampler, connected: false }));
            }
            Err(error) => self.end(format!("cannot connect: {error}"), common),
        }
    }

    fn connect(&mut self, venue: &Venue, common: &Common<'_>) -> io::Result<()> {
        let tls = venue.tls.as_ref().map(|(config, host)| Tls::new(config, host));
        self.tls = tls.transpose().map_err(io::Error::other)?;
        let slow = matches!(self.manner, Manner::Slow { .. });
        let fd = socket::connect(venue.address, slow.then_some(SLOW_RECEIVE_BUFFER_BYTES))?;
        if self.manner == Manner::Parse {
            socket::stamp_arrivals(socket::raw(&fd))?;
        }
        common.epoll.add(socket::raw(&fd), common.token)?;
        self.fd = Some(fd);
        Ok(())
    }

    /// Does what its socket is ready for.
    pub(super) fn ready(&mut self, ready: Ready, common: &mut Common<'_>) {
        let result = match &self.stage {
            Stage::Away => return,
            Stage::Joining(_) | Stage::Parsing(_) => self.talk(ready, common),
            Stage::Counting if ready.ended => self.count_to_the_end(common),
            Stage::Counting if matches!(self.manner, Manner::Slow { .. }) => return,
            Stage::Counting => self.count(usize::MAX, common),
        };
        if let Reading::Over(why) = result {
            self.end(why, common);
        }
    }

    /// Sends what waits, reads and parses what is there.
    fn talk(&mut self, ready: Ready, common: &mut Common<'_>) -> Reading {
        if ready.writable
            && let Err(why) = self.flush()
        {
            return Reading::Over(why);
        }
        if !ready.readable {
            return Reading::Empty;
        }
        loop {
            let Some(fd) = self.fd.as_ref().map(socket::raw) else { return Reading::Empty };
            let (read, arrived_us) = match socket::read_stamped(fd, common.buffer) {
                Ok((0, _)) => return Reading::Over("the server closed the connection".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Reading::Empty,
                Err(error) => return Reading::Over(error.to_string()),
            };
            self.heard(read, common);
            if let Err(why) = self.take(read, arrived_us, common) {
                return Reading::Over(why);
            }
            if matches!(self.stage, Stage::Counting) {
                // The edge that brought this is used up: what is still there brings none.
                return match self.manner {
                    Manner::Slow { .. } => Reading::Empty,
                    _ => self.count(usize::MAX, common),
                };
            }
        }
    }

    /// Parses `read` bytes of the buffer and joins with the first keyframe.
    fn take(
        &mut self,
        read: usize,
        arrived_us: u64,
        common: &mut Common<'_>,
    ) -> Result<(), String> {
        let (Stage::Joining(talk) | Stage::Parsing(talk)) = &mut self.stage else { return Ok(()) };
        let Talk { client, sampler, .. } = &mut **talk;
        let (tally, window_start_us) = (&mut *common.tally, common.window_start_us);
        let parses = self.manner == Manner::Parse;
        let mut started = false;
        if parses {
            sampler.arrival(arrived_us, tally);
        }
        let mut input = common.buffer.get(..read).unwrap_or_default();
        if let Some(tls) = &mut self.tls {
            common.plain.clear();
            tls.handle_input(input, common.plain)?;
            input = common.plain;
        }
        client.handle_input(common.now_us, input, |received| match received {
            Received::Media(media) => {
                started |= is_keyframe(&media);
                if parses {
                    sampler.media(&media, arrived_us, window_start_us, tally);
                }
            }
            Received::Body(_) => started = true,
        })?;
        self.flush()?;
        if started && matches!(self.stage, Stage::Joining(_)) {
            self.join(arrived_us, common);
        }
        Ok(())
    }

    fn join(&mut self, arrived_us: u64, common: &mut Common<'_>) {
        common.tally.joins.record_us(arrived_us.saturating_sub(self.begun_us));
        if self.has_joined {
            common.tally.rejoined += 1;
        } else {
            self.has_joined = true;
            common.tally.joined += 1;
            common.shared.joined.fetch_add(1, Ordering::Relaxed);
        }
        let Stage::Joining(talk) = std::mem::replace(&mut self.stage, Stage::Counting) else {
            return;
        };
        let Some(fd) = self.fd.as_ref().map(socket::raw) else { return };
        // It was registered with this epoll at its beginning, so this can not fail.
        let _ = match self.manner {
            Manner::Parse => {
                self.stage = Stage::Parsing(talk);
                Ok(())
            }
            Manner::Count => common.epoll.read_only(fd, common.token),
            Manner::Slow { .. } => common.epoll.end_only(fd, common.token),
        };
    }

    /// Sends what the session has to say.
    fn flush(&mut self) -> Result<(), String> {
        let (Stage::Joining(talk) | Stage::Parsing(talk)) = &mut self.stage else { return Ok(()) };
        let Some(fd) = &self.fd else { return Ok(()) };
        if !talk.connected {
            if let Some(error) = socket::take_error(fd.as_fd()) {
                return Err(format!("cannot connect: {error}"));
            }
            talk.connected = true;
        }
        while let Some(bytes) = talk.client.poll_output() {
            match &mut self.tls {
                Some(tls) => tls.write(&bytes)?,
                None => talk.unsent.extend_from_slice(&bytes),
            }
        }
        if let Some(tls) = &mut self.tls {
            tls.take_output(&mut talk.unsent);
        }
        while !talk.unsent.is_empty() {
            match socket::send(socket::raw(fd), &talk.unsent) {
                Ok(sent) => talk.unsent.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Counts and throws away what is there, up to a limit.
    fn count(&mut self, bytes_max: usize, common: &mut Common<'_>) -> Reading {
        let Some(fd) = self.fd.as_ref().map(socket::raw) else { return Reading::Empty };
        match socket::discard(fd, bytes_max) {
            Ok(0) => Reading::Over("the server closed the connection".to_owned()),
            Ok(read) => {
                self.heard(read, common);
                Reading::Empty
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Reading::Empty,
            Err(error) => Reading::Over(error.to_string()),
        }
    }

    fn count_to_the_end(&mut self, common: &mut Common<'_>) -> Reading {
        let before = self.bytes;
        match self.count(usize::MAX, common) {
            Reading::Empty if self.bytes > before => self.count(usize::MAX, common),
            reading => reading,
        }
    }

    fn heard(&mut self, read: usize, common: &mut Common<'_>) {
        self.bytes += read as u64;
        self.window_bytes += read as u64;
        self.heard_us = common.now_us;
        self.stalled = false;
        common.shared.bytes.fetch_add(read as u64, Ordering::Relaxed);
    }

    /// Ends the connection because of the server.
    fn end(&mut self, why: String, common: &mut Common<'_>) {
        let joined = !matches!(self.stage, Stage::Joining(_) | Stage::Away);
        (self.stage, self.fd) = (Stage::Away, None);
        common.tally.reason(why);
        if !joined {
            common.tally.failed += 1;
            if !self.has_joined {
                common.shared.failed.fetch_add(1, Ordering::Relaxed);
            }
        } else if matches!(self.manner, Manner::Slow { .. }) {
            common.tally.slow_closed += 1;
        } else {
            common.tally.closed += 1;
            common.shared.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Small, so that the server sees a slow player behind at once rather than after megabytes.
const SLOW_RECEIVE_BUFFER_BYTES: usize = 64 << 10;
