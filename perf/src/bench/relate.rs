//! Costs against the floors, nginx-rtmp and multicat, once all rows are there.

use super::row::Row;

/// Fills in the ratios to the floors, to nginx-rtmp and to multicat, once all rows are there.
pub fn relate(rows: &mut [Row]) {
    let floors: Vec<&Row> = rows.iter().filter(|row| row.is_floor() && row.rounds > 0).collect();
    let floor_players = floors.first().map(|row| row.players);
    let point = |row: &&Row| Some((row.burst_ms?, row.cpu_s_per_gbit));
    let mut floor: Vec<(f64, f64)> = floors.iter().filter_map(point).collect();
    floor.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let costs_of = |server: &str| -> Vec<(String, f64)> {
        let rows = rows.iter().filter(|row| row.server == server && row.rounds > 0);
        rows.map(|row| (row.case.clone(), row.cpu_s_per_gbit)).collect()
    };
    let [nginx, multicat, datagram_floor] =
        ["nginx-rtmp", "multicat", "datagram floor"].map(costs_of);
    for row in rows.iter_mut().filter(|row| row.rounds > 0) {
        let cost = row.cpu_s_per_gbit;
        // The floor is that of so many players of one stream; other loads have other floors.
        let comparable = FLOOR_CASES.contains(&row.case.as_str())
            && floor_players.is_some_and(|players| players == row.players);
        let at_burst = row.burst_ms.filter(|_| comparable).and_then(|ms| interpolate(&floor, ms));
        let against = |costs: &[(String, f64)]| {
            let own = costs.iter().find(|(case, _)| *case == row.case);
            own.map(|(_, other)| cost / other)
        };
        (row.nginx_ratio, row.multicat_ratio) = (against(&nginx), against(&multicat));
        let floor_ratio = at_burst.map(|floor| cost / floor);
        row.floor_ratio = floor_ratio.or_else(|| against(&datagram_floor));
    }
}

/// The value at `x` on the line through the points in logarithmic scales, ends included; `None`
/// when `x` is far outside them.
fn interpolate(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if x < first.0 * 0.8 || x > last.0 * 1.25 {
        return None;
    }
    let above = points.iter().position(|(at, _)| *at >= x).unwrap_or(points.len() - 1).max(1);
    let (Some((x0, y0)), Some((x1, y1))) = (points.get(above - 1), points.get(above)) else {
        return Some(first.1);
    };
    if x1 <= x0 {
        return Some(*y1);
    }
    let share = (x.ln() - x0.ln()) / (x1.ln() - x0.ln());
    Some((y0.ln() + share * (y1.ln() - y0.ln())).exp())
}

/// Cases whose bit rate per player is the floor's, and in which nothing comes and goes.
const FLOOR_CASES: [&str; 5] = ["fan-out", "http-flv", "ws-flv", "http-ts", "across cores"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_between_two_intervals_lies_between_their_costs() {
        let floor = [(10.0, 0.4), (40.0, 0.1), (160.0, 0.05)];
        assert!((interpolate(&floor, 40.0).unwrap() - 0.1).abs() < 1e-9);
        assert!((interpolate(&floor, 20.0).unwrap() - 0.2).abs() < 1e-9);
        assert!((interpolate(&floor, 9.0).unwrap() - 0.444).abs() < 1e-2);
        assert_eq!(interpolate(&floor, 1_000.0), None);
        assert_eq!(interpolate(&[], 40.0), None);
        assert_eq!(interpolate(&[(40.0, 0.1), (40.0, 0.2)], 41.0), Some(0.2));
    }

    #[test]
    fn ratios_are_taken_within_the_same_case() {
        let row = |case: &str, server: &str, cost, burst_ms| Row {
            case: case.to_owned(),
            server: server.to_owned(),
            rounds: 1,
            cpu_s_per_gbit: cost,
            burst_ms: Some(burst_ms),
            ..Row::default()
        };
        let mut rows = [
            row("fan-out", "corelay", 0.11, 40.0),
            row("fan-out", "nginx-rtmp", 0.22, 14.0),
            row("fan-out", "floor 40 ms", 0.1, 40.0),
            row("fan-out", "floor 14 ms", 0.2, 14.0),
            row("idle latency", "corelay", 3.0, 14.0),
            row("udp-forward", "corelay", 0.3, 0.0),
            row("udp-forward", "multicat", 1.0, 0.0),
            row("udp-forward", "datagram floor", 0.25, 0.0),
        ];
        relate(&mut rows);
        assert!((rows[0].floor_ratio.unwrap() - 1.1).abs() < 1e-9);
        assert!((rows[0].nginx_ratio.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!((rows[4].floor_ratio, rows[4].nginx_ratio), (None, None));
        assert!((rows[5].floor_ratio.unwrap() - 1.2).abs() < 1e-9);
        assert_eq!((rows[5].multicat_ratio, rows[5].nginx_ratio), (Some(0.3), None));
    }
}
