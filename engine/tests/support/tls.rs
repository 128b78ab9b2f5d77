//! Certificates of an authority of our own, and clients of TLS that trust it.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

/// Issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Issued {
    /// PEM, the authority's certificate not included.
    pub certificate: String,
    /// PEM.
    pub key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

/// Files of a certificate.
pub struct Pair {
    /// PEM file.
    pub certificate: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

impl Authority {
    /// A new one that nobody knows.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("valid parameters");
        Self { issuer }
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues one for a server of these names.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// Issues one that was valid years ago.
    pub fn issue_expired(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        })
    }

    /// Issues one for a client.
    pub fn issue_client(&self, name: &str) -> Issued {
        self.issue_with(&[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    fn issue_with(&self, names: &[&str], adapt: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names and addresses");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        adapt(&mut params);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("valid parameters");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key` into a folder.
    pub fn write(&self, folder: &Path, name: &str) -> Pair {
        let certificate = folder.join(format!("{name}.pem"));
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&certificate, &self.certificate).expect("scratch is writable");
        std::fs::write(&key, &self.key).expect("scratch is writable");
        Pair { certificate, key }
    }
}

impl Pair {
    /// As an entry of `tls.certificates`.
    pub fn toml(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        format!("{{ certificate = \"{certificate}\", key = \"{key}\" }}")
    }
}

/// What a client does, to be changed.
#[derive(Clone)]
pub struct Client {
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<(CertificateDer<'static>, Vec<u8>)>,
}

/// A client's connection.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    /// A client of every version that trusts `authority` and nobody else.
    pub fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.issuer.der().clone()).expect("an authority's certificate");
        Self { roots, versions: rustls::ALL_VERSIONS.to_vec(), identity: None }
    }

    /// The same, which trusts this one as well.
    #[must_use]
    pub fn trusting_too(mut self, authority: &Authority) -> Self {
        self.roots.add(authority.issuer.der().clone()).expect("an authority's certificate");
        self
    }

    /// The same, with one version.
    #[must_use]
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// The same, with a certificate of its own.
    #[must_use]
    pub fn identity(mut self, issued: &Issued) -> Self {
        self.identity = Some((issued.der.clone(), issued.key_der.clone()));
        self
    }

    /// What connections are made with. Sessions are resumed among those of one configuration.
    pub fn config(self) -> Arc<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .expect("versions of the provider")
            .with_root_certificates(self.roots);
        Arc::new(match self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key).expect("PKCS #8");
                builder.with_client_auth_cert(vec![certificate], key).expect("they go together")
            }
        })
    }
}

/// Connects, and shakes hands.
///
/// # Errors
/// Why the handshake failed, on either side.
pub fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<Secure> {
    let name = ServerName::try_from(name.to_owned()).expect("a name or an address");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a configuration");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(super::LIMIT))?;
    socket.set_nodelay(true)?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Whether the session was resumed. In TLS 1.3 the tickets come behind the handshake.
pub fn is_resumed(stream: &Secure) -> bool {
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}
