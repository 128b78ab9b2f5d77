//! How TLS connections begin.

use std::fmt;

use super::{Families, Whole, each_core};
use crate::net::tls::Refusal;

pub(super) fn tls(whole: &Whole, families: &mut Families<'_>) -> fmt::Result {
    let handshakes = each_core(whole).flat_map(|(core, stats)| {
        let (all, resumed) = (stats.tls_handshakes.load(), stats.tls_resumed.load());
        [("full", all.saturating_sub(resumed)), ("resumed", resumed)]
            .map(|(kind, count)| (([("core", core)], [("kind", kind)]), count))
    });
    let help = "TLS handshakes, and those that resumed a session.";
    families.counters("tls_handshakes", help, handshakes)?;
    let failures = each_core(whole).flat_map(|(core, stats)| {
        Refusal::ALL.map(|reason| {
            let labels = ([("core", core)], [("reason", reason.label())]);
            (labels, stats.tls_refusals[reason as usize].load())
        })
    });
    let help = "TLS handshakes that came to none, and connections that broke its rules.";
    families.counters("tls_failures", help, failures)?;
    let ends = whole.certificates.iter().filter_map(|one| {
        let labels = ([("listener", one.listener.as_str())], [("certificate", one.number as u64)]);
        Some((labels, one.expires_s?))
    });
    let help = "When a certificate ends to be valid, in seconds since 1970. listener: the key of the \
                listener whose own it is, or tls for all others.";
    families.gauges("tls_certificate_expiry_seconds", help, ends)
}
