//! Transport streams that come as such: packets as they are, access units by the bridge.

use bytes::Bytes;
use corelay_codecs::TsBlock;
use corelay_codecs::container::flv::TagType;
use corelay_codecs::container::flv::demux::{Tag, parse_tag};
use corelay_codecs::container::mpegts::mux;

use super::rig::*;
use super::transport::{config, look, second};
use crate::hub::*;

/// A headend: transport stream packets of its own, a block for each picture.
struct Headend {
    muxer: mux::Muxer,
    sent: Vec<u8>,
    /// Where in `sent` the groups of pictures begin.
    entries: Vec<usize>,
}

impl Headend {
    fn new() -> Self {
        let settings = mux::Settings { service_name: "native".to_owned(), ..Default::default() };
        let mut muxer = mux::Muxer::new(settings);
        let unit = |tag: &Tag| parse_tag(tag.tag_type, 0, tag.body.clone()).unwrap().remove(0);
        muxer.write(&unit(&config(0)), &mut Vec::new());
        Self { muxer, sent: Vec::new(), entries: Vec::new() }
    }

    /// Sends a second of pictures.
    fn second(&mut self, rig: &mut Rig, peer: usize, from_ms: u32) {
        for tag in second(from_ms, 2_000) {
            let unit = parse_tag(tag.tag_type, i64::from(tag.timestamp_ms), tag.body).unwrap();
            let is_entry = unit[0].is_video_random_access();
            let mut packets = Vec::new();
            self.muxer.write(&unit[0], &mut packets);
            if is_entry {
                self.entries.push(self.sent.len());
            }
            self.sent.extend_from_slice(&packets);
            // The muxer puts PAT and PMT in front of each group.
            let tables = is_entry.then(|| Bytes::copy_from_slice(&packets[..2 * 188]));
            rig.push_packets(peer, TsBlock::new(packets.into()).unwrap(), tables);
        }
    }

    /// Everything from a group on, its tables in front.
    fn since_entry(&self, group: usize) -> Vec<u8> {
        let from = self.entries[group];
        [&self.sent[from..from + 2 * 188], &self.sent[from..]].concat()
    }
}

fn pictures(rig: &Rig, viewer: usize) -> Vec<Tag> {
    rig.frames(viewer).into_iter().filter(|tag| tag.tag_type == TagType::Video).collect()
}

#[test]
fn packets_reach_viewers_on_every_core_byte_for_byte_and_late_ones_from_the_newest_group() {
    for cores in [1, 2] {
        let mut rig = Rig::new(cores);
        let key = rig.key(cores - 1);
        let early = rig.play(cores - 1, &key, Watch::form(Form::HttpTs));
        let (publisher, mut headend) = (rig.publish(0, &key), Headend::new());
        headend.second(&mut rig, publisher, 0);
        headend.second(&mut rig, publisher, 1_000);
        let late = rig.play(0, &key, Watch::form(Form::HttpTs));
        headend.second(&mut rig, publisher, 2_000);
        rig.pass(100);
        assert!(rig.peers[early].got == headend.since_entry(0));
        assert!(rig.peers[late].got == headend.since_entry(1));
    }
}

#[test]
fn the_bridge_gives_access_units_at_once_and_is_gone_with_its_last_viewer() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let (publisher, mut headend) = (rig.publish(0, &key), Headend::new());
    let plain = rig.play(1, &key, Watch::form(Form::HttpTs));
    headend.second(&mut rig, publisher, 0);
    assert!(rig.hubs.iter().all(|hub| hub.replicas.iter().all(|(_, one)| one.bridge().is_none())));
    let viewers = [Form::Rtmp, Form::HttpFlv, Form::WebSocketFlv]
        .map(|form| rig.play(1, &key, Watch::form(form)));
    headend.second(&mut rig, publisher, 1_000);
    for viewer in viewers {
        let got = pictures(&rig, viewer);
        // A picture ends where the next one begins.
        assert_eq!(got.len(), 49, "the present group and the next one, without its last picture");
        let times: Vec<u32> = got.iter().map(|tag| tag.timestamp_ms).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 40), "{times:?}");
        rig.stop(viewer);
    }
    rig.pass(60_000);
    assert!(rig.hubs[1].replicas.iter().all(|(_, replica)| replica.bridge().is_none()));
    headend.second(&mut rig, publisher, 2_000);
    assert!(rig.peers[plain].got == headend.since_entry(0));
}

#[test]
fn a_viewer_stays_when_packets_follow_on_access_units_and_the_other_way_round() {
    let mut rig = Rig::new(2);
    let key = rig.key(0);
    let first = rig.publish(1, &key);
    rig.send(first, &[config(0)]);
    rig.send(first, &second(0, 2_000));
    let (ts, rtmp) =
        (rig.play(1, &key, Watch::form(Form::HttpTs)), rig.play(1, &key, Watch::form(Form::Rtmp)));
    let (native, mut headend) = (rig.publish(0, &key), Headend::new());
    headend.second(&mut rig, native, 70_000);
    headend.second(&mut rig, native, 71_000);
    let before = rig.peers[ts].got.len();
    assert!(rig.peers[ts].got.ends_with(&headend.sent));
    let last = rig.publish(1, &key);
    rig.send(last, &[config(0)]);
    rig.send(last, &second(500, 2_000));
    rig.pass(100);
    let seen = look(&rig.peers[ts].got[before..]);
    assert_eq!((seen.pictures, seen.keyframes), (25, 1));
    let got = pictures(&rig, rtmp);
    assert_eq!(got.len(), 25 + 50 + 25, "the bridge gives out its last picture when it ends");
    let times: Vec<u32> = got.iter().map(|tag| tag.timestamp_ms).collect();
    // Packets are timed by their arrival: what follows on them has that time.
    assert!(times[..75].windows(2).all(|pair| pair[0] <= pair[1]), "one timeline: {times:?}");
    assert!(times[75..].windows(2).all(|pair| pair[0] < pair[1]), "one timeline: {times:?}");
    rig.stop(ts);
    rig.stop(rtmp);
    rig.unpublish(last);
    rig.pass(120_000);
    rig.assert_empty();
}

#[test]
fn sound_alone_of_a_transport_stream_goes_through_the_bridge() {
    let mut rig = Rig::new(1);
    let key = rig.key(0);
    let tracks = SOUND;
    let mut watch = Watch::form(Form::HttpTs);
    watch.egress.tracks = tracks;
    let viewer = rig.play(0, &key, watch);
    let (publisher, mut headend) = (rig.publish(0, &key), Headend::new());
    headend.second(&mut rig, publisher, 0);
    rig.pass(100);
    assert_eq!(rig.peers[viewer].got, b"", "no pictures, and it has no sound");
}

#[test]
fn packets_that_find_the_way_full_are_lost_by_whole_groups() {
    let mut rig = Rig::with(2, |config| config.cores.ring_media_slots = 16);
    let key = rig.key(0);
    let viewer = rig.play(1, &key, Watch::form(Form::HttpTs));
    let (publisher, mut headend) = (rig.publish(0, &key), Headend::new());
    headend.second(&mut rig, publisher, 0);
    for round in 1..4 {
        // The viewer's core does not get its turn for a second and a half.
        rig.hold(1, true);
        headend.second(&mut rig, publisher, round * 2_000);
        rig.hold(1, false);
        headend.second(&mut rig, publisher, round * 2_000 + 1_000);
    }
    rig.pass(100);
    assert!(rig.count(|stats| &stats.ring_drops) > 0);
    let got = &rig.peers[viewer].got;
    let seen = look(got);
    assert!(seen.gaps > 0 && seen.keyframes >= 4, "{} groups", seen.keyframes);
    let last = headend.entries[headend.entries.len() - 1];
    assert!(got.ends_with(&headend.sent[last..]));
}
