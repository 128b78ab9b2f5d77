//! The cases with HLS.

use std::time::Duration;

use super::case::{Case, Load, Protocol};
use super::cases::{Extent, corelay};
use super::server::Contender;
use crate::publish::Shape;

/// All of them, in so many rounds.
pub(super) fn all(extent: Extent, rounds: usize) -> Vec<Case> {
    let relay = || packager(extent.server_cpu);
    let nginx = |sendfile| Contender::NginxFiles { sendfile };
    let case =
        |name, about, rounds, load, contenders| Case { name, about, load, contenders, rounds };
    let mut cases = vec![
        case(
            SEGMENTS,
            "one stream of 2.15 Mbit/s to 1,000 HLS players: each new segment, and the playlist \
             every 2 s; nginx serves the same from memory",
            rounds,
            Load::hls(Protocol::Hls, 1_000),
            vec![relay(), nginx(true)],
        ),
        case(
            PLAYLISTS,
            "the same media playlist, asked for on 64 connections as soon as it is there",
            rounds,
            Load::hls(Protocol::HlsPlaylist, 64),
            vec![relay(), nginx(true), nginx(false)],
        ),
        case(
            LATENCY,
            "20 LL-HLS players: from the sending of a part's first frame to its arrival",
            1,
            Load::hls(Protocol::HlsLowLatency, 20),
            vec![relay()],
        ),
    ];
    if !extent.quick {
        let shape = Shape { video_kbit_s: 500, audio_kbit_s: 0, ..Shape::default() };
        let load = Load {
            streams: 200,
            shape,
            // The window and the segments that can still be fetched.
            warm_up: Duration::from_secs(24),
            ..Load::hls(Protocol::Hls, 0)
        };
        cases.push(case(
            MEMORY,
            "200 streams of 0.5 Mbit/s that nobody watches, in segments: memory against what is held",
            1,
            load,
            vec![relay()],
        ));
    }
    cases
}

/// The relay, which makes segments of every stream from its beginning.
pub(super) fn packager(cpu: usize) -> Contender {
    corelay("corelay", "hls.always_on = true", &[cpu])
}

/// The case that is compared with a server of files in cost.
pub(super) const SEGMENTS: &str = "hls-segments";
/// That in requests.
pub(super) const PLAYLISTS: &str = "hls-playlists";
/// That of low latency.
pub(super) const LATENCY: &str = "hls-latency";
/// That of memory.
pub(super) const MEMORY: &str = "hls-memory";
