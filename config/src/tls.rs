//! `[tls]`: what every listener with `tls = true` does, and what one of them has of its own.

use std::path::PathBuf;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::section::{Section, Value};
use crate::{Config, optional};

/// Settings of every TLS listener, that of `[admin]` included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tls {
    /// The certificates, of which a client gets the one that has the name it asks for (SNI); the
    /// first when it asks for none, or for one that is unknown. Not empty where a listener has
    /// `tls = true` and no certificates of its own; at most 1000.
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

/// What a listener that speaks TLS has of its own; the rest is that of [`Tls`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// Its certificates, chosen among as those of [`Tls::certificates`]; empty: those. At most 1000.
    pub certificates: Vec<TlsCertificate>,
    /// Whose certificates it asks clients for.
    pub client_ca: ListenerClientCa,
}

/// Whose certificates a listener asks clients for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListenerClientCa {
    /// As [`Tls::client_ca`] says: the key is not there.
    #[default]
    AsTls,
    /// It asks for none: `""` in the file.
    NotAsked,
    /// Those of the authorities in this PEM file.
    Of(PathBuf),
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

const CLIENT_CA: &str = "write the path of a PEM file, or \"\" to ask for no certificate";

impl Config {
    /// What speaks TLS, the API included: its key in the file, as in `http.listen[1]`, and what it
    /// has of its own.
    pub fn secure_listeners(&self) -> Vec<(String, &ListenerTls)> {
        let Config { rtmp, http, ts, iptv, admin, .. } = self;
        let lists = [
            ("rtmp.listen", &rtmp.listen),
            ("http.listen", &http.listen),
            ("ts.listen", &ts.listen),
            ("iptv.udpxy.listen", &iptv.udpxy.listen),
        ];
        let media = lists.into_iter().flat_map(|(list, listeners)| {
            let secure = listeners.iter().enumerate();
            secure.filter_map(move |(index, listener)| {
                Some((format!("{list}[{index}]"), listener.tls.as_ref()?))
            })
        });
        let admin = admin.tls.as_ref().filter(|_| admin.listen.is_some());
        media.chain(admin.map(|tls| ("admin".to_owned(), tls))).collect()
    }

    /// Whether any listener speaks TLS.
    pub fn uses_tls(&self) -> bool {
        !self.secure_listeners().is_empty()
    }
}

impl Tls {
    pub(crate) fn read(section: &mut Section<'_>) -> Tls {
        const VERSIONS: [(&str, TlsVersion); 2] =
            [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
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

impl ListenerTls {
    /// Whether it has nothing of its own.
    pub fn is_as_tls(&self) -> bool {
        *self == ListenerTls::default()
    }

    /// Reads the keys of a listener that are about TLS; `None`: it does not speak it. `tls` is the
    /// value of that key, where it is there.
    pub(crate) fn read(section: &mut Section<'_>, tls: Option<Value<'_>>) -> Option<ListenerTls> {
        let speaks = tls.map_or(Some(false), |value| value.boolean());
        let [certificates, client_ca] =
            ["certificates", "client_ca"].map(|key| section.optional(key));
        match speaks {
            Some(true) => Some(ListenerTls {
                certificates: certificates.map(self::certificates).unwrap_or_default(),
                client_ca: client_ca.map(ListenerClientCa::read).unwrap_or_default(),
            }),
            Some(false) => {
                for value in [certificates, client_ca].into_iter().flatten() {
                    let remedy = "add `tls = true`, or leave it out";
                    value.reject("is of no use, as no TLS is spoken here", remedy);
                }
                None
            }
            None => None,
        }
    }

    /// Whether it shows certificates of its own.
    pub(crate) fn has_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Writes `tls` and the keys that go with it as fields of the listener's table, for
    /// `#[serde(flatten, serialize_with)]`.
    pub(crate) fn serialize<S: Serializer>(
        own: &Option<ListenerTls>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("ListenerTls", 3)?;
        table.serialize_field("tls", &own.is_some())?;
        if let Some(own) = own {
            if own.has_certificates() {
                table.serialize_field("certificates", &own.certificates)?;
            }
            match &own.client_ca {
                ListenerClientCa::AsTls => {}
                ListenerClientCa::NotAsked => table.serialize_field("client_ca", "")?,
                ListenerClientCa::Of(path) => table.serialize_field("client_ca", path)?,
            }
        }
        table.end()
    }
}

impl ListenerClientCa {
    fn read(value: Value<'_>) -> ListenerClientCa {
        match value.text(CLIENT_CA) {
            None => ListenerClientCa::AsTls,
            Some("") => ListenerClientCa::NotAsked,
            Some(path) => ListenerClientCa::Of(PathBuf::from(path)),
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
