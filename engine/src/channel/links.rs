//! The connections of a channel: pulls for its inputs, pushes for its outputs.
//!
//! A link is asked for once and given back once; in between, its dialer connects as often as it takes.

use super::snapshot::LinkSnapshot;
use crate::driver::link::{LinkEnd, LinkEvent, LinkId, LinkKind};

/// The input or output that a link is for: its place among the channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// It brings packets.
    Input(usize),
    /// It is sent the stream.
    Output(usize),
}

/// What a channel asks its core for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkRequest {
    /// A link that tells its events under this id.
    Open(LinkId, LinkKind),
    /// The link is not wanted any more.
    Close(LinkId),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    leg: Leg,
    kind: LinkKind,
    is_wanted: bool,
    /// What it is called, while it is asked for.
    id: Option<LinkId>,
    is_up: bool,
    connections: u64,
    /// Why it is down, once it was.
    why: Option<String>,
}

/// What the log should say of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has been accepted by the other side.
    Up,
    /// It is down, and was up or tried for the first time.
    Down(String),
}

impl Links {
    /// Adds a link that is not wanted yet.
    pub(super) fn add(&mut self, leg: Leg, kind: LinkKind) {
        let (is_wanted, is_up) = (false, false);
        let link = Link { leg, kind, is_wanted, id: None, is_up, connections: 0, why: None };
        self.links.push(link);
    }

    /// Wants the link of a leg that has one, or does not want it any more.
    pub(super) fn want(&mut self, leg: Leg, is_wanted: bool) {
        for link in self.links.iter_mut().filter(|link| link.leg == leg) {
            link.is_wanted = is_wanted;
        }
    }

    /// Wants all that send, or none of them.
    pub(super) fn want_outputs(&mut self, is_wanted: bool) {
        for link in &mut self.links {
            if matches!(link.leg, Leg::Output(_)) {
                link.is_wanted = is_wanted;
            }
        }
    }

    /// Wants none any more.
    pub(super) fn want_none(&mut self) {
        self.links.iter_mut().for_each(|link| link.is_wanted = false);
    }

    /// What is to be asked for; `new_id` names a new link.
    pub(super) fn poll(&mut self, new_id: impl FnOnce() -> LinkId) -> Option<LinkRequest> {
        let link = self.links.iter_mut().find(|link| link.is_wanted != link.id.is_some())?;
        if let Some(id) = link.id.take() {
            link.is_up = false;
            return Some(LinkRequest::Close(id));
        }
        let id = new_id();
        link.id = Some(id);
        Some(LinkRequest::Open(id, link.kind.clone()))
    }

    /// What a link is for; `None` for one that is not wanted any more.
    pub(super) fn leg(&self, id: LinkId) -> Option<Leg> {
        self.links.iter().find(|link| link.id == Some(id)).map(|link| link.leg)
    }

    /// Takes note of what has become of a link.
    pub(super) fn note(&mut self, id: LinkId, event: &LinkEvent) -> Option<News> {
        let link = self.links.iter_mut().find(|link| link.id == Some(id))?;
        match event {
            LinkEvent::Accepted => {
                (link.is_up, link.why) = (true, None);
                link.connections += 1;
                Some(News::Up)
            }
            LinkEvent::Ended(LinkEnd { why, .. }) => {
                let was_up = std::mem::replace(&mut link.is_up, false);
                // Told when it was lost, not each time that it cannot be had back.
                let is_news = was_up || link.why.is_none();
                link.why = Some(why.clone());
                is_news.then(|| News::Down(why.clone()))
            }
            LinkEvent::Connected | LinkEvent::Packets(_) | LinkEvent::Redirected(_) => None,
        }
    }

    /// For the API.
    pub(super) fn snapshots(&self) -> Vec<LinkSnapshot> {
        let snapshot = |link: &Link| LinkSnapshot {
            url: link.kind.url(),
            leg: link.leg,
            is_connected: link.is_up,
            connections: link.connections,
            why: link.why.clone(),
        };
        self.links.iter().map(snapshot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: LinkId = LinkId(7);

    fn links() -> (Links, LinkKind) {
        let kind = LinkKind::TcpPull { host: "127.0.0.1".to_owned(), port: 9 };
        let mut links = Links::default();
        links.add(Leg::Output(2), kind.clone());
        (links, kind)
    }

    fn ended(why: &str) -> LinkEvent {
        LinkEvent::Ended(LinkEnd { is_orderly: false, why: why.to_owned() })
    }

    #[test]
    fn a_link_is_asked_for_once_and_given_back_once() {
        let (mut links, kind) = links();
        let new_id = || ID;
        assert_eq!(links.poll(new_id), None, "nobody wants it");
        links.want_outputs(true);
        links.want(Leg::Output(2), true);
        assert_eq!(links.poll(new_id), Some(LinkRequest::Open(ID, kind)));
        assert_eq!((links.poll(new_id), links.leg(ID)), (None, Some(Leg::Output(2))));
        links.want_none();
        assert_eq!(links.poll(new_id), Some(LinkRequest::Close(ID)));
        assert_eq!((links.poll(new_id), links.leg(ID)), (None, None));
    }

    #[test]
    fn a_loss_is_told_once_however_often_it_is_tried_again() {
        let (mut links, _) = links();
        links.want_outputs(true);
        links.poll(|| ID);
        let down = |why: &str| Some(News::Down(why.to_owned()));
        assert_eq!(links.note(ID, &ended("refused")), down("refused"));
        assert_eq!(links.note(ID, &ended("refused")), None);
        assert_eq!(links.note(ID, &LinkEvent::Accepted), Some(News::Up));
        assert_eq!(links.note(ID, &ended("reset")), down("reset"));
        assert_eq!(links.note(ID, &ended("refused")), None);
        let snapshot = &links.snapshots()[0];
        assert_eq!((snapshot.is_connected, snapshot.connections), (false, 1));
        assert_eq!((snapshot.leg, snapshot.is_input()), (Leg::Output(2), false));
    }
}
