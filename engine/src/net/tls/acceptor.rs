//! What all TLS connections of the process share.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::certificates::{Certificates, LoadError, load_chain};

/// The settings of `[tls]`.
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

/// See the module.
#[derive(Debug)]
pub struct Acceptor {
    settings: Settings,
    certificates: Arc<Certificates>,
    http: Arc<ServerConfig>,
    other: Arc<ServerConfig>,
}

impl Settings {
    /// The settings of the configuration.
    pub fn from_config(config: &corelay_config::Config) -> Self {
        let tls = &config.tls;
        let pair =
            |one: &corelay_config::TlsCertificate| (one.certificate.clone(), one.key.clone());
        Self {
            certificates: tls.certificates.iter().map(pair).collect(),
            allows_v12: tls.version_min == corelay_config::TlsVersion::V12,
            tickets: tls.tickets,
            client_ca: tls.client_ca.clone(),
            handshake_timeout_ms: tls.handshake_timeout_ms,
            handshake_budget_us: tls.handshake_budget_us,
            reload_s: tls.reload_s,
            kernel: tls.kernel,
            http2: config.http.http2,
        }
    }
}

impl Acceptor {
    /// Loads the files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, LoadError> {
        let provider = Arc::new(provider());
        let certificates =
            Certificates::load(settings.certificates.clone(), Arc::clone(&provider))?;
        let certificates = Arc::new(certificates);
        let mut other = server_config(&settings, &provider, &certificates)?;
        let mut http = other.clone();
        let names = [HTTP_2, b"http/1.1"].into_iter().skip(usize::from(!settings.http2));
        http.alpn_protocols = names.map(<[u8]>::to_vec).collect();
        // librtmp takes the tickets of TLS 1.3, which come behind the handshake, for a failed read; those
        // of TLS 1.2 are part of it.
        other.send_tls13_tickets = 0;
        Ok(Self { settings, certificates, http: Arc::new(http), other: Arc::new(other) })
    }

    /// What a listener's handshakes need: HTTP is negotiated by name (ALPN, RFC 7301), nothing else has a
    /// name that clients know.
    pub fn config(&self, is_http: bool) -> &Arc<ServerConfig> {
        if is_http { &self.http } else { &self.other }
    }

    /// The certificates, which may be loaded again.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn server_config(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
) -> Result<ServerConfig, LoadError> {
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
            for certificate in load_chain(path)? {
                roots.add(certificate).map_err(|error| blame(error.to_string()))?;
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
fn provider() -> CryptoProvider {
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
/// Sessions kept for resumption without tickets; about 300 bytes each.
const SESSIONS_MAX: usize = 4_096;
