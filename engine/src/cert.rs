//! `corelay cert`: a certificate for tests, and what to write into the settings to use it.
//!
//! Three PEM files: the certificate with its chain and its key, which `[tls]` names, and the authority
//! that signed it, for clients that are to trust it: browsers and phones take authorities only. The key of
//! the authority is thrown away, so that it vouches for this certificate and for nothing else, ever.
//!
//! What is printed is TOML, comments included: it can be used as the settings as it is.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use corelay::net::tls::{Acceptors, LoadError};
use corelay_config::{Config, Listener};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use sha2::{Digest, Sha256};

/// What `corelay cert` is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The folder of the files; made where it is missing
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// A host name or address that clients connect to; may be given several times. If none is:
    /// localhost, 127.0.0.1, ::1 and the name of this machine
    #[arg(short, long = "name", value_name = "HOST", value_parser = parse_name)]
    names: Vec<String>,
    /// How long it is valid, in days; Apple's devices take 825 at most
    #[arg(short, long, value_name = "N", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum CertError {
    /// It would overwrite.
    #[error("{0} exists; replace it with --force, or choose another folder with --out")]
    Exists(String),
    /// The files cannot be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file or folder.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// It cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes the files and prints the settings that use them.
pub fn run(arguments: &Arguments) -> ExitCode {
    match make(arguments) {
        Ok(text) => {
            // The reader of a pipe may be gone.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("corelay cert: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the files of certificates that listeners need.
///
/// # Errors
/// The first file that cannot be used.
pub fn check(config: &Config) -> Result<(), LoadError> {
    Acceptors::load(config).map(drop)
}

/// Makes the files; gives the text to print.
fn make(arguments: &Arguments) -> Result<String, CertError> {
    let files = Files::in_folder(&arguments.out)?;
    if !arguments.force {
        files.refuse_to_overwrite()?;
    }
    let names = match arguments.names.as_slice() {
        [] => default_names(),
        some => some.to_vec(),
    };
    let made = Made::new(&names, arguments.days)?;
    files.write(&made)?;
    Ok(settings(&files, &made, &names, arguments.days))
}

/// A certificate, its key, and who vouches for it.
struct Made {
    authority: Certificate,
    certificate: Certificate,
    key: KeyPair,
    /// The day after which it is not valid.
    last_day: String,
}

impl Made {
    /// Makes a certificate for `names`, valid from an hour ago, since clocks differ, for `days`.
    fn new(names: &[String], days: u32) -> Result<Made, rcgen::Error> {
        let now = SystemTime::now();
        let (from, to) = (now - HOUR, now + DAY * days);
        let fits = |name: &&String| AUTHORITY.len() + name.len() <= COMMON_NAME_BYTES_MAX;
        let name = names.first().filter(fits).map_or("corelay", String::as_str);

        let mut authority = CertificateParams::default();
        (authority.not_before, authority.not_after) = (from.into(), to.into());
        authority.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY}{name}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut params = CertificateParams::new(names)?;
        (params.not_before, params.not_after) = (from.into(), to.into());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let last_day = params.not_after.date().to_string();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;
        Ok(Made { authority: authority.as_ref().clone(), certificate, key, last_day })
    }

    /// The SHA-256 of the certificate, as browsers and `openssl x509 -fingerprint` show it.
    fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.certificate.der());
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

/// Where the files are, by paths that do not depend on the working directory.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Result<Files, CertError> {
        let failed = |error| CertError::Write { path: shown(folder), error };
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        Ok(Files {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            authority: folder.join("authority.pem"),
        })
    }

    fn refuse_to_overwrite(&self) -> Result<(), CertError> {
        let files = [&self.certificate, &self.key, &self.authority];
        match files.into_iter().find(|file| file.symlink_metadata().is_ok()) {
            Some(file) => Err(CertError::Exists(shown(file))),
            None => Ok(()),
        }
    }

    fn write(&self, made: &Made) -> Result<(), CertError> {
        let (own, authority) = (made.certificate.pem(), made.authority.pem());
        replace(&self.key, &made.key.serialize_pem(), SECRET)?;
        replace(&self.certificate, &(own + &authority), PUBLIC)?;
        replace(&self.authority, &authority, PUBLIC)
    }
}

/// Writes a file in one step: a server that looks at it sees what was there, or all that is new.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), CertError> {
    let new = path.with_extension("pem.new");
    let write = || {
        // What an interrupted run has left may have another mode.
        if let Err(error) = fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| CertError::Write { path: shown(path), error })
}

/// The names of this machine for clients on it, and for those on its network that know it by name.
fn default_names() -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if let Ok(host) = parse_name(host.trim())
        && !names.contains(&host)
    {
        names.push(host);
    }
    names
}

/// An address, or what a host can be called (RFC 1123 2.1), the first label of which may be a `*`.
fn parse_name(text: &str) -> Result<String, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.chars().all(allowed)
    };
    match name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err("write a host name or an address, as in tv.example.net, *.example.net or \
                      192.0.2.1"
            .to_owned()),
    }
}

/// What to write into the settings, with what is good to know in comments.
fn settings(files: &Files, made: &Made, names: &[String], days: u32) -> String {
    let Files { certificate, key, authority } = files;
    let (names, last_day, fingerprint) = (names.join(", "), &made.last_day, made.fingerprint());
    let mut text = format!(
        "# A certificate for {names}\n# valid until {last_day} ({days} days)\n\
         # SHA-256 {fingerprint}\n#\n\
         # Nobody knows who signed it: clients take it when they are told to, by\n\
         #   curl --cacert {authority}\n\
         # or by making that file an authority of a browser, or a profile of a phone.\n\n\
         [tls]\ncertificates = [{{ certificate = {}, key = {} }}]\n",
        quoted(certificate),
        quoted(key),
        authority = shown(authority),
    );
    let shipped = Config::shipped();
    for (section, listeners, port) in
        [("rtmp", &shipped.rtmp.listen, RTMPS), ("http", &shipped.http.listen, HTTPS)]
    {
        let _ = write!(text, "\n[{section}]\nlisten = [{}]\n", with_tls(listeners, port));
    }
    text
}

/// The listeners as they are, then each again with TLS, at `port`.
fn with_tls(listeners: &[Listener], port: u16) -> String {
    let plain = listeners.iter().map(|listener| format!("\"{}\"", listener.address));
    let tls = listeners.iter().map(|listener| {
        let address = SocketAddr::new(listener.address.ip(), port);
        format!("{{ address = \"{address}\", tls = true }}")
    });
    plain.chain(tls).collect::<Vec<_>>().join(", ")
}

/// A path as a TOML string, whose escapes are those of JSON.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(shown(path)).to_string()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// The port of RTMPS beside 1935.
const RTMPS: u16 = 1_936;
/// The port of HTTPS beside 8080.
const HTTPS: u16 = 8_443;
/// For its owner alone.
const SECRET: u32 = 0o600;
/// For everybody to read.
const PUBLIC: u32 = 0o644;
/// What the authority is called in front of the first name.
const AUTHORITY: &str = "corelay cert for ";
/// RFC 5280 A.1, ub-common-name.
const COMMON_NAME_BYTES_MAX: usize = 64;
/// RFC 1035 2.3.4.
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_host_or_an_address() {
        for name in ["localhost", "tv-1.example.net", "*.example.net", "192.0.2.1", "::1", "a_b"] {
            assert_eq!(parse_name(name).as_deref(), Ok(name));
        }
        let long = "a".repeat(64);
        for wrong in ["", ".", "a..b", "https://host", "host:80", "a b", "t\u{fc}r", "*", &long] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
        assert!(parse_name(&vec!["a".repeat(63); 4].join(".")).is_err());
    }

    #[test]
    fn this_machine_is_known_by_its_loopback_names_at_least() {
        let names = default_names();
        assert_eq!(names[..3], ["localhost", "127.0.0.1", "::1"]);
        assert!(names.len() <= 4, "{names:?}");
    }

    #[test]
    fn the_text_is_settings_whatever_the_folder_is_called() {
        let names = ["localhost".to_owned()];
        let made = Made::new(&names, 30).expect("it is made");
        let folder = Path::new("/srv/a \"b\"\\c\u{fc}");
        let files = Files {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            authority: folder.join("authority.pem"),
        };
        let text = settings(&files, &made, &names, 30);
        let config = Config::parse(&text, "cert").unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.tls.certificates[0].certificate, files.certificate);
        assert_eq!(config.tls.certificates[0].key, files.key);
        let listens = |listeners: &[Listener]| {
            let shown = |l: &Listener| {
                format!("{}{}", l.address, if l.tls.is_some() { " tls" } else { "" })
            };
            listeners.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            listens(&config.rtmp.listen),
            "0.0.0.0:1935, [::]:1935, 0.0.0.0:1936 tls, [::]:1936 tls"
        );
        assert_eq!(
            listens(&config.http.listen),
            "0.0.0.0:8080, [::]:8080, 0.0.0.0:8443 tls, [::]:8443 tls"
        );
    }
}
