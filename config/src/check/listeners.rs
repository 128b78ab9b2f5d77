//! Relations of what is listened on.

use std::net::SocketAddr;

use super::{Checker, repeated};
use crate::document::Path;
use crate::{Config, Listener, ListenerTls};

pub(super) fn listeners(config: &Config, checker: &Checker<'_>) {
    let lists = [
        (Path::of(&["rtmp", "listen"]), &config.rtmp.listen),
        (Path::of(&["http", "listen"]), &config.http.listen),
        (Path::of(&["ts", "listen"]), &config.ts.listen),
        (Path::of(&["iptv", "udpxy", "listen"]), &config.iptv.udpxy.listen),
    ];
    // Channels that the server itself gets need no listener.
    let is_fed = config.channels.iter().any(|channel| !channel.inputs.is_empty());
    if !is_fed && lists.iter().all(|(_, listeners)| listeners.is_empty()) {
        let remedy = "name an address under [rtmp], [http] or [ts]";
        let what = "nothing is listened on".to_owned();
        let paths: Vec<&Path> = lists.iter().map(|(path, _)| path).collect();
        checker.refuse(&paths, what, remedy);
    }
    let placed: Vec<_> =
        lists.iter().flat_map(|(path, listeners)| placed(listeners, path, checker)).collect();
    for (path, listener) in &placed {
        listener_cores(config, listener, &path.key("cores"), checker);
    }
    for (path, listener) in &placed {
        certificates(config, listener.tls.as_ref(), path, checker);
    }
    let admin = config.admin.listen.map(|address| (Path::of(&["admin", "listen"]), address));
    if admin.is_some() {
        certificates(config, config.admin.tls.as_ref(), &Path::of(&["admin"]), checker);
    }
    let media = placed.into_iter().map(|(path, listener)| (path, listener.address));
    conflicts(&media.chain(admin).collect::<Vec<_>>(), checker);
}

/// The listeners of one list with their places in the file; none where an element could not be
/// read, since the places of the others are not known then.
fn placed<'l>(
    listeners: &'l [Listener],
    path: &Path,
    checker: &Checker<'_>,
) -> Vec<(Path, &'l Listener)> {
    let known = if checker.was_read(path) { listeners } else { &[] };
    known.iter().enumerate().map(|(index, listener)| (path.index(index), listener)).collect()
}

/// Reports each listener that is in the way of an earlier one.
fn conflicts(listeners: &[(Path, SocketAddr)], checker: &Checker<'_>) {
    for (index, (path, address)) in listeners.iter().enumerate() {
        let earlier = listeners.iter().take(index);
        if let Some((other_path, other)) = earlier.rev().find(|(_, other)| overlap(address, other))
        {
            let what = format!("{path} ({address}) and {other_path} ({other}) overlap");
            checker.refuse(&[path, other_path], what, "choose another address or port");
        }
    }
}

/// Whether a connection to one address could reach the other.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && a.is_ipv4() == b.is_ipv4() && same_ip
}

fn listener_cores(config: &Config, listener: &Listener, path: &Path, checker: &Checker<'_>) {
    for (place, core) in repeated(&listener.cores) {
        let what = format!("core {core} is named twice");
        checker.refuse(&[&path.index(place)], what, "name each core once");
    }
    // Without a list, how many cores there are is only known on the machine.
    let Some(last) = config.cores.data.len().checked_sub(1) else { return };
    let data = Path::of(&["cores", "data"]);
    for (place, core) in listener.cores.iter().enumerate().filter(|(_, core)| **core > last) {
        let what = format!("there is no core {core}, as {data} names {} CPUs", last + 1);
        let remedy = format!("use 0 to {last}, an index into {data}");
        checker.refuse(&[&path.index(place), &data], what, &remedy);
    }
}

/// What speaks TLS shows a certificate: its own, or one of the process.
fn certificates(config: &Config, tls: Option<&ListenerTls>, at: &Path, checker: &Checker<'_>) {
    let has_none = |own: &ListenerTls| !own.has_certificates();
    if tls.is_some_and(has_none) && config.tls.certificates.is_empty() {
        let certificates = Path::of(&["tls", "certificates"]);
        let what = format!("{certificates} names no certificate for it");
        let remedy = "name one; `corelay cert` makes one for tests";
        checker.refuse(&[&at.key("tls"), &at.key("certificates"), &certificates], what, remedy);
    }
}
