//! The cases with transport streams by UDP.

use super::case::{Case, Load, Protocol};
use super::cases::{Extent, corelay};
use super::server::Contender;

/// All of them, in so many rounds.
pub(super) fn all(extent: Extent, rounds: usize) -> Vec<Case> {
    let relay = || corelay("corelay", "", &[extent.server_cpu]);
    let case =
        |name, about, rounds, load, contenders| Case { name, about, load, contenders, rounds };
    // Where one relay is looked at alone, its share of tens of thousands of datagrams tells in one
    // round.
    let mut cases = vec![
        case(
            FORWARD,
            "100 channels of 8 Mbit/s by UDP, each sent on by UDP as it comes",
            rounds,
            Load::channels(Protocol::Udp, 100, 8_000, false),
            vec![relay(), Contender::Multicat, Contender::DatagramFloor],
        ),
        case(
            "udp-http-ts",
            "8 channels of 40 Mbit/s by UDP, each played by HTTP",
            1,
            Load::channels(Protocol::HttpTs, 8, 40_000, false),
            vec![relay()],
        ),
        case(
            "analysis",
            "what a packet costs to look at; many streams take turns, datagram by datagram",
            1,
            Load::channels(Protocol::Udp, 1, 8_000, false),
            vec![Contender::Analysis(1), Contender::Analysis(100)],
        ),
    ];
    cases.extend(PACED.map(|(name, channels)| {
        let about = "channels of 8 Mbit/s by UDP, each sent on by UDP when its clock says";
        let load = Load::channels(Protocol::Udp, channels, 8_000, true);
        let realtime = corelay("corelay", "cores.realtime = true", &[extent.server_cpu]);
        let normal = relay();
        // One output needs no priority.
        let contenders = if channels == 1 { vec![normal] } else { vec![realtime] };
        case(name, about, 1, load, contenders)
    }));
    if extent.quick {
        cases.retain(|case| [FORWARD, "udp-paced 20", "analysis"].contains(&case.name));
        for case in &mut cases {
            case.contenders.truncate(if case.name.starts_with("udp-paced") { 1 } else { 2 });
        }
    }
    cases
}

/// The case that is compared with multicat and with the floor.
pub(super) const FORWARD: &str = "udp-forward";
/// Cases of paced outputs, and how many they have.
const PACED: [(&str, usize); 3] =
    [("udp-paced 1", 1), ("udp-paced 20", 20), ("udp-paced 100", 100)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_looks_have_one_paced_case_and_the_record_has_all() {
        let count = |quick| {
            let extent = Extent { quick, rounds: None, server_cpu: 0, load_cpu: 1 };
            all(extent, 1).iter().filter(|case| case.name.starts_with("udp-paced")).count()
        };
        assert_eq!((count(true), count(false)), (1, 3));
    }

    #[test]
    fn fewer_players_are_fewer_channels() {
        let mut load = Load::channels(Protocol::Udp, 100, 8_000, false);
        load.limit_players(5);
        assert_eq!((load.streams, load.players), (5, 5));
    }
}
