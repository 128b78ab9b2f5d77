//! Streams that we send: to a receiver of transport streams, to another RTMP server.

mod metadata;
mod rtmp;
mod ts;

pub use rtmp::RtmpPushDriver;
pub use ts::TsPushDriver;

use super::Context;
use crate::hub::{Delivery, Egress, Form, PlayOptions, StreamKey, SubscriberId};
use corelay_codecs::TrackFilter;

/// Attaches a push to its stream. `None` when the application is not served.
///
/// Nobody is asked whether it may be played: whoever wrote the configuration said so.
fn play(
    cx: &mut Context<'_>,
    key: &StreamKey,
    form: Form,
    readdressed: bool,
    wait_ms: u64,
) -> Option<SubscriberId> {
    let egress = Egress::new(form, TrackFilter::ALL);
    let delivery = if readdressed { Delivery::Copied } else { cx.delivery };
    let options = PlayOptions { egress, fd: cx.fd, delivery, wait_ms };
    let subscriber = cx.hub.play(cx.id, key.clone(), options, cx.now)?;
    if !readdressed {
        *cx.shared = Some(subscriber);
    }
    Some(subscriber)
}

/// Leaves the stream.
fn stop(cx: &mut Context<'_>, subscriber: SubscriberId) {
    *cx.shared = None;
    cx.hub.stop(subscriber, cx.now);
}
