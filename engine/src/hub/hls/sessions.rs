//! The viewers of a presentation on one core: who has asked for a playlist of late.
//!
//! A viewer says who it is by the session in the URL of its playlist; one that does not is known by its
//! address and what it calls itself. Segments carry no session, because all viewers share their URLs:
//! they count for the session of that address and name.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHasher};
use serde::Serialize;

use crate::clock::Micros;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// The session in the URL; empty if there is none.
    pub session: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// What it calls itself.
    pub agent: &'a str,
}

/// The sessions of one presentation on one core.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: FxHashMap<u64, Session>,
    /// The newest session of each address and name.
    by_place: FxHashMap<u64, u64>,
}

#[derive(Debug)]
struct Session {
    /// The session in the URL; empty if there is none.
    session: String,
    address: IpAddr,
    agent: String,
    place: u64,
    since: Micros,
    seen: Micros,
    bytes: u64,
    requests: u64,
}

/// A session, for the API.
#[derive(Clone, Debug, Serialize)]
pub struct SessionSnapshot {
    /// Names it on all cores.
    pub id: u64,
    /// The session in the URL; empty if there is none.
    pub session: String,
    /// Its address.
    pub peer: String,
    /// What it calls itself.
    pub agent: String,
    /// Milliseconds since its first request here.
    pub alive_ms: u64,
    /// Milliseconds since its last one.
    pub idle_ms: u64,
    /// Bytes of segments sent to it by this core.
    pub bytes: u64,
    /// Requests for playlists.
    pub requests: u64,
}

impl Viewer<'_> {
    fn place(&self) -> u64 {
        hash(&(self.address, self.agent))
    }

    fn id(&self) -> u64 {
        if self.session.is_empty() { self.place() } else { hash(&self.session) }
    }
}

impl Sessions {
    /// A viewer has asked for a playlist. True when it is a new one; no more than `max` are remembered.
    pub fn touch(&mut self, viewer: Viewer<'_>, now: Micros, max: usize) -> bool {
        let (id, place) = (viewer.id(), viewer.place());
        let is_new = !self.by_id.contains_key(&id);
        if is_new && self.by_id.len() >= max {
            return false;
        }
        let session = self.by_id.entry(id).or_insert_with(|| Session {
            session: viewer.session.to_owned(),
            address: viewer.address,
            agent: viewer.agent.to_owned(),
            place,
            since: now,
            seen: now,
            bytes: 0,
            requests: 0,
        });
        session.seen = now;
        session.requests += 1;
        self.by_place.insert(place, id);
        is_new
    }

    /// Media goes to a viewer.
    pub fn count(&mut self, viewer: Viewer<'_>, bytes: usize) {
        let id = self.by_place.get(&viewer.place());
        if let Some(session) = id.and_then(|id| self.by_id.get_mut(id)) {
            session.bytes += bytes as u64;
        }
    }

    /// Forgets those that have not asked for `timeout_ms`.
    pub fn expire(&mut self, now: Micros, timeout_ms: u64) {
        let by_place = &mut self.by_place;
        self.by_id.retain(|id, session| {
            let stays = now.millis_since(session.seen) < timeout_ms;
            if !stays && by_place.get(&session.place) == Some(id) {
                by_place.remove(&session.place);
            }
            stays
        });
    }

    /// Each of them by a number, the same on all cores.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.by_id.keys().copied()
    }

    /// All of them.
    pub fn snapshots(&self, now: Micros) -> impl Iterator<Item = SessionSnapshot> {
        self.by_id.iter().map(move |(id, session)| SessionSnapshot {
            id: *id,
            session: session.session.clone(),
            peer: session.address.to_string(),
            agent: session.agent.clone(),
            alive_ms: now.millis_since(session.since),
            idle_ms: now.millis_since(session.seen),
            bytes: session.bytes,
            requests: session.requests,
        })
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer<'a>(session: &'a str, last: u8, agent: &'a str) -> Viewer<'a> {
        Viewer { session, address: IpAddr::from([192, 0, 2, last]), agent }
    }

    #[test]
    fn a_viewer_is_its_session_or_its_address_and_name() {
        let mut sessions = Sessions::default();
        for one in
            [viewer("a", 1, "x"), viewer("a", 2, "x"), viewer("", 1, "x"), viewer("", 1, "x")]
        {
            sessions.touch(one, Micros(0), 10);
        }
        assert!(!sessions.touch(viewer("a", 3, "z"), Micros(0), 10), "not a new one");
        assert_eq!(sessions.ids().count(), 2, "the phone that changed its network is one viewer");
        assert!(sessions.touch(viewer("", 1, "y"), Micros(0), 10));
        sessions.touch(viewer("b", 1, "x"), Micros(0), 3);
        assert_eq!(sessions.ids().count(), 3, "no more than three are remembered");
    }

    #[test]
    fn segments_count_for_the_session_of_their_address_and_name() {
        let mut sessions = Sessions::default();
        let one = viewer("a", 1, "x");
        sessions.touch(one, Micros(0), 10);
        sessions.count(viewer("", 1, "x"), 100);
        sessions.count(viewer("", 1, "z"), 7);
        let found: Vec<_> = sessions.snapshots(Micros(5_000)).collect();
        assert_eq!((found.len(), found[0].bytes, found[0].alive_ms), (1, 100, 5));
    }

    #[test]
    fn who_does_not_ask_any_more_is_forgotten() {
        let mut sessions = Sessions::default();
        sessions.touch(viewer("a", 1, "x"), Micros(0), 10);
        sessions.touch(viewer("b", 2, "x"), Micros::from_millis(500), 10);
        sessions.expire(Micros::from_millis(1_000), 1_000);
        assert_eq!((sessions.ids().count(), sessions.by_place.len()), (1, 1));
        sessions.count(viewer("", 1, "x"), 100);
        assert!(sessions.snapshots(Micros(0)).all(|one| one.bytes == 0));
    }
}
