//! Why a TLS connection ends.

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

/// What went wrong, sorted by who is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's first byte begins no TLS record: it speaks the protocol without TLS.
    #[error("the peer does not speak TLS: its first byte is {0:#04x}")]
    NotTls(u8),
    /// The peer has ended the handshake with an alert (RFC 8446 6.2): most often it does not trust the
    /// certificate, or finds another name in it.
    #[error("the peer refused the handshake or the connection: {}", alert(*.0))]
    Refused(AlertDescription),
    /// The peer's offer and ours have nothing in common: versions, cipher suites, key exchange, ALPN.
    #[error("no common ground with the peer: {0}")]
    NoCommonGround(String),
    /// A certificate is required of the peer (`client_ca`), and it sent none that is good.
    #[error("client certificate: {0}")]
    ClientCertificate(String),
    /// The peer's bytes are no TLS, or break its rules.
    #[error("TLS violated: {0}")]
    Violation(String),
}

/// Why a handshake did not come to its end, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// See [`Error::NotTls`].
    NotTls,
    /// See [`Error::Refused`].
    Refused,
    /// See [`Error::NoCommonGround`].
    NoCommonGround,
    /// See [`Error::ClientCertificate`].
    ClientCertificate,
    /// See [`Error::Violation`].
    Violation,
    /// It took longer than `tls.handshake_timeout_ms`.
    Timeout,
    /// The peer left in the middle of it.
    Gone,
}

impl Refusal {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 7] = [
        Self::NotTls,
        Self::Refused,
        Self::NoCommonGround,
        Self::ClientCertificate,
        Self::Violation,
        Self::Timeout,
        Self::Gone,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Refused => "refused_by_peer",
            Self::NoCommonGround => "no_common_ground",
            Self::ClientCertificate => "client_certificate",
            Self::Violation => "violation",
            Self::Timeout => "timeout",
            Self::Gone => "peer_left",
        }
    }
}

impl Error {
    /// Which counter it belongs to.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::NotTls(_) => Refusal::NotTls,
            Self::Refused(_) => Refusal::Refused,
            Self::NoCommonGround(_) => Refusal::NoCommonGround,
            Self::ClientCertificate(_) => Refusal::ClientCertificate,
            Self::Violation(_) => Refusal::Violation,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::Refused(alert),
            rustls::Error::PeerIncompatible(what) => Self::NoCommonGround(incompatible(&what)),
            rustls::Error::NoApplicationProtocol => {
                Self::NoCommonGround("no application protocol that is spoken here".to_owned())
            }
            rustls::Error::NoCertificatesPresented => {
                Self::ClientCertificate("the peer sent none".to_owned())
            }
            rustls::Error::InvalidCertificate(why) => Self::ClientCertificate(certificate(&why)),
            other => Self::Violation(other.to_string()),
        }
    }
}

/// An alert in the words of RFC 8446 6.
fn alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => {
            "unknown_ca: it does not trust who issued the certificate".to_owned()
        }
        AlertDescription::BadCertificate => {
            "bad_certificate: it does not accept the certificate, perhaps for its name".to_owned()
        }
        AlertDescription::CertificateExpired => {
            "certificate_expired: the certificate is not valid now".to_owned()
        }
        other => format!("{other:?}"),
    }
}

fn incompatible(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite".to_owned(),
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group".to_owned(),
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => {
            "the peer is too old for `tls.version_min`".to_owned()
        }
        other => format!("{other:?}"),
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "not issued by a CA of `client_ca`".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        other => format!("{other:?}"),
    }
}
