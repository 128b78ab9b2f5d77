//! The server's certificates: loaded from files, chosen by name, exchanged while connections run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acceptor::provider;
use super::validity::not_after;

/// Certificate chains and keys, in the order of the settings. The first is the default.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<(PathBuf, PathBuf)>,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Vec<Arc<CertifiedKey>>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read, or is not PEM.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file has no certificate in it.
    #[error("{}: there is no certificate in it", .0.display())]
    Empty(PathBuf),
    /// The certificate and the key do not go together, or are of a kind that is not supported.
    #[error("{} and {}: {why}", certificate.display(), key.display())]
    Pair {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        why: String,
    },
}

impl Certificates {
    /// Loads pairs of PEM files: the chain, server's certificate first, and its key.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(files: Vec<(PathBuf, PathBuf)>) -> Result<Self, LoadError> {
        let provider = Arc::new(provider());
        let loaded = load_all(&files, &provider)?;
        Ok(Self { files, provider, current: ArcSwap::from_pointee(loaded) })
    }

    /// Loads the files again, for the handshakes to come. All or nothing.
    ///
    /// # Errors
    /// The first file that cannot be used; what was loaded before stays.
    pub fn reload(&self) -> Result<(), LoadError> {
        self.current.store(Arc::new(load_all(&self.files, &self.provider)?));
        Ok(())
    }

    /// What tells one state of the files from another: when each was changed, and its length.
    pub fn stamp(&self) -> Vec<Option<(SystemTime, u64)>> {
        self.files.iter().flat_map(|(chain, key)| [stamp(chain), stamp(key)]).collect()
    }

    /// The file of each chain, and until when its first certificate is valid, in seconds since 1970.
    pub fn ends(&self) -> Vec<(&Path, Option<u64>)> {
        let end =
            |one: &Arc<CertifiedKey>| one.end_entity_cert().ok().and_then(|der| not_after(der));
        let files = self.files.iter().map(|(chain, _)| chain.as_path());
        files.zip(self.current.load().iter().map(end)).collect()
    }

    /// What signs with their keys.
    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The one for `name` with which `is_usable` agrees; without a name, or where no certificate has it,
    /// the first.
    fn choose(
        &self,
        name: Option<&str>,
        is_usable: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let all = self.current.load();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let named = || all.iter().filter(|one| name.as_ref().is_some_and(|name| covers(one, name)));
        named()
            .find(|one| is_usable(one))
            .or_else(|| named().next())
            .or_else(|| all.iter().find(|one| is_usable(one)))
            .or_else(|| all.first())
            .cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An RSA and an ECDSA certificate of one name: what the client can check.
        let is_usable =
            |one: &CertifiedKey| one.key.choose_scheme(hello.signature_schemes()).is_some();
        self.choose(hello.server_name(), is_usable)
    }
}

/// The certificate is for this name, wildcards included (RFC 9525 6.3).
fn covers(one: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = one.end_entity_cert().ok().and_then(|der| ParsedCertificate::try_from(der).ok());
    parsed.is_some_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

/// When a file was changed, and its length; `None` where it cannot be looked at.
pub(super) fn stamp(path: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn load_all(
    files: &[(PathBuf, PathBuf)],
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, LoadError> {
    files.iter().map(|(chain, key)| load_pair(chain, key, provider).map(Arc::new)).collect()
}

fn load_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, LoadError> {
    let chain = load_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| LoadError::File { path: key.to_owned(), why: error.to_string() })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| LoadError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        why: error.to_string(),
    })
}

/// The certificates of a PEM file; at least one.
pub(super) fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let blame = |error: rustls::pki_types::pem::Error| LoadError::File {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(blame)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(blame)?;
    if chain.is_empty() { Err(LoadError::Empty(path.to_owned())) } else { Ok(chain) }
}
