//! What the TLS connections of a listener share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use corelay_config::{Config, ListenerClientCa, ListenerTls, TlsCertificate, TlsVersion};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::certificates::{Certificates, LoadError, load_chain, stamp};

/// The settings of `[tls]`, or of a listener that has some of its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pairs of PEM files: chain and key. The first is for peers that name no server, or an unknown one.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// TLS 1.2 is spoken with those who have nothing newer.
    pub allows_v12: bool,
    /// Sessions may be resumed.
    pub tickets: bool,
    /// A peer must have a certificate that one of these CAs has issued.
    pub client_ca: Option<PathBuf>,
    /// How long a handshake may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// How long a core works on handshakes in one turn, in microseconds.
    pub handshake_budget_us: u64,
    /// How often the files are looked at, in seconds; 0: only when the process is told to.
    pub reload_s: u64,
    /// Connections are handed to the kernel once they are established.
    pub kernel: bool,
    /// Where HTTP is served, HTTP/2 is offered.
    pub http2: bool,
}

/// What is spoken inside TLS. Both ends agree on it by name (ALPN, RFC 7301), where it has one that
/// clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP of media: HTTP/2 where the settings allow it, and HTTP/1.1.
    Media,
    /// HTTP of the API: HTTP/1.1 alone.
    Api,
    /// What has no such name.
    Unnamed,
}

/// What the TLS connections of one listener share, or those of all listeners that have nothing of their
/// own: certificates, authorities of clients, tickets. A session is resumed where it began: what lets a
/// client in here opens nothing elsewhere.
#[derive(Debug)]
pub struct Acceptor {
    settings: Settings,
    certificates: Arc<Certificates>,
    current: ArcSwap<Current>,
}

/// Where connections come in that speak one thing.
#[derive(Clone, Debug)]
pub struct Entrance {
    acceptor: Arc<Acceptor>,
    spoken: Spoken,
}

/// What handshakes need, until there are other authorities.
#[derive(Debug)]
struct Current {
    /// The certificates of `client_ca`; empty where there is none.
    authorities: Vec<CertificateDer<'static>>,
    media: Arc<ServerConfig>,
    api: Arc<ServerConfig>,
    unnamed: Arc<ServerConfig>,
}

impl Settings {
    /// Those of `[tls]`.
    pub fn from_config(config: &Config) -> Self {
        let tls = &config.tls;
        Self {
            certificates: pairs(&tls.certificates),
            allows_v12: tls.version_min == TlsVersion::V12,
            tickets: tls.tickets,
            client_ca: tls.client_ca.clone(),
            handshake_timeout_ms: tls.handshake_timeout_ms,
            handshake_budget_us: tls.handshake_budget_us,
            reload_s: tls.reload_s,
            kernel: tls.kernel,
            http2: config.http.http2,
        }
    }

    /// Those of a listener.
    pub fn of_listener(config: &Config, own: &ListenerTls) -> Self {
        let mut settings = Self::from_config(config);
        if !own.certificates.is_empty() {
            settings.certificates = pairs(&own.certificates);
        }
        match &own.client_ca {
            ListenerClientCa::AsTls => {}
            ListenerClientCa::NotAsked => settings.client_ca = None,
            ListenerClientCa::Of(path) => settings.client_ca = Some(path.clone()),
        }
        settings
    }
}

fn pairs(certificates: &[TlsCertificate]) -> Vec<(PathBuf, PathBuf)> {
    certificates.iter().map(|one| (one.certificate.clone(), one.key.clone())).collect()
}

impl Acceptor {
    /// Loads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, LoadError> {
        let certificates = Certificates::load(settings.certificates.clone())?;
        Self::sharing(settings, Arc::new(certificates))
    }

    /// The same with certificates that are loaded already.
    ///
    /// # Errors
    /// The file of the authorities cannot be used.
    pub fn sharing(settings: Settings, certificates: Arc<Certificates>) -> Result<Self, LoadError> {
        let authorities = load_authorities(&settings)?;
        let current = Current::new(&settings, &certificates, authorities)?;
        Ok(Self { settings, certificates, current: ArcSwap::from_pointee(current) })
    }

    /// What handshakes need from now on.
    pub fn config(&self, spoken: Spoken) -> Arc<ServerConfig> {
        let current = self.current.load();
        Arc::clone(match spoken {
            Spoken::Media => &current.media,
            Spoken::Api => &current.api,
            Spoken::Unnamed => &current.unnamed,
        })
    }

    /// Loads the files again, for the handshakes to come. All or nothing. Where the authorities are others
    /// than before, no session is resumed that began under those.
    ///
    /// # Errors
    /// The first file that cannot be used; what was loaded before stays.
    pub fn reload(&self) -> Result<(), LoadError> {
        let authorities = load_authorities(&self.settings)?;
        let next = if authorities == self.current.load().authorities {
            None
        } else {
            Some(Current::new(&self.settings, &self.certificates, authorities)?)
        };
        self.certificates.reload()?;
        if let Some(next) = next {
            self.current.store(Arc::new(next));
        }
        Ok(())
    }

    /// What tells one state of the files from another.
    pub fn stamp(&self) -> Vec<Option<(SystemTime, u64)>> {
        let mut stamps = self.certificates.stamp();
        stamps.extend(self.settings.client_ca.iter().map(stamp));
        stamps
    }

    /// The certificates.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }
}

impl Entrance {
    /// The way in for those who speak `spoken`.
    pub fn new(acceptor: Arc<Acceptor>, spoken: Spoken) -> Self {
        Self { acceptor, spoken }
    }

    /// What a handshake that begins now needs.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.acceptor.config(self.spoken)
    }
}

impl Current {
    fn new(
        settings: &Settings,
        certificates: &Arc<Certificates>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, LoadError> {
        let mut unnamed = server_config(settings, certificates, &authorities)?;
        let offering = |names: &[&[u8]]| {
            let mut config = unnamed.clone();
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let media = offering(if settings.http2 { &[HTTP_2, HTTP_1_1] } else { &[HTTP_1_1] });
        let api = offering(&[HTTP_1_1]);
        // librtmp takes the tickets of TLS 1.3, which come behind the handshake, for a failed read; those
        // of TLS 1.2 are part of it.
        unnamed.send_tls13_tickets = 0;
        Ok(Self { authorities, media, api, unnamed: Arc::new(unnamed) })
    }
}

fn load_authorities(settings: &Settings) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    settings.client_ca.as_deref().map_or(Ok(Vec::new()), load_chain)
}

fn server_config(
    settings: &Settings,
    certificates: &Arc<Certificates>,
    authorities: &[CertificateDer<'static>],
) -> Result<ServerConfig, LoadError> {
    let provider = certificates.provider();
    let versions: &[&SupportedProtocolVersion] =
        if settings.allows_v12 { &[&version::TLS13, &version::TLS12] } else { &[&version::TLS13] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .expect("the provider has cipher suites for both versions");
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let blame = |why: String| LoadError::File { path: path.clone(), why };
            let mut roots = RootCertStore::empty();
            for certificate in authorities {
                roots.add(certificate.clone()).map_err(|error| blame(error.to_string()))?;
            }
            let provider = Arc::clone(provider);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| blame(error.to_string()))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificates) as _);
    config.ignore_client_order = true;
    config.enable_secret_extraction = settings.kernel;
    match aws_lc_rs::Ticketer::new().ok().filter(|_| settings.tickets) {
        Some(ticketer) => {
            config.ticketer = ticketer;
            // For clients of TLS 1.2 without tickets.
            config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        }
        None => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
    }
    Ok(config)
}

/// aws-lc with our order of cipher suites: AES-128 first, because it costs a core about a quarter less
/// than AES-256 and nobody can break either.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = suite.suite().as_str().unwrap_or_default();
        !name.contains("AES_128_GCM")
    });
    // The sort is stable: within each kind TLS 1.3 stays before TLS 1.2.
    provider
}

/// The name of HTTP/2 by TLS (RFC 9113 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
/// The name of HTTP/1.1 (RFC 7301 6).
const HTTP_1_1: &[u8] = b"http/1.1";
/// Sessions kept for resumption without tickets; about 300 bytes each.
const SESSIONS_MAX: usize = 4_096;
