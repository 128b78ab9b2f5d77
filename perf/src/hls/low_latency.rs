//! A player that asks for each part before it is there, with the playlist that lists it beside it
//! (RFC 8216bis 6.2.5.2 and 6.2.6).

use super::body;
use super::connection::Answered;
use super::player::Desk;
use super::playlist::{MediaPlaylist, Playlist, parse, resolve, with_query};

/// What it knows.
#[derive(Debug, Default)]
pub(super) struct LowLatency {
    path: String,
    /// The part under way, and those that are still missing of a playlist.
    hint: String,
    has_part: bool,
    next: Option<MediaPlaylist>,
    /// The last part's numbers.
    part: Option<(u64, u64)>,
    is_playing: bool,
}

impl LowLatency {
    /// Begins, with the part that the playlist says comes next.
    pub(super) fn begin(
        &mut self,
        path: &str,
        media: &MediaPlaylist,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        *self = Self { path: path.to_owned(), ..Self::default() };
        self.ask_for_next(media, desk)
    }

    /// It never waits.
    pub(super) fn due(&mut self, _: &mut Desk<'_, '_>) -> Result<bool, String> {
        Ok(false)
    }

    /// A request has its answer. True once a part is there.
    pub(super) fn answered(
        &mut self,
        which: usize,
        answered: Answered,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        if which == PLAYLIST {
            desk.common.tally.playlists += 1;
            let took_us = answered.arrived_us.saturating_sub(answered.asked_us);
            desk.common.tally.playlist_time.record_us(took_us);
            let Playlist::Media(media) = parse(&answered.body)? else {
                return Err("a media playlist has become a multivariant one".to_owned());
            };
            self.next = Some(media);
        } else {
            self.take_part(&answered, desk);
        }
        match self.next.take() {
            Some(media) if self.has_part => self.ask_for_next(&media, desk),
            waiting => {
                self.next = waiting;
                Ok(self.is_playing)
            }
        }
    }

    fn take_part(&mut self, answered: &Answered, desk: &mut Desk<'_, '_>) {
        let window_start_us = desk.common.window_start_us;
        let tally = &mut *desk.common.tally;
        tally.parts += 1;
        if let Err(why) = body::check(&answered.body) {
            tally.error(why);
        }
        let stamp = body::first_stamp(&answered.body);
        if stamp.is_none() {
            tally.unstamped += 1;
        }
        // What was sent before the window belongs to it as little as what was asked for in it.
        if let Some(stamp) = stamp
            && stamp.sent_us >= window_start_us
        {
            tally.part_latency.record_us(answered.arrived_us.saturating_sub(stamp.sent_us));
        }
        (self.has_part, self.is_playing) = (true, true);
    }

    /// Asks for the part that comes next, and for the playlist that has it.
    fn ask_for_next(
        &mut self,
        media: &MediaPlaylist,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        let hint = media.hint.as_ref().ok_or("a playlist has no hint of the next part")?;
        let hint = resolve(&self.path, hint);
        if hint == self.hint {
            return Err("a playlist came before the part that it was to have".to_owned());
        }
        let number = body::part_number(&hint).unwrap_or((media.end(), media.parts));
        if let Some((segment, part)) = self.part.replace(number)
            && number.0 == segment
        {
            desk.common.tally.missed += number.1.saturating_sub(part + 1);
        }
        let query = format!("_HLS_msn={}&_HLS_part={}", media.end(), media.parts);
        desk.ask(PLAYLIST, &with_query(&self.path, &query), true)?;
        desk.ask(PART, &hint, true)?;
        (self.hint, self.has_part) = (hint, false);
        Ok(self.is_playing)
    }
}

/// The connections' numbers.
const PLAYLIST: usize = 0;
const PART: usize = 1;
