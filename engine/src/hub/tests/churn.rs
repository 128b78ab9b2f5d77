//! Anything in any order, on two cores.

use corelay_codecs::container::flv::demux::Tag;
use corelay_config::{Start, Takeover};
use proptest::prelude::*;

use super::media::*;
use super::rig::*;
use crate::hub::*;

#[derive(Clone, Debug)]
enum Op {
    Publish {
        core: usize,
        stream: usize,
    },
    Unpublish(usize),
    /// A keyframe, an inter frame, sound, metadata, the same or another configuration.
    Media(usize, u8),
    Play {
        core: usize,
        stream: usize,
        form: usize,
        slow: bool,
        delivery: Delivery,
    },
    Stop(usize),
    Pause(usize),
    Resume(usize),
    Select(usize, u8),
    /// The client takes some bytes.
    Sip(usize, usize),
    Pass(u64),
    /// Turns of one core alone.
    Turn(usize),
    /// A flush that has no time.
    Hurry(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let some = 0usize..8;
    let play = (0usize..2, 0usize..2, 0usize..3, any::<bool>(), 0usize..3);
    prop_oneof![
        2 => (0usize..2, 0usize..2).prop_map(|(core, stream)| Op::Publish { core, stream }),
        1 => some.clone().prop_map(Op::Unpublish),
        20 => (some.clone(), 0u8..12).prop_map(|(who, what)| Op::Media(who, what)),
        4 => play.prop_map(|(core, stream, form, slow, delivery)| {
            let all = [Delivery::Shared, Delivery::Encrypted, Delivery::Copied];
            Op::Play { core, stream, form, slow, delivery: all[delivery] }
        }),
        2 => some.clone().prop_map(Op::Stop),
        1 => some.clone().prop_map(Op::Pause),
        2 => some.clone().prop_map(Op::Resume),
        2 => (some.clone(), 1u8..4).prop_map(|(who, tracks)| Op::Select(who, tracks)),
        4 => (some, 0usize..20_000).prop_map(|(who, bytes)| Op::Sip(who, bytes)),
        3 => (0u64..1_500).prop_map(Op::Pass),
        6 => (0usize..2).prop_map(Op::Turn),
        2 => (0usize..2).prop_map(Op::Hurry),
    ]
}

struct Churn {
    rig: Rig,
    keys: [StreamKey; 2],
    publishers: Vec<usize>,
    viewers: Vec<usize>,
    sent: Vec<Tag>,
    number: u32,
}

impl Churn {
    fn new(tight: bool, edge: bool, first_wins: bool) -> Self {
        let rig = Rig::with(2, |config| {
            let policy = &mut config.applications.default;
            policy.publisher_grace_ms = 700;
            policy.linger_ms = 500;
            policy.behind_bytes_max = 40_000;
            policy.log_bytes_max = 60_000;
            policy.skips_max = 20;
            if edge {
                policy.start = Start::LiveEdge;
            }
            if first_wins {
                policy.takeover = Takeover::FirstWins;
            }
            if tight {
                config.cores.ring_media_slots = 4;
                config.cores.ring_control_slots = 1;
                config.memory.logs_bytes_max = 200_000;
            }
        });
        let keys = [rig.key(0), rig.key(1)];
        Self { rig, keys, publishers: vec![], viewers: vec![], sent: vec![], number: 0 }
    }

    fn run(&mut self, op: &Op) {
        let pick = |from: &[usize], which: usize| from.get(which % from.len().max(1)).copied();
        let viewer = |churn: &Self, which| {
            let peer = pick(&churn.viewers, which)?;
            Some((peer, churn.rig.peers[peer].play?))
        };
        match *op {
            Op::Publish { core, stream } => {
                let key = self.keys[stream].clone();
                let peer = self.rig.publish(core, &key);
                self.publishers.push(peer);
            }
            Op::Unpublish(which) => {
                if let Some(peer) = pick(&self.publishers, which) {
                    self.rig.unpublish(peer);
                    self.publishers.retain(|publisher| *publisher != peer);
                }
            }
            Op::Media(which, what) => {
                let Some(peer) = pick(&self.publishers, which) else { return };
                let tag = self.media(what);
                self.rig.push(peer, &tag);
                self.sent.push(tag);
            }
            Op::Play { core, stream, form, slow, delivery } => {
                let form = [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv][form];
                let watch = if slow { Watch::stuck(form) } else { Watch::form(form) };
                let is_other = delivery == Delivery::Copied && form != Form::Rtmp;
                let delivery = if is_other { Delivery::Shared } else { delivery };
                let watch = Watch { delivery, wait_ms: 800, ..watch };
                let key = self.keys[stream].clone();
                let peer = self.rig.play(core, &key, watch);
                self.viewers.push(peer);
            }
            Op::Stop(which) => {
                if let Some(peer) = pick(&self.viewers, which) {
                    self.rig.stop(peer);
                }
            }
            Op::Pause(which) => {
                if let Some((peer, play)) = viewer(self, which) {
                    self.rig.hub_of(peer).pause(play);
                }
            }
            Op::Resume(which) => {
                if let Some((peer, play)) = viewer(self, which) {
                    self.rig.hub_of(peer).resume(play);
                }
            }
            Op::Select(which, tracks) => {
                let Some((peer, play)) = viewer(self, which) else { return };
                let form = self.rig.peers[peer].egress.form;
                let (video, audio) = (tracks & 1 != 0, tracks & 2 != 0);
                let tracks = corelay_codecs::TrackFilter { video, audio };
                let now = self.rig.now;
                self.rig.hub_of(peer).select(play, Egress::new(form, tracks), now);
            }
            Op::Sip(which, bytes) => {
                if let Some(peer) = pick(&self.viewers, which) {
                    self.rig.sip(peer, bytes);
                }
            }
            Op::Pass(ms) => self.rig.pass(ms),
            Op::Turn(core) => self.rig.turn(core),
            Op::Hurry(core) => {
                self.rig.finish_turn(core, Micros(0));
            }
        }
        (0..2).for_each(|core| self.rig.hand_over(core));
    }

    fn media(&mut self, what: u8) -> Tag {
        self.number += 1;
        let (number, ms) = (self.number, self.number * 40);
        match what {
            0..=1 => key(ms, number, 9_000),
            2..=6 => inter(ms, number, 3_000),
            7..=8 => audio(ms, number),
            9 => metadata(number),
            10 => video_config(ms, 1),
            _ => video_config(ms, number),
        }
    }

    /// Every viewer has got whole messages, of what was sent, in order; then nothing may be left.
    fn end(mut self) {
        for peer in 0..self.rig.peers.len() {
            self.rig.peers[peer].reads = true;
        }
        self.rig.settle();
        self.publishers.clone().into_iter().for_each(|peer| self.rig.unpublish(peer));
        self.rig.pass(3_000);
        for viewer in self.viewers.clone() {
            self.check(viewer);
            self.rig.stop(viewer);
        }
        self.rig.pass(3_000);
        self.rig.assert_empty();
    }

    fn check(&self, viewer: usize) {
        let place = |tag: &Tag| {
            self.sent.iter().position(|sent| sent.body == tag.body).expect("this was never sent")
        };
        let got = self.rig.tags(viewer);
        assert_eq!(self.rig.cut_off(viewer), 0, "cut off in the middle of a message");
        let frames: Vec<_> = got.iter().filter(|tag| is_frame(tag)).collect();
        let places: Vec<_> = frames.iter().map(|tag| place(tag)).collect();
        // A viewer that resumes or selects goes back to the newest keyframe; otherwise, only forward.
        for (pair, frame) in places.windows(2).zip(frames.iter().skip(1)) {
            let is_start = is_key(frame) || frame.body[0] == 0xaf;
            assert!(pair[1] > pair[0] || is_start, "{places:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_viewers_get_whole_messages_and_nothing_is_left(
        ops in prop::collection::vec(op(), 1..160),
        (tight, edge, first_wins) in any::<(bool, bool, bool)>(),
    ) {
        let mut churn = Churn::new(tight, edge, first_wins);
        for op in &ops {
            churn.run(op);
        }
        churn.end();
    }
}
