//! A stream at its owner: the one place that decides its publisher, its timeline and who is fed.
//!
//! Invariants
//! - At most one publisher at a time; units of any other are ignored.
//! - A publisher that leaves has left when its last unit is in: the lane of units is slower than the lane
//!   on which it says so.
//! - A core that lost a unit gets nothing before the next entry point, and then a snapshot first.

use std::sync::Arc;

use corelay_config::Policy;
use smallvec::SmallVec;

use super::feed::Feed;
use super::hls::Packagings;
use super::key::StreamKey;
use super::memory::Budget;
use super::message::{EndReason, PublisherId, PublisherInfo, StreamUid};
use super::unit::Unit;
use crate::clock::Micros;
use crate::mesh::CoreIndex;

/// See the module.
#[derive(Debug)]
pub struct Stream {
    /// Application and name.
    pub key: StreamKey,
    /// What its units are marked with between cores.
    pub uid: StreamUid,
    /// The policy of its application.
    pub policy: Arc<Policy>,
    publisher: Option<Current>,
    /// Without a publisher: when viewers stop waiting for it to come back.
    grace_until: Option<Micros>,
    /// What the publisher sends.
    pub feed: Feed,
    /// What is made of it for HLS.
    pub packagings: Packagings,
    cores: SmallVec<[InterestedCore; 4]>,
}

/// The publisher that a stream has.
#[derive(Debug)]
struct Current {
    id: PublisherId,
    info: Box<PublisherInfo>,
    /// Units received from it.
    units: u64,
    /// It has left, after this many units.
    leaves_after: Option<u64>,
}

/// A core with viewers.
#[derive(Clone, Copy, Debug)]
pub struct InterestedCore {
    /// The core.
    pub core: CoreIndex,
    /// Units were lost on the way to it.
    pub lost: bool,
    /// It has not been told of the end, for which there was no room on the way.
    pub owes_end: Option<EndReason>,
}

/// What [`Stream::publish`] decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Takeover {
    /// The stream had no publisher.
    Free,
    /// It had one, which must be told that it is over.
    Replaced(PublisherId),
    /// It has one, and the first one wins.
    Refused,
}

impl Stream {
    /// A stream without publisher and viewers.
    pub fn new(key: StreamKey, uid: StreamUid, policy: Arc<Policy>, budget: Arc<Budget>) -> Self {
        Self {
            key,
            uid,
            feed: Feed::new(Arc::clone(&policy), budget),
            policy,
            publisher: None,
            grace_until: None,
            packagings: Packagings::default(),
            cores: SmallVec::new(),
        }
    }

    /// Gives the stream to a publisher, as its policy has it.
    pub fn publish(&mut self, id: PublisherId, info: Box<PublisherInfo>) -> Takeover {
        let takeover = match &self.publisher {
            None | Some(Current { leaves_after: Some(_), .. }) => Takeover::Free,
            Some(_) if self.policy.takeover == corelay_config::Takeover::FirstWins => {
                return Takeover::Refused;
            }
            Some(old) => Takeover::Replaced(old.id),
        };
        self.publisher = Some(Current { id, info, units: 0, leaves_after: None });
        self.grace_until = None;
        for interested in &mut self.cores {
            interested.owes_end = None;
        }
        self.feed.restart();
        takeover
    }

    /// The publisher leaves after its unit number `units`. Nothing happens when `id` is not the stream's
    /// publisher; see [`Self::leave_if_complete`].
    pub fn unpublish(&mut self, id: PublisherId, units: u64) {
        if let Some(current) = self.publisher.as_mut().filter(|current| current.id == id) {
            current.leaves_after = Some(units);
        }
    }

    /// Lets the publisher go if it leaves and its last unit is in. True when it went.
    pub fn leave_if_complete(&mut self, now: Micros) -> bool {
        let Some(current) = &self.publisher else { return false };
        if current.leaves_after.is_none_or(|units| current.units < units) {
            return false;
        }
        self.publisher = None;
        self.grace_until = Some(now.after_millis(self.policy.publisher_grace_ms));
        true
    }

    /// True once when the time in which the publisher may return is over.
    pub fn grace_is_over(&mut self, now: Micros) -> bool {
        let over = self.grace_until.is_some_and(|until| until <= now);
        if over {
            self.grace_until = None;
            self.feed.forget();
        }
        over
    }

    /// When the time in which the publisher may return ends.
    pub fn grace_until(&self) -> Option<Micros> {
        self.grace_until
    }

    /// Somebody publishes, or is expected back.
    pub fn is_live(&self) -> bool {
        self.publisher.is_some() || self.grace_until.is_some()
    }

    /// Nobody publishes, nobody is expected back, nobody watches.
    pub fn is_unused(&self) -> bool {
        !self.is_live() && !self.is_watched()
    }

    /// Who publishes.
    pub fn publisher(&self) -> Option<(PublisherId, &PublisherInfo)> {
        self.publisher.as_ref().map(|current| (current.id, &*current.info))
    }

    /// Takes a unit of publisher `id`. Gives what is to be delivered, in order; nothing when `id` is not
    /// the publisher.
    pub fn ingest(&mut self, id: PublisherId, unit: Arc<Unit>) -> SmallVec<[Arc<Unit>; 2]> {
        match self.publisher.as_mut().filter(|current| current.id == id) {
            Some(current) => {
                current.units += 1;
                self.feed.take(unit)
            }
            None => SmallVec::new(),
        }
    }

    /// A core has viewers.
    pub fn subscribe(&mut self, core: CoreIndex) {
        if self.cores.iter().all(|interested| interested.core != core) {
            self.cores.push(InterestedCore { core, lost: false, owes_end: None });
        }
    }

    /// A core has no viewers any more.
    pub fn unsubscribe(&mut self, core: CoreIndex) {
        self.cores.retain(|interested| interested.core != core);
    }

    /// True when any core subscribes, or serves it by HLS.
    pub fn is_watched(&self) -> bool {
        !self.cores.is_empty() || !self.packagings.is_unused()
    }

    /// The cores with viewers.
    pub fn cores(&mut self) -> &mut SmallVec<[InterestedCore; 4]> {
        &mut self.cores
    }
}
