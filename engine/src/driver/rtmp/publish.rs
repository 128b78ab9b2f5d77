//! The publishing side of an RTMP connection.

use corelay_codecs::UnitKind;
use corelay_codecs::container::flv::{TagType, demux};
use corelay_protocols::rtmp::{
    MediaKind, MediaMessage, MessageStreamId, PublishEnd, PublishKind, PublishRefusal,
    PublishRequest,
};
use tracing::Level;

use super::{Role, RtmpDriver, join};
use crate::app::Denied;
use crate::clock::Micros;
use crate::driver::{Context, Publish, Step};
use crate::hub::{EndReason, PublisherId, Refusal, StreamKey};
use crate::shard::Ending;
use crate::stats::Failure;

/// A publication on one message stream.
pub(super) struct Publication {
    pub(super) id: PublisherId,
    pub(super) key: StreamKey,
    pub(super) last_media: Micros,
    /// Somebody watches, or may: its input cannot wait.
    pub(super) watched: bool,
}

impl RtmpDriver {
    pub(super) fn publish(
        &mut self,
        cx: &mut Context<'_>,
        stream: MessageStreamId,
        request: PublishRequest,
    ) {
        let query = join(&self.connect.query, &request.query);
        let app = self.connect.app.clone();
        if request.kind != PublishKind::Live {
            let why = "recording is not available on this server";
            cx.log(Level::WARN, format!("may not publish {app}/{}: {why}", request.name));
            self.session.reject_publish(stream, PublishRefusal::Unsupported, why);
            return;
        }
        let asked = cx.publish(Publish {
            app: &app,
            name: &request.name,
            query: &query,
            protocol: "rtmp",
            agent: &self.connect.flash_ver,
            url: &self.connect.tc_url,
        });
        match asked {
            Ok((id, key)) => {
                let publication = Publication { id, key, last_media: cx.now, watched: true };
                self.streams.push((stream, Role::Publisher(publication)));
                self.asking = true;
            }
            Err(why) => {
                let code = match why {
                    Denied::BadName => PublishRefusal::BadName,
                    _ => PublishRefusal::Denied,
                };
                self.session.reject_publish(stream, code, why.text());
            }
        }
    }

    pub(super) fn publish_accepted(&mut self, cx: &mut Context<'_>, id: PublisherId) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        self.asking = false;
        if let Some(Role::Publisher(publication)) = self.role(stream) {
            publication.last_media = cx.now;
            let line = format!("publishes {}", publication.key);
            cx.log(Level::INFO, line);
        }
        self.session.accept_publish(stream);
    }

    pub(super) fn watched(&mut self, id: PublisherId, watched: bool) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        if let Some(Role::Publisher(publication)) = self.role(stream) {
            publication.watched = watched;
        }
    }

    pub(super) fn publish_refused(&mut self, cx: &mut Context<'_>, id: PublisherId, why: Refusal) {
        let Some(stream) = self.stream_of_publisher(id) else { return };
        let (code, text) = match why {
            Refusal::NameTaken => (PublishRefusal::BadName, "somebody publishes there already"),
            Refusal::TooMany => (PublishRefusal::Denied, "the server has streams_max streams"),
            Refusal::Stopping => (PublishRefusal::Denied, "the server is stopping"),
        };
        self.asking = false;
        self.take_role(stream);
        cx.limits.unpublish();
        cx.log(Level::WARN, format!("publication refused: {text}"));
        self.session.reject_publish(stream, code, text);
    }

    pub(super) fn publish_ended(
        &mut self,
        cx: &mut Context<'_>,
        id: PublisherId,
        why: EndReason,
    ) -> Step {
        let Some(stream) = self.stream_of_publisher(id) else { return Ok(()) };
        self.take_role(stream);
        cx.limits.unpublish();
        let end = match why {
            EndReason::TakenOver => PublishEnd::TakenOver,
            EndReason::Stopping => PublishEnd::Shutdown,
            EndReason::PublisherLeft | EndReason::NoPublisher => PublishEnd::Denied,
        };
        self.session.publish_ended(stream, end);
        self.drive(cx)?;
        Err(Ending::Done(why.text().to_owned()))
    }

    pub(super) fn media(
        &mut self,
        cx: &mut Context<'_>,
        stream: MessageStreamId,
        message: MediaMessage,
    ) {
        let metadata_bytes_max = self.policy.as_ref().map_or(0, |policy| policy.metadata_bytes_max);
        let Some(Role::Publisher(publication)) = self.role(stream) else { return };
        publication.last_media = cx.now;
        let id = publication.id;
        let tag_type = match message.kind {
            MediaKind::Audio => TagType::Audio,
            MediaKind::Video => TagType::Video,
            MediaKind::Data => TagType::Script,
        };
        let time_ms = i64::from(message.timestamp_ms);
        match demux::parse_tag(tag_type, time_ms, message.payload) {
            Ok(units) => {
                for unit in units {
                    let too_large = unit.payload.len() > metadata_bytes_max;
                    if too_large && matches!(unit.kind, UnitKind::Metadata | UnitKind::Data) {
                        self.malformed(cx, "a data message is over `metadata_bytes_max`");
                    } else {
                        cx.hub.ingest(id, unit, cx.now);
                    }
                }
            }
            Err(error) => self.malformed(cx, &error.to_string()),
        }
    }

    /// One broken tag is left out; its connection goes on. Said once per connection.
    pub(super) fn malformed(&mut self, cx: &mut Context<'_>, what: &str) {
        cx.stats.malformed_tags.add(1);
        self.malformed_tags += 1;
        if self.malformed_tags == 1 {
            cx.log(Level::WARN, format!("left out a media message: {what}"));
        }
    }

    pub(super) fn check_publishers(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(policy) = &self.policy else { return Ok(()) };
        let idle_ms = policy.publisher_idle_timeout_ms;
        let silent = self.streams.iter().any(|(_, role)| match role {
            Role::Publisher(publication) => cx.now.millis_since(publication.last_media) >= idle_ms,
            Role::Player(_) => false,
        });
        if !silent {
            return Ok(());
        }
        let why =
            format!("the publisher sent no media for {idle_ms} ms (publisher_idle_timeout_ms)");
        Err(Ending::Fault(Failure::Timeout, why))
    }

    pub(in crate::driver) fn reads_at_leisure(&self) -> bool {
        let waits = |(_, role): &(MessageStreamId, Role)| {
            matches!(role, Role::Publisher(Publication { watched: false, .. }))
        };
        !self.streams.is_empty() && self.streams.iter().all(waits)
    }

    /// The message stream of a publication; `None` when a notice comes behind its end.
    pub(super) fn stream_of_publisher(&self, id: PublisherId) -> Option<MessageStreamId> {
        let is = |role: &Role| matches!(role, Role::Publisher(publication) if publication.id == id);
        self.streams.iter().find(|(_, role)| is(role)).map(|(stream, _)| *stream)
    }
}
