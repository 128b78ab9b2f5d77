//! The paths, asked over a connection that leads to no network.

use std::io;

use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::samples::transport::headend;
use super::*;
use crate::control::{CoreLink, Links};
use crate::hub::Budget;
use crate::log;
use crate::rt::Doorbell;
use crate::shard::Request;

/// A listener that has one peer already.
struct OnePeer(Option<UnixStream>);

impl Listener for OnePeer {
    type Io = UnixStream;
    type Addr = ();

    async fn accept(&mut self) -> (UnixStream, ()) {
        match self.0.take() {
            Some(peer) => (peer, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A control plane of cores that answer with `shards` and whose hearts beat, but for `dead`.
fn control_plane(dead: Option<usize>, shards: Vec<ShardSnapshot>) -> Arc<State> {
    let mut links = Vec::new();
    for (core, (stats, shard)) in samples::stats().into_iter().zip(shards).enumerate() {
        let (requests_in, mut requests) = rtrb::RingBuffer::new(8);
        let (_, drain) = log::ring(Arc::clone(&stats));
        links.push(CoreLink::new(requests_in, Doorbell::new().unwrap(), Arc::clone(&stats), drain));
        if dead == Some(core) {
            continue;
        }
        tokio::spawn(async move {
            loop {
                stats.heartbeat.add(1);
                while let Ok(request) = requests.pop() {
                    if let Request::Snapshot { look, answer } = request {
                        let _ = answer.send(looked_at(shard.clone(), look));
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let config = Arc::new(corelay_config::Config::shipped());
    let (links, budget) = (Links::new(links), Budget::new(1 << 30));
    Arc::new(State {
        config,
        links,
        budget,
        acceptors: Arc::default(),
        started: std::time::Instant::now(),
    })
}

/// What a core leaves out that was not asked for.
fn looked_at(mut shard: ShardSnapshot, look: Look) -> ShardSnapshot {
    if !look.clients {
        shard.clients.clear();
    }
    if !look.tables {
        let inputs = shard.channels.iter_mut().flat_map(|channel| &mut channel.inputs);
        for input in inputs.chain(shard.published.iter_mut().map(|(_, input)| input)) {
            input.analysis.pids.clear();
            input.pat = None;
            input.programs.clear();
            input.services.clear();
        }
        let outputs = shard.channels.iter_mut().flat_map(|channel| &mut channel.outputs);
        outputs.filter_map(|output| output.analysis.as_mut()).for_each(|one| one.pids.clear());
    }
    shard
}

fn ask_of(dead: Option<usize>, method: &str, path: &str) -> Reply {
    ask_about(samples::relay(), dead, method, path)
}

fn ask_about(shards: Vec<ShardSnapshot>, dead: Option<usize>, method: &str, path: &str) -> Reply {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async {
        let (here, there) = UnixStream::pair().unwrap();
        let api = Arc::new(Api::new(control_plane(dead, shards)));
        tokio::spawn(async { axum::serve(OnePeer(Some(there)), router(api)).await });
        here.writable().await.unwrap();
        assert_eq!(here.try_write(request.as_bytes()).unwrap(), request.len());
        read_to_end(&here).await
    });
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
    Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

async fn read_to_end(peer: &UnixStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        peer.ready(Interest::READABLE).await.unwrap();
        match peer.try_read(&mut buffer) {
            Ok(0) => return String::from_utf8(bytes).unwrap(),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn get_json(path: &str) -> Value {
    let reply = ask_of(None, "GET", path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.json()
}

#[test]
fn every_reply_is_in_the_envelope() {
    for path in ["streams", "clients", "summaries", "versions"] {
        let reply = get_json(&format!("/api/v1/{path}"));
        assert_eq!(reply["code"], 0, "{path}");
        assert_eq!(reply["pid"], json!(std::process::id().to_string()), "{path}");
        assert_eq!(reply["server"].as_str().map(str::len), Some(16), "{path}");
        assert_eq!(reply["service"].as_str().map(str::len), Some(16), "{path}");
    }
    assert_eq!(get_json("/api/v1/versions")["data"]["version"], json!(summaries::VERSION));
    assert_eq!(get_json("/api/v1/summaries")["data"]["totals"]["viewers"], 4);
}

#[test]
fn a_last_slash_changes_nothing() {
    assert_eq!(get_json("/api/v1/streams/")["streams"][0]["name"], "test");
    assert_eq!(get_json("/api/v1/streams/7/")["stream"]["name"], "test");
    assert_eq!(ask_of(None, "GET", "/metrics/").status, 200);
}

#[test]
fn lists_come_in_pages_and_tell_how_much_there_is() {
    let list = |query: &str| {
        let reply = get_json(&format!("/api/v1/clients{query}"));
        let clients = reply["clients"].as_array().unwrap().clone();
        let ids: Vec<Value> = clients.into_iter().map(|client| client["id"].clone()).collect();
        (reply["total"].as_u64().unwrap(), ids)
    };
    assert_eq!(list(""), (3, vec![json!("0-1"), json!("0-2"), json!("1-1")]));
    assert_eq!(list("?start=1&count=1"), (3, vec![json!("0-2")]));
    assert_eq!(list("/?start=2&count=100000"), (3, vec![json!("1-1")]));
    assert_eq!(list("?start=3"), (3, vec![]));
    assert_eq!(list("?start=%zz&count=a&count=2&&=").0, 3);
}

#[test]
fn one_stream_and_one_client_are_found_by_their_ids() {
    assert_eq!(get_json("/api/v1/streams/7")["stream"]["publish"]["cid"], "0-1");
    assert_eq!(get_json("/api/v1/clients/1-1")["client"]["type"], "flv-play");
    for (path, code) in [("streams/8", 2_048), ("clients/9-9", 2_049), ("streams/%00", 2_048)] {
        let reply = ask_of(None, "GET", &format!("/api/v1/{path}"));
        assert_eq!((reply.status, &reply.json()["code"]), (404, &json!(code)), "{path}");
    }
}

#[test]
fn channels_are_a_list_of_their_own() {
    let reply = get_json("/api/v1/channels?count=1");
    assert_eq!((&reply["total"], &reply["channels"]), (&json!(0), &json!([])));
    let reply = ask_about(headend(), None, "GET", "/api/v1/channels/").json();
    assert_eq!((&reply["total"], &reply["channels"][0]["name"]), (&json!(1), &json!("iptv/news")));
}

#[test]
fn a_list_has_all_that_is_measured_only_when_it_is_asked_for() {
    for (path, is_full) in [
        ("/api/v1/streams", false),
        ("/api/v1/streams?analysis=0", false),
        ("/api/v1/streams?analysis=1", true),
        ("/api/v1/streams/8", true),
    ] {
        let reply = ask_about(headend(), None, "GET", path).json();
        let streams = reply.get("stream").unwrap_or(&reply["streams"][0]);
        let transport = &streams["inputs"][0]["transport"];
        assert_eq!(transport.is_object(), is_full, "{path}");
        let pids = transport["pids"].as_array().map_or(0, Vec::len);
        assert_eq!(pids, if is_full { 4 } else { 0 }, "{path}");
        assert_eq!(streams["tracks"].as_array().map(Vec::len), Some(2), "{path}");
    }
}

#[test]
fn the_tracks_and_metrics_of_a_transport_stream_need_no_tables() {
    let mut shards = headend();
    shards[0].viewers.clear();
    let reply = ask_about(shards.clone(), None, "GET", "/api/v1/streams").json();
    let codecs = reply["streams"][0]["tracks"].as_array().unwrap().iter();
    let codecs: Vec<_> = codecs.map(|track| track["codec"].as_str().unwrap()).collect();
    assert_eq!(codecs, ["H264", "AC-4"]);
    let metrics = ask_about(shards, None, "GET", "/metrics").body;
    for (name, value) in [("interval", "0.04"), ("jitter", "0.0025"), ("accuracy", "3e-7")] {
        let labels = "stream=\"iptv/news\",input=\"1\"";
        let line = format!("\ncorelay_ts_pcr_{name}_max_seconds{{{labels}}} {value}\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[test]
fn an_unknown_path_is_refused_in_the_envelope() {
    for path in ["/nothing", "/api/v1", "/api/v1/streams/7/more", "/api/v2/streams", "//"] {
        let reply = ask_of(None, "GET", path);
        assert_eq!((reply.status, &reply.json()["code"]), (404, &json!(404)), "{path}");
    }
}

#[test]
fn nothing_can_be_changed() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/api/v1/streams", "/api/v1/clients/0-1", "/metrics", "/healthz", "/"] {
            let reply = ask_of(None, method, path);
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (405, &json!(405)),
                "{method} {path}"
            );
            assert!(reply.head.contains("\r\nallow: get,head"), "{}", reply.head);
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let get = ask_of(None, "GET", "/api/v1/versions");
    let head = ask_of(None, "HEAD", "/api/v1/versions");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = format!("content-length: {}", get.body.len());
    assert!(head.head.contains(&length), "{}", head.head);
}

#[test]
fn metrics_say_what_they_are() {
    let reply = ask_of(None, "GET", "/metrics");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(reply.head.contains(kind), "{}", reply.head);
    assert!(reply.body.contains("\ncorelay_connections{core=\"1\"} 1\n"), "{}", reply.body);
    assert!(reply.body.ends_with("# EOF\n"));
}

#[test]
fn health_is_every_core_or_the_name_of_the_one_that_stands_still() {
    let reply = ask_of(None, "GET", "/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    let reply = ask_of(Some(1), "GET", "/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (503, "standing still: core 1\n"));
}

#[test]
fn a_core_that_does_not_answer_is_left_out_and_said_to_be_silent() {
    let reply = ask_of(Some(0), "GET", "/api/v1/summaries").json();
    assert_eq!(reply["data"]["ok"], false);
    assert_eq!(reply["data"]["cores"][0]["answers"], false);
    let reply = ask_of(Some(0), "GET", "/api/v1/streams").json();
    assert_eq!((&reply["total"], &reply["streams"]), (&json!(0), &json!([])));
}

#[test]
fn the_root_lists_the_paths() {
    let reply = ask_of(None, "GET", "/");
    for path in ["/api/v1/streams", "/api/v1/channels", "/metrics", "/healthz"] {
        assert!(reply.body.contains(path), "{}", reply.body);
    }
}
