//! The cases with TLS.

use super::case::{Case, Load, Protocol};
use super::cases::{ANY_PORT, Extent, corelay, flush, relay};
use super::server::Contender;

/// All of them, in so many rounds.
pub(super) fn all(extent: Extent, rounds: usize) -> Vec<Case> {
    let cpus = [extent.server_cpu];
    let (at_40, secure_at_40) = (
        || corelay("corelay 40 ms", &flush(40), &cpus),
        || secure("corelay 40 ms", &flush(40), &cpus),
    );
    let case =
        |name, about, rounds, load, contenders| Case { name, about, load, contenders, rounds };
    let load = |protocol| Load::players(protocol, 500);
    let mut cases = vec![case(
        FLV,
        "one stream of 2.15 Mbit/s to 500 HTTPS-FLV players; what a sender without protocol and \
         AES-128-GCM alone take",
        rounds,
        load(Protocol::HttpsFlv),
        vec![secure_at_40(), Contender::Floor(40.0), Contender::Aes],
    )];
    if !extent.quick {
        cases.extend([
            case("tls-flv plain", PLAIN, 1, load(Protocol::HttpFlv), vec![at_40()]),
            case(
                RTMPS,
                "the same to 500 RTMPS players",
                rounds,
                load(Protocol::Rtmps),
                vec![secure_at_40()],
            ),
            case("tls-rtmps plain", PLAIN, 1, load(Protocol::Rtmp), vec![at_40()]),
        ]);
    }
    let about =
        "500 HTTPS-FLV players, alone and while 1,000 others a second connect by TLS and leave";
    let storm = Load { handshakes_per_s: 1_000.0, ..load(Protocol::HttpsFlv) };
    let relay = || vec![secure("corelay", "", &cpus)];
    cases.extend([
        case(ALONE, about, 1, load(Protocol::HttpsFlv), relay()),
        case(STORM, about, 1, storm, relay()),
    ]);
    cases
}

/// The relay with TLS beside its plain listeners.
fn secure(label: &str, settings: &str, cpus: &[usize]) -> Contender {
    let both = format!("[\"{ANY_PORT}\", {{ address = \"{ANY_PORT}\", tls = true }}]");
    relay(label, format!("rtmp.listen = {both}\nhttp.listen = {both}\n{settings}"), cpus)
}

const PLAIN: &str = "the same without TLS";
/// The case whose floor and encryption the others with TLS are compared with.
pub(super) const FLV: &str = "tls-flv";
/// The case with RTMPS.
pub(super) const RTMPS: &str = "tls-rtmps";
/// Players without a storm of handshakes.
pub(super) const ALONE: &str = "tls-alone";
/// The same with it.
pub(super) const STORM: &str = "tls-handshakes";
