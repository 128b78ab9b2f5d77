//! What came of datagrams: the rows' figures, and their table.

use serde::Serialize;

use super::measure::Run;
use super::row::{Quantiles, Row, optional};
use super::tables::number;
use crate::udp::{Leg, ReceiveResult};

/// What came of the datagrams of a case. Counts are sums, other figures medians over the rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delivery {
    /// Datagrams that did not arrive, without those that the receiver had no room for.
    pub lost: u64,
    /// Datagrams whose packets are not those that were sent.
    pub altered: u64,
    /// Datagrams that arrived behind later ones.
    pub late: u64,
    /// Datagrams that arrived more than once.
    pub repeated: u64,
    /// What arrived and does not belong there.
    pub foreign: u64,
    /// Datagrams that the receiver had no room for.
    pub dropped_here: u64,
    /// How long the relay kept them, median, in microseconds.
    pub residence_p50_us: Option<f64>,
    /// The same, 99th percentile.
    pub residence_p99_us: Option<f64>,
    /// From the sender's stamp to the arrival behind the relay.
    pub latency_us: Option<Quantiles>,
    /// The same past the relay: what the load itself adds.
    pub direct_us: Option<Quantiles>,
    /// The share that came within 1 ms of their time by the streams' clocks.
    pub within_1_ms: Option<f64>,
    /// How far from it 99.9 % came at the most, in microseconds.
    pub clock_error_p999_us: Option<f64>,
    /// The share within 1 ms past the relay: what the load itself reaches.
    pub direct_within_1_ms: Option<f64>,
    /// How late the sender was, 99th percentile in microseconds.
    pub sender_late_p99_us: Option<f64>,
}

impl Delivery {
    /// Brings the runs together; `None` when none had datagrams.
    pub(super) fn of(runs: &[Run]) -> Option<Self> {
        let all: Vec<&ReceiveResult> = runs.iter().filter_map(received).collect();
        if all.is_empty() {
            return None;
        }
        let sum = |figure: fn(&Leg) -> u64| all.iter().map(|one| figure(&one.relay)).sum::<u64>();
        let dropped_here = all.iter().map(|one| one.dropped_here).sum();
        let relay_clocks = |run: &Run| received(run)?.relay.clocks;
        Some(Self {
            lost: sum(|leg| leg.lost).saturating_sub(dropped_here),
            altered: sum(|leg| leg.altered),
            late: sum(|leg| leg.late),
            repeated: sum(|leg| leg.repeated),
            foreign: sum(|leg| leg.foreign),
            dropped_here,
            residence_p50_us: optional(runs, |run| received(run)?.residence_p50_us),
            residence_p99_us: optional(runs, |run| received(run)?.residence_p99_us),
            latency_us: Quantiles::of(runs, |run| received(run)?.relay.latency_us),
            direct_us: Quantiles::of(runs, |run| received(run)?.direct.as_ref()?.latency_us),
            within_1_ms: optional(runs, |run| Some(relay_clocks(run)?.within_1_ms)),
            clock_error_p999_us: optional(runs, |run| Some(relay_clocks(run)?.error_us.p999)),
            direct_within_1_ms: optional(runs, |run| {
                Some(received(run)?.direct.as_ref()?.clocks?.within_1_ms)
            }),
            sender_late_p99_us: optional(runs, |run| {
                Some(run.datagrams.as_ref()?.send.late_us?.p99)
            }),
        })
    }
}

fn received(run: &Run) -> Option<&ReceiveResult> {
    run.datagrams.as_ref().map(|datagrams| &datagrams.receive)
}

/// The cells of a row, below [`HEADINGS`].
pub(super) fn cells(row: &Row) -> Vec<String> {
    let delivery = row.delivery.clone().unwrap_or_default();
    let pair = |pair: Option<(f64, f64)>| {
        pair.map_or_else(String::new, |(p50, p99)| format!("{p50:.0} / {p99:.0}"))
    };
    let quantiles = |of: Option<Quantiles>| pair(of.map(|of| (of.p50, of.p99)));
    let percent = |share: Option<f64>| number(share.map(|share| share * 100.0), 3);
    vec![
        row.server.clone(),
        row.streams.to_string(),
        format!("{:.1}", row.cpu_share * 100.0),
        format!(
            "{:.4} ({:.4}-{:.4})",
            row.cpu_s_per_gbit, row.cpu_s_per_gbit_min, row.cpu_s_per_gbit_max
        ),
        number(row.floor_ratio, 2),
        number(row.multicat_ratio, 2),
        pair(delivery.residence_p50_us.zip(delivery.residence_p99_us)),
        quantiles(delivery.latency_us),
        quantiles(delivery.direct_us),
        percent(delivery.within_1_ms),
        percent(delivery.direct_within_1_ms),
        number(delivery.clock_error_p999_us, 0),
        format!("{:.0}", row.delivered_mbps),
        format!("{} / {} / {}", delivery.lost, delivery.altered, delivery.late),
        number(delivery.sender_late_p99_us, 0),
    ]
}

pub(super) const HEADINGS: [&str; 15] = [
    "server",
    "channels",
    "CPU %",
    "CPU-s/Gbit (min-max)",
    "x floor",
    "x multicat",
    "residence us p50 / p99",
    "latency us p50 / p99",
    "direct us p50 / p99",
    "% within 1 ms",
    "direct",
    "p99.9 us",
    "Mbit/s",
    "lost / altered / late",
    "sender late us p99",
];

/// What the headings mean that other tables do not have.
pub(super) const LEGEND: &str = "\
- residence: how long the relay kept datagrams: latency less direct, quantile by quantile
- latency, direct (UDP): from the sender's stamp to the kernel's time of arrival, through the relay and
  past it
- within 1 ms: the share of datagrams that came within 1 ms of their time by the stream's PCRs, and
  behind it that of the channel that went past the relay; p99.9: how far from it 99.9 % came at most
- altered: datagrams whose seven packets are not those that were sent; late: behind later ones
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::datagrams::DatagramRun;
    use crate::udp::clock_line::ClockResult;

    fn run(lost: u64, dropped_here: u64, within_1_ms: f64) -> Run {
        let clocks = Some(ClockResult { within_1_ms, ..ClockResult::default() });
        let relay = Leg { lost, altered: 1, clocks, ..Leg::default() };
        let receive = ReceiveResult {
            relay,
            dropped_here,
            residence_p50_us: Some(40.0),
            ..ReceiveResult::default()
        };
        let datagrams = Some(DatagramRun { receive, ..DatagramRun::default() });
        Run { datagrams, ..Run::default() }
    }

    #[test]
    fn losses_of_all_rounds_count_but_not_those_of_the_receiver() {
        let delivery = Delivery::of(&[run(5, 2, 0.9), run(1, 0, 1.0), run(0, 0, 0.8)]).unwrap();
        assert_eq!((delivery.lost, delivery.altered, delivery.dropped_here), (4, 3, 2));
        assert_eq!((delivery.within_1_ms, delivery.residence_p50_us), (Some(0.9), Some(40.0)));
        assert!(Delivery::of(&[Run::default()]).is_none());
    }

    #[test]
    fn a_row_has_a_cell_for_each_heading() {
        let row = Row { delivery: Delivery::of(&[run(0, 0, 0.999)]), ..Row::default() };
        let cells = cells(&row);
        assert_eq!(cells.len(), HEADINGS.len());
        assert!(cells.contains(&"99.900".to_owned()), "{cells:?}");
    }
}
