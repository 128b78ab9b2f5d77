use std::io::{IoSlice, Read, Write};
use std::path::Path;
use std::sync::Arc;

use corelay_config::Config;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, version};

use super::*;
use fixture::{Authority, Client, Issued};

/// The end-to-end tests' authority and clients.
#[path = "../../../tests/support/tls.rs"]
#[allow(dead_code, unreachable_pub)]
mod fixture;
/// What the fixture takes for any answer.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corelay-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(folder: &Path, issued: &[&Issued]) -> Settings {
    let write = |(index, one): (usize, &&Issued)| {
        let pair = one.write(folder, &index.to_string());
        (pair.certificate, pair.key)
    };
    Settings {
        certificates: issued.iter().enumerate().map(write).collect(),
        allows_v12: true,
        tickets: true,
        client_ca: None,
        handshake_timeout_ms: 10_000,
        handshake_budget_us: 2_000,
        reload_s: 0,
        kernel: false,
        http2: true,
    }
}

/// A server for `localhost` and a client's configuration that trusts it.
fn setup(folder: &Folder) -> (Acceptor, Arc<ClientConfig>) {
    let authority = Authority::new("ours");
    let issued = authority.issue(&["localhost"]);
    let acceptor = Acceptor::new(settings(&folder.0, &[&issued])).unwrap();
    (acceptor, Client::trusting(&authority).config())
}

/// Both ends of a connection, joined by memory.
struct Joined {
    server: Stream,
    client: ClientConnection,
    /// What the server has received.
    plain: Vec<u8>,
    /// What the client has received.
    received: Vec<u8>,
    /// The client has closed.
    ended: bool,
    /// Bytes that the server gets at a time.
    piece: usize,
}

impl Joined {
    fn new(acceptor: &Acceptor, config: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Self {
            server: Stream::new(acceptor.config(Spoken::Media)).unwrap(),
            client: ClientConnection::new(Arc::clone(config), name).unwrap(),
            plain: Vec::new(),
            received: Vec::new(),
            ended: false,
            piece: usize::MAX,
        }
    }

    /// Moves bytes both ways until there are none.
    fn run(&mut self) -> Result<(), Error> {
        loop {
            let mut up = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut up).unwrap();
            }
            let down = self.output();
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
            for piece in up.chunks(self.piece.min(up.len().max(1))) {
                self.ended |= self.server.receive(piece, &mut self.plain)?;
            }
            let mut rest = &down[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).unwrap();
                // What the client thinks of it is in its alert.
                let _ = self.client.process_new_packets();
                // Ends with WouldBlock where there is nothing more.
                let _ = self.client.reader().read_to_end(&mut self.received);
            }
        }
    }

    fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.has_output() {
            self.server
                .send(|slices| {
                    slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                    Ok(slices.iter().map(|slice| slice.len()).sum())
                })
                .unwrap();
        }
        bytes
    }
}

#[test]
fn what_either_end_says_arrives_wherever_its_records_are_cut() {
    let folder = Folder::new("cuts");
    let (acceptor, config) = setup(&folder);
    let said: Vec<u8> = (0..40_000u32).map(|number| number as u8).collect();
    for piece in [1, 7, 4096, usize::MAX] {
        let mut joined = Joined::new(&acceptor, &config, "localhost");
        joined.piece = piece;
        assert!(joined.server.is_handshaking());
        joined.run().unwrap();
        assert!(!joined.server.is_handshaking());
        joined.client.writer().write_all(&said).unwrap();
        joined.run().unwrap();
        assert_eq!(joined.plain, said, "in pieces of {piece}");
        let taken = joined.server.encrypt(&[IoSlice::new(&said), IoSlice::new(b"and more")]);
        assert_eq!(taken, said.len() + 8);
        joined.run().unwrap();
        assert_eq!(joined.received, [&said[..], b"and more"].concat());
    }
}

#[test]
fn nothing_is_encrypted_before_the_handshake_and_never_more_than_the_limit() {
    let folder = Folder::new("limit");
    let (acceptor, config) = setup(&folder);
    let mut joined = Joined::new(&acceptor, &config, "localhost");
    assert_eq!(joined.server.encrypt(&[IoSlice::new(b"early")]), 0);
    joined.run().unwrap();
    let much = vec![7; 1 << 20];
    assert_eq!(joined.server.encrypt(&[IoSlice::new(&much)]), OUTPUT_BYTES_MAX);
    assert_eq!(joined.server.encrypt(&[IoSlice::new(&much)]), 0, "it waits for its socket");
    joined.run().unwrap();
    assert_eq!(joined.received.len(), OUTPUT_BYTES_MAX);
    assert_eq!(joined.server.encrypt(&[IoSlice::new(&much)]), OUTPUT_BYTES_MAX);
}

#[test]
fn a_session_is_resumed_by_ticket_and_told_so_once() {
    let folder = Folder::new("resumed");
    let (acceptor, config) = setup(&folder);
    for is_resumed in [false, true, true] {
        let mut joined = Joined::new(&acceptor, &config, "localhost");
        assert_eq!(joined.server.take_handshake(), None);
        joined.run().unwrap();
        let handshake = joined.server.take_handshake().unwrap();
        assert_eq!(handshake.is_resumed, is_resumed, "{}", handshake.what);
        assert!(handshake.what.contains("for localhost"), "{}", handshake.what);
        assert_eq!(joined.server.take_handshake(), None);
    }
}

#[test]
fn behind_a_handshake_that_is_not_for_http_nothing_comes_unasked() {
    let folder = Folder::new("unasked");
    let (acceptor, config) = setup(&folder);
    for _ in 0..2 {
        let mut joined = Joined::new(&acceptor, &config, "localhost");
        joined.server = Stream::new(acceptor.config(Spoken::Unnamed)).unwrap();
        while joined.server.is_handshaking() {
            let mut flight = Vec::new();
            joined.client.write_tls(&mut flight).unwrap();
            joined.server.receive(&flight, &mut Vec::new()).unwrap();
            if joined.server.is_handshaking() {
                let answer = joined.output();
                joined.client.read_tls(&mut &answer[..]).unwrap();
                joined.client.process_new_packets().unwrap();
            }
        }
        assert!(!joined.server.has_output());
        assert!(!joined.server.take_handshake().unwrap().is_resumed);
    }
}

#[test]
fn tls_1_2_is_spoken_unless_the_settings_forbid_it() {
    let folder = Folder::new("versions");
    let authority = Authority::new("ours");
    let mut settings = settings(&folder.0, &[&authority.issue(&["localhost"])]);
    let config = Client::trusting(&authority).version(&version::TLS12).config();
    let mut resumed = Vec::new();
    let acceptor = Acceptor::new(settings.clone()).unwrap();
    for _ in 0..2 {
        let mut joined = Joined::new(&acceptor, &config, "localhost");
        joined.run().unwrap();
        let handshake = joined.server.take_handshake().unwrap();
        assert!(handshake.what.starts_with("TLSv1_2"), "{}", handshake.what);
        resumed.push(handshake.is_resumed);
    }
    assert_eq!(resumed, [false, true]);
    settings.allows_v12 = false;
    let acceptor = Acceptor::new(settings).unwrap();
    let error = Joined::new(&acceptor, &config, "localhost").run().unwrap_err();
    assert_eq!(error.refusal(), Refusal::NoCommonGround, "{error}");
    assert!(error.to_string().contains("tls.version_min"), "{error}");
}

#[test]
fn without_tickets_every_handshake_is_a_full_one() {
    let folder = Folder::new("tickets");
    let authority = Authority::new("ours");
    let mut settings = settings(&folder.0, &[&authority.issue(&["localhost"])]);
    settings.tickets = false;
    let acceptor = Acceptor::new(settings).unwrap();
    let config = Client::trusting(&authority).config();
    for _ in 0..2 {
        let mut joined = Joined::new(&acceptor, &config, "localhost");
        joined.run().unwrap();
        assert!(!joined.server.take_handshake().unwrap().is_resumed);
    }
}

#[test]
fn plain_bytes_are_known_as_such_from_the_first_one() {
    let folder = Folder::new("plain");
    let (acceptor, _) = setup(&folder);
    for words in [&b"GET / HTTP/1.1\r\n"[..], &[3, 0, 0, 0]] {
        let mut stream = Stream::new(acceptor.config(Spoken::Media)).unwrap();
        let error = stream.receive(words, &mut Vec::new()).unwrap_err();
        assert_eq!(error, Error::NotTls(words[0]));
        assert!(!stream.has_output(), "a peer without TLS can read no alert");
    }
}

#[test]
fn a_client_that_does_not_trust_us_or_knows_another_name_is_told_apart() {
    let folder = Folder::new("trust");
    let (acceptor, config) = setup(&folder);
    let stranger = Client::trusting(&Authority::new("other")).config();
    let error = Joined::new(&acceptor, &stranger, "localhost").run().unwrap_err();
    assert!(error.to_string().contains("unknown_ca"), "{error}");
    let error = Joined::new(&acceptor, &config, "elsewhere.example").run().unwrap_err();
    assert!(error.to_string().contains("bad_certificate"), "{error}");
    assert_eq!(error.refusal(), Refusal::Refused);
}

#[test]
fn the_name_asked_for_chooses_the_certificate_and_the_first_one_is_for_all_others() {
    let folder = Folder::new("names");
    let authority = Authority::new("ours");
    let names = [&["one.example"][..], &["*.two.example", "two.example"], &["127.0.0.1"]];
    let issued: Vec<Issued> = names.iter().map(|names| authority.issue(names)).collect();
    let all: Vec<&Issued> = issued.iter().collect();
    let acceptor = Acceptor::new(settings(&folder.0, &all)).unwrap();
    let config = Client::trusting(&authority).config();
    for name in ["one.example", "two.example", "cdn.two.example"] {
        let mut joined = Joined::new(&acceptor, &config, name);
        joined.run().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    // An address is never told: it gets the first.
    let error = Joined::new(&acceptor, &config, "127.0.0.1").run().unwrap_err();
    assert!(error.to_string().contains("bad_certificate"), "{error}");
}

#[test]
fn new_certificates_count_for_new_handshakes_and_broken_ones_change_nothing() {
    let folder = Folder::new("reload");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let acceptor = Acceptor::new(settings(&folder.0, &[&old.issue(&["localhost"])])).unwrap();
    let (trusts_old, trusts_new) =
        (Client::trusting(&old).config(), Client::trusting(&new).config());
    let mut before = Joined::new(&acceptor, &trusts_old, "localhost");
    before.run().unwrap();
    let stamp = acceptor.certificates().stamp();

    // The certificate of one pair and the key of another.
    let issued = new.issue(&["localhost"]);
    std::fs::write(folder.0.join("0.pem"), &issued.certificate).unwrap();
    assert_ne!(acceptor.certificates().stamp(), stamp);
    let error = acceptor.certificates().reload().unwrap_err();
    assert!(matches!(error, LoadError::Pair { .. }), "{error}");
    std::fs::write(folder.0.join("0.pem"), "no certificate").unwrap();
    let error = acceptor.certificates().reload().unwrap_err();
    assert!(matches!(error, LoadError::Empty(_)), "{error}");
    Joined::new(&acceptor, &trusts_old, "localhost").run().unwrap();

    issued.write(&folder.0, "0");
    acceptor.certificates().reload().unwrap();
    Joined::new(&acceptor, &trusts_new, "localhost").run().unwrap();
    before.server.encrypt(&[IoSlice::new(b"still here")]);
    before.run().unwrap();
    assert_eq!(before.received, b"still here");
    std::fs::remove_file(folder.0.join("0.key")).unwrap();
    let error = acceptor.certificates().reload().unwrap_err();
    assert!(matches!(&error, LoadError::File { path, .. } if path.ends_with("0.key")), "{error}");
}

#[test]
fn where_client_certificates_are_required_only_those_of_the_authority_are_good() {
    let folder = Folder::new("clients");
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let mut settings = settings(&folder.0, &[&ours.issue(&["localhost"])]);
    let path = folder.0.join("ca.pem");
    std::fs::write(&path, ours.pem()).unwrap();
    settings.client_ca = Some(path);
    let acceptor = Acceptor::new(settings).unwrap();
    let try_with = |client: Client| Joined::new(&acceptor, &client.config(), "localhost").run();
    let nobody = try_with(Client::trusting(&ours)).unwrap_err();
    assert_eq!(nobody, Error::ClientCertificate("the peer sent none".to_owned()));
    let stranger = other.issue_client("camera 1");
    let stranger = try_with(Client::trusting(&ours).identity(&stranger)).unwrap_err();
    assert!(stranger.to_string().contains("`client_ca`"), "{stranger}");
    try_with(Client::trusting(&ours).identity(&ours.issue_client("camera 1"))).unwrap();
}

/// Settings for `localhost` that take clients of `clients` only, by the file `NAME.pem`.
fn settings_for(folder: &Path, authority: &Authority, name: &str, clients: &Authority) -> Settings {
    let path = folder.join(format!("{name}.pem"));
    std::fs::write(&path, clients.pem()).unwrap();
    let mut settings = settings(folder, &[&authority.issue(&["localhost"])]);
    settings.client_ca = Some(path);
    settings
}

#[test]
fn what_was_begun_without_a_client_certificate_is_not_resumed_where_one_is_required() {
    let folder = Folder::new("crossing");
    let authority = Authority::new("ours");
    let open = Acceptor::new(settings(&folder.0, &[&authority.issue(&["localhost"])])).unwrap();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let [first_only, second_only] = [("first", &first), ("second", &second)].map(|(name, ca)| {
        let settings = settings_for(&folder.0, &authority, name, ca);
        // One certificate for all of them: nothing but the authorities tells them apart.
        Acceptor::sharing(settings, Arc::clone(open.certificates())).unwrap()
    });
    for version in [&version::TLS12, &version::TLS13] {
        let client = || Client::trusting(&authority).version(version);
        let handshake = |acceptor: &Acceptor, config: &Arc<ClientConfig>| {
            let mut joined = Joined::new(acceptor, config, "localhost");
            let run = joined.run();
            run.map(|()| joined.server.take_handshake().unwrap().is_resumed)
        };
        let nobody = client().config();
        assert_eq!(handshake(&open, &nobody), Ok(false));
        assert_eq!(handshake(&open, &nobody), Ok(true), "it has tickets");
        let error = handshake(&first_only, &nobody).unwrap_err();
        assert_eq!(error.refusal(), Refusal::ClientCertificate, "{error}");

        let known = client().identity(&first.issue_client("camera")).config();
        assert_eq!(handshake(&first_only, &known), Ok(false));
        assert_eq!(handshake(&first_only, &known), Ok(true));
        let error = handshake(&second_only, &known).unwrap_err();
        assert_eq!(error.refusal(), Refusal::ClientCertificate, "{error}");
    }
}

#[test]
fn other_authorities_count_for_new_handshakes_and_end_the_resumption_of_sessions() {
    let folder = Folder::new("authorities");
    let (authority, first, second) =
        (Authority::new("ours"), Authority::new("first"), Authority::new("second"));
    let acceptor = Acceptor::new(settings_for(&folder.0, &authority, "clients", &first)).unwrap();
    let known = Client::trusting(&authority).identity(&first.issue_client("camera")).config();
    let handshake = |config: &Arc<ClientConfig>| {
        let mut joined = Joined::new(&acceptor, config, "localhost");
        joined.run().map(|()| joined.server.take_handshake().unwrap().is_resumed)
    };
    assert_eq!(handshake(&known), Ok(false));
    // The same authorities once more leave sessions as they are.
    acceptor.reload().unwrap();
    assert_eq!(handshake(&known), Ok(true));

    let stamp = acceptor.stamp();
    std::fs::write(folder.0.join("clients.pem"), "no certificate").unwrap();
    assert_ne!(acceptor.stamp(), stamp);
    let error = acceptor.reload().unwrap_err();
    assert!(matches!(&error, LoadError::Empty(path) if path.ends_with("clients.pem")), "{error}");
    assert_eq!(handshake(&known), Ok(true));

    std::fs::write(folder.0.join("clients.pem"), second.pem()).unwrap();
    acceptor.reload().unwrap();
    let error = handshake(&known).unwrap_err();
    assert_eq!(error.refusal(), Refusal::ClientCertificate, "{error}");
    let new = Client::trusting(&authority).identity(&second.issue_client("camera")).config();
    assert_eq!(handshake(&new), Ok(false));
}

#[test]
fn only_http_is_agreed_on_by_name_and_the_api_has_no_http_2() {
    let folder = Folder::new("names of protocols");
    let authority = Authority::new("ours");
    let mut settings = settings(&folder.0, &[&authority.issue(&["localhost"])]);
    let names = |settings: &Settings, spoken| {
        let acceptor = Acceptor::new(settings.clone()).unwrap();
        acceptor.config(spoken).alpn_protocols.clone()
    };
    assert_eq!(names(&settings, Spoken::Media), [&b"h2"[..], b"http/1.1"]);
    assert_eq!(names(&settings, Spoken::Api), [b"http/1.1"]);
    assert!(names(&settings, Spoken::Unnamed).is_empty());
    settings.http2 = false;
    assert_eq!(names(&settings, Spoken::Media), [b"http/1.1"]);
}

#[test]
fn listeners_with_nothing_of_their_own_share_and_the_certificates_of_all_are_shown_once() {
    let folder = Folder::new("acceptors");
    let authority = Authority::new("ours");
    let [all, own] = ["all", "own"].map(|name| authority.issue(&[name]).write(&folder.0, name));
    let ca = folder.0.join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let text = format!(
        "tls.certificates = [{}]\nhttp.listen = [\"127.0.0.1:0\", \
         {{ address = \"127.0.0.1:0\", tls = true }}, \
         {{ address = \"127.0.0.1:0\", tls = true, certificates = [{}] }}, \
         {{ address = \"127.0.0.1:0\", tls = true, client_ca = \"{}\" }}]\n\
         rtmp.listen = [{{ address = \"127.0.0.1:0\", tls = true }}]\n",
        all.toml(),
        own.toml(),
        ca.display()
    );
    let config = Config::parse(&text, "f").unwrap();
    let acceptors = Acceptors::load(&config).unwrap();
    let names: Vec<&str> = acceptors.all().map(|(name, _)| name).collect();
    assert_eq!(names, [SHARED, "http.listen[2]", "http.listen[3]"]);
    let shown = acceptors.shown();
    let places: Vec<_> = shown.iter().map(|one| (one.listener, one.number, one.file)).collect();
    assert_eq!(places, [(SHARED, 1, &*all.certificate), ("http.listen[2]", 1, &*own.certificate)]);
    assert!(shown.iter().all(|one| one.ends_s.is_some()));
    for (key, own) in config.secure_listeners() {
        acceptors.entrance(&key, own, Spoken::Unnamed);
    }
    let missing = text.replace("ca.pem", "missing.pem");
    let error = Acceptors::load(&Config::parse(&missing, "f").unwrap()).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}

#[test]
fn the_end_is_said_by_both_sides_and_nothing_follows_it() {
    let folder = Folder::new("end");
    let (acceptor, config) = setup(&folder);
    let mut joined = Joined::new(&acceptor, &config, "localhost");
    joined.run().unwrap();
    joined.client.writer().write_all(b"last words").unwrap();
    joined.client.send_close_notify();
    joined.run().unwrap();
    assert!(joined.ended);
    assert_eq!(joined.plain, b"last words");
    joined.server.encrypt(&[IoSlice::new(b"ours")]);
    joined.server.close();
    assert_eq!(joined.server.encrypt(&[IoSlice::new(b"too late")]), 0);
    joined.run().unwrap();
    assert_eq!(joined.received, b"ours");
    let end = joined.client.reader().read(&mut [0; 8]);
    assert_eq!(end.expect("an end, and no truncation"), 0);
}

#[test]
fn a_record_that_was_changed_on_its_way_ends_the_connection_with_an_alert() {
    let folder = Folder::new("changed");
    let (acceptor, config) = setup(&folder);
    let mut joined = Joined::new(&acceptor, &config, "localhost");
    joined.run().unwrap();
    let mut record = Vec::new();
    joined.client.writer().write_all(b"what was said").unwrap();
    joined.client.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    let error = joined.server.receive(&record, &mut joined.plain).unwrap_err();
    assert_eq!(error.refusal(), Refusal::Violation, "{error}");
    assert!(joined.plain.is_empty());
    assert!(joined.server.has_output());
}

#[test]
fn no_first_flight_of_a_peer_does_worse_than_an_error() {
    let folder = Folder::new("hostile");
    let (acceptor, config) = setup(&folder);
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
    let try_with = |bytes: &[u8]| {
        let mut stream = Stream::new(acceptor.config(Spoken::Media)).unwrap();
        let received = stream.receive(bytes, &mut Vec::new());
        assert!(stream.is_handshaking());
        received
    };
    for at in 0..hello.len() {
        // A part of it is not wrong, only not all.
        assert_eq!(try_with(&hello[..at]), Ok(false), "{at}");
        let mut changed = hello.clone();
        changed[at] ^= 0xff;
        // Random bytes and extensions that nobody knows may be anything.
        let _ = try_with(&changed);
    }
    let endless = [&[22, 3, 1, 0x40, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 0x4000]].concat();
    assert!(try_with(&endless.repeat(8)).is_err());
}

#[test]
fn the_kernel_may_take_over_between_records_only() {
    let folder = Folder::new("between");
    let (acceptor, config) = setup(&folder);
    let mut joined = Joined::new(&acceptor, &config, "localhost");
    assert!(!joined.server.is_between_records());
    joined.run().unwrap();
    assert!(joined.server.is_between_records());
    let mut record = Vec::new();
    joined.client.writer().write_all(&[1; 20_000]).unwrap();
    while joined.client.wants_write() {
        joined.client.write_tls(&mut record).unwrap();
    }
    // Two records: the first ends where the plain bytes of one have come.
    for byte in &record {
        let before = joined.plain.len();
        joined.server.receive(&[*byte], &mut joined.plain).unwrap();
        assert_eq!(joined.server.is_between_records(), joined.plain.len() > before);
    }
    assert_eq!(joined.plain.len(), 20_000);
    joined.server.encrypt(&[IoSlice::new(b"not sent")]);
    assert!(!joined.server.is_between_records());
    joined.run().unwrap();
    joined.server.close();
    assert!(!joined.server.is_between_records());
}
