//! One player: what all manners of playing have in common.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::connection::{Answered, Connection};
use super::low_latency::LowLatency;
use super::playlist::{MediaPlaylist, Playlist, parse, resolve};
use super::poller::Poller;
use super::result::Tally;
use super::watcher::Watcher;
use super::{HlsVenue, Manner};
use crate::play::stage::Shared;
use crate::sys::epoll::{Epoll, Ready};

/// What all players of a thread use.
pub(super) struct Common<'a> {
    pub(super) epoll: &'a Epoll,
    pub(super) shared: &'a Shared,
    pub(super) tally: &'a mut Tally,
    pub(super) buffer: &'a mut [u8],
    /// Who is to be looked after when.
    pub(super) schedule: &'a mut BinaryHeap<Reverse<(u64, usize)>>,
    pub(super) address: SocketAddr,
    /// The kernel says when bytes arrived.
    pub(super) stamps: bool,
    pub(super) now_us: u64,
    pub(super) window_start_us: u64,
    /// Bytes that the player at hand has got.
    pub(super) heard: u64,
}

/// One player.
#[derive(Debug)]
pub(super) struct Player {
    index: usize,
    venue: HlsVenue,
    stage: Stage,
    begun_us: u64,
    has_joined: bool,
    connections: [Connection; CONNECTIONS],
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not begun, or waits to try again.
    Away,
    /// Looks for the media playlist from this path on.
    Finding,
    /// Has found it.
    Playing,
}

/// What it does with the media playlist.
#[derive(Debug)]
enum Part {
    Watcher(Watcher),
    Poller(Poller),
    LowLatency(LowLatency),
}

/// What a player's part lets it do.
pub(super) struct Desk<'a, 'b> {
    connections: &'a mut [Connection; CONNECTIONS],
    host: &'a str,
    index: usize,
    pub(super) common: &'a mut Common<'b>,
}

impl Desk<'_, '_> {
    /// Asks for a path on one of the player's connections.
    ///
    /// # Errors
    /// Those of [`Connection::ask`].
    pub(super) fn ask(&mut self, which: usize, path: &str, keeps: bool) -> Result<(), String> {
        let request = request(self.host, path);
        self.ask_again(which, &request, keeps)
    }

    /// The same with a request that is there already.
    ///
    /// # Errors
    /// Those of [`Connection::ask`].
    pub(super) fn ask_again(
        &mut self,
        which: usize,
        request: &Bytes,
        keeps: bool,
    ) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(which) else { return Ok(()) };
        connection.ask(request, keeps, self.index * CONNECTIONS + which, self.common)
    }

    /// What the request for a path is.
    pub(super) fn request(&self, path: &str) -> Bytes {
        request(self.host, path)
    }

    /// Has the player looked after at some time.
    pub(super) fn wake_at(&mut self, at_us: u64) {
        self.common.schedule.push(Reverse((at_us, self.index)));
    }
}

impl Player {
    /// The player of this number; one that is `sampled` looks at all it gets.
    pub(super) fn new(index: usize, venue: HlsVenue, manner: Manner, sampled: bool) -> Self {
        let part = match manner {
            Manner::Watch => Part::Watcher(Watcher::new(sampled)),
            Manner::Poll => Part::Poller(Poller::default()),
            Manner::LowLatency => Part::LowLatency(LowLatency::default()),
        };
        Self {
            index,
            venue,
            stage: Stage::Away,
            begun_us: 0,
            has_joined: false,
            connections: Default::default(),
            part,
        }
    }

    /// Which player and which of its connections a token is.
    pub(super) fn of_token(token: usize) -> (usize, usize) {
        (token / CONNECTIONS, token % CONNECTIONS)
    }

    /// Its time has come: begins, or does what its part has waited for.
    pub(super) fn due(&mut self, common: &mut Common<'_>) {
        let result = match self.stage {
            Stage::Away => self.begin(common),
            Stage::Finding => Ok(()),
            Stage::Playing => self.with_part(common, |part, desk| match part {
                Part::Watcher(watcher) => watcher.due(desk),
                Part::LowLatency(part) => part.due(desk),
                Part::Poller(_) => Ok(false),
            }),
        };
        self.settle(result, common);
    }

    fn begin(&mut self, common: &mut Common<'_>) -> Result<(), String> {
        if self.begun_us == 0 {
            self.begun_us = common.now_us;
        }
        self.stage = Stage::Finding;
        let path = self.venue.path.clone();
        self.desk(common).1.ask(0, &path, true)
    }

    /// Does what a connection of it is ready for.
    pub(super) fn ready(&mut self, which: usize, ready: Ready, common: &mut Common<'_>) {
        common.heard = 0;
        let Some(connection) = self.connections.get_mut(which) else { return };
        let result = match connection.ready(ready, common) {
            Ok(Some(answered)) => self.answered(which, answered, common),
            Ok(None) => Ok(()),
            Err(why) => Err(why),
        };
        common.shared.bytes.fetch_add(common.heard, Ordering::Relaxed);
        self.settle(result, common);
    }

    fn answered(
        &mut self,
        which: usize,
        answered: Answered,
        common: &mut Common<'_>,
    ) -> Result<(), String> {
        match self.stage {
            Stage::Away => Ok(()),
            Stage::Finding => match parse(&answered.body)? {
                Playlist::Multivariant(uri) => {
                    self.venue.path = resolve(&self.venue.path, &uri).into();
                    let path = self.venue.path.clone();
                    self.desk(common).1.ask(0, &path, true)
                }
                Playlist::Media(media) => self.found(&media, common),
            },
            Stage::Playing => self.with_part(common, |part, desk| match part {
                Part::Watcher(watcher) => watcher.answered(answered, desk),
                Part::Poller(poller) => poller.answered(&answered, desk),
                Part::LowLatency(part) => part.answered(which, answered, desk),
            }),
        }
    }

    /// The media playlist is there.
    fn found(&mut self, media: &MediaPlaylist, common: &mut Common<'_>) -> Result<(), String> {
        self.stage = Stage::Playing;
        common.tally.durations(media);
        let path = self.venue.path.clone();
        self.with_part(common, |part, desk| match part {
            Part::Watcher(watcher) => watcher.begin(&path, media, desk),
            Part::Poller(poller) => poller.begin(&path, desk),
            Part::LowLatency(part) => part.begin(&path, media, desk),
        })
    }

    /// Lets the part act; it says whether the player has now got what makes it one that plays.
    fn with_part(
        &mut self,
        common: &mut Common<'_>,
        act: impl FnOnce(&mut Part, &mut Desk<'_, '_>) -> Result<bool, String>,
    ) -> Result<(), String> {
        let (part, mut desk) = self.desk(common);
        let plays = act(part, &mut desk)?;
        if plays && !self.has_joined {
            self.has_joined = true;
            common.tally.joined += 1;
            common.tally.joins.record_us(common.now_us.saturating_sub(self.begun_us));
            common.shared.joined.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn desk<'a, 'b>(&'a mut self, common: &'a mut Common<'b>) -> (&'a mut Part, Desk<'a, 'b>) {
        let Self { connections, venue, index, part, .. } = self;
        (part, Desk { connections, host: &venue.host, index: *index, common })
    }

    /// After an error it begins anew, a while later.
    fn settle(&mut self, result: Result<(), String>, common: &mut Common<'_>) {
        let Err(why) = result else { return };
        common.tally.error(why);
        if self.has_joined {
            common.shared.closed.fetch_add(1, Ordering::Relaxed);
        }
        self.connections.iter_mut().for_each(Connection::close);
        self.stage = Stage::Away;
        common.schedule.push(Reverse((common.now_us + RETRY_US, self.index)));
    }

    /// Adds what is left of it at the end of the run.
    pub(super) fn finish(&self, tally: &mut Tally) {
        if !self.has_joined {
            tally.failed += 1;
        }
    }
}

fn request(host: &str, path: &str) -> Bytes {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\r\n"
    )
    .into()
}

const USER_AGENT: &str = concat!("corelay-perf/", env!("CARGO_PKG_VERSION"));
/// With low latency the next part is asked for beside the playlist.
pub(super) const CONNECTIONS: usize = 2;
/// Streams that begin late are there by then; a server that is down is not stormed.
const RETRY_US: u64 = 1_000_000;
