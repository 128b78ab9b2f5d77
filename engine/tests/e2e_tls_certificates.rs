//! Certificates: chosen by name, expired, exchanged while viewers play, required of clients; the API by
//! HTTPS.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use support::media::Media;
use support::peer;
use support::relay::Relay;
use support::secured::{Secured, Watching, assert_whole, get};
use support::tls::{self, Authority, Client};
use support::{LIMIT, Scratch, wait_until};

/// Whether a client that trusts so is served by HTTPS.
fn is_served(relay: &Relay, config: &Arc<ClientConfig>) -> bool {
    tls::connect(config, relay.listening("https"), "localhost").is_ok()
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let files = Scratch::new("certificates");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let one = first.issue(&["localhost", "127.0.0.1"]).write(files.path(), "one");
    let two = second.issue(&["*.tv.example"]).write(files.path(), "two");
    let certificates = format!("tls.certificates = [{}, {}]", one.toml(), two.toml());
    let relay = Relay::start_secure(&certificates);
    let (trusts_first, trusts_second) =
        (Client::trusting(&first).config(), Client::trusting(&second).config());
    for kind in ["https", "rtmps", "ts-tls"] {
        let address = relay.listening(kind);
        tls::connect(&trusts_first, address, "localhost").unwrap();
        tls::connect(&trusts_first, address, "127.0.0.1").unwrap();
        tls::connect(&trusts_second, address, "news.tv.example").unwrap();
        tls::connect(&trusts_second, address, "localhost").unwrap_err();
    }
}

#[test]
fn an_expired_certificate_is_served_and_refused_by_clients_that_check() {
    let files = Scratch::new("certificates");
    let authority = Authority::new("ours");
    let pair = authority.issue_expired(&["localhost"]).write(files.path(), "expired");
    let relay = Relay::start_secure(&format!("tls.certificates = [{}]", pair.toml()));
    relay.await_log(&["WARN", "expired.pem", "the certificate has expired"]);
    // 2021-01-01.
    let expiry = relay.metric("corelay_tls_certificate_expiry_seconds", "certificate=\"1\"");
    assert_eq!(expiry, Some(1_609_459_200.0));
    let config = Client::trusting(&authority).config();
    let error = tls::connect(&config, relay.listening("https"), "localhost").unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    relay.await_log(&["closed for tls", "certificate_expired"]);
    // A publisher that does not check is not kept from its work.
    let url = relay.rtmps_url("live", "test");
    let publisher = support::ffmpeg::publish(relay.scratch(), Media::AudioVideo, &url);
    relay.await_publisher("live", "test");
    drop(publisher);
}

#[test]
fn new_certificates_are_taken_while_viewers_play_and_broken_ones_are_not() {
    let secured = Secured::start("tls.reload_s = 1");
    let _publisher = secured.publish();
    let viewer = Watching::start(secured.play());
    let (relay, folder) = (&secured.relay, secured.files.path());
    let before = Client::trusting(&secured.authority).config();
    let renewed = Authority::new("renewed");
    let after = Client::trusting(&renewed).config();

    // The new certificate is there, and its key is not yet.
    let issued = renewed.issue(&["localhost"]);
    std::fs::write(folder.join("server.pem"), &issued.certificate).unwrap();
    relay.await_log(&["the certificates stay as they are", "server.pem"]);
    assert!(is_served(relay, &before) && !is_served(relay, &after));

    std::fs::write(folder.join("server.key"), &issued.key).unwrap();
    relay.await_log(&["the certificates are loaded again"]);
    assert!(is_served(relay, &after) && !is_served(relay, &before));
    std::thread::sleep(Duration::from_secs(1));
    assert!(assert_whole(&viewer.stop()) >= 25);
}

#[test]
fn sighup_loads_the_certificates_again() {
    let mut secured = Secured::start("tls.reload_s = 0");
    let renewed = Authority::new("renewed");
    renewed.issue(&["localhost"]).write(secured.files.path(), "server");
    let after = Client::trusting(&renewed).config();
    std::thread::sleep(Duration::from_millis(500));
    assert!(!is_served(&secured.relay, &after), "nobody has asked for it");
    secured.relay.signal("HUP");
    secured.relay.await_log(&["the certificates are loaded again"]);
    assert!(is_served(&secured.relay, &after));
    assert!(secured.relay.is_running());
}

#[test]
fn where_client_certificates_are_required_nobody_is_served_without() {
    let files = Scratch::new("certificates");
    let (authority, other) = (Authority::new("ours"), Authority::new("other"));
    let pair = authority.issue(&["localhost"]).write(files.path(), "server");
    let ca = files.file("clients.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let relay = Relay::start_secure(&format!(
        "tls.certificates = [{}]\n tls.client_ca = \"{}\"",
        pair.toml(),
        ca.display()
    ));
    let address = relay.listening("https");
    // In TLS 1.3 a client hears of it with the first thing that it reads.
    let ask = |client: Client| {
        let mut stream = tls::connect(&client.config(), address, "localhost")?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).map(|()| answer)
    };
    let error = ask(Client::trusting(&authority)).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    relay.await_log(&["closed for tls", "client certificate", "sent none"]);
    let stranger = other.issue_client("camera");
    ask(Client::trusting(&authority).identity(&stranger)).unwrap_err();
    relay.await_log(&["closed for tls", "tls.client_ca"]);
    let known = authority.issue_client("camera");
    let answer = ask(Client::trusting(&authority).identity(&known)).unwrap();
    assert_eq!(&answer[..9], b"HTTP/1.1 ");
    let refused = "reason=\"client_certificate\"";
    assert_eq!(relay.metric("corelay_tls_failures_total", refused), Some(2.0));
}

#[test]
fn the_api_is_served_by_https_and_a_peer_that_says_nothing_holds_up_nobody() {
    let files = Scratch::new("certificates");
    let authority = Authority::new("ours");
    let pair = authority.issue(&["localhost", "127.0.0.1"]).write(files.path(), "server");
    let settings = format!("admin.tls = true\n tls.certificates = [{}]", pair.toml());
    let relay = Relay::start(&settings);
    let silent = TcpStream::connect(relay.admin()).unwrap();
    let config = Client::trusting(&authority).config();
    let mut stream = tls::connect(&config, relay.admin(), "localhost").unwrap();
    let head = get(&mut stream, "/api/v1/versions");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");

    let ca = files.file("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let url = format!("https://localhost:{}/metrics", relay.admin().port());
    let args = ["-sS", "--fail", "--cacert", ca.to_str().unwrap(), &url];
    let metrics = peer::run(relay.scratch(), "curl", &args, LIMIT).stdout;
    assert!(metrics.contains("corelay_tls_connections"), "{metrics}");
    let mut plain = TcpStream::connect(relay.admin()).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    drop(silent);
    wait_until("the rest is said", LIMIT, || relay.log().contains("admin API: no TLS with"));
}

#[test]
fn a_certificate_that_cannot_be_used_is_said_at_the_start() {
    let files = Scratch::new("certificates");
    let pair = Authority::new("ours").issue(&["localhost"]).write(files.path(), "server");
    Authority::new("ours").issue(&["localhost"]).write(files.path(), "other");
    let config = files.file("corelay.toml");
    let try_with = |key: &str| {
        let (certificate, key) = (pair.certificate.display(), files.file(key));
        let settings = format!(
            "http.listen = [{{ address = \"127.0.0.1:0\", tls = true }}]\n\
             rtmp.listen = []\n ts.listen = []\n admin.listen = \"127.0.0.1:0\"\n\
             tls.certificates = [{{ certificate = \"{certificate}\", key = \"{}\" }}]",
            key.display()
        );
        std::fs::write(&config, settings).unwrap();
        let ended = support::relay::command(&files, &["--config", config.to_str().unwrap()]);
        assert!(ended.status.is_some_and(|status| !status.success()), "{}", ended.output());
        ended.stderr
    };
    let said = try_with("missing.key");
    assert!(said.contains("missing.key"), "{said}");
    let said = try_with("other.key");
    assert!(said.contains("server.pem and") && said.contains("other.key"), "{said}");
    let said = try_with("server.pem");
    assert!(said.contains("server.pem"), "{said}");
}
