//! Certificates: chosen by name, expired, exchanged while viewers play, required of clients; the API by
//! HTTPS.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::json;
use support::media::Media;
use support::peer;
use support::relay::Relay;
use support::secured::{Secured, Watching, assert_whole, get};
use support::tls::{self, Authority, Client, Secure};
use support::witness::Publisher;
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
    // More than a second of the stream.
    viewer.await_more(60_000);
    viewer.await_more(60_000);
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
    relay.await_log(&["closed for tls", "client_ca"]);
    let known = authority.issue_client("camera");
    let answer = ask(Client::trusting(&authority).identity(&known)).unwrap();
    assert_eq!(&answer[..9], b"HTTP/1.1 ");
    let refused = "reason=\"client_certificate\"";
    assert_eq!(relay.metric("corelay_tls_failures_total", refused), Some(2.0));
}

/// A relay with two listeners of HTTPS: one as `[tls]` says, one with certificates and clients of its
/// own, which nobody else has.
struct TwoListeners {
    relay: Relay,
    files: Scratch,
    shared: Authority,
    own: Authority,
    clients: Authority,
}

impl TwoListeners {
    fn start(settings: &str) -> Self {
        let files = Scratch::new("certificates");
        let [shared, own, clients] = ["shared", "own", "clients"].map(Authority::new);
        let all = shared.issue(&["localhost"]).write(files.path(), "shared");
        let one = own.issue(&["localhost"]).write(files.path(), "own");
        let ca = files.file("clients.pem");
        std::fs::write(&ca, clients.pem()).unwrap();
        let listen = format!(
            "[\"127.0.0.1:0\", {{ address = \"127.0.0.1:0\", tls = true }}, \
             {{ address = \"127.0.0.1:0\", tls = true, certificates = [{}], client_ca = \"{}\" }}]",
            one.toml(),
            ca.display()
        );
        let settings = format!("tls.certificates = [{}]\n{settings}", all.toml());
        let relay = Relay::start_with_http(&listen, &settings);
        Self { relay, files, shared, own, clients }
    }

    /// What the listener with its own answers to this client.
    fn ask_own(&self, config: &Arc<ClientConfig>) -> std::io::Result<Secure> {
        let address = self.relay.listening_all("https")[1];
        let mut stream = tls::connect(config, address, "localhost")?;
        // In TLS 1.3 a client hears of it with the first thing that it reads.
        stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"HTTP/1.1 404");
        Ok(stream)
    }

    /// A client of the listener with its own that is let in.
    fn known(&self) -> Client {
        Client::trusting(&self.own).identity(&self.clients.issue_client("camera"))
    }
}

#[test]
fn a_listener_shows_its_own_certificates_and_asks_clients_for_its_own() {
    let two = TwoListeners::start("tls.reload_s = 0");
    let shared = Client::trusting(&two.shared).config();
    assert!(is_served(&two.relay, &shared));
    two.ask_own(&shared).unwrap_err();
    let error = two.ask_own(&Client::trusting(&two.own).config()).map(drop).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    two.ask_own(&two.known().config()).unwrap();
    assert!(!is_served(&two.relay, &two.known().config()), "the other one shows its own");

    let answer = two.relay.api("/api/v1/certificates");
    let shown = answer["certificates"].as_array().unwrap();
    assert_eq!(answer["total"], 2);
    let shown = |index: usize| (&shown[index]["listener"], &shown[index]["file"]);
    let file = |name| two.files.file(name).to_str().unwrap().to_owned();
    assert_eq!(shown(0), (&json!("tls"), &json!(file("shared.pem"))));
    assert_eq!(shown(1), (&json!("http.listen[2]"), &json!(file("own.pem"))));
    let expiry = "corelay_tls_certificate_expiry_seconds";
    for listener in ["listener=\"tls\"", "listener=\"http.listen[2]\""] {
        assert!(two.relay.metric(expiry, listener).unwrap() > 1.7e9);
    }
}

#[test]
fn a_ticket_of_one_listener_does_not_open_another_that_asks_for_certificates() {
    let two = TwoListeners::start("tls.reload_s = 0");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        // One that trusts both keeps its sessions under the name of the server, whatever the port.
        let client = Client::trusting(&two.shared).trusting_too(&two.own).version(version);
        let client = client.config();
        let address = two.relay.listening("https");
        let visit = || {
            let mut stream = tls::connect(&client, address, "localhost").unwrap();
            stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            tls::is_resumed(&stream)
        };
        assert_eq!([visit(), visit()], [false, true]);
        two.ask_own(&client).map(drop).unwrap_err();
        let known = two.known().version(version).config();
        let resumed = [(); 2].map(|()| tls::is_resumed(&two.ask_own(&known).unwrap()));
        assert_eq!(resumed, [false, true]);
    }
    let refused = "reason=\"client_certificate\"";
    assert_eq!(two.relay.metric("corelay_tls_failures_total", refused), Some(2.0));
}

#[test]
fn what_a_listener_has_of_its_own_is_taken_anew_while_its_viewers_play() {
    let two = TwoListeners::start("tls.reload_s = 1");
    let address = two.relay.rtmp();
    let _publisher = Publisher::start(address, "live", "test", Media::AudioVideo.tags());
    two.relay.await_publisher("live", "test");
    let before = two.known().config();
    let mut viewer =
        tls::connect(&before, two.relay.listening_all("https")[1], "localhost").unwrap();
    get(&mut viewer, "/live/test.flv");
    let viewer = Watching::start(viewer);

    let (renewed, others) = (Authority::new("renewed"), Authority::new("others"));
    renewed.issue(&["localhost"]).write(two.files.path(), "own");
    two.relay.await_log(&["the certificates are loaded again (http.listen[2])"]);
    let after = Client::trusting(&renewed).identity(&two.clients.issue_client("camera"));
    wait_until("it shows the new one", LIMIT, || two.ask_own(&after.clone().config()).is_ok());

    let ca = two.files.file("clients.pem");
    std::fs::write(&ca, "nothing").unwrap();
    two.relay.await_log(&["the certificates stay as they are (http.listen[2])", "clients.pem"]);
    two.ask_own(&after.clone().config()).unwrap();
    std::fs::write(&ca, others.pem()).unwrap();
    let others = Client::trusting(&renewed).identity(&others.issue_client("camera")).config();
    wait_until("others are let in", LIMIT, || two.ask_own(&others).is_ok());
    two.ask_own(&after.config()).unwrap_err();
    assert!(is_served(&two.relay, &Client::trusting(&two.shared).config()));
    viewer.await_more(60_000);
    assert!(assert_whole(&viewer.stop()) >= 25);
}

#[test]
fn the_api_may_have_certificates_and_clients_of_its_own() {
    let files = Scratch::new("certificates");
    let [shared, own] = ["shared", "own"].map(Authority::new);
    let all = shared.issue(&["localhost"]).write(files.path(), "shared");
    let admin = own.issue(&["localhost"]).write(files.path(), "admin");
    let ca = files.file("operators.pem");
    std::fs::write(&ca, own.pem()).unwrap();
    let relay = Relay::start_secure(&format!(
        "tls.certificates = [{}]\n admin.tls = true\n admin.certificates = [{}]\n\
         admin.client_ca = \"{}\"",
        all.toml(),
        admin.toml(),
        ca.display()
    ));
    assert!(is_served(&relay, &Client::trusting(&shared).config()));
    let operator = Client::trusting(&own).identity(&own.issue_client("operator")).config();
    let mut stream = tls::connect(&operator, relay.admin(), "localhost").unwrap();
    get(&mut stream, "/api/v1/versions");
    let nobody = Client::trusting(&own).config();
    let refused = tls::connect(&nobody, relay.admin(), "localhost").and_then(|mut stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        stream.read_exact(&mut [0])
    });
    refused.unwrap_err();
    relay.await_log(&["admin API: no TLS with"]);
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
