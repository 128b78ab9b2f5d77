//! `[tls]`: what every listener with `tls = true` does.

use std::path::PathBuf;

use serde::Serialize;

use crate::optional;
use crate::section::{Section, Value};

/// Settings of every TLS listener, that of `[admin]` included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tls {
    /// The certificates, of which a client gets the one that has the name it asks for (SNI); the
    /// first when it asks for none, or for one that is unknown. Not empty where a listener has
    /// `tls = true`; at most 1000.
    pub certificates: Vec<TlsCertificate>,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
    /// Whether clients get tickets to resume a session with.
    pub tickets: bool,
    /// Certificates of the authorities, in PEM, of which a client's certificate must come; `None`
    /// (`""` in the file): clients need none.
    #[serde(serialize_with = "optional::serialize")]
    pub client_ca: Option<PathBuf>,
    /// From accept to the end of the handshake. Milliseconds, 100 to 600000.
    pub handshake_timeout_ms: u64,
    /// What handshakes may take of one turn of a core. Microseconds, 100 to 100000.
    pub handshake_budget_us: u64,
    /// How often the files of the certificates are looked at. Seconds, 0 (never) to 3600.
    pub reload_s: u64,
    /// Whether the kernel encrypts, where it can.
    pub kernel: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsCertificate {
    /// A PEM file: the certificate, then those between it and the authority's.
    pub certificate: PathBuf,
    /// A PEM file: the private key of the first certificate.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// More are a mistake; each is read again when its files change.
const CERTIFICATES_MAX: usize = 1_000;

impl Tls {
    pub(crate) fn read(section: &mut Section<'_>) -> Tls {
        const VERSIONS: [(&str, TlsVersion); 2] =
            [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
        const CLIENT_CA: &str = "write the path of a PEM file, or \"\" to ask for no certificate";
        Tls {
            certificates: section.value("certificates").map(certificates).unwrap_or_default(),
            version_min: section.choice("version_min", VERSIONS),
            tickets: section.boolean("tickets"),
            client_ca: optional::path(section, "client_ca", CLIENT_CA),
            handshake_timeout_ms: section.integer("handshake_timeout_ms", 100..=600_000),
            handshake_budget_us: section.integer("handshake_budget_us", 100..=100_000),
            reload_s: section.integer("reload_s", 0..=3_600),
            kernel: section.boolean("kernel"),
        }
    }
}

fn certificates(value: Value<'_>) -> Vec<TlsCertificate> {
    const LIST: &str =
        "write a list, as in [{ certificate = \"certificate.pem\", key = \"key.pem\" }]";
    let items = value.items(LIST).unwrap_or_default();
    if items.len() > CERTIFICATES_MAX {
        let what = format!("{} certificates are too many", items.len());
        value.reject(what, format!("write at most {CERTIFICATES_MAX}"));
    }
    items.into_iter().filter_map(|item| item.section(TlsCertificate::read)).collect()
}

impl TlsCertificate {
    fn read(section: &mut Section<'_>) -> Option<TlsCertificate> {
        let certificate = section.value("certificate").and_then(pem);
        let key = section.value("key").and_then(pem);
        Some(TlsCertificate { certificate: certificate?, key: key? })
    }
}

fn pem(value: Value<'_>) -> Option<PathBuf> {
    const REMEDY: &str = "write the path of a PEM file";
    let text = value.text(REMEDY)?;
    if text.is_empty() {
        value.reject("is empty", REMEDY);
        return None;
    }
    Some(PathBuf::from(text))
}
