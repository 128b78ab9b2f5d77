//! A channel made up for the tests.

use corelay_codecs::container::mpegts::analysis::{
    self, Analyser, Indicator, PcrState, PidSnapshot, Role, Totals,
};
use corelay_codecs::container::mpegts::psi::descriptor::Descriptor;
use corelay_codecs::container::mpegts::psi::{EsFormat, EsInfo, Pat, PatEntry, Program, Service};
use corelay_codecs::container::mpegts::{Pid, pace, splice};
use corelay_codecs::container::rtp;
use corelay_config::Pace;

use crate::channel::input::{DatagramCounters, InputSnapshot, InputState, SocketSnapshot};
use crate::channel::output::{OutputDrops, OutputSnapshot, OutputState};
use crate::channel::select::Health;
use crate::channel::{ChannelSnapshot, Leg, LinkSnapshot, SwitchSnapshot};
use crate::clock::Micros;
use crate::hub::{BridgeSnapshot, StreamKey, StreamSnapshot, TrackSnapshot, ViewersSnapshot};
use crate::net::udp::{InputCounters, OutputCounters};
use crate::shard::ShardSnapshot;

/// `iptv/news` on core 0: RTP on air, HTTP to fall back to, sent by RTP and by RTMP.
pub(in crate::control) fn channel() -> ChannelSnapshot {
    ChannelSnapshot {
        key: StreamKey::new("iptv", "news"),
        is_open: true,
        current: 0,
        current_for_ms: 61_000,
        inputs: vec![rtp_input(), http_input()],
        outputs: vec![output()],
        links: vec![
            link("http://h/x.ts?...", Leg::Input(1), None),
            link("rtmp://origin/live/news?...", Leg::Output(1), Some("nobody listens")),
        ],
        switch_count: 2,
        switches: vec![switch(90_000, 0, 1, "no packets for 500 ms"), {
            switch(61_000, 1, 0, "the preferred input is good for 10000 ms")
        }],
        splices: splice::Counters { switches: 2, clock_shift: 54_000, ..Default::default() },
    }
}

/// A core with that channel, its stream, and one viewer who gets access units.
pub(in crate::control) fn headend() -> Vec<ShardSnapshot> {
    let mut shard = super::shard(0);
    shard.channels.push(channel());
    shard.streams.push(StreamSnapshot {
        is_transport: true,
        tracks: vec![],
        ..super::stream(8, "iptv", "news")
    });
    shard.viewers.push(viewers(bridge()));
    vec![shard]
}

/// What a publisher over TCP sends under a name.
pub(in crate::control) fn publication(name: &str) -> (StreamKey, InputSnapshot) {
    let input = InputSnapshot { state: InputState::Receiving, ..http_input() };
    let url = "tcp://192.0.2.1:5000".to_owned();
    (StreamKey::new("live", name), InputSnapshot { url, ..input })
}

/// The viewers of `iptv/news` on a core.
pub(in crate::control) fn viewers(bridge: Option<BridgeSnapshot>) -> ViewersSnapshot {
    let key = StreamKey::new("iptv", "news");
    ViewersSnapshot {
        key,
        by_form: vec![("rtmp", 1)],
        log_bytes: 0,
        log_ms: 0,
        bridge,
        hls: Vec::new(),
    }
}

/// Takes out the video, and leaves the teletext.
pub(in crate::control) fn bridge() -> Option<BridgeSnapshot> {
    let tracks: Vec<TrackSnapshot> = super::stream(8, "iptv", "news").tracks;
    let why = "neither pictures nor sound".to_owned();
    Some(BridgeSnapshot { tracks, not_carried: vec![(258, "teletext", why)] })
}

fn switch(ago_ms: u64, from: usize, to: usize, why: &str) -> SwitchSnapshot {
    SwitchSnapshot { ago_ms, from, to, why: why.to_owned() }
}

fn link(url: &str, leg: Leg, why: Option<&str>) -> LinkSnapshot {
    let (is_connected, why) = (why.is_none(), why.map(str::to_owned));
    LinkSnapshot { url: url.to_owned(), leg, is_connected, connections: 3, why }
}

fn rtp_input() -> InputSnapshot {
    let flow = rtp::Counters {
        received: 9_000,
        lost: 3,
        reordered: 2,
        duplicates: 1,
        jitter_us: 1_500,
        ssrc: 0xCAFE,
        payload_type: 33,
        ..Default::default()
    };
    InputSnapshot {
        url: "rtp://eth1@239.1.1.1:5000#src=10.0.0.5".to_owned(),
        state: InputState::Receiving,
        why: None,
        socket: Some(SocketSnapshot {
            interface: Some("eth1".to_owned()),
            local: "239.1.1.1:5000".parse().ok(),
            receive_buffer_bytes: 4 << 20,
            openings: 1,
            counters: InputCounters {
                messages: 700,
                datagrams: 9_004,
                bytes: 11_900_000,
                kernel_drops: 5,
            },
            datagrams: DatagramCounters { rtp: 9_000, foreign: 4, ..Default::default() },
        }),
        rtp: Some(rtp::ReorderCounters { flow, recovered: 2, too_late: 0, ..Default::default() }),
        health: Health {
            last_packet: Some(Micros(70_000_000)),
            heard_since: Some(Micros(1_000_000)),
            is_in_sync: true,
            last_pat: Some(Micros(69_940_000)),
            last_pmt: Some(Micros(69_930_000)),
            last_tracks: Some(Micros(70_000_000)),
            continuity_errors: 1,
            is_scrambled: false,
            bitrate_kbps: Some(4_000),
        },
        formats: vec![EsFormat::H264, EsFormat::Ac4, EsFormat::Teletext],
        analysis: analysis(),
        pat: Some(Pat {
            transport_stream_id: 7,
            version: 1,
            entries: vec![PatEntry { program_number: 3, pid: Pid::new(4_096) }],
        }),
        programs: vec![program()],
        services: vec![Service {
            service_id: 3,
            service_type: 25,
            name: "News".to_owned(),
            provider: "Us".to_owned(),
            running_status: 4,
            is_scrambled: false,
        }],
    }
}

fn http_input() -> InputSnapshot {
    InputSnapshot {
        url: "http://h/x.ts?...#pnr=3".to_owned(),
        state: InputState::Silent,
        why: None,
        socket: None,
        rtp: None,
        health: Health::default(),
        formats: vec![],
        analysis: Analyser::new(analysis::Settings::default()).snapshot(),
        pat: None,
        programs: vec![],
        services: vec![],
    }
}

fn output() -> OutputSnapshot {
    OutputSnapshot {
        url: "rtp://eth3@239.2.0.1:5000#ttl=16".to_owned(),
        state: OutputState::Open,
        why: None,
        pace: Pace::Paced,
        local: "10.0.0.1:40000".parse().ok(),
        openings: 1,
        counters: OutputCounters { datagrams: 8_990, bytes: 11_880_000, ..Default::default() },
        drops: OutputDrops { full: 1, no_buffers: 2, lost: 3 },
        ssrc: Some(0xBEEF),
        pacer: Some(pace::Counters { late: 4, buffered_us: 187_500, ..Default::default() }),
        analysis: Some(analysis()),
    }
}

/// H.264, AC-4 and teletext of program 3.
fn program() -> Program {
    let stream = |pid, stream_type, format, language: &str| EsInfo {
        pid: Pid::new(pid),
        stream_type,
        format,
        language: language.to_owned(),
        descriptors: vec![],
        teletext: vec![],
        opus_channel_config: None,
    };
    let mut teletext = stream(258, 6, EsFormat::Teletext, "deu");
    let detail = "deu page 100".to_owned();
    teletext.descriptors.push(Descriptor { tag: 0x56, name: "teletext", detail });
    Program {
        program_number: 3,
        pmt_pid: Pid::new(4_096),
        version: 2,
        pcr_pid: Pid::new(256),
        descriptors: vec![],
        has_conditional_access: false,
        streams: vec![
            stream(256, 0x1B, EsFormat::H264, ""),
            stream(257, 6, EsFormat::Ac4, "deu"),
            teletext,
        ],
    }
}

/// Of a stream of 4 Mbit/s with a continuity error a moment ago.
fn analysis() -> analysis::Snapshot {
    let mut analysis = Analyser::new(analysis::Settings::default()).snapshot();
    analysis.at_us = 70_100_000;
    analysis.window_us = 1_000_000;
    analysis.totals = Totals {
        packets: 62_979,
        null_packets: 6_297,
        counter_errors: 2,
        scrambled_packets: 9,
        section_errors: 1,
        ..Default::default()
    };
    analysis.bitrate_bps = 4_000_000;
    analysis.null_share = 0.125;
    analysis.pat_interval_max_us = 100_000;
    analysis.pmt_interval_max_us = 101_000;
    analysis.pts_interval_max_us = 40_000;
    let alarm = &mut analysis.alarms[Indicator::ContinuityCountError as usize];
    (alarm.errors, alarm.is_raised, alarm.pid) = (2, true, Some(Pid::new(256)));
    let clock = PcrState {
        count: 2_500,
        interval_max_us: 40_000,
        jitter_us: 2_500,
        accuracy_ns: Some(300),
        ..Default::default()
    };
    let role = |format, stream_type, language| Role::Stream {
        program_number: 3,
        stream_type,
        format,
        language,
    };
    analysis.worst_clock.add(&clock);
    analysis.pids = vec![
        pid(0, Role::Table, 630, 15_000),
        pid(4_096, Role::Pmt { program_number: 3 }, 630, 15_000),
        PidSnapshot {
            counter_errors: 2,
            pcr: Some(clock),
            ..pid(256, role(EsFormat::H264, 0x1B, [0; 3]), 50_000, 3_250_000)
        },
        pid(258, role(EsFormat::Teletext, 6, *b"deu"), 500, 30_100),
    ];
    analysis
}

fn pid(pid: u16, role: Role, packets: u64, bitrate_bps: u64) -> PidSnapshot {
    PidSnapshot {
        pid: Pid::new(pid),
        role,
        packets,
        bitrate_bps,
        counter_errors: 0,
        repeated_packets: 0,
        scrambled_packets: 0,
        is_scrambled: false,
        is_missing: false,
        last_seen_us: 70_000_000,
        pts_interval_max_us: 0,
        pcr: None,
    }
}
