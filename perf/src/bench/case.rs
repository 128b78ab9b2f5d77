//! What is measured: the cases, and who runs in each.

use crate::publish::Shape;

use super::server::{Contender, OtherServer};

/// How players play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP.
    Rtmp,
    /// HTTP-FLV.
    HttpFlv,
    /// WebSocket-FLV.
    WsFlv,
}

/// One load, put on several servers.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in reports and on the command line.
    pub name: &'static str,
    /// What it is about, for the report.
    pub about: &'static str,
    /// The load.
    pub load: Load,
    /// Who bears it.
    pub contenders: Vec<Contender>,
    /// Rounds; in each, every contender runs once.
    pub rounds: usize,
}

/// Publishers and players.
#[derive(Clone, Debug)]
pub struct Load {
    /// How players play.
    pub protocol: Protocol,
    /// Streams, each with a publisher of its own.
    pub streams: usize,
    /// Players, spread over the streams.
    pub players: usize,
    /// What each publisher sends.
    pub shape: Shape,
    /// Additional slow players: how many, and their kbit/s.
    pub slow: Vec<(usize, u64)>,
    /// Players that begin per second.
    pub ramp_per_s: f64,
    /// Players that leave and come back per second.
    pub churn_per_s: f64,
    /// Players that parse.
    pub sample: usize,
    /// The load may use every CPU.
    pub unpinned: bool,
}

impl Load {
    /// Players of one stream of 2.15 Mbit/s.
    fn players(protocol: Protocol, players: usize) -> Self {
        Self {
            protocol,
            streams: 1,
            players,
            shape: Shape::default(),
            slow: Vec::new(),
            ramp_per_s: 1_000.0,
            churn_per_s: 0.0,
            sample: players.min(20),
            unpinned: false,
        }
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// A look in a few minutes instead of the record.
    pub quick: bool,
    /// Rounds, where the user asks for a number.
    pub rounds: Option<usize>,
    /// The first CPU of the servers.
    pub server_cpu: usize,
    /// The CPU of the load, which the second data core takes in the case of two.
    pub load_cpu: usize,
}

/// All cases.
pub fn cases(extent: Extent, others: &[OtherServer]) -> Vec<Case> {
    let rounds = extent.rounds.unwrap_or(if extent.quick { 1 } else { 3 });
    let who = Field { cpu: extent.server_cpu, others };
    let mut cases = vec![
        fan_out(&who, rounds, extent.quick),
        http_fan_out(&who, rounds, extent.quick),
        Case {
            name: "idle latency",
            about: "one stream to 4 players: what a core with nothing else to do adds",
            load: Load { sample: 4, ..Load::players(Protocol::Rtmp, 4) },
            contenders: who.default_and_peers(),
            rounds,
        },
        ingest("ingest 100", 100, &who, rounds),
        Case {
            name: "many streams",
            about: "200 publishers of 0.5 Mbit/s with 5 players each",
            load: Load {
                streams: 200,
                shape: Shape { video_kbit_s: 500, audio_kbit_s: 0, ..Shape::default() },
                ..Load::players(Protocol::Rtmp, 1_000)
            },
            contenders: who.default_and_peers(),
            rounds,
        },
        Case {
            name: "join storm",
            about: "500 players stay, 1,000 joins a second for as long as it is measured",
            load: Load { churn_per_s: 1_000.0, ..Load::players(Protocol::Rtmp, 500) },
            contenders: who.default_and_peers(),
            rounds,
        },
        slow("healthy", &who, rounds, vec![]),
        slow("one slow tenth", &who, rounds, vec![(40, 0), (40, 1_000)]),
    ];
    if !extent.quick {
        cases.extend(sizes(&who));
        cases.push(ingest("ingest 500", 500, &who, rounds.min(2)));
    }
    cases.push(Case {
        name: "two cores",
        about: "1,000 players of one stream on two data cores against one; the load shares the CPUs",
        load: Load { unpinned: true, ..Load::players(Protocol::Rtmp, 1_000) },
        contenders: vec![
            corelay("corelay 1 core", &flush(40, 40), &[extent.server_cpu]),
            corelay("corelay 2 cores", &flush(40, 40), &[extent.server_cpu, extent.load_cpu]),
        ],
        rounds,
    });
    cases
}

/// Players for as long as the user asks, with churn: nothing may grow.
pub fn soak(extent: Extent) -> Case {
    Case {
        name: "soak",
        about: "20 streams, 500 players, 20 joins a second",
        load: Load { streams: 20, churn_per_s: 20.0, ..Load::players(Protocol::Rtmp, 500) },
        contenders: vec![corelay("corelay", "", &[extent.server_cpu])],
        rounds: 1,
    }
}

/// Who takes part.
struct Field<'a> {
    cpu: usize,
    others: &'a [OtherServer],
}

impl Field<'_> {
    fn default_and_peers(&self) -> Vec<Contender> {
        let mut all = vec![corelay("corelay", "", &[self.cpu]), Contender::Nginx];
        all.extend(self.others.iter().cloned().map(Contender::Other));
        all
    }

    /// The relay at fixed intervals, and the floor at the same.
    fn intervals(&self, intervals_ms: &[u32]) -> Vec<Contender> {
        let relay = intervals_ms.iter().map(|interval_ms| {
            let label = format!("corelay {interval_ms} ms");
            corelay(&label, &flush(*interval_ms, *interval_ms), &[self.cpu])
        });
        relay.chain(FLOOR_INTERVALS_MS.map(Contender::Floor)).collect()
    }
}

fn fan_out(who: &Field<'_>, rounds: usize, quick: bool) -> Case {
    let mut contenders = who.default_and_peers();
    contenders.extend(who.intervals(if quick { &[40, 350] } else { &[0, 40, 120, 350] }));
    Case {
        name: "fan-out",
        about: "one stream of 2.15 Mbit/s to 1,000 RTMP players",
        load: Load::players(Protocol::Rtmp, 1_000),
        contenders,
        rounds,
    }
}

fn http_fan_out(who: &Field<'_>, rounds: usize, quick: bool) -> Case {
    let mut contenders = vec![corelay("corelay", "", &[who.cpu])];
    let with_http = who.others.iter().filter(|server| server.http_port.is_some());
    contenders.extend(with_http.cloned().map(Contender::Other));
    if !quick {
        let fixed = who.intervals(&[40, 120, 350]);
        contenders.extend(fixed.into_iter().filter(|one| !matches!(one, Contender::Floor(_))));
    }
    Case {
        name: "http-flv",
        about: "one stream of 2.15 Mbit/s to 1,000 HTTP-FLV players",
        load: Load::players(Protocol::HttpFlv, 1_000),
        contenders,
        rounds,
    }
}

/// One stream to more and more players.
fn sizes(who: &Field<'_>) -> Vec<Case> {
    let size = |name, players, video_kbit_s, audio_kbit_s| Case {
        name,
        about: "how the cost grows with the number of players; 4,000 get 0.5 Mbit/s each and 10,000 get 96 kbit/s",
        load: Load {
            shape: Shape { video_kbit_s, audio_kbit_s, ..Shape::default() },
            ramp_per_s: 2_000.0,
            ..Load::players(Protocol::Rtmp, players)
        },
        contenders: who.default_and_peers(),
        rounds: 1,
    };
    vec![
        size("players 100", 100, 2_000, 128),
        size("players 500", 500, 2_000, 128),
        size("players 4000", 4_000, 500, 0),
        size("players 1000 small", 1_000, 96, 0),
        size("players 10000 small", 10_000, 96, 0),
    ]
}

fn ingest(name: &'static str, streams: usize, who: &Field<'_>, rounds: usize) -> Case {
    Case {
        name,
        about: "publishers of 2.15 Mbit/s that nobody watches: CPU per received gigabit",
        load: Load { streams, ..Load::players(Protocol::Rtmp, 0) },
        contenders: who.default_and_peers(),
        rounds,
    }
}

fn slow(name: &'static str, who: &Field<'_>, rounds: usize, slow: Vec<(usize, u64)>) -> Case {
    Case {
        name,
        about: "320 healthy players, alone and beside 40 that read nothing and 40 at half the rate",
        load: Load { slow, sample: 32, ..Load::players(Protocol::Rtmp, 320) },
        contenders: who.default_and_peers(),
        rounds,
    }
}

fn corelay(label: &str, settings: &str, cores: &[usize]) -> Contender {
    Contender::Corelay {
        label: label.to_owned(),
        settings: settings.to_owned(),
        cores: cores.to_vec(),
    }
}

fn flush(min_ms: u32, max_ms: u32) -> String {
    format!("applications.default.flush = {{ min_ms = {min_ms}, max_ms = {max_ms} }}")
}

/// Every message of 25 pictures and 43 sounds a second by itself, and the intervals of the targets.
const FLOOR_INTERVALS_MS: [f64; 4] = [14.7, 40.0, 120.0, 350.0];
