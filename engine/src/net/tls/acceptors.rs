//! The acceptors of the process: one for each listener that has certificates or authorities of its own,
//! and one for all others.

use std::path::Path;
use std::sync::Arc;

use corelay_config::{Config, ListenerTls};

use super::acceptor::{Acceptor, Entrance, Settings, Spoken};
use super::certificates::{Certificates, LoadError};

/// See the module. Each has a name: the key of its listener in the settings, as in `http.listen[1]`, or
/// [`SHARED`].
#[derive(Debug, Default)]
pub struct Acceptors {
    all: Vec<(String, Arc<Acceptor>)>,
    /// Those of `[tls]` stand here once.
    certificates: Vec<(String, Arc<Certificates>)>,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The key of the listener whose own it is, or [`SHARED`].
    pub listener: &'a str,
    /// Its place in the list, from 1.
    pub number: usize,
    /// The file of its chain.
    pub file: &'a Path,
    /// Until when it is valid, in seconds since 1970; `None` where that cannot be read.
    pub ends_s: Option<u64>,
}

/// The name of what listeners have by `[tls]`.
pub const SHARED: &str = "tls";

impl Acceptors {
    /// Loads the files of every listener that speaks TLS.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let mut acceptors = Self::default();
        for (key, own) in config.secure_listeners() {
            let name = if own.is_as_tls() { SHARED } else { &key };
            if acceptors.find(name).is_some() {
                continue;
            }
            let settings = Settings::of_listener(config, own);
            let of = if own.certificates.is_empty() { SHARED } else { &key };
            let certificates = acceptors.certificates(of, &settings)?;
            let acceptor = Arc::new(Acceptor::sharing(settings, certificates)?);
            acceptors.all.push((name.to_owned(), acceptor));
        }
        Ok(acceptors)
    }

    /// The certificates `of` a listener or of all, loaded where they are not yet.
    fn certificates(
        &mut self,
        of: &str,
        settings: &Settings,
    ) -> Result<Arc<Certificates>, LoadError> {
        if let Some((_, found)) = self.certificates.iter().find(|(name, _)| name == of) {
            return Ok(Arc::clone(found));
        }
        let loaded = Arc::new(Certificates::load(settings.certificates.clone())?);
        self.certificates.push((of.to_owned(), Arc::clone(&loaded)));
        Ok(loaded)
    }

    fn find(&self, name: &str) -> Option<&Arc<Acceptor>> {
        self.all.iter().find(|(known, _)| known == name).map(|(_, acceptor)| acceptor)
    }

    /// The way into a listener of the settings that were loaded: its key and what it has of its own.
    ///
    /// # Panics
    /// They have no such listener.
    pub fn entrance(&self, key: &str, own: &ListenerTls, spoken: Spoken) -> Entrance {
        let acceptor = self.find(if own.is_as_tls() { SHARED } else { key });
        // Going on would be going on without TLS.
        let acceptor = acceptor.unwrap_or_else(|| panic!("{key} speaks TLS and was not loaded"));
        Entrance::new(Arc::clone(acceptor), spoken)
    }

    /// Every acceptor with its name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Acceptor>)> {
        self.all.iter().map(|(name, acceptor)| (name.as_str(), acceptor))
    }

    /// Every certificate, those of `[tls]` once.
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let mut all = Vec::new();
        for (listener, certificates) in &self.certificates {
            let ends = (1..).zip(certificates.ends());
            all.extend(ends.map(|(number, (file, ends_s))| Shown {
                listener,
                number,
                file,
                ends_s,
            }));
        }
        all
    }
}
