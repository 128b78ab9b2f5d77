//! `/api/v1/certificates`: what is shown by TLS.

use serde::Serialize;

use crate::net::tls::Acceptors;

/// One certificate of one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::control) struct Certificate {
    /// The key of the listener whose own it is, as in `http.listen[1]`; `tls`: that of all which have
    /// none.
    pub(in crate::control) listener: String,
    /// Its place in the list, from 1: the label `certificate` of the metric.
    pub(in crate::control) number: usize,
    /// The file.
    pub(in crate::control) file: String,
    /// Until when it is valid, in seconds since 1970.
    pub(in crate::control) expires_s: Option<u64>,
}

impl Certificate {
    /// Those in use now.
    pub(in crate::control) fn all(acceptors: &Acceptors) -> Vec<Self> {
        let all = acceptors.shown().into_iter().map(|shown| Self {
            listener: shown.listener.to_owned(),
            number: shown.number,
            file: shown.file.display().to_string(),
            expires_s: shown.ends_s,
        });
        all.collect()
    }
}
