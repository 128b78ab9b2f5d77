//! Certificates that change: their files are looked at now and then, and at once on SIGHUP.
//!
//! Reading a file may wait for a disk: that is for the control thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};

use crate::net::tls::{Acceptor, Certificates};

/// Loads the certificates again whenever their files have changed, until the control thread ends. New
/// files that cannot be used are said to be so, once, and change nothing.
pub(super) async fn keep_fresh(acceptor: Arc<Acceptor>) {
    let certificates = acceptor.certificates();
    tell_ends(certificates, unix_now());
    let mut told = Instant::now();
    let mut seen = certificates.stamp();
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return tracing::error!("SIGHUP cannot be handled: certificates are not loaded again");
    };
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => Some(true),
            () = pause(acceptor.settings().reload_s) => Some(false),
            () = tokio::time::sleep(DAY) => None,
        };
        if told.elapsed() >= DAY {
            told = Instant::now();
            tell_ends(certificates, unix_now());
        }
        let Some(asked) = asked else { continue };
        let stamp = certificates.stamp();
        if stamp == seen && !asked {
            continue;
        }
        seen = stamp;
        match certificates.reload() {
            Ok(()) => {
                tracing::info!("the certificates are loaded again");
                tell_ends(certificates, unix_now());
            }
            Err(error) => tracing::error!("the certificates stay as they are: {error}"),
        }
    }
}

async fn pause(seconds: u64) {
    match seconds {
        0 => std::future::pending().await,
        seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

/// Warns of certificates that are not valid for long.
fn tell_ends(certificates: &Certificates, now_s: u64) {
    for (file, end) in certificates.ends() {
        let Some(end) = end else { continue };
        let file = file.display();
        if end <= now_s {
            tracing::warn!("{file}: the certificate has expired: clients refuse it");
        } else if end - now_s < WARN_BEFORE.as_secs() {
            let days = (end - now_s) / DAY.as_secs();
            tracing::warn!("{file}: the certificate expires in {days} days");
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const DAY: Duration = Duration::from_secs(86_400);
/// Long enough for a renewal by hand.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);
