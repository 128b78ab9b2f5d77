use serde_json::{Value, json};

use super::super::samples::{self, transport};
use super::*;

fn shown(shards: &[ShardSnapshot]) -> Vec<Value> {
    shown_as(shards, true)
}

fn shown_as(shards: &[ShardSnapshot], is_full: bool) -> Vec<Value> {
    let mut history = History::default();
    history.observe(60_000, shards);
    let streams = describe(&sorted(shards), shards, &history, is_full);
    streams.iter().map(|stream| serde_json::to_value(stream).unwrap()).collect()
}

#[test]
fn a_stream_is_shown_with_every_field() {
    let shards = samples::relay();
    assert_eq!(
        shown(&shards)[0],
        json!({
            "id": "7", "name": "test", "vhost": "__defaultVhost__", "app": "live",
            "tcUrl": "rtmp://host/live", "url": "/live/test", "live_ms": 9_500, "clients": 5,
            "frames": 250, "send_bytes": 700_000, "recv_bytes": 2_000_000,
            "kbps": {"recv_30s": 1_600, "send_30s": 560},
            "publish": {"active": true, "cid": "0-1"},
            "video": {"codec": "H264", "profile": "High", "level": "3.1", "width": 1280,
                      "height": 720, "fps": 25.0},
            "audio": {"codec": "AAC", "sample_rate": 48_000, "channel": 2, "profile": "LC"},
            "essence": "elementary", "owner_core": 0,
            "publisher": {"peer": "192.0.2.1:5000", "protocol": "rtmp", "agent": "FMLE/3.0",
                          "since_ms": 10_000},
            "viewers": [
                {"core": 0, "total": 1, "by_form": {"rtmp": 1}},
                {"core": 1, "total": 3, "by_form": {"http_flv": 2, "rtmp": 1}},
            ],
            "tracks": [
                {"kind": "video", "index": 0, "codec": "H264", "profile": "High",
                 "level": "3.1", "width": 1280, "height": 720, "frame_rate": 25.0,
                 "sample_rate": 0, "channels": 0},
                {"kind": "audio", "index": 0, "codec": "AAC", "profile": "LC", "level": "",
                 "width": 0, "height": 0, "frame_rate": 0.0, "sample_rate": 48_000,
                 "channels": 2},
            ],
            "not_carried": [], "inputs": [], "outputs": [], "links": [], "failover": null,
            "units": 720, "log_bytes": 196_608, "log_ms": 9_000, "timestamp_jumps": 1,
        })
    );
}

#[test]
fn a_stream_that_nobody_publishes_is_shown_as_idle() {
    let mut shard = samples::shard(0);
    let mut stream = samples::stream(7, "live", "late");
    (stream.publisher, stream.tracks) = (None, vec![]);
    shard.streams.push(stream);
    let shown = &shown(&[shard])[0];
    assert_eq!(shown["publish"], json!({"active": false, "cid": ""}));
    assert_eq!((&shown["video"], &shown["audio"]), (&Value::Null, &Value::Null));
    assert_eq!((&shown["publisher"], &shown["tcUrl"]), (&Value::Null, &json!("")));
    assert_eq!((&shown["clients"], &shown["viewers"]), (&json!(0), &json!([])));
}

#[test]
fn streams_come_in_the_order_of_their_names_whatever_their_core() {
    let mut shards = vec![samples::shard(0), samples::shard(1)];
    shards[0].streams.push(samples::stream(1, "live", "b"));
    shards[0].streams.push(samples::stream(2, "film", "z"));
    shards[1].streams.push(samples::stream(3, "live", "a"));
    let urls: Vec<Value> = shown(&shards).into_iter().map(|one| one["url"].clone()).collect();
    assert_eq!(urls, [json!("/film/z"), json!("/live/a"), json!("/live/b")]);
}

#[test]
fn a_transport_stream_is_shown_with_what_brings_it_and_where_it_goes() {
    let shown = &shown_as(&transport::headend(), false)[0];
    assert_eq!(shown["essence"], "transport");
    assert_eq!(shown["video"]["width"], 1_280);
    let not_carried = json!([{"pid": 258, "format": "teletext",
                              "reason": "neither pictures nor sound"}]);
    assert_eq!(shown["not_carried"], not_carried);
    assert_eq!(
        shown["inputs"][0],
        json!({
            "number": 1, "url": "rtp://eth1@239.1.1.1:5000#src=10.0.0.5", "state": "receiving",
            "why": null, "on_air": true, "link": null,
            "socket": {"interface": "eth1", "local": "239.1.1.1:5000", "openings": 1,
                       "receive_buffer_bytes": 4 << 20, "datagrams": 9_004,
                       "bytes": 11_900_000, "kernel_drops": 5, "raw": 0, "rtp": 9_000,
                       "foreign": 4, "with_parity": 0},
            "rtp": {"payload_type": 33, "ssrc": "0x0000cafe", "received": 9_000, "lost": 3,
                    "reordered": 2, "duplicates": 1, "restarts": 0, "jitter_ms": 1.5,
                    "recovered": 2, "too_late": 0},
            "health": {"quiet_ms": 100, "in_sync": true, "pat_age_ms": 60, "pmt_age_ms": 70,
                       "tracks_age_ms": 0, "continuity_errors": 1, "scrambled": false,
                       "kbps": 4_000},
            "summary": {"kbps": 4_000, "continuity_errors": 2,
                        "alarms": ["Continuity_count_error"]},
            "transport": null,
        })
    );
    let http = &shown["inputs"][1];
    assert_eq!(http["link"], json!({"connected": true, "connections": 3}));
    assert_eq!((&http["socket"], &http["rtp"]), (&Value::Null, &Value::Null));
    assert_eq!(
        shown["outputs"],
        json!([{
            "number": 1, "url": "rtp://eth3@239.2.0.1:5000#ttl=16", "mode": "paced",
            "state": "open", "why": null, "local": "10.0.0.1:40000", "openings": 1,
            "ssrc": "0x0000beef", "datagrams": 8_990, "bytes": 11_880_000,
            "dropped": {"full": 1, "no_buffers": 2, "lost": 3}, "refused": 0,
            "pacing": {"buffered_ms": 187.5, "buffered_bytes": 0, "late": 4, "underruns": 0,
                       "overruns": 0, "overrun_bytes": 0, "reanchors": 0, "free_runs": 0,
                       "free_running": false, "stretch_ppm": 0.0},
            "summary": {"kbps": 4_000, "continuity_errors": 2,
                        "alarms": ["Continuity_count_error"]},
            "transport": null,
        }])
    );
    assert_eq!(
        shown["links"],
        json!([
            {"number": 1, "url": "http://h/x.ts?...", "direction": "in",
             "connected": true, "connections": 3, "why": null},
            {"number": 2, "url": "rtmp://origin/live/news?...", "direction": "out",
             "connected": false, "connections": 3, "why": "nobody listens"},
        ])
    );
    assert_eq!(shown["failover"]["switches"], 2);
}

#[test]
fn everything_that_is_measured_is_what_a_probe_prints() {
    let shown = &shown(&transport::headend())[0];
    let pid = |pid: u16, kind: &str, codec: &str, packets: u64, kbps: f64| {
        json!({"pid": pid, "kind": kind, "codec": codec, "stream_type": null, "program": null,
               "language": "", "kbps": kbps, "packets": packets, "continuity_errors": 0,
               "scrambled_packets": 0, "is_missing": false, "descriptors": []})
    };
    let mut pids = vec![
        pid(0, "PAT", "", 630, 15.0),
        pid(4_096, "PMT", "", 630, 15.0),
        pid(256, "video", "H.264", 50_000, 3_250.0),
        pid(258, "data", "teletext", 500, 30.1),
    ];
    for (pid, key, value) in [
        (1, "program", json!(3)),
        (2, "program", json!(3)),
        (2, "stream_type", json!(0x1B)),
        (2, "continuity_errors", json!(2)),
        (3, "program", json!(3)),
        (3, "stream_type", json!(6)),
        (3, "language", json!("deu")),
        (3, "descriptors", json!(["teletext: deu page 100"])),
    ] {
        pids[pid][key] = value;
    }
    let mut expected = json!({
        "seconds": 1.0, "timed_by": "arrival", "packets": 62_979, "kbps": 4_000.0,
        "kbps_min": null, "kbps_max": null, "null_percent": 12.5, "transport_stream_id": 7,
        "programs": [{"number": 3, "name": "News", "provider": "Us",
                      "service_type": "television (HD or H.264)", "pmt_pid": 4_096,
                      "pcr_pid": 256, "pmt_version": 2, "has_conditional_access": false,
                      "streams": [256, 257, 258]}],
        "pids": pids,
        "intervals": {"pat_ms": 100.0, "pmt_ms": 101.0, "pts_ms": 40.0},
        "clocks": [{"pid": 256, "count": 2_500, "interval_ms": 40.0, "jitter_ms": 2.5,
                    "accuracy_ns": 300}],
        "errors": [{"number": "1.4", "name": "Continuity_count_error", "priority": 1,
                    "count": 2, "pid": 256, "is_raised": true}],
        "repeated_packets": 0, "section_errors": 1,
    });
    assert_eq!(shown["inputs"][0]["transport"], expected);
    assert_eq!(shown["inputs"][1]["transport"], Value::Null, "nothing came");
    // An output is not asked for its tables.
    for (key, value) in [("transport_stream_id", Value::Null), ("programs", json!([]))] {
        expected[key] = value;
    }
    expected["pids"][3]["descriptors"] = json!([]);
    assert_eq!(shown["outputs"][0]["transport"], expected);
}

#[test]
fn a_published_transport_stream_is_its_own_input() {
    let mut shard = samples::shard(0);
    let mut stream = samples::stream(7, "live", "cam");
    (stream.is_transport, stream.tracks) = (true, vec![]);
    shard.streams.push(stream);
    shard.published.push(transport::publication("cam"));
    let shown = &shown(&[shard])[0];
    let input = &shown["inputs"][0];
    assert_eq!((&input["url"], &input["on_air"]), (&json!("tcp://192.0.2.1:5000"), &json!(true)));
    assert_eq!((&shown["video"], &shown["tracks"]), (&Value::Null, &json!([])));
    assert_eq!(shown["failover"], Value::Null);
}

#[test]
fn no_query_of_a_url_is_shown() {
    let mut shards = transport::headend();
    let publisher = shards[0].streams[0].publisher.as_mut().unwrap();
    publisher.url = "rtmp://host/live?key=secret".to_owned();
    for is_full in [false, true] {
        let text = Value::from(shown_as(&shards, is_full)).to_string();
        assert!(!text.contains("secret"), "{text}");
    }
}
