//! Channels with two inputs: what their viewers see while one after the other fails.

#[allow(dead_code, unreachable_pub)]
#[path = "support/feed.rs"]
mod feed;
#[allow(dead_code, unreachable_pub)]
#[path = "support/headend.rs"]
mod headend;
#[allow(dead_code, unreachable_pub)]
#[path = "support/listener.rs"]
mod listener;
#[allow(dead_code, unreachable_pub)]
#[path = "support/packets.rs"]
mod packets;
mod support;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use corelay_codecs::container::mpegts::analysis::{self, Analyser};
use feed::{Carriage, Fault, Feed, TX0, TX1};
use headend::{Headend, PACKET_SIZE, Settings};
use listener::{Heard, Listener, payloads};
use packets::starts_unit;
use packets::{Packet, cut, dts, is_discontinuity, is_middle, is_random_access, pcr, pid, since};
use support::netns::{self, Network};
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::{LIMIT, http, wait_for, wait_until};

/// The same programme from another headend for each seed: other bytes, another clock.
fn headend(seed: u64) -> Headend {
    Headend::new(settings(seed))
}

fn settings(seed: u64) -> Settings {
    // A random access point every 120 ms, so that most switches find one.
    let rates = Settings { rate_bps: 2_500_000, video_bps: 1_000_000, ..Settings::default() };
    Settings { seed, gop_pictures: 3, ..rates }
}

/// A channel with two inputs on two cables.
fn channel(name: &str, inputs: [&str; 2], output: &str, more: &str) -> String {
    let [first, second] = inputs;
    format!(
        "[[channel]]
         name = \"{name}\"
         input = [\"udp://rx0@{first}\", \"udp://rx1@{second}\"]
         output = [\"udp://rx0@{output}\"]
         {more}
         "
    )
}

/// Starts a relay, and waits until so many inputs are open.
fn start(settings: &str, inputs: usize) -> Relay {
    let relay = Relay::start(settings);
    wait_until("the inputs are open", LIMIT, || lines(&relay, &[" input ", " is open"]) >= inputs);
    relay
}

/// Number of log lines with all of these words.
fn lines(relay: &Relay, words: &[&str]) -> usize {
    let log = relay.log();
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// What the API says of a channel's switches.
fn failover(relay: &Relay, name: &str) -> serde_json::Value {
    relay.stream("iptv", name).expect("the stream exists")["failover"].clone()
}

/// What the log says of each switch of channel `one`.
const SWITCH: &str = "channel iptv/one goes from input";

/// Waits until the last switch of channel `one` was to this input. There may be more of them than the
/// test makes: where the machine stalls, an input is silent.
fn await_input(relay: &Relay, number: usize) {
    let wanted = format!("to input {number} ");
    let is_on_air = || {
        let log = relay.log();
        log.lines().rfind(|line| line.contains(SWITCH)).is_some_and(|line| line.contains(&wanted))
    };
    let deadline = Instant::now() + LIMIT;
    while !is_on_air() {
        assert!(Instant::now() < deadline, "waited in vain for input {number}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Number of switches of channel `one`, when log, API and metrics agree on it.
fn switches(relay: &Relay) -> usize {
    wait_for("log, API and metrics count the same", LIMIT, || {
        let logged = lines(relay, &[SWITCH]);
        let counted = relay.metric("corelay_channel_switches_total", "iptv/one");
        let is_one = failover(relay, "one")["switches"] == logged && counted == Some(logged as f64);
        is_one.then_some(logged)
    })
}

/// Waits until an output has gone on for a hundred datagrams.
fn await_more(listener: &Listener) {
    let enough = listener.bytes() + 100 * 7 * PACKET_SIZE as u64;
    wait_until("it goes on", LIMIT, || listener.bytes() >= enough);
}

/// A viewer that reads until it is told to stop, and must not be dropped before.
struct Watching<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Watching<T> {
    /// `step` reads some more; false when the stream has ended.
    fn start<V: Send + 'static>(
        mut viewer: V,
        step: impl Fn(&mut V) -> bool + Send + 'static,
        result: impl FnOnce(V) -> T + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                assert!(step(&mut viewer), "the viewer was dropped");
            }
            result(viewer)
        });
        Self { stop, thread }
    }

    fn stop(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it was served to the end")
    }
}

/// Watches by HTTP as a transport stream: its bytes.
fn watch_http(address: SocketAddr, path: &str) -> Watching<Vec<u8>> {
    let viewer = http::Viewer::open(address, path);
    assert_eq!(viewer.head.status, 200, "{path}");
    let step = |viewer: &mut http::Viewer| viewer.read_to(viewer.bytes.len() + 1);
    Watching::start(viewer, step, |viewer| viewer.bytes)
}

/// Watches by RTMP: kinds and times of its frames.
fn watch_rtmp(address: SocketAddr, app: &str, name: &str) -> Watching<Vec<(u8, u32)>> {
    let viewer = Rtmp::play(address, app, name).expect("the viewer is accepted");
    let step = |viewer: &mut (Rtmp, Vec<(u8, u32)>)| {
        let Ok(message) = viewer.0.next() else { return false };
        let frame = message.tag().filter(|tag| tag.is_media());
        viewer.1.extend(frame.map(|tag| (tag.kind, tag.timestamp_ms)));
        true
    };
    Watching::start((viewer, Vec::new()), step, |viewer| viewer.1)
}

/// Which packet was sent where: those that nobody changes, by what they hold.
struct Origins {
    hasher: RandomState,
    places: HashMap<u64, (usize, usize)>,
}

impl Origins {
    fn of(sent: &[&[u8]]) -> Self {
        let mut origins = Self { hasher: RandomState::new(), places: HashMap::new() };
        for (source, sent) in sent.iter().enumerate() {
            let known = cut(sent).iter().filter(|packet| is_known(packet));
            for (number, packet) in known.enumerate() {
                origins.places.insert(origins.hasher.hash_one(&packet[4..]), (source, number));
            }
        }
        origins
    }

    /// Source and number of a packet.
    fn find(&self, packet: &Packet) -> Option<(usize, usize)> {
        if !is_known(packet) {
            return None;
        }
        Some(*self.places.get(&self.hasher.hash_one(&packet[4..])).expect("it was sent by one"))
    }
}

/// The inside of pictures, which is random.
fn is_known(packet: &Packet) -> bool {
    pid(packet) == VIDEO_PID && is_middle(packet)
}

const VIDEO_PID: u16 = 0x101;

/// A part of the output that came from one source.
#[derive(Clone, Copy, Debug)]
struct Run {
    source: usize,
    /// Times of its first and last packet.
    first_us: u64,
    last_us: u64,
    /// Number of its last packet.
    last: usize,
    /// It begins at a random access point.
    is_entry: bool,
}

/// Cuts the output at its switches.
///
/// # Panics
/// When a packet is missing within a part, or twice.
fn runs(heard: &[Heard], origins: &Origins) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut is_entry = false;
    for (one, packet) in packets_of(heard) {
        if pid(packet) == VIDEO_PID && starts_unit(packet) {
            is_entry = is_random_access(packet);
        }
        let Some((source, number)) = origins.find(packet) else { continue };
        let at_us = one.at_us;
        match runs.last_mut() {
            Some(run) if run.source == source && run.last < number => {
                assert_eq!(number, run.last + 1, "packets are missing in {run:?}");
                (run.last, run.last_us) = (number, at_us);
            }
            _ => runs.push(Run { source, first_us: at_us, last_us: at_us, last: number, is_entry }),
        }
    }
    runs
}

/// Every packet with its datagram.
fn packets_of(heard: &[Heard]) -> impl Iterator<Item = (&Heard, &Packet)> {
    heard.iter().flat_map(|one| cut(&one.payload).iter().map(move |packet| (one, packet)))
}

/// # Panics
/// When the clock does not go on as time does: by more than `off_us_max` from one PCR to the next, or
/// back by `back_us_max` or more. Where the machine stalls at a switch, arrivals tell the wrong time, and
/// the clock is off by the stall when the main input returns: with one of 50 PCRs at most.
fn assert_clock_goes_on(heard: &[Heard], off_us_max: i64, back_us_max: i64) {
    let clocks: Vec<(u64, u64)> =
        packets_of(heard).filter_map(|(one, packet)| Some((one.at_us, pcr(packet)?))).collect();
    let step = |pair: &[(u64, u64)]| {
        let [(from_us, from), (to_us, to)] = [pair[0], pair[1]];
        (since(from, to) / 27, (to_us - from_us) as i64)
    };
    let steps: Vec<(i64, i64)> = clocks.windows(2).map(step).collect();
    let is_wrong = |&(clock_us, passed_us): &(i64, i64)| {
        (clock_us - passed_us).abs() > off_us_max || (clock_us <= 0 && -clock_us >= back_us_max)
    };
    let wrong: Vec<(i64, i64)> = steps.iter().copied().filter(is_wrong).collect();
    let is_allowed = wrong.len() <= steps.len() / 50;
    assert!(is_allowed, "of {} steps, in us, and us by arrival: {wrong:?}", steps.len());
    // The middle of the first ones and the middle of the last ones: single parts may be off.
    let late_us = |&(at_us, clock): &(u64, u64)| {
        (at_us - clocks[0].0) as i64 - since(clocks[0].1, clock) / 27
    };
    let count = clocks.len() / 20;
    let middle = |part: &[(u64, u64)]| {
        let mut late_us: Vec<i64> = part.iter().map(late_us).collect();
        late_us.sort_unstable();
        late_us[late_us.len() / 2]
    };
    let off_us = middle(&clocks[clocks.len() - count..]) - middle(&clocks[..count]);
    assert!(off_us.abs() < 200_000, "off by {off_us} us in the end");
}

/// From the clock to the decoding time of pictures, in us.
fn leads<'a>(packets: impl Iterator<Item = &'a Packet>) -> RangeInclusive<i64> {
    let leads = packets.filter_map(|packet| Some(since(pcr(packet)?, dts(packet)?) / 27));
    let (least, most) = leads.fold((i64::MAX, i64::MIN), |(l, m), one| (l.min(one), m.max(one)));
    least..=most
}

fn analysed(heard: &[Heard]) -> analysis::Snapshot {
    let mut analyser = Analyser::new(analysis::Settings::default());
    heard.iter().for_each(|one| analyser.packets(&one.payload, one.at_us));
    analyser.snapshot()
}

#[test]
fn of_two_hundred_switches_nobody_sees_more_than_a_moment() {
    netns::inside("of_two_hundred_switches_nobody_sees_more_than_a_moment", |network: &Network| {
        let inputs = ["239.4.0.1:1234", "239.4.0.2:1234"];
        let more = "failover = { silence_ms = 100, entry_wait_ms = 200, return_ms = 100 }";
        let relay = start(&channel("iptv/one", inputs, "239.5.0.1:1234", more), 2);
        let sender = network.sender();
        let listener = Listener::join(sender, "tx0", "239.5.0.1:1234");
        let main = Feed::start(sender, TX0, inputs[0], Carriage::Raw, headend(1));
        let spare = Feed::start(sender, TX1, inputs[1], Carriage::Raw, headend(2));
        thread::sleep(Duration::from_millis(700));
        let by_http = watch_http(relay.http(), "/iptv/one.ts");
        let by_rtmp = watch_rtmp(relay.rtmp(), "iptv", "one");
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        for _ in 0..100 {
            main.mute();
            await_input(&relay, 2);
            main.unmute();
            await_input(&relay, 1);
            // Long enough for some sound.
            thread::sleep(Duration::from_millis(60));
        }
        let took = begun.elapsed();
        thread::sleep(Duration::from_millis(300));
        let (viewed, frames) = (by_http.stop(), by_rtmp.stop());
        let sent = [main.stop(), spare.stop()];
        let switches = switches(&relay);
        let heard = listener.stop();

        let runs = runs(&heard, &Origins::of(&[&sent[0], &sent[1]]));
        let told = 200..=switches;
        assert!(told.contains(&(runs.len() - 1)), "{} parts, {switches} were told", runs.len());
        let mut gaps = [Vec::new(), Vec::new()];
        for pair in runs.windows(2) {
            assert_ne!(pair[0].source, pair[1].source);
            gaps[pair[1].source].push((pair[1].first_us - pair[0].last_us) / 1_000);
        }
        let [back, out] = gaps.map(|mut gaps| {
            gaps.sort_unstable();
            gaps
        });
        let entries = runs.iter().filter(|run| run.is_entry).count();
        // Beyond the detection: the wait for an entry of at most 200 ms, and what the box takes. A quarter
        // of them may be the stalls of a busy machine.
        assert!(
            out[out.len() * 3 / 4] <= 100 + 300,
            "{out:?} ms from the last packet to the next one"
        );
        assert!(out[out.len() / 10] >= 90, "{out:?}");
        assert!(back[back.len() * 3 / 4] <= 100, "{back:?} ms on the way back");
        assert!(entries * 10 >= runs.len() * 9, "{entries} of {} at an entry", runs.len());

        let totals = analysed(&heard).totals;
        assert!(totals.counter_errors <= switches as u64, "{totals:?}");
        assert_eq!((totals.sync_losses, totals.crc_errors), (0, 0), "{totals:?}");
        assert_clock_goes_on(&heard, 150_000, 0);
        assert!(packets_of(&heard).all(|(_, packet)| !is_discontinuity(packet)));
        let expected = leads(sent.iter().flat_map(|sent| cut(sent)));
        let got = leads(packets_of(&heard).map(|(_, packet)| packet));
        assert!(
            *expected.start() - 1_000 <= *got.start() && *got.end() <= *expected.end() + 1_000,
            "pictures {got:?} us ahead of the clock, those sent {expected:?} us"
        );
        assert_viewed(&viewed, &payloads(&heard));
        assert_frames(&frames, took);
    });
}

/// # Panics
/// When the viewer got something else than the output did, from some packet on.
fn assert_viewed(viewed: &[u8], output: &[u8]) {
    let viewed = cut(&viewed[..viewed.len() / PACKET_SIZE * PACKET_SIZE]);
    assert!(is_random_access(&viewed[2]), "it begins with its tables and an entry");
    let output = cut(output);
    let from = output.iter().position(|packet| packet == &viewed[2]).expect("it was sent");
    let differs = viewed[2..].iter().zip(&output[from..]).position(|(one, other)| one != other);
    assert_eq!(differs, None, "the viewer got other packets, of {} ", viewed.len());
    assert!(viewed.len() - 2 <= output.len() - from);
    assert!(viewed.len() > output.len() * 9 / 10, "{} of {}", viewed.len(), output.len());
}

/// # Panics
/// When times of frames go back, or frames are missing for long more than now and then.
fn assert_frames(frames: &[(u8, u32)], took: Duration) {
    for kind in [support::flv::VIDEO, support::flv::AUDIO] {
        let times: Vec<u32> =
            frames.iter().filter(|frame| frame.0 == kind).map(|frame| frame.1).collect();
        let steps = times.windows(2).map(|pair| {
            assert!(pair[1] >= pair[0], "kind {kind}: {} ms behind {} ms", pair[1], pair[0]);
            pair[1] - pair[0]
        });
        let mut steps: Vec<u32> = steps.collect();
        steps.sort_unstable();
        let (first, last) = (times[0], times[times.len() - 1]);
        let off_ms = i64::from(last - first) - took.as_millis() as i64;
        // A sound that was cut is left out, and some parts of the output have no whole one.
        let long = steps[steps.len() * 99 / 100];
        assert!(long <= 1_000, "kind {kind}: {long} ms from one frame to the next");
        assert!(off_ms.abs() < 5_000, "kind {kind}: {} ms in {took:?}", last - first);
    }
}

#[test]
fn two_paths_of_one_stream_are_switched_without_touching_its_times() {
    let name = "two_paths_of_one_stream_are_switched_without_touching_its_times";
    netns::inside(name, |network: &Network| {
        let inputs = ["239.4.1.1:1234", "239.4.1.2:1234"];
        let more = "failover = { silence_ms = 100, entry_wait_ms = 200, return_ms = 100 }";
        let relay = start(&channel("iptv/one", inputs, "239.5.1.1:1234", more), 2);
        let sender = network.sender();
        let listener = Listener::join(sender, "tx0", "239.5.1.1:1234");
        let start = Instant::now();
        let late = start + Duration::from_millis(80);
        let long = Feed::start_at(late, sender, TX0, inputs[0], Carriage::Raw, headend(3));
        let short = Feed::start_at(start, sender, TX1, inputs[1], Carriage::Raw, headend(3));
        thread::sleep(Duration::from_secs(1));
        let by_rtmp = watch_rtmp(relay.rtmp(), "iptv", "one");
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        for _ in 0..10 {
            long.mute();
            await_input(&relay, 2);
            long.unmute();
            await_input(&relay, 1);
        }
        thread::sleep(Duration::from_millis(200));
        let (took, frames) = (begun.elapsed(), by_rtmp.stop());
        let sent = [long.stop(), short.stop()];
        let switches = switches(&relay);
        let said = failover(&relay, "one");
        let heard = listener.stop();
        assert!(switches >= 20, "{said:#}");
        assert_eq!(said["splices"]["clock_shift_ms"], 0.0, "{said:#}");
        let totals = analysed(&heard).totals;
        assert!(totals.counter_errors <= switches as u64, "{totals:?}");
        // Apart from its counter, what leaves is what was sent.
        let bare = |packet: &Packet| {
            let mut packet = *packet;
            packet[3] &= 0xF0;
            packet
        };
        let known: BTreeSet<Packet> = sent.iter().flat_map(|sent| cut(sent)).map(bare).collect();
        let is_foreign = |packet: &&Packet| !known.contains(&bare(packet));
        let foreign = packets_of(&heard).map(|(_, packet)| packet).filter(is_foreign);
        let foreign: Vec<u16> = foreign.map(pid).collect();
        assert!(foreign.is_empty(), "{} packets that nobody sent: {foreign:?}", foreign.len());
        // The longer path brings again what the shorter one has brought.
        assert_clock_goes_on(&heard, 200_000, 100_000);
        assert_frames(&frames, took);
    });
}

/// Takes the packets of a PID out.
fn without(packets: &mut Vec<u8>, is_unwanted: impl Fn(&Packet) -> bool) {
    *packets =
        cut(packets).iter().filter(|packet| !is_unwanted(packet)).flatten().copied().collect();
}

/// What goes wrong, and what the log says of it.
const FAULTS: [(&str, &str, Fault, &str); 5] = [
    (
        "video",
        "tracks_ms = 1500",
        |packets| without(packets, |packet| pid(packet) == VIDEO_PID),
        "a video or audio PID without packets for",
    ),
    (
        "scrambled",
        "scrambled = true",
        |packets| {
            for packet in packets.as_chunks_mut::<PACKET_SIZE>().0 {
                if (VIDEO_PID..VIDEO_PID + 3).contains(&pid(packet)) {
                    packet[3] |= 0x80;
                }
            }
        },
        "scrambled",
    ),
    (
        "pat",
        "tables_ms = 1500",
        |packets| without(packets, |packet| pid(packet) == 0),
        "no PAT for",
    ),
    (
        "rate",
        "bitrate_min_kbps = 1000",
        |packets| without(packets, |packet| matches!(pid(packet), VIDEO_PID | 0x1FFF)),
        "less than 1000 kbit/s",
    ),
    (
        "counters",
        "continuity_errors_max = 20",
        |packets| without(packets, |packet| pid(packet) == VIDEO_PID && packet[3] & 3 == 3),
        "wrong continuity counters in a second",
    ),
];

#[test]
fn whatever_goes_wrong_is_a_reason_of_its_own() {
    netns::inside("whatever_goes_wrong_is_a_reason_of_its_own", |network: &Network| {
        let spare = "239.4.2.100:1234";
        let places =
            |number: usize| (format!("239.4.2.{number}:1234"), format!("239.5.2.{number}:1234"));
        // So long that no busy machine is a fault: what a channel looks at is in its own line.
        let mut settings = String::from(
            "iptv.failover = { silence_ms = 60000, tables_ms = 60000, tracks_ms = 60000 }\n",
        );
        for (number, (name, key, ..)) in FAULTS.iter().enumerate() {
            let (group, output) = places(number);
            let more = format!("failover = {{ return_ms = 0, {key} }}");
            settings += &channel(&format!("iptv/{name}"), [&group, spare], &output, &more);
        }
        let relay = start(&settings, 2 * FAULTS.len());
        let sender = network.sender();
        let listeners: Vec<Listener> = (0..FAULTS.len())
            .map(|number| Listener::join(sender, "tx0", &places(number).1))
            .collect();
        let main = |number: usize| {
            Feed::start(sender, TX0, &places(number).0, Carriage::Raw, headend(number as u64 + 10))
        };
        let mains: Vec<Feed> = (0..FAULTS.len()).map(main).collect();
        let spare = Feed::start(sender, TX1, spare, Carriage::Raw, headend(9));
        thread::sleep(Duration::from_millis(2_500));
        assert_eq!(lines(&relay, &["goes from input"]), 0, "nothing is wrong yet");
        for (main, fault) in mains.iter().zip(FAULTS) {
            main.set_fault(Some(fault.2));
        }
        for (name, _, _, reason) in FAULTS {
            let line =
                relay.await_log(&[&format!("channel iptv/{name} goes from input 1 to input 2")]);
            assert!(line.contains(reason), "{name}: {line}");
            let said = failover(&relay, name);
            let why = said["last"][0]["why"].as_str().expect("a switch").to_owned();
            assert!(why.contains(reason), "{name}: {why}");
            assert_eq!((&said["last"][0]["from"], &said["last"][0]["to"]), (&1.into(), &2.into()));
        }
        listeners.iter().for_each(await_more);
        assert_eq!(lines(&relay, &["goes from input"]), FAULTS.len(), "once each");
        let heard: Vec<Vec<Heard>> = listeners.into_iter().map(Listener::stop).collect();
        mains.into_iter().for_each(|main| drop(main.stop()));
        let spare = spare.stop();
        let origins = Origins::of(&[&spare]);
        for (heard, (name, ..)) in heard.iter().zip(FAULTS) {
            let last = heard.iter().rev().take(50).flat_map(|one| cut(&one.payload));
            let of_spare = last.filter(|packet| is_known(packet)).inspect(|packet| {
                assert!(origins.find(packet).is_some(), "{name}");
            });
            assert!(of_spare.count() > 50, "{name}: the other input is on air");
        }
    });
}

#[test]
fn a_cold_input_is_joined_when_it_is_needed() {
    netns::inside("a_cold_input_is_joined_when_it_is_needed", |network: &Network| {
        let inputs = ["239.4.3.1:1234", "239.4.3.2:1234"];
        let more = "standby = \"cold\"\nfailover = { silence_ms = 1000, return_ms = 300 }";
        let relay = start(&channel("iptv/one", inputs, "239.5.3.1:1234", more), 1);
        let is_member = || std::fs::read_to_string("/proc/net/igmp").unwrap().contains("020304EF");
        let sender = network.sender();
        let listener = Listener::join(sender, "tx0", "239.5.3.1:1234");
        let main = Feed::start(sender, TX0, inputs[0], Carriage::Raw, headend(1));
        let spare = Feed::start(sender, TX1, inputs[1], Carriage::Raw, headend(2));
        thread::sleep(Duration::from_secs(1));
        assert!(!is_member(), "not before");
        main.mute();
        await_input(&relay, 2);
        assert!(is_member());
        await_more(&listener);
        main.unmute();
        await_input(&relay, 1);
        wait_until("it is left again", LIMIT, || !is_member());
        await_more(&listener);
        let heard = listener.stop();
        let sent = [main.stop(), spare.stop()];
        let runs = runs(&heard, &Origins::of(&[&sent[0], &sent[1]]));
        let sources: Vec<usize> = runs.iter().map(|run| run.source).collect();
        assert_eq!(sources, [0, 1, 0]);
        let gaps = runs.windows(2).map(|pair| (pair[1].first_us - pair[0].last_us) / 1_000);
        let gaps: Vec<u64> = gaps.collect();
        // Silence, then packets, tables and an entry of what was only just joined. On the way back there is
        // no silence. The rest is what a busy machine may take.
        assert!(gaps[0] <= 1_000 + 2_000 && gaps[1] < 1_000, "{gaps:?} ms");
        assert!(analysed(&heard).totals.counter_errors <= 2);
    });
}
