//! The message streams of one connection.

use crate::rtmp::event::MessageStreamId;

/// What a message stream is used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Created, or its publication or play has ended.
    #[default]
    Idle,
    /// The peer publishes.
    Publishing {
        /// Stream name as the peer sent it.
        name: String,
    },
    /// The peer plays.
    Playing(Play),
}

/// A running play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Play {
    /// Stream name as the peer sent it.
    pub(super) name: String,
    pub(super) audio: bool,
    pub(super) video: bool,
    pub(super) paused: bool,
}

/// Message streams by id. Ids start at 1, and the lowest free one is given out: all but the oddest
/// clients have one stream, its id is 1, and muxed media can carry that id for all of them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Role>>,
}

impl Streams {
    /// Makes a message stream, if there are fewer than `count_max`.
    pub(super) fn create(&mut self, count_max: usize) -> Option<MessageStreamId> {
        let index = match self.slots.iter().position(Option::is_none) {
            Some(index) => index,
            None if self.slots.len() < count_max => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return None,
        };
        *self.slots.get_mut(index)? = Some(Role::Idle);
        u32::try_from(index + 1).ok().map(MessageStreamId)
    }

    /// Removes a message stream and returns what it was used for.
    pub(super) fn delete(&mut self, id: MessageStreamId) -> Option<Role> {
        let role = self.slots.get_mut(index_of(id)?)?.take();
        while matches!(self.slots.last(), Some(None)) {
            self.slots.pop();
        }
        role
    }

    /// The role of a message stream, if that exists.
    pub(super) fn role(&self, id: MessageStreamId) -> Option<&Role> {
        self.slots.get(index_of(id)?)?.as_ref()
    }

    /// The role of a message stream, if that exists.
    pub(super) fn role_mut(&mut self, id: MessageStreamId) -> Option<&mut Role> {
        self.slots.get_mut(index_of(id)?)?.as_mut()
    }

    /// The play of a message stream, if it plays.
    pub(super) fn play_mut(&mut self, id: MessageStreamId) -> Option<&mut Play> {
        match self.role_mut(id) {
            Some(Role::Playing(play)) => Some(play),
            _ => None,
        }
    }

    /// All message streams with their roles.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MessageStreamId, &Role)> {
        (1..)
            .map(MessageStreamId)
            .zip(&self.slots)
            .filter_map(|(id, role)| Some((id, role.as_ref()?)))
    }

    /// The only publication of the connection, if there is exactly one.
    pub(super) fn only_publication(&self) -> Option<MessageStreamId> {
        let mut ids = self.iter().filter(|(_, role)| matches!(role, Role::Publishing { .. }));
        let (id, _) = ids.next()?;
        ids.next().is_none().then_some(id)
    }
}

fn index_of(id: MessageStreamId) -> Option<usize> {
    usize::try_from(id.0).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_free_id_is_given_out_up_to_the_limit() {
        let mut streams = Streams::default();
        let ids: Vec<_> = (0..4).map(|_| streams.create(3).map(|id| id.0)).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3), None]);
        assert_eq!(streams.delete(MessageStreamId(2)), Some(Role::Idle));
        assert_eq!(streams.delete(MessageStreamId(2)), None);
        assert_eq!(streams.create(3), Some(MessageStreamId(2)));
    }

    #[test]
    fn connection_and_unknown_ids_have_no_role() {
        let mut streams = Streams::default();
        streams.create(1);
        for id in [0, 2, u32::MAX] {
            assert_eq!(streams.role(MessageStreamId(id)), None);
            assert_eq!(streams.delete(MessageStreamId(id)), None);
        }
    }
}
