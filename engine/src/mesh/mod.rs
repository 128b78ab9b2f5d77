//! The mesh: lock-free rings between every two cores, in two lanes.
//!
//! - `control`: requests and answers about streams. Never dropped: what does not fit waits in order on
//!   the sender's side.
//! - `media`: units on their way to the owner, or from it. Dropped when full; the sender then leaves out
//!   everything up to the next random-access point and counts it.
//!
//! Invariants
//! - Each ring has one producer core and one consumer core (rtrb).
//! - A control message sent before a media message is handled before it: the receiver notes how much
//!   media there is before it empties the control lane, and handles only that much afterwards.
//! - Whatever is sent in a turn is followed by one ring of the doorbell per destination at its end.

mod sleep_flag;

use std::collections::VecDeque;

use rtrb::{Consumer, Producer, RingBuffer};

pub use sleep_flag::SleepFlag;

use crate::rt::Doorbell;

/// A data core, numbered from 0 in the order of the core map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreIndex(pub u16);

impl CoreIndex {
    /// The number as a slice index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The media lane towards a core is full: the message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneFull;

/// Everything one core needs to talk to the others.
pub struct Port<C, M> {
    core: CoreIndex,
    outlets: Vec<Option<Outbound<C, M>>>,
    inlets: Vec<Option<Inbound<C, M>>>,
}

struct Outbound<C, M> {
    control: Producer<C>,
    /// Control messages that found the ring full, oldest first.
    waiting: VecDeque<C>,
    media: Producer<M>,
    bell: Doorbell,
    /// Something was sent since the bell was last rung.
    unrung: bool,
}

struct Inbound<C, M> {
    control: Consumer<C>,
    media: Consumer<M>,
}

/// Depths of the rings between every two cores, in messages.
#[derive(Clone, Copy, Debug)]
pub struct Depths {
    /// Slots of each control ring.
    pub control_slots: usize,
    /// Slots of each media ring.
    pub media_slots: usize,
}

/// Makes the ports of all cores; `bells[i]` wakes core `i`.
pub fn connect<C, M>(bells: &[Doorbell], depths: Depths) -> Vec<Port<C, M>> {
    let cores = bells.len();
    let mut ports: Vec<Port<C, M>> = (0..cores)
        .map(|core| Port {
            core: CoreIndex(u16::try_from(core).expect("the core map is limited to 1,024 cores")),
            outlets: (0..cores).map(|_| None).collect(),
            inlets: (0..cores).map(|_| None).collect(),
        })
        .collect();
    for from in 0..cores {
        for to in (0..cores).filter(|&to| to != from) {
            let (control_in, control_out) = RingBuffer::new(depths.control_slots);
            let (media_in, media_out) = RingBuffer::new(depths.media_slots);
            ports[from].outlets[to] = Some(Outbound {
                control: control_in,
                waiting: VecDeque::new(),
                media: media_in,
                bell: bells[to].clone(),
                unrung: false,
            });
            ports[to].inlets[from] = Some(Inbound { control: control_out, media: media_out });
        }
    }
    ports
}

impl<C, M> Port<C, M> {
    /// The core this port belongs to.
    pub fn core(&self) -> CoreIndex {
        self.core
    }

    /// Number of data cores.
    pub fn cores(&self) -> usize {
        self.outlets.len()
    }

    /// Sends on the control lane; a full ring delays the message and never drops it.
    pub fn send_control(&mut self, to: CoreIndex, message: C) {
        let outbound = self.outbound(to);
        outbound.unrung = true;
        if outbound.waiting.is_empty() {
            if let Err(rtrb::PushError::Full(message)) = outbound.control.push(message) {
                outbound.waiting.push_back(message);
            }
        } else {
            outbound.waiting.push_back(message);
        }
    }

    /// Sends on the media lane.
    ///
    /// # Errors
    /// [`LaneFull`]: the other core is behind by the whole ring; the message is lost.
    pub fn send_media(&mut self, to: CoreIndex, message: M) -> Result<(), LaneFull> {
        let outbound = self.outbound(to);
        outbound.unrung = true;
        outbound.media.push(message).map_err(|_| LaneFull)
    }

    /// Ends a turn: moves delayed control messages into their rings and wakes the cores written to.
    pub fn ring_bells(&mut self) {
        for outbound in self.outlets.iter_mut().flatten() {
            while let Some(message) = outbound.waiting.pop_front() {
                if let Err(rtrb::PushError::Full(message)) = outbound.control.push(message) {
                    outbound.waiting.push_front(message);
                    break;
                }
                outbound.unrung = true;
            }
            if std::mem::take(&mut outbound.unrung) {
                outbound.bell.ring();
            }
        }
    }

    /// Control messages that wait on this side for room in a ring.
    pub fn delayed(&self) -> usize {
        self.outlets.iter().flatten().map(|outbound| outbound.waiting.len()).sum()
    }

    /// True when any other core has sent something that has not been received.
    pub fn has_input(&self) -> bool {
        self.inlets
            .iter()
            .flatten()
            .any(|inlet| !inlet.control.is_empty() || !inlet.media.is_empty())
    }

    /// Receives one batch: fills `control`, then `media`, with the sender of each message. The order of
    /// the module's second invariant holds if the caller handles all of `control` first.
    pub fn receive(
        &mut self,
        control: &mut Vec<(CoreIndex, C)>,
        media: &mut Vec<(CoreIndex, M)>,
        media_per_core_max: usize,
    ) {
        for (from, inlet) in self.inlets.iter_mut().enumerate() {
            let Some(inlet) = inlet else { continue };
            let from = CoreIndex(from as u16);
            let ready = inlet.media.slots().min(media_per_core_max);
            while let Ok(message) = inlet.control.pop() {
                control.push((from, message));
            }
            if let Ok(chunk) = inlet.media.read_chunk(ready) {
                media.extend(chunk.into_iter().map(|message| (from, message)));
            }
        }
    }

    fn outbound(&mut self, to: CoreIndex) -> &mut Outbound<C, M> {
        self.outlets[to.index()].as_mut().expect("a core does not send to itself over the mesh")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(depths: Depths) -> (Port<u32, u32>, Port<u32, u32>) {
        let bells = [Doorbell::new().unwrap(), Doorbell::new().unwrap()];
        let mut ports = connect(&bells, depths);
        let second = ports.pop().unwrap();
        (ports.pop().unwrap(), second)
    }

    fn receive(port: &mut Port<u32, u32>) -> (Vec<u32>, Vec<u32>) {
        let (mut control, mut media) = (Vec::new(), Vec::new());
        port.receive(&mut control, &mut media, usize::MAX);
        (
            control.into_iter().map(|(_, message)| message).collect(),
            media.into_iter().map(|(_, message)| message).collect(),
        )
    }

    #[test]
    fn a_full_control_lane_delays_and_keeps_the_order() {
        let (mut a, mut b) = pair(Depths { control_slots: 2, media_slots: 2 });
        for message in 0..7 {
            a.send_control(CoreIndex(1), message);
        }
        assert_eq!(a.delayed(), 5);
        let mut got = Vec::new();
        while got.len() < 7 {
            a.ring_bells();
            got.extend(receive(&mut b).0);
        }
        assert_eq!(got, (0..7).collect::<Vec<_>>());
        assert_eq!(a.delayed(), 0);
    }

    #[test]
    fn a_full_media_lane_refuses_and_says_so() {
        let (mut a, mut b) = pair(Depths { control_slots: 2, media_slots: 2 });
        assert_eq!(a.send_media(CoreIndex(1), 1), Ok(()));
        assert_eq!(a.send_media(CoreIndex(1), 2), Ok(()));
        assert_eq!(a.send_media(CoreIndex(1), 3), Err(LaneFull));
        assert!(b.has_input());
        assert_eq!(receive(&mut b).1, [1, 2]);
        assert!(!b.has_input());
        assert_eq!(a.send_media(CoreIndex(1), 4), Ok(()));
    }

    #[test]
    fn media_sent_while_control_is_being_read_waits_for_the_next_batch() {
        let (mut a, mut b) = pair(Depths { control_slots: 8, media_slots: 8 });
        a.send_media(CoreIndex(1), 1).unwrap();
        a.send_control(CoreIndex(1), 10);
        let (mut control, mut media) = (Vec::new(), Vec::new());
        b.receive(&mut control, &mut media, 1);
        a.send_media(CoreIndex(1), 2).unwrap();
        assert_eq!(media, [(CoreIndex(0), 1)]);
        assert_eq!(control, [(CoreIndex(0), 10)]);
        assert_eq!(receive(&mut b).1, [2]);
    }
}
