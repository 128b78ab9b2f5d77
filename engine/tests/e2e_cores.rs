//! Streams across cores, and what is left behind when publishers and viewers come and go.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use support::flv::{self, AUDIO, VIDEO};
use support::media::Media;
use support::relay::Relay;
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, cpus, http, wait_until};

/// A relay with one data core on each of two CPUs.
fn on_two_cores(settings: &str) -> Relay {
    let cpus = cpus(2);
    assert_eq!(cpus.len(), 2, "this test needs two CPUs");
    Relay::start(&format!("cores.data = {cpus:?}\n{settings}"))
}

#[test]
fn viewers_on_every_core_get_every_frame() {
    let relay = on_two_cores("");
    let sent = Media::AudioVideo.tags();
    // The kernel spreads connections by their port, so of 24 some are on each core.
    let players: Vec<Rtmp> =
        (0..24).map(|_| Rtmp::play(relay.rtmp(), "live", "test").unwrap()).collect();
    let publisher = Publisher::start(relay.rtmp(), "live", "test", sent.clone());
    let threads: Vec<_> = players
        .into_iter()
        .map(|mut player| std::thread::spawn(move || (player.collect(300), player)))
        .collect();
    let web: Vec<_> = (0..8)
        .map(|_| {
            let address = relay.http();
            std::thread::spawn(move || {
                let mut viewer = http::Viewer::open(address, "/live/test.flv");
                assert!(viewer.read_to(60_000), "the stream ended early");
                flv::read(&viewer.bytes)
            })
        })
        .collect();
    let mut kept = Vec::new();
    for thread in threads {
        let (received, player) = thread.join().unwrap();
        assert_eq!(flv::assert_run(VIDEO, &sent, &received).first, 0, "from the first picture");
        assert_eq!(flv::assert_run(AUDIO, &sent, &received).first, 0, "from the first sound");
        kept.push(player);
    }
    let cores: BTreeSet<u64> =
        relay.clients().iter().filter_map(|client| client["core"].as_u64()).collect();
    assert_eq!(cores.len(), 2, "viewers on both cores");
    for thread in web {
        let received = thread.join().unwrap();
        assert_eq!(flv::assert_run(VIDEO, &sent, &received).first % 25, 0);
        flv::assert_run(AUDIO, &sent, &received);
    }
    assert_eq!(relay.metric("corelay_ring_drops_total", "").unwrap_or(0.0), 0.0);
    publisher.stop();
}

#[test]
fn many_streams_at_once_are_not_mixed_up() {
    let relay = on_two_cores("");
    let sent = Media::AudioVideo.tags();
    let threads: Vec<_> = (0..12)
        .map(|index| {
            let (address, mut tags) = (relay.rtmp(), sent.clone());
            // Each stream marks its audio frames, past the codec header, with its own number.
            for tag in tags.iter_mut().filter(|tag| tag.kind == AUDIO && tag.is_media()) {
                tag.body.push(index);
            }
            std::thread::spawn(move || {
                let name = format!("stream-{index}");
                let mut player = Rtmp::play(address, "live", &name).unwrap();
                let publisher = Publisher::start(address, "live", &name, tags.clone());
                let received = player.collect(150);
                flv::assert_run(AUDIO, &tags, &received);
                flv::assert_run(VIDEO, &tags, &received);
                publisher.stop();
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_publisher_that_comes_and_goes_keeps_its_viewers() {
    let relay = on_two_cores("applications.default.publisher_grace_ms = 30000");
    let tags = Media::AudioVideo.tags();
    let mut player = Rtmp::play(relay.rtmp(), "live", "churn").unwrap();
    let viewer = std::thread::spawn(move || player.collect(900));
    for round in 0..60 {
        let mut publisher = Rtmp::publish(relay.rtmp(), "live", "churn").unwrap();
        for tag in &tags[..30] {
            publisher.send_tag(tag, tag.timestamp_ms).unwrap();
        }
        // In turn: a proper end, a close, a reset.
        match round % 3 {
            0 => publisher.command(1, "deleteStream", 0.0, &[]).unwrap(),
            1 => drop(publisher),
            _ => publisher.reset(),
        }
    }
    // What a reset or a takeover cut off is lost; the last one stays until the viewer has enough.
    let last = Publisher::start(relay.rtmp(), "live", "churn", tags);
    let received = viewer.join().unwrap();
    assert!(received.len() >= 900, "the viewer was dropped after {} tags", received.len());
    last.stop();
    for kind in [AUDIO, VIDEO] {
        flv::assert_monotonic(&received, kind);
    }
    wait_until("nobody is connected", LIMIT, || relay.connections() == 0);
}

/// Watches and leaves, in four threads, `joins` times in all.
fn churn(relay: &Relay, joins: usize) {
    const THREADS: usize = 4;
    let (rtmp, web) = (relay.rtmp(), relay.http());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..joins / THREADS {
                    let name = if (round / 2 + thread) % 2 == 0 { "one" } else { "two" };
                    if round % 2 == 0 {
                        let mut viewer = http::Viewer::open(web, &format!("/live/{name}.flv"));
                        assert_eq!(viewer.head.status, 200);
                        assert!(viewer.read_to(500), "the stream ended early");
                        continue;
                    }
                    let mut player = Rtmp::play(rtmp, "live", name).unwrap();
                    player.await_picture().unwrap();
                    if round % 4 == 1 {
                        player.reset();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn ten_thousand_joins_leave_nothing_behind() {
    let relay = on_two_cores("");
    let tags = Media::AudioVideo.tags();
    let one = Publisher::start(relay.rtmp(), "live", "one", tags.clone());
    let two = Publisher::start(relay.rtmp(), "live", "two", tags);
    relay.await_publisher("live", "one");
    relay.await_publisher("live", "two");
    std::thread::sleep(Duration::from_secs(1));
    let fds_before = relay.open_fds();
    // The first joins warm up: allocator, logs, tables. What comes after them must not add up.
    churn(&relay, 2000);
    wait_until("the viewers are gone", LIMIT, || relay.connections() == 2);
    let (started, warm) = (Instant::now(), relay.rss_kib());
    churn(&relay, 8000);
    wait_until("the viewers are gone", LIMIT, || relay.connections() == 2);
    let after = relay.rss_kib();
    println!("8000 joins in {:?}; {warm} KiB before, {after} KiB after", started.elapsed());
    wait_until("the descriptors are closed", LIMIT, || relay.open_fds() <= fds_before);
    // 1 KiB lost per join would be 8 MiB; the logs of the two streams breathe by about 2 MiB.
    assert!(after < warm + (8 << 10), "{warm} KiB grew to {after} KiB");
    one.stop();
    two.stop();
}
