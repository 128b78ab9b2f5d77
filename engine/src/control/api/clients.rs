//! `/api/v1/clients`: the fields of SRS under their names, and ours beside them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;

use serde::Serialize;

use super::history::{History, Rates};
use super::place;
use super::streams::VHOST;
use crate::hub::StreamSnapshot;
use crate::shard::{ClientSnapshot, ShardSnapshot};

/// One connection. Fields up to `kbps` are those of SRS.
#[derive(Debug, Serialize)]
pub(super) struct Client<'a> {
    id: &'a str,
    vhost: &'static str,
    /// Id of its stream; empty while it has none.
    stream: String,
    /// Address without port.
    ip: String,
    #[serde(rename = "pageUrl")]
    page_url: &'static str,
    #[serde(rename = "swfUrl")]
    swf_url: &'static str,
    #[serde(rename = "tcUrl")]
    tc_url: Cow<'a, str>,
    /// Path of its stream; empty while it has none.
    url: String,
    /// Name of its stream.
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    publish: bool,
    /// Seconds since it was accepted.
    alive: f64,
    send_bytes: u64,
    recv_bytes: u64,
    kbps: Rates,

    core: u16,
    /// Address and port.
    peer: &'a str,
    protocol: &'static str,
    agent: &'a str,
    rtt_us: u32,
    /// Its socket is full.
    blocked: bool,
}

/// Makes one client of what is one session of HLS on several cores: its connections may be on any.
pub(super) fn merge_sessions(shards: &mut [ShardSnapshot]) {
    let mut known: HashMap<String, (usize, usize)> = HashMap::new();
    for index in 0..shards.len() {
        let mut own = std::mem::take(&mut shards[index].clients);
        let mut kept: Vec<ClientSnapshot> = Vec::with_capacity(own.len());
        for client in own.drain(..) {
            if client.protocol != "hls" {
                kept.push(client);
                continue;
            }
            // One session may watch several streams.
            let id = format!("{} {}", client.id, client.stream);
            match known.get(&id) {
                Some(&(shard, at)) => {
                    let first = match shard == index {
                        true => &mut kept[at],
                        false => &mut shards[shard].clients[at],
                    };
                    first.alive_ms = first.alive_ms.max(client.alive_ms);
                    first.send_bytes += client.send_bytes;
                }
                None => {
                    known.insert(id, (index, kept.len()));
                    kept.push(client);
                }
            }
        }
        shards[index].clients = kept;
    }
}

/// All connections with their cores, in the order in which each core accepted them.
pub(super) fn sorted(shards: &[ShardSnapshot]) -> Vec<(u16, &ClientSnapshot)> {
    let of_core = |shard: &'_ ShardSnapshot| shard.core;
    let mut clients: Vec<(u16, &ClientSnapshot)> = shards
        .iter()
        .flat_map(|shard| shard.clients.iter().map(move |client| (of_core(shard), client)))
        .collect();
    clients.sort_by_cached_key(|(core, client)| (*core, serial(&client.id)));
    clients
}

/// The API's view of some connections.
pub(super) fn describe<'a>(
    clients: &[(u16, &'a ClientSnapshot)],
    shards: &'a [ShardSnapshot],
    history: &History,
) -> Vec<Client<'a>> {
    let streams: HashMap<String, &StreamSnapshot> = shards
        .iter()
        .flat_map(|shard| &shard.streams)
        .map(|stream| (stream.key.to_string(), stream))
        .collect();
    let describe = |(core, client): &(u16, &'a ClientSnapshot)| {
        one(*core, client, streams.get(&client.stream).copied(), history)
    };
    clients.iter().map(describe).collect()
}

fn one<'a>(
    core: u16,
    client: &'a ClientSnapshot,
    stream: Option<&'a StreamSnapshot>,
    history: &History,
) -> Client<'a> {
    let rest = || client.stream.split_once('/').map_or("", |(_, name)| name);
    Client {
        id: &client.id,
        vhost: VHOST,
        stream: stream.map(|stream| stream.id.to_string()).unwrap_or_default(),
        ip: ip(&client.peer),
        page_url: "",
        swf_url: "",
        tc_url: place::shown(&client.url),
        url: if client.stream.is_empty() { String::new() } else { format!("/{}", client.stream) },
        name: stream.map_or_else(rest, |stream| &stream.key.name),
        kind: kind(client.protocol, client.role),
        publish: client.role == "publish",
        alive: client.alive_ms as f64 / 1_000.0,
        send_bytes: client.send_bytes,
        recv_bytes: client.recv_bytes,
        kbps: history.client_rates(&client.id),
        core,
        peer: &client.peer,
        protocol: client.protocol,
        agent: &client.agent,
        rtt_us: client.rtt_us,
        blocked: client.blocked,
    }
}

/// The names of SRS.
fn kind(protocol: &str, role: &str) -> &'static str {
    match (protocol, role) {
        ("rtmp", "publish") => "fmle-publish",
        ("rtmp", "play") => "rtmp-play",
        ("http" | "http2", "play") => "flv-play",
        ("hls", "play") => "hls-play",
        (_, "publish") => "publish",
        (_, "play") => "play",
        _ => "unknown",
    }
}

/// An IPv4 peer of an IPv6 socket is shown as IPv4.
fn ip(peer: &str) -> String {
    let address: Result<SocketAddr, _> = peer.parse();
    address.map_or_else(|_| peer.to_owned(), |address| address.ip().to_canonical().to_string())
}

/// Connections are numbered as they come: `CORE-SERIAL`.
fn serial(id: &str) -> u32 {
    id.rsplit_once('-').and_then(|(_, serial)| serial.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples;
    use super::*;

    fn shown(shards: &[ShardSnapshot]) -> Vec<Value> {
        let mut history = History::default();
        history.observe(60_000, shards);
        let clients = describe(&sorted(shards), shards, &history);
        clients.iter().map(|client| serde_json::to_value(client).unwrap()).collect()
    }

    #[test]
    fn a_connection_is_shown_with_every_field() {
        let shards = samples::relay();
        let shown = shown(&shards);
        assert_eq!(
            shown[1],
            json!({
                "id": "0-2", "vhost": "__defaultVhost__", "stream": "7", "ip": "192.0.2.1",
                "pageUrl": "", "swfUrl": "", "tcUrl": "rtmp://host/live", "url": "/live/test",
                "name": "test", "type": "rtmp-play", "publish": false, "alive": 10.0,
                "send_bytes": 350_000, "recv_bytes": 3_000,
                "kbps": {"recv_30s": 2, "send_30s": 280},
                "core": 0, "peer": "192.0.2.1:5000", "protocol": "rtmp", "agent": "FMLE/3.0",
                "rtt_us": 400, "blocked": false,
            })
        );
        assert_eq!(
            (&shown[0]["type"], &shown[0]["publish"]),
            (&json!("fmle-publish"), &json!(true))
        );
        assert_eq!((&shown[2]["type"], &shown[2]["core"]), (&json!("flv-play"), &json!(1)));
    }

    #[test]
    fn a_connection_that_does_nothing_yet_has_no_stream() {
        let mut shard = samples::shard(3);
        shard.clients.push(samples::client("3-1", "", ""));
        let shown = &shown(&[shard])[0];
        assert_eq!((&shown["stream"], &shown["url"]), (&json!(""), &json!("")));
        assert_eq!((&shown["name"], &shown["type"]), (&json!(""), &json!("unknown")));
    }

    #[test]
    fn a_session_on_two_cores_is_one_client() {
        let session = |id: &str, bytes| ClientSnapshot {
            protocol: "hls",
            send_bytes: bytes,
            ..samples::client(id, "play", "live/test")
        };
        let mut shards = vec![samples::shard(0), samples::shard(1)];
        shards[0].clients.extend([session("hls-1", 10), samples::client("0-1", "", "")]);
        shards[1].clients.extend([session("hls-2", 7), session("hls-1", 5)]);
        merge_sessions(&mut shards);
        let shown = shown(&shards);
        let row = |at: usize| (shown[at]["id"].clone(), shown[at]["send_bytes"].clone());
        assert_eq!((shown.len(), row(0)), (3, (json!("hls-1"), json!(15))));
        assert_eq!(row(2), (json!("hls-2"), json!(7)));
        assert_eq!(shown[0]["type"], "hls-play");
    }

    #[test]
    fn connections_come_in_the_order_of_their_numbers_not_of_their_letters() {
        let mut shards = vec![samples::shard(1), samples::shard(0)];
        for id in ["1-10", "1-9"] {
            shards[0].clients.push(samples::client(id, "play", "live/test"));
        }
        shards[1].clients.push(samples::client("0-11", "play", "live/test"));
        let ids: Vec<Value> = shown(&shards).into_iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, [json!("0-11"), json!("1-9"), json!("1-10")]);
    }

    #[test]
    fn a_viewer_of_a_stream_whose_owner_does_not_answer_keeps_its_name() {
        let mut shard = samples::shard(0);
        shard.clients.push(samples::client("0-1", "play", "live/a/b"));
        let shown = &shown(&[shard])[0];
        assert_eq!((&shown["stream"], &shown["name"]), (&json!(""), &json!("a/b")));
        assert_eq!(shown["url"], json!("/live/a/b"));
    }

    #[test]
    fn an_address_is_shown_without_its_port_and_as_what_it_is() {
        assert_eq!(ip("[::ffff:192.0.2.7]:1935"), "192.0.2.7");
        assert_eq!(ip("[2001:db8::1]:1935"), "2001:db8::1");
        assert_eq!(ip("somewhere"), "somewhere");
    }
}
