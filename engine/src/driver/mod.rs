//! Drivers: what makes a protocol session a citizen of the hub.
//!
//! One file per protocol. To add one: its session in `corelay-protocols`, a file and an arm here, its
//! listeners in `shard::listen`, and an [`Egress`](crate::hub::Egress) form if it feeds viewers in a new
//! way.
//!
//! Invariants
//! - A driver never sends: it fills the outbox, and asks the hub.
//! - An event that waits for an answer stops the driver: no further event and no further input before it.

mod http;
mod http2;
mod intake;
pub mod link;
mod pull;
mod push;
mod readdress;
mod rtmp;
mod ts;

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;

use tracing::Level;

pub use http::{HlsSettings, HttpDriver, HttpSettings};
pub use http2::{Http2Driver, Http2Settings};
pub use intake::Intake;
pub use pull::PullDriver;
pub use push::{RtmpPushDriver, TsPushDriver};
pub use rtmp::RtmpDriver;
pub use ts::TsDriver;

use crate::app::{Applications, Denied};
use crate::clock::Micros;
use crate::hub::{
    ConnectionId, Delivery, Hub, Notice, PublisherId, PublisherInfo, StreamKey, SubscriberId,
};
use crate::limits::Limits;
use crate::log::Logger;
use crate::shard::{Ending, Outbox};
use crate::stats::{CoreStats, Failure};
use link::{LinkEnd, LinkEvents, LinkId};

/// What a driver may use of its core and of its connection.
pub struct Context<'a> {
    /// The streams.
    pub hub: &'a mut Hub,
    /// Who may do what.
    pub applications: &'a Applications,
    /// The limits that all cores share.
    pub limits: &'a Limits,
    /// The core's counters.
    pub stats: &'a Arc<CoreStats>,
    /// The log.
    pub logger: &'a mut Logger,
    /// The time of this turn.
    pub now: Micros,
    /// The connection.
    pub id: ConnectionId,
    /// Its peer.
    pub peer: SocketAddr,
    /// Its socket.
    pub fd: RawFd,
    /// It came by TLS.
    pub is_secure: bool,
    /// How its plays get what they share with others.
    pub delivery: Delivery,
    /// What links tell their channels.
    pub links: &'a mut LinkEvents,
    /// Where its messages go.
    pub outbox: &'a mut Outbox,
    /// The play that is served straight from a log.
    pub shared: &'a mut Option<SubscriberId>,
}

impl Context<'_> {
    /// `scheme` as a URL of this connection has it: `https` for `http`.
    pub fn scheme(&self, scheme: &str) -> String {
        format!("{scheme}{}", if self.is_secure { "s" } else { "" })
    }

    /// Writes a log line about the connection.
    pub fn log(&mut self, level: Level, text: String) {
        self.logger.connection(level, self.id, text);
    }

    /// Asks for a stream. The answer comes as a notice; a publication that was granted or is asked for
    /// must be given back to [`Limits::unpublish`] at its end.
    ///
    /// # Errors
    /// Why it may not be published; that has been logged.
    pub fn publish(&mut self, ask: Publish<'_>) -> Result<(PublisherId, StreamKey), Denied> {
        let Publish { app, name, query, .. } = ask;
        let decision = self.applications.may_publish(self.hub, app, name, query).and_then(|()| {
            if self.hub.is_taken(app, name) {
                return Err(Denied::Forbidden("a channel of the server has that name"));
            }
            if self.limits.publish() {
                return Ok(());
            }
            self.stats.count_failure(Failure::Limit);
            Err(Denied::Forbidden("the server has publishers_max publishers"))
        });
        if let Err(why) = decision {
            self.log(Level::WARN, format!("may not publish {app}/{name}: {}", why.text()));
            return Err(why);
        }
        let key = StreamKey::new(app, name);
        let info = PublisherInfo {
            connection: self.id,
            peer: self.peer,
            protocol: ask.protocol,
            agent: ask.agent.to_owned(),
            url: ask.url.to_owned(),
            since: self.now,
        };
        Ok((self.hub.publish(self.id, key.clone(), info, self.now), key))
    }
}

/// What is to be published, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// The application.
    pub app: &'a str,
    /// The stream.
    pub name: &'a str,
    /// The query, tokens included.
    pub query: &'a str,
    /// The publisher's protocol.
    pub protocol: &'static str,
    /// What it calls itself.
    pub agent: &'a str,
    /// The URL it came to.
    pub url: &'a str,
}

/// A protocol's driver.
pub enum Driver {
    /// RTMP.
    Rtmp(Box<RtmpDriver>),
    /// HTTP/1.1 and WebSocket.
    Http(Box<HttpDriver>),
    /// HTTP/2.
    Http2(Box<Http2Driver>),
    /// A transport stream over TCP.
    Ts(Box<TsDriver>),
    /// What we pull.
    Pull(Box<PullDriver>),
    /// A transport stream that we push.
    TsPush(Box<TsPushDriver>),
    /// A publication that we push.
    RtmpPush(Box<RtmpPushDriver>),
}

/// What a driver says when its connection must end.
pub type Step = Result<(), Ending>;

impl Driver {
    /// The protocol's name in the log and the API.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Rtmp(_) => "rtmp",
            Self::Http(_) => "http",
            Self::Http2(_) => "http2",
            Self::Ts(_) | Self::TsPush(_) => "ts",
            Self::Pull(_) => "pull",
            Self::RtmpPush(_) => "rtmp",
        }
    }

    /// Takes bytes from the peer.
    ///
    /// # Errors
    /// The connection must end.
    pub fn handle_input(&mut self, cx: &mut Context<'_>, input: &[u8]) -> Step {
        match self {
            Self::Rtmp(driver) => driver.handle_input(cx, input),
            Self::Http(driver) => driver.handle_input(cx, input),
            Self::Http2(driver) => driver.handle_input(cx, input),
            Self::Ts(driver) => driver.handle_input(cx, input),
            Self::Pull(driver) => driver.handle_input(cx, input),
            // A receiver has nothing to say.
            Self::TsPush(_) => Ok(()),
            Self::RtmpPush(driver) => driver.handle_input(cx, input),
        }
    }

    /// The peer sends no more.
    ///
    /// # Errors
    /// How the connection ends, which it always does.
    pub fn input_ended(&mut self, cx: &mut Context<'_>) -> Step {
        match self {
            Self::Http(driver) => driver.input_ended(cx),
            Self::Http2(driver) => driver.input_ended(cx),
            _ => Err(Ending::Peer),
        }
    }

    /// Takes the passing of time.
    ///
    /// # Errors
    /// The connection must end.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        match self {
            Self::Rtmp(driver) => driver.handle_timeout(cx),
            Self::Http(driver) => driver.handle_timeout(cx),
            Self::Http2(driver) => driver.handle_timeout(cx),
            Self::Ts(driver) => driver.handle_timeout(cx),
            Self::Pull(driver) => driver.handle_timeout(cx),
            Self::TsPush(driver) => driver.handle_timeout(cx),
            Self::RtmpPush(driver) => driver.handle_timeout(cx),
        }
    }

    /// Takes what the hub has to say.
    ///
    /// # Errors
    /// The connection must end.
    pub fn handle_notice(&mut self, cx: &mut Context<'_>, notice: Notice) -> Step {
        match self {
            Self::Rtmp(driver) => driver.handle_notice(cx, notice),
            Self::Http(driver) => driver.handle_notice(cx, notice),
            Self::Http2(driver) => driver.handle_notice(cx, notice),
            Self::Ts(driver) => driver.handle_notice(cx, &notice),
            Self::Pull(_) => Ok(()),
            Self::TsPush(driver) => driver.handle_notice(cx, notice),
            Self::RtmpPush(driver) => driver.handle_notice(cx, notice),
        }
    }

    /// The outbox has been sent: plays that go through it may fill it again.
    ///
    /// # Errors
    /// The connection must end.
    pub fn drained(&mut self, cx: &mut Context<'_>) -> Step {
        match self {
            Self::Rtmp(driver) => driver.drained(cx),
            Self::Http2(driver) => return driver.drained(cx),
            Self::RtmpPush(driver) => driver.drained(cx),
            Self::Http(_) | Self::Ts(_) | Self::Pull(_) | Self::TsPush(_) => {}
        }
        Ok(())
    }

    /// The connection that we opened is there.
    ///
    /// # Errors
    /// It must end.
    pub fn connected(&mut self, cx: &mut Context<'_>) -> Step {
        match self {
            Self::Pull(driver) => driver.connected(cx),
            Self::TsPush(driver) => driver.connected(cx),
            Self::RtmpPush(driver) => driver.connected(cx),
            Self::Rtmp(_) | Self::Http(_) | Self::Http2(_) | Self::Ts(_) => Ok(()),
        }
    }

    /// The link whose connection it is and what that is told of its end; `None` for what was accepted.
    pub fn link_end(&mut self, ending: &Ending) -> Option<(LinkId, LinkEnd)> {
        match self {
            Self::Pull(driver) => Some(driver.end(ending)),
            Self::TsPush(driver) => Some(driver.end(ending)),
            Self::RtmpPush(driver) => Some(driver.end(ending)),
            Self::Rtmp(_) | Self::Http(_) | Self::Http2(_) | Self::Ts(_) => None,
        }
    }

    /// Leaves the hub: the connection ends.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Rtmp(driver) => driver.close(cx),
            Self::Http(driver) => driver.close(cx),
            Self::Http2(driver) => driver.close(cx),
            Self::Ts(driver) => driver.close(cx),
            Self::Pull(driver) => driver.close(cx),
            Self::TsPush(driver) => driver.close(cx),
            Self::RtmpPush(driver) => driver.close(cx),
        }
    }

    /// When `handle_timeout` must be called.
    pub fn poll_timeout(&self) -> Option<Micros> {
        match self {
            Self::Rtmp(driver) => driver.poll_timeout(),
            Self::Http(driver) => driver.poll_timeout(),
            Self::Http2(driver) => driver.poll_timeout(),
            Self::Ts(driver) => driver.poll_timeout(),
            Self::Pull(driver) => driver.poll_timeout(),
            Self::TsPush(driver) => driver.poll_timeout(),
            Self::RtmpPush(driver) => driver.poll_timeout(),
        }
    }

    /// False while an answer is awaited: input would only pile up.
    pub fn wants_input(&self) -> bool {
        match self {
            Self::Rtmp(driver) => driver.wants_input(),
            Self::Http(driver) => driver.wants_input(),
            Self::Http2(driver) => driver.wants_input(),
            Self::Ts(driver) => driver.wants_input(),
            Self::Pull(_) | Self::TsPush(_) | Self::RtmpPush(_) => true,
        }
    }

    /// True while nobody waits for what the connection brings: it may be read now and then.
    pub fn reads_at_leisure(&self) -> bool {
        match self {
            Self::Rtmp(driver) => driver.reads_at_leisure(),
            Self::Ts(driver) => driver.reads_at_leisure(),
            Self::Http(driver) => driver.reads_at_leisure(),
            Self::Http2(_) | Self::Pull(_) | Self::TsPush(_) | Self::RtmpPush(_) => false,
        }
    }

    /// The transport stream that it publishes, for the API.
    pub fn intake(&mut self) -> Option<&mut Intake> {
        match self {
            Self::Ts(driver) => driver.intake(),
            Self::Http(driver) => driver.intake(),
            Self::Http2(driver) => driver.intake(),
            _ => None,
        }
    }

    /// What the connection does, for the API.
    pub fn activity(&self) -> Activity {
        match self {
            Self::Rtmp(driver) => driver.activity(),
            Self::Http(driver) => driver.activity(),
            Self::Http2(driver) => driver.activity(),
            Self::Ts(driver) => driver.activity(),
            Self::Pull(driver) => driver.activity(),
            Self::TsPush(driver) => driver.activity(),
            Self::RtmpPush(driver) => driver.activity(),
        }
    }
}

/// What a connection does, for the API.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// `publish`, `play` or empty.
    pub role: &'static str,
    /// `app/name`, empty when it does nothing yet.
    pub stream: String,
    /// What the client calls itself.
    pub agent: String,
    /// The URL it connected to.
    pub url: String,
}
