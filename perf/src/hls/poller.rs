//! A client that asks for the media playlist again as soon as it has it.

use bytes::Bytes;

use super::connection::Answered;
use super::player::Desk;

/// What it asks for.
#[derive(Debug, Default)]
pub(super) struct Poller {
    request: Bytes,
}

impl Poller {
    /// Begins.
    pub(super) fn begin(&mut self, path: &str, desk: &mut Desk<'_, '_>) -> Result<bool, String> {
        self.request = desk.request(path);
        desk.ask_again(0, &self.request, false)?;
        Ok(true)
    }

    /// A playlist is there.
    pub(super) fn answered(
        &mut self,
        answered: &Answered,
        desk: &mut Desk<'_, '_>,
    ) -> Result<bool, String> {
        let tally = &mut *desk.common.tally;
        tally.playlists += 1;
        tally.playlist_time.record_us(answered.arrived_us.saturating_sub(answered.asked_us));
        desk.ask_again(0, &self.request, false)?;
        Ok(true)
    }
}
