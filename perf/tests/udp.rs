//! Sender and receiver of transport streams by UDP: alone, and with a relay in between that loses or
//! changes something.

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{perf, scratch};
use corelay_perf::udp::{
    Addresses, ReceiveConfig, ReceiveResult, Receiving, SendConfig, SendResult, Sending,
};
use serde_json::Value;

const CHANNELS: usize = 4;
const WINDOW: Duration = Duration::from_millis(1_500);
/// Little, so that a socket holds what comes while a busy machine keeps its reader waiting: half a second
/// and more.
const BIT_RATE: u64 = 1_000_000;

/// Relays every channel by a thread of its own; `change` gets the number of the datagram, may change
/// it, and says whether it goes on.
struct Relay {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    fn start(from: Addresses, to: Addresses, change: fn(u64, &mut [u8]) -> bool) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let relay = |(from, to): (SocketAddr, SocketAddr)| {
            let (input, output) = (
                UdpSocket::bind(from).unwrap(),
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            );
            input.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let told = Arc::clone(&stop);
            thread::spawn(move || {
                let (mut number, mut buffer) = (0, [0; 2_048]);
                while !told.load(Ordering::Relaxed) {
                    let Ok(bytes) = input.recv(&mut buffer) else { continue };
                    if change(number, &mut buffer[..bytes]) {
                        output.send_to(&buffer[..bytes], to).unwrap();
                    }
                    number += 1;
                }
            })
        };
        let threads = from.iter().zip(to.iter()).map(relay).collect();
        Self { stop, threads }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Sends [`CHANNELS`] channels to `to`, receives them on `on` and one more past the relay.
fn run(to: Addresses, on: Addresses, direct: SocketAddr) -> (SendResult, ReceiveResult) {
    let receiving = Receiving::start(ReceiveConfig {
        on,
        direct: Some(direct),
        clocks: true,
        interface: Ipv4Addr::LOCALHOST,
        cpu: None,
    })
    .unwrap();
    let sending = Sending::start(SendConfig {
        to,
        direct: Some(direct),
        bit_rate: BIT_RATE,
        burst: 1,
        duration: Duration::from_secs(60),
        interface: Ipv4Addr::LOCALHOST,
        cpu: None,
    })
    .unwrap();
    assert_eq!(receiving.wait_for_all(Duration::from_secs(40)), CHANNELS);
    receiving.open_window();
    thread::sleep(WINDOW);
    receiving.close_window();
    let sent = sending.stop().unwrap();
    thread::sleep(Duration::from_millis(200));
    let received = receiving.stop(Some(&sent)).unwrap();
    assert_eq!(received.dropped_here, 0);
    (sent, received)
}

/// Addresses that no other test of this process takes: each has its own range.
fn addresses(range: u16) -> (Addresses, Addresses, SocketAddr) {
    let free = |part: u16| {
        let first = 10_000 + range * 900 + part * 300;
        Addresses::free(first..first + 300, CHANNELS).unwrap()
    };
    (free(0), free(1), free(2).iter().next().unwrap())
}

fn through_a_relay(range: u16, change: fn(u64, &mut [u8]) -> bool) -> (SendResult, ReceiveResult) {
    let (to, on, direct) = addresses(range);
    let relay = Relay::start(to, on, change);
    let result = run(to, on, direct);
    relay.stop();
    result
}

#[test]
fn what_is_sent_arrives_whole_and_in_time() {
    let (_, on, direct) = addresses(0);
    let (sent, received) = run(on, on, direct);
    let ReceiveResult { relay, direct, .. } = &received;
    assert_eq!((relay.channels, relay.heard), (CHANNELS, CHANNELS));
    let bad = [relay.lost, relay.altered, relay.late, relay.repeated, relay.foreign];
    assert_eq!(bad, [0; 5], "{relay:?}");
    // 1 Mbit/s are 95 datagrams a second.
    let expected = 95.0 * received.window_s * CHANNELS as f64;
    assert!((relay.datagrams as f64 - expected).abs() < expected / 2.0, "{relay:?}");
    assert!(relay.bytes >= relay.datagrams * 1_300, "{relay:?}");
    assert_eq!((sent.sequences.len(), sent.refused), (CHANNELS + 1, 0));
    let direct = direct.as_ref().unwrap();
    assert_eq!((direct.channels, direct.lost), (1, 0));
    // Both went the same way, so neither was kept anywhere, but for a busy machine.
    assert!(relay.latency_us.unwrap().p50 < 200_000.0, "{relay:?}");
    assert!(received.residence_p50_us.unwrap() < 100_000.0, "{received:?}");
    let clocks = relay.clocks.unwrap();
    assert!(clocks.datagrams > relay.datagrams / 2, "{clocks:?}");
    assert!(clocks.within_1_ms > 0.0, "{clocks:?}");
}

#[test]
fn a_relay_that_loses_every_tenth_is_seen_to_lose_them() {
    let (_, received) = through_a_relay(1, |number, _| number % 10 != 9);
    let relay = received.relay;
    let share = relay.lost as f64 / (relay.lost + relay.datagrams) as f64;
    assert!((share - 0.1).abs() < 0.02, "{relay:?}");
    assert_eq!((relay.altered, relay.late, relay.foreign), (0, 0, 0), "{relay:?}");
    assert_eq!(received.direct.unwrap().lost, 0);
}

#[test]
fn a_relay_that_changes_a_byte_is_seen_to_alter_datagrams() {
    let (_, received) = through_a_relay(2, |number, bytes| {
        if number % 50 == 10 {
            bytes[700] ^= 1;
        }
        true
    });
    let relay = received.relay;
    let share = relay.altered as f64 / relay.datagrams as f64;
    assert!((share - 0.02).abs() < 0.01, "{relay:?}");
    assert_eq!((relay.lost, relay.foreign), (0, 0), "{relay:?}");
}

#[test]
fn a_relay_that_keeps_datagrams_is_seen_to_keep_them_and_to_be_out_of_step() {
    let (_, received) = through_a_relay(3, |number, _| {
        thread::sleep(Duration::from_millis(if number % 20 == 0 { 80 } else { 0 }));
        true
    });
    assert!(received.residence_p99_us.unwrap() > 10_000.0, "{received:?}");
    assert!(received.relay.clocks.unwrap().within_1_ms < 0.9, "{received:?}");
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_commands_send_relay_and_receive() {
    let (to, on, direct) = addresses(4);
    let text = |addresses: &Addresses| addresses.iter().next().unwrap().to_string();
    let (to, on, direct) = (text(&to), text(&on), direct.to_string());
    let start = |mut command: Command| Ended(command.stdout(Stdio::null()).spawn().unwrap());
    let channels = CHANNELS.to_string();
    let common = ["--channels", &channels, "--seconds"];
    let command = |name, own: &[&str], seconds| perf(&[&[name], own, &common, &[seconds]].concat());
    let _floor = start(command("udp-floor", &["--from", &to, "--to", &on], "30"));
    let folder = scratch("udp");
    let file = folder.join("receive.json");
    let own = ["--on", &on, "--direct", &direct, "--pcr", "--json", file.to_str().unwrap()];
    let mut receive = command("udp-receive", &own, "1").spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    let own = ["--to", &to, "--direct", &direct, "--bitrate", "2M"];
    let _send = start(command("udp-send", &own, "30"));
    assert!(receive.wait().unwrap().success());
    let report: Value = serde_json::from_reader(File::open(&file).unwrap()).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let relay = &report["relay"];
    assert_eq!((&relay["heard"], &relay["altered"]), (&CHANNELS.into(), &0.into()), "{report:#}");
    assert!(relay["datagrams"].as_u64().unwrap() > 100, "{report:#}");
    assert!(report["residence_p50_us"].as_f64().unwrap() < 1_000_000.0, "{report:#}");
    assert!(relay["clocks"]["datagrams"].as_u64().unwrap() > 100, "{report:#}");
}

/// In a network namespace of its own, so that no group leaves the test. Where namespaces are not
/// allowed there is nothing to test in.
#[test]
fn consecutive_groups_on_one_port_do_not_mix() {
    let script = "ip link set lo up && { $P udp-send --to 239.255.7.254:5000 --channels 4 \
                  --seconds 6 >/dev/null & } && \
                  $P udp-receive --on 239.255.7.254:5000 --channels 4 --seconds 1";
    let isolated = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", script]).env("P", env!("CARGO_BIN_EXE_corelay-perf"));
        command.stdin(Stdio::null()).output()
    };
    if !isolated("ip link set lo up").is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: there are no network namespaces here");
        return;
    }
    let output = isolated(script).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let relay = &report["relay"];
    assert_eq!((&relay["heard"], &relay["lost"]), (&4.into(), &0.into()), "{report:#}");
    assert_eq!((&relay["foreign"], &relay["altered"]), (&0.into(), &0.into()), "{report:#}");
}
