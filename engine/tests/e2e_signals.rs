//! The program as its operator meets it: signals, the command line, what it says when it cannot start.

mod support;

use std::net::TcpListener;

use support::media::Media;
use support::relay::{self, Relay};
use support::rtmp::Rtmp;
use support::witness::Publisher;
use support::{LIMIT, Scratch, http};

/// Stops a relay with a signal while it serves, and sees that everybody is told.
fn stops_gracefully(signal: &str) {
    let mut relay = Relay::start("");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    let mut player = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    player.await_picture().unwrap();
    let mut viewer = http::Viewer::open(relay.http(), "/live/test.flv");
    assert!(viewer.read_to(1000));
    relay.signal(signal);
    let code = player.await_code(&["NetStream.Play.", "NetConnection."]).expect("an end status");
    assert!(code.contains("UnpublishNotify") || code.contains("Stop") || code.contains("Closed"));
    viewer.read_to_end();
    let status = relay.await_exit(LIMIT);
    assert_eq!(status.code(), Some(0), "{status}");
    drop(publisher);
}

#[test]
fn sigterm_tells_the_players_and_ends_with_code_0() {
    stops_gracefully("TERM");
}

#[test]
fn sigint_does_the_same() {
    stops_gracefully("INT");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut relay = Relay::start("limits.stop_deadline_ms = 600000");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    // A viewer that never reads would keep a graceful stop waiting until its deadline.
    let _stuck = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    publisher.await_ms(500);
    relay.signal("TERM");
    relay.await_log(&["stopping within 600000 ms"]);
    relay.signal("TERM");
    relay.await_exit(LIMIT);
    drop(publisher);
}

#[test]
fn a_graceful_stop_keeps_its_deadline() {
    let mut relay = Relay::start("limits.stop_deadline_ms = 1000");
    let publisher = Publisher::start(relay.rtmp(), "live", "test", Media::AudioVideo.tags());
    let _stuck = Rtmp::play(relay.rtmp(), "live", "test").unwrap();
    relay.signal("TERM");
    assert_eq!(relay.await_exit(LIMIT).code(), Some(0));
    drop(publisher);
}

/// Writes a configuration and runs the program on it to its end.
fn run_on(settings: &str, options: &[&str]) -> support::peer::Finished {
    let scratch = Scratch::new("command");
    let file = scratch.file("corelay.toml");
    std::fs::write(&file, settings).unwrap();
    let args = [&["--config", file.to_str().unwrap()][..], options].concat();
    let finished = relay::command(&scratch, &args);
    assert!(finished.status.is_some(), "it did not end: {}", finished.output());
    finished
}

#[test]
fn a_second_relay_on_the_same_port_says_so_and_ends() {
    let first = Relay::start("");
    for (key, address) in [("rtmp", first.rtmp()), ("http", first.http()), ("admin", first.admin())]
    {
        let listen = |section: &str| {
            let address = if section == key { address.to_string() } else { "127.0.0.1:0".into() };
            let list =
                if section == "admin" { format!("{address:?}") } else { format!("[{address:?}]") };
            format!("{section}.listen = {list}\n")
        };
        let settings = ["rtmp", "http", "ts", "admin"].map(listen).concat();
        let second = run_on(&settings, &[]);
        assert!(!second.succeeded(), "{key}: it started on a port that is taken");
        let output = second.output();
        assert!(output.contains(&address.port().to_string()), "{key}: {output}");
        assert!(!output.contains("panicked"), "{key}: {output}");
    }
    // The first one is unharmed.
    Rtmp::connect(first.rtmp(), "live").unwrap();
}

#[test]
fn a_port_of_another_program_is_a_conflict_too() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let settings = format!(
        "rtmp.listen = [{address:?}]\nhttp.listen = [\"127.0.0.1:0\"]\nts.listen = []\nadmin.listen = \"\"\n"
    );
    let finished = run_on(&settings, &[]);
    assert!(!finished.succeeded());
    assert!(finished.output().contains(&address), "{}", finished.output());
}

#[test]
fn check_accepts_what_is_right() {
    for option in ["--check", "-t"] {
        let finished = run_on("limits.connections_max = 5000\n", &[option]);
        assert!(finished.succeeded(), "{}", finished.output());
        let scratch = Scratch::new("command");
        assert!(relay::command(&scratch, &[option]).succeeded(), "the embedded default");
    }
}

#[test]
fn check_says_where_what_and_what_would_be_right() {
    let finished = run_on("[limits]\n\nconections_max = 5000\n", &["--check"]);
    assert!(!finished.succeeded());
    let said = finished.output();
    for word in ["corelay.toml:3:1", "conections_max", "did you mean", "connections_max"] {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

#[test]
fn a_relay_does_not_start_on_a_wrong_configuration() {
    let finished = run_on("[rtmp]\nlisten = 1935\n", &[]);
    assert!(!finished.succeeded());
    assert!(finished.output().contains("corelay.toml:2:"), "{}", finished.output());
    let missing = relay::command(&Scratch::new("command"), &["--config", "no/such/file.toml"]);
    assert!(!missing.succeeded());
    assert!(missing.output().contains("no/such/file.toml"), "{}", missing.output());
}

#[test]
fn dump_prints_what_can_be_read_again() {
    let first = run_on("limits.connections_max = 4321\n", &["--dump"]);
    assert!(first.succeeded(), "{}", first.output());
    assert!(first.stdout.contains("connections_max = 4321"), "{}", first.stdout);
    let second = run_on(&first.stdout, &["--dump"]);
    assert!(second.succeeded(), "{}", second.output());
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn a_cpu_that_does_not_exist_is_named() {
    let settings = "cores.data = [4095]\nrtmp.listen = [\"127.0.0.1:0\"]\n\
                    http.listen = [\"127.0.0.1:0\"]\nts.listen = []\nadmin.listen = \"127.0.0.1:0\"\n";
    let finished = run_on(settings, &[]);
    assert!(!finished.succeeded());
    assert!(finished.output().contains("4095"), "{}", finished.output());
    assert!(!finished.output().contains("panicked"), "{}", finished.output());
}

#[test]
fn the_memory_limit_that_io_uring_needs_is_checked_before_anything_starts() {
    let scratch = Scratch::new("command");
    let file = scratch.file("corelay.toml");
    std::fs::write(
        &file,
        "rtmp.listen = [\"127.0.0.1:0\"]\nhttp.listen = []\nts.listen = []\nadmin.listen = \"\"\n",
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_corelay");
    let args = ["--memlock=65536:65536", program, "--config", file.to_str().unwrap()];
    let finished = support::peer::Peer::spawn(&scratch, "prlimit", &args).wait(LIMIT);
    assert!(finished.status.is_some() && !finished.succeeded(), "{}", finished.output());
    assert!(finished.output().contains("RLIMIT_MEMLOCK"), "{}", finished.output());
}

#[test]
fn it_raises_its_file_limit_to_the_hard_one() {
    let relay = Relay::start_limited("", &["--nofile=256:4096"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line["Max open files".len()..].split_whitespace().next();
    assert_eq!(soft, Some("4096"), "{line}");
}

#[test]
fn version_and_help_are_told() {
    let scratch = Scratch::new("command");
    assert!(relay::command(&scratch, &["--version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
    let help = relay::command(&scratch, &["--help"]).stdout;
    for option in ["--config", "--check", "--dump"] {
        assert!(help.contains(option), "{option} is missing in: {help}");
    }
}
