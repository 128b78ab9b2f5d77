//! `corelay cert`: what it writes is taken by OpenSSL, what it prints is taken by corelay.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use corelay_config::Config;
use support::peer::{Finished, Peer};
use support::relay::Relay;
use support::{LIMIT, Scratch};

const PROGRAM: &str = env!("CARGO_BIN_EXE_corelay");

/// A TLS handshake in memory between a server with the certificate and a client that trusts the
/// authority, as strictly as it goes; for each name the line `NAME ok`, or `NAME` and what is wrong.
const HANDSHAKE: &str = r#"
import ssl, sys

folder, names = sys.argv[1], sys.argv[2:]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(folder + "/certificate.pem", folder + "/key.pem")
client = ssl.create_default_context(cafile=folder + "/authority.pem")
client.verify_flags |= ssl.VERIFY_X509_STRICT
for name in names:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(up, down, server_side=True),
            client.wrap_bio(down, up, server_hostname=name)]
    try:
        for _ in range(4):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        print(name, "ok" if ends[1].version() else "unfinished")
    except ssl.SSLError as error:
        print(name, error)
"#;

fn cert(scratch: &Scratch, folder: &Path, args: &[&str]) -> Finished {
    let folder = folder.to_str().unwrap();
    Peer::spawn(scratch, PROGRAM, &[&["cert", "--out", folder], args].concat()).wait(LIMIT)
}

/// What a client says that connects to `name`.
fn handshake(scratch: &Scratch, folder: &Path, name: &str) -> String {
    let args = ["-c", HANDSHAKE, folder.to_str().unwrap(), name];
    let finished = Peer::spawn(scratch, "python3", &args).wait(LIMIT);
    assert!(finished.succeeded(), "{}", finished.output());
    finished.stdout.trim().to_owned()
}

fn mode(file: &Path) -> u32 {
    file.metadata().expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_certificate_is_good_for_its_names_and_for_no_others() {
    let scratch = Scratch::new("cert-names");
    let folder = scratch.file("new/folder");
    let names = ["--name", "tv.example.net", "--name", "192.0.2.1", "--name", "2001:db8::1"];
    let finished = cert(&scratch, &folder, &names);
    assert!(finished.succeeded(), "{}", finished.output());
    for name in ["tv.example.net", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(handshake(&scratch, &folder, name), format!("{name} ok"));
    }
    for name in ["www.example.net", "192.0.2.2", "localhost"] {
        let said = handshake(&scratch, &folder, name);
        assert!(said.contains("CERTIFICATE_VERIFY_FAILED"), "{said}");
    }
}

#[test]
fn without_a_name_it_is_for_this_machine() {
    let scratch = Scratch::new("cert-default");
    let finished = cert(&scratch, scratch.path(), &[]);
    assert!(finished.succeeded(), "{}", finished.output());
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(handshake(&scratch, scratch.path(), name), format!("{name} ok"));
    }
}

#[test]
fn only_its_owner_can_read_the_key() {
    let scratch = Scratch::new("cert-mode");
    assert!(cert(&scratch, scratch.path(), &[]).succeeded());
    assert_eq!(mode(&scratch.file("key.pem")), 0o600);
    assert_eq!(mode(&scratch.file("certificate.pem")) & 0o444, 0o444);
    let key = std::fs::read_to_string(scratch.file("key.pem")).unwrap();
    let authority = std::fs::read_to_string(scratch.file("authority.pem")).unwrap();
    assert_eq!(key.matches("PRIVATE KEY").count(), 2, "one begin, one end");
    assert!(!authority.contains("PRIVATE KEY"), "the authority signs nothing else");
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let scratch = Scratch::new("cert-force");
    assert!(cert(&scratch, scratch.path(), &[]).succeeded());
    let files = ["certificate.pem", "key.pem", "authority.pem"];
    let read = || files.map(|name| std::fs::read_to_string(scratch.file(name)).unwrap());
    let first = read();

    let refused = cert(&scratch, scratch.path(), &[]);
    assert!(!refused.succeeded());
    assert!(refused.stderr.contains("certificate.pem exists; replace it with --force"));
    assert_eq!(refused.stdout, "");
    assert_eq!(read(), first);

    std::fs::remove_file(scratch.file("certificate.pem")).unwrap();
    assert!(!cert(&scratch, scratch.path(), &[]).succeeded(), "the key is still there");
    assert_eq!(std::fs::read_to_string(scratch.file("key.pem")).unwrap(), first[1]);

    // A key that others could read, and the rest of an interrupted run, leave no trace.
    std::fs::set_permissions(scratch.file("key.pem"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(scratch.file("key.pem.new"), "half").unwrap();
    let forced = cert(&scratch, scratch.path(), &["--force"]);
    assert!(forced.succeeded(), "{}", forced.output());
    assert!(read().iter().zip(&first).all(|(new, old)| new != old));
    assert_eq!(mode(&scratch.file("key.pem")), 0o600);
    assert!(!scratch.file("key.pem.new").exists());
    assert_eq!(handshake(&scratch, scratch.path(), "localhost"), "localhost ok");
}

#[test]
fn what_is_printed_is_a_file_of_settings() {
    let scratch = Scratch::new("cert-settings");
    let folder = scratch.file("a \"quoted\" folder");
    let finished = cert(&scratch, &folder, &["--days", "30"]);
    let config = Config::parse(&finished.stdout, "cert").unwrap_or_else(|all| panic!("{all}"));
    let pair = &config.tls.certificates[0];
    assert!(pair.certificate.is_absolute() && pair.certificate.is_file(), "{pair:?}");
    assert!(pair.key.is_absolute() && pair.key.is_file(), "{pair:?}");
    assert!(config.rtmp.listen.iter().any(|listener| listener.tls.is_some()));
    assert!(config.http.listen.iter().any(|listener| listener.tls.is_some()));
    assert!(finished.stdout.contains("(30 days)"), "{}", finished.stdout);
    assert!(finished.stdout.contains("\n# SHA-256 "), "{}", finished.stdout);

    let file = scratch.file("relay.toml");
    std::fs::write(&file, &finished.stdout).unwrap();
    let args = ["--check", "--config", file.to_str().unwrap()];
    let checked = Peer::spawn(&scratch, PROGRAM, &args).wait(LIMIT);
    assert!(checked.succeeded(), "{}", checked.output());
}

#[test]
fn a_certificate_that_cannot_be_used_is_found_by_a_check() {
    let scratch = Scratch::new("cert-check");
    let finished = cert(&scratch, scratch.path(), &[]);
    let file = scratch.file("relay.toml");
    std::fs::write(&file, &finished.stdout).unwrap();
    let check = || {
        let args = ["--check", "--config", file.to_str().unwrap()];
        Peer::spawn(&scratch, PROGRAM, &args).wait(LIMIT)
    };
    assert!(check().succeeded(), "{}", check().output());

    std::fs::write(scratch.file("key.pem"), "no key").unwrap();
    let broken = check();
    assert!(!broken.succeeded());
    assert!(broken.stderr.contains("key.pem"), "{}", broken.stderr);

    // What no listener needs is not looked at.
    let settings = finished.stdout.replace(", tls = true", "");
    std::fs::write(&file, settings).unwrap();
    assert!(check().succeeded(), "{}", check().output());
}

#[test]
fn a_relay_serves_with_it_those_who_trust_the_authority() {
    let scratch = Scratch::new("cert-relay");
    assert!(cert(&scratch, scratch.path(), &[]).succeeded());
    let path = |name: &str| scratch.file(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let relay = Relay::start_secure(&format!(
        "tls.certificates = [{{ certificate = {certificate:?}, key = {key:?} }}]"
    ));
    let port = relay.https_port();
    let status = |options: &[&str]| {
        let url = format!("https://localhost:{port}/live/nobody.flv");
        let resolve = format!("localhost:{port}:127.0.0.1");
        let args = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", &resolve, &url];
        Peer::spawn(relay.scratch(), "curl", &[&args[..], options].concat()).wait(LIMIT)
    };
    let trusting = status(&["--cacert", &path("authority.pem")]);
    assert_eq!(trusting.stdout, "404", "{}", trusting.output());
    let others = status(&[]);
    assert!(others.stderr.contains("certificate"), "{}", others.output());
}

#[test]
fn what_cannot_be_done_is_said() {
    let scratch = Scratch::new("cert-mistakes");
    let name = cert(&scratch, scratch.path(), &["--name", "https://tv.example.net"]);
    assert!(!name.succeeded());
    assert!(name.stderr.contains("write a host name or an address"), "{}", name.stderr);

    std::fs::write(scratch.file("file"), "").unwrap();
    let below_a_file = cert(&scratch, &scratch.file("file/folder"), &[]);
    assert!(!below_a_file.succeeded());
    assert!(below_a_file.stderr.contains("corelay cert: cannot write "), "{}", below_a_file.stderr);
}
