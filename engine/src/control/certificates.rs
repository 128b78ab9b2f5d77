//! Certificates that change: their files are looked at now and then, and at once on SIGHUP.
//!
//! Reading a file may wait for a disk: that is for the control thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};

use super::State;
use crate::net::tls::{Acceptors, SHARED};

/// Loads the certificates and authorities of a listener again whenever its files have changed, until the
/// control thread ends. New files that cannot be used are said to be so, once, and change nothing.
pub(super) async fn keep_fresh(state: Arc<State>) {
    let (acceptors, reload_s) = (&*state.acceptors, state.config.tls.reload_s);
    tell_ends(acceptors, unix_now());
    let mut told = Instant::now();
    let stamps = || acceptors.all().map(|(_, acceptor)| acceptor.stamp()).collect::<Vec<_>>();
    let mut seen = stamps();
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return tracing::error!("SIGHUP cannot be handled: certificates are not loaded again");
    };
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => Some(true),
            () = pause(reload_s) => Some(false),
            () = tokio::time::sleep(DAY) => None,
        };
        if told.elapsed() >= DAY {
            told = Instant::now();
            tell_ends(acceptors, unix_now());
        }
        let Some(asked) = asked else { continue };
        let mut are_new = false;
        let now = stamps();
        for (((name, acceptor), stamp), before) in acceptors.all().zip(&now).zip(&seen) {
            if stamp == before && !asked {
                continue;
            }
            match acceptor.reload() {
                Ok(()) => tracing::info!("the certificates are loaded again{}", of_listener(name)),
                Err(error) => {
                    let of = of_listener(name);
                    tracing::error!("the certificates stay as they are{of}: {error}");
                }
            }
            are_new = true;
        }
        seen = now;
        if are_new {
            tell_ends(acceptors, unix_now());
        }
    }
}

/// Whose they are, behind what happens to them.
fn of_listener(name: &str) -> String {
    if name == SHARED { String::new() } else { format!(" ({name})") }
}

async fn pause(seconds: u64) {
    match seconds {
        0 => std::future::pending().await,
        seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
}

/// Warns of certificates that are not valid for long.
fn tell_ends(acceptors: &Acceptors, now_s: u64) {
    for shown in acceptors.shown() {
        let Some(end) = shown.ends_s else { continue };
        let (file, of) = (shown.file.display(), of_listener(shown.listener));
        if end <= now_s {
            tracing::warn!("{file}{of}: the certificate has expired: clients refuse it");
        } else if end - now_s < WARN_BEFORE.as_secs() {
            let days = (end - now_s) / DAY.as_secs();
            tracing::warn!("{file}{of}: the certificate expires in {days} days");
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const DAY: Duration = Duration::from_secs(86_400);
/// Long enough for a renewal by hand.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);
