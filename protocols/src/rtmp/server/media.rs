//! Media from a publisher.

use super::ServerSession;
use super::streams::Role;
use crate::rtmp::chunk::Message;
use crate::rtmp::error::Error;
use crate::rtmp::event::{MessageStreamId, ServerEvent};
use crate::rtmp::media;
use crate::rtmp::output::CONNECTION;

impl ServerSession {
    /// Passes on the media of a publication; those that belong to none are counted and dropped.
    pub(super) fn handle_media(&mut self, message: Message) -> Result<(), Error> {
        let Some(stream) = self.publication(message.message_stream_id) else {
            self.counters.messages_ignored += 1;
            return Ok(());
        };
        self.timers.active();
        let limits = self.amf_limits();
        let events = &mut self.events;
        let left_out = media::unpack(message, &limits, self.at, |media| {
            events.push_back(ServerEvent::Media(stream, media));
        })?;
        self.counters.messages_ignored += left_out;
        Ok(())
    }

    /// The publication that media on `stream` belong to. Message stream 0 is taken for the only
    /// publication: encoders are known that leave the field out.
    fn publication(&self, stream: MessageStreamId) -> Option<MessageStreamId> {
        match self.streams.role(stream) {
            Some(Role::Publishing { .. }) => Some(stream),
            _ if stream == CONNECTION => self.streams.only_publication(),
            _ => None,
        }
    }
}
