//! A player that watches: the playlist once per target duration, and each new segment whole.

use super::body;
use super::connection::Answered;
use super::player::Desk;
use super::playlist::{MediaPlaylist, Playlist, parse, resolve};

/// What it knows.
#[derive(Debug)]
pub(super) struct Watcher {
    /// It keeps its segments and looks at them.
    sampled: bool,
    path: String,
    media: MediaPlaylist,
    asked_playlist_us: u64,
    /// When the playlist is asked for again.
    reload_us: Option<u64>,
    /// The segment that comes next.
    next: u64,
    /// The initialisation segment that it has.
    map: Option<String>,
    under_way: Option<UnderWay>,
    is_playing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    Playlist,
    Map,
    Segment,
}

impl Watcher {
    pub(super) fn new(sampled: bool) -> Self {
        Self {
            sampled,
            path: String::new(),
            media: MediaPlaylist::default(),
            asked_playlist_us: 0,
            reload_us: None,
            next: 0,
            map: None,
            under_way: None,
            is_playing: false,
        }
    }

    /// Begins three segments in front of the end (RFC 8216 6.3.3), or anew after an error.
    pub(super) fn begin(
        &mut self,
        path: &str,
        media: &MediaPlaylist,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        self.path = path.to_owned();
        self.asked_playlist_us = desk.common.now_us;
        (self.map, self.under_way, self.reload_us) = (None, None, None);
        self.next = media.end().saturating_sub(BEFORE_END).max(media.first);
        self.media = media.clone();
        self.go_on(true, desk)
    }

    /// It is time for the playlist.
    pub(super) fn due(&mut self, desk: &mut Desk<'_, '_>) -> Result<bool, String> {
        if self.reload_us.is_some_and(|at_us| at_us <= desk.common.now_us) {
            self.reload_us = None;
            self.asked_playlist_us = desk.common.now_us;
            self.under_way = Some(UnderWay::Playlist);
            desk.ask(0, &self.path, true)?;
        }
        Ok(false)
    }

    /// A request has its answer. True once a segment is there.
    pub(super) fn answered(
        &mut self,
        answered: Answered,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        let took_us = answered.arrived_us.saturating_sub(answered.asked_us);
        let tally = &mut *desk.common.tally;
        match self.under_way.take() {
            None => {}
            Some(UnderWay::Playlist) => {
                tally.playlists += 1;
                tally.playlist_time.record_us(took_us);
                let Playlist::Media(media) = parse(&answered.body)? else {
                    return Err("a media playlist has become a multivariant one".to_owned());
                };
                let is_new = media.end() > self.media.end();
                if media.end() < self.media.end() {
                    return Err("a playlist went back".to_owned());
                }
                if media.first > self.next {
                    tally.missed += media.first - self.next;
                    self.next = media.first;
                }
                self.media = media;
                return self.go_on(is_new, desk);
            }
            Some(UnderWay::Map) => {}
            Some(UnderWay::Segment) => {
                tally.segments += 1;
                tally.segment_time.record_us(took_us);
                if self.sampled
                    && let Err(why) = body::check(&answered.body)
                {
                    tally.error(why);
                }
                self.next += 1;
                self.is_playing = true;
            }
        }
        self.go_on(true, desk)
    }

    /// Asks for what is still missing of what the playlist lists, or waits for its next version: a
    /// target duration after the last one, half of that if it was the same (RFC 8216 6.3.4).
    fn go_on(&mut self, was_new: bool, desk: &mut Desk<'_, '_>) -> Result<bool, String> {
        let wanted = match &self.media.map {
            Some(map) if self.map.as_ref() != Some(map) => {
                self.map = Some(map.clone());
                Some((UnderWay::Map, map.as_str()))
            }
            _ => self.media.uri(self.next).map(|uri| (UnderWay::Segment, uri)),
        };
        if let Some((under_way, uri)) = wanted {
            let path = resolve(&self.path, uri);
            self.under_way = Some(under_way);
            desk.ask(0, &path, self.sampled)?;
        } else {
            let target_us = self.media.target_duration.as_micros() as u64;
            let after_us = if was_new { target_us } else { target_us / 2 };
            let reload_us = self.asked_playlist_us + after_us.max(SOONEST_US);
            self.reload_us = Some(reload_us);
            desk.wake_at(reload_us);
        }
        Ok(self.is_playing)
    }
}

/// Segments between where a player begins and the end.
const BEFORE_END: u64 = 3;
/// A playlist without a target duration does not make a player storm the server.
const SOONEST_US: u64 = 100_000;
