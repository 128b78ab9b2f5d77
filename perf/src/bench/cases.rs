//! The list of cases.

use corelay::hub::StreamKey;

use super::case::{Case, Load, Protocol, SOAK};
use super::server::{Contender, OtherServer, STREAM};
use super::{hls_cases, tls_cases, transport_cases};
use crate::publish::Shape;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// A look in a few minutes instead of the record.
    pub quick: bool,
    /// Rounds, where the user asks for a number.
    pub rounds: Option<usize>,
    /// The first CPU of the servers.
    pub server_cpu: usize,
    /// The CPU of the load, which the second data core takes in the cases of two.
    pub load_cpu: usize,
}

impl Extent {
    /// How many rounds a case has that has so many in the record.
    pub(super) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual })
    }
}

/// Whether a quick look has time for a case that was not asked for.
pub(super) fn is_for_quick_looks(case: &Case) -> bool {
    !case.name.starts_with("hls-") && !case.name.starts_with("tls-")
}

/// All cases.
pub fn all(extent: Extent, others: &[OtherServer]) -> Vec<Case> {
    let rounds = extent.rounds(2);
    let field = Field { extent, rounds, others };
    let mut cases = field.fan_outs();
    cases.extend([
        field.case(
            "idle latency",
            "one stream to 4 players: what a core with nothing else to do adds",
            Load::players(Protocol::Rtmp, 4),
        ),
        field.ingest("ingest 100", 100),
        field.case(
            "many streams",
            "200 publishers of 0.5 Mbit/s with 5 players each",
            Load {
                streams: 200,
                shape: Shape { video_kbit_s: 500, audio_kbit_s: 0, ..Shape::default() },
                ..Load::players(Protocol::Rtmp, 1_000)
            },
        ),
    ]);
    cases.extend(field.comings_and_goings());
    cases.extend(field.slow_players());
    if !extent.quick {
        cases.extend(field.sizes());
        cases.push(Case { rounds: 1, ..field.ingest("ingest 500", 500) });
        cases.push(field.across_cores());
    }
    cases.push(field.two_cores());
    cases.extend(transport_cases::all(extent, rounds));
    cases.extend(hls_cases::all(extent, rounds));
    cases.extend(tls_cases::all(extent, rounds));
    cases
}

/// Players for as long as the user asks, with churn: nothing may grow.
pub fn soak(extent: Extent) -> Case {
    Case {
        name: SOAK,
        about: "20 streams, 500 players, 20 joins a second",
        load: Load { streams: 20, churn_per_s: 20.0, ..Load::players(Protocol::Rtmp, 500) },
        contenders: vec![corelay("corelay", "", &[extent.server_cpu])],
        rounds: 1,
    }
}

/// Who takes part, and how often.
struct Field<'a> {
    extent: Extent,
    rounds: usize,
    others: &'a [OtherServer],
}

impl Field<'_> {
    /// The relay as it comes, alone.
    fn relay(&self) -> Contender {
        corelay("corelay", "", &[self.extent.server_cpu])
    }

    fn relay_and_peers(&self) -> Vec<Contender> {
        let mut all = vec![self.relay(), Contender::Nginx];
        all.extend(self.others.iter().cloned().map(Contender::Other));
        all
    }

    /// The relay and those peers that speak HTTP; nginx-rtmp does not.
    fn relay_and_http_peers(&self) -> Vec<Contender> {
        let with_http = self.others.iter().filter(|server| server.http_port.is_some());
        let mut all = vec![self.relay()];
        all.extend(with_http.cloned().map(Contender::Other));
        all
    }

    /// The relay at fixed intervals.
    fn intervals(&self, intervals_ms: &[u32]) -> Vec<Contender> {
        let at = |interval_ms: &u32| {
            let label = format!("corelay {interval_ms} ms");
            corelay(&label, &flush(*interval_ms), &[self.extent.server_cpu])
        };
        intervals_ms.iter().map(at).collect()
    }

    /// One stream, or as many as there are publishers, to RTMP players of the relay and its peers.
    fn case(&self, name: &'static str, about: &'static str, load: Load) -> Case {
        Case { name, about, load, contenders: self.relay_and_peers(), rounds: self.rounds }
    }

    fn ingest(&self, name: &'static str, streams: usize) -> Case {
        let about = "publishers of 2.15 Mbit/s that nobody watches: CPU per received gigabit";
        self.case(name, about, Load { streams, ..Load::players(Protocol::Rtmp, 0) })
    }

    /// A thousand players by each protocol, with the floor beside them.
    fn fan_outs(&self) -> Vec<Case> {
        let quick = self.extent.quick;
        let about = "one stream of 2.15 Mbit/s to 1,000 RTMP players";
        let mut rtmp = self.case("fan-out", about, Load::players(Protocol::Rtmp, 1_000));
        rtmp.rounds = self.extent.rounds(3);
        rtmp.contenders.extend(self.intervals(if quick { &[40, 350] } else { &[0, 40, 120, 350] }));
        let floor: &[f64] = if quick { &[14.7, 40.0, 350.0] } else { &[14.7, 40.0, 120.0, 350.0] };
        rtmp.contenders.extend(floor.iter().copied().map(Contender::Floor));

        let about = "one stream of 2.15 Mbit/s to 1,000 HTTP-FLV players";
        let mut http = self.case("http-flv", about, Load::players(Protocol::HttpFlv, 1_000));
        http.contenders = self.relay_and_http_peers();
        http.contenders.extend(self.intervals(if quick { &[40, 350] } else { &[40, 120, 350] }));

        let about = "one stream of 2.15 Mbit/s to 1,000 WebSocket-FLV players";
        let mut ws = self.case("ws-flv", about, Load::players(Protocol::WsFlv, 1_000));
        ws.contenders = self.relay_and_http_peers();
        let about = "one stream of 2.15 Mbit/s to 1,000 players of a transport stream over HTTP";
        let mut ts = self.case("http-ts", about, Load::players(Protocol::HttpTs, 1_000));
        ts.contenders = self.relay_and_http_peers();
        ts.contenders.extend(self.intervals(&[40, 350]));
        if quick { vec![rtmp, http] } else { vec![rtmp, http, ws, ts] }
    }

    fn comings_and_goings(&self) -> Vec<Case> {
        let storm = Load { churn_per_s: 1_000.0, ..Load::players(Protocol::Rtmp, 500) };
        let churn = Load { churn_per_s: 100.0, ..Load::players(Protocol::Rtmp, 500) };
        let mut churn = self.case("churn", "500 players, of which 100 a second come anew", churn);
        if self.extent.quick {
            churn.contenders.truncate(1);
        }
        let about = "500 players stay, 1,000 joins a second for as long as it is measured";
        vec![self.case("join storm", about, storm), churn]
    }

    fn slow_players(&self) -> Vec<Case> {
        let about =
            "320 healthy players, alone and beside 40 that read nothing and 40 at half the rate";
        let load = Load { sample: 32, ..Load::players(Protocol::Rtmp, 320) };
        let slow = Load { slow: vec![(40, 0), (40, 1_000)], ..load.clone() };
        let mut cases =
            vec![self.case("healthy", about, load), self.case("one slow tenth", about, slow)];
        if self.extent.quick {
            cases.iter_mut().for_each(|case| case.contenders.truncate(1));
        }
        cases
    }

    /// One stream to more and more players.
    fn sizes(&self) -> Vec<Case> {
        let size = |name, protocol, players, video_kbit_s, audio_kbit_s| {
            let about = "how the cost grows with the number of players; 4,000 get 0.5 Mbit/s each \
                         and 'small' ones 96 kbit/s";
            let shape = Shape { video_kbit_s, audio_kbit_s, ..Shape::default() };
            let load = Load { shape, ramp_per_s: 2_000.0, ..Load::players(protocol, players) };
            let contenders = match protocol {
                Protocol::Rtmp => self.relay_and_peers(),
                _ => self.relay_and_http_peers(),
            };
            Case { contenders, rounds: 1, ..self.case(name, about, load) }
        };
        let (rtmp, http) = (Protocol::Rtmp, Protocol::HttpFlv);
        vec![
            size("players 100", rtmp, 100, 2_000, 128),
            size("players 500", rtmp, 500, 2_000, 128),
            size("players 4000", rtmp, 4_000, 500, 0),
            size("players 1000 small", rtmp, 1_000, 96, 0),
            size("players 10000 small", rtmp, 10_000, 96, 0),
            size("http-flv 100", http, 100, 2_000, 128),
            size("http-flv 500", http, 500, 2_000, 128),
            size("http-flv 4000", http, 4_000, 500, 0),
            size("http-flv 10000 small", http, 10_000, 96, 0),
        ]
    }

    /// Connections go to either core as the kernel has it, so about half of the players sit on the
    /// core that does not own the stream.
    fn two_cores(&self) -> Case {
        let Extent { server_cpu, load_cpu, .. } = self.extent;
        let load = Load { unpinned: true, ..Load::players(Protocol::Rtmp, 1_000) };
        let about =
            "1,000 players of one stream on two data cores against one; the load shares the CPUs";
        let one = corelay("corelay 1 core", &flush(40), &[server_cpu]);
        let two = corelay("corelay 2 cores", &flush(40), &[server_cpu, load_cpu]);
        Case { contenders: vec![one, two], ..self.case("two cores", about, load) }
    }

    /// The players sit on the core that owns the stream, at the servers' CPU; its publisher beside
    /// them or on the other core, from where every frame takes the mesh.
    fn across_cores(&self) -> Case {
        let Extent { server_cpu, load_cpu, .. } = self.extent;
        let (app, name) = STREAM.split_once('/').unwrap_or((STREAM, ""));
        let players_core = StreamKey::new(app, name).owner(2).index();
        let mut cpus = [load_cpu; 2];
        if let Some(cpu) = cpus.get_mut(players_core) {
            *cpu = server_cpu;
        }
        let published_at = |label, publisher_core| {
            let listeners = [publisher_core, players_core]
                .map(|core| format!("{{ address = \"{ANY_PORT}\", cores = [{core}] }}"));
            let listeners = listeners.join(", ");
            let settings = format!("rtmp.listen = [{listeners}]\n{HTTP}\n{}", flush(40));
            relay(label, settings, &cpus)
        };
        let load = Load::players(Protocol::Rtmp, 1_000);
        let about =
            "1,000 players on one core of two, their publisher on the same or the other core";
        let contenders = vec![
            published_at("corelay same core", players_core),
            published_at("corelay across", 1 - players_core),
        ];
        Case { contenders, ..self.case("across cores", about, load) }
    }
}

/// The relay with one listener for RTMP and one for HTTP.
pub(super) fn corelay(label: &str, settings: &str, cpus: &[usize]) -> Contender {
    relay(label, format!("rtmp.listen = [\"{ANY_PORT}\"]\n{HTTP}\n{settings}"), cpus)
}

pub(super) fn relay(label: &str, settings: String, cpus: &[usize]) -> Contender {
    Contender::Corelay { label: label.to_owned(), settings, cores: cpus.to_vec() }
}

pub(super) fn flush(interval_ms: u32) -> String {
    format!("applications.default.flush = {{ min_ms = {interval_ms}, max_ms = {interval_ms} }}")
}

pub(super) const ANY_PORT: &str = "127.0.0.1:0";
const HTTP: &str = "http.listen = [\"127.0.0.1:0\"]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{QUICK_WINDOW, WINDOW};
    use std::time::Duration;

    fn extent(quick: bool) -> Extent {
        Extent { quick, rounds: None, server_cpu: 0, load_cpu: 1 }
    }

    #[test]
    fn a_quick_look_takes_less_than_3_minutes_and_the_record_less_than_25() {
        let took = |quick, window| {
            let mut cases = all(extent(quick), &[]);
            cases.retain(|case| !quick || is_for_quick_looks(case));
            cases.iter().map(|case| case.estimate(window)).sum::<Duration>().as_secs()
        };
        let (quick, record) = (took(true, QUICK_WINDOW), took(false, WINDOW));
        assert!((120..180).contains(&quick), "{quick} s");
        assert!((1_000..1_500).contains(&record), "{record} s");
    }

    #[test]
    fn names_of_cases_are_their_own() {
        let cases = all(extent(false), &[]);
        let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases.len());
    }

    #[test]
    fn a_server_of_the_users_own_takes_part_where_it_speaks_the_protocol() {
        let other = OtherServer::parse("mine=./mine,1935").unwrap();
        let with_http = OtherServer { http_port: Some(8080), ..other.clone() };
        let count = |others: &[OtherServer], name: &str| {
            let cases = all(extent(false), others);
            let case = cases.iter().find(|case| case.name == name).unwrap();
            case.contenders.iter().filter(|one| matches!(one, Contender::Other(_))).count()
        };
        assert_eq!(count(std::slice::from_ref(&other), "fan-out"), 1);
        assert_eq!(count(&[other], "http-flv"), 0);
        assert_eq!(count(&[with_http], "ws-flv"), 1);
    }

    #[test]
    fn across_cores_the_owner_of_the_stream_has_the_servers_cpu() {
        let cases = all(extent(false), &[]);
        let case = cases.iter().find(|case| case.name == "across cores").unwrap();
        for contender in &case.contenders {
            let Contender::Corelay { cores, settings, .. } = contender else { panic!("no relay") };
            let owner = StreamKey::new("live", "s").owner(2).index();
            assert_eq!((cores.len(), cores[owner]), (2, 0));
            assert!(settings.contains(&format!("cores = [{owner}] }}]")), "{settings}");
        }
    }
}
