//! Costs against the floors, nginx and multicat, once all rows are there.

use super::row::Row;
use super::tls_cases;

/// Fills in the ratios to the floors, to nginx and to multicat, once all rows are there.
pub fn relate(rows: &mut [Row]) {
    let secure_floor = SecureFloor::of(rows);
    let of_bursts = |row: &&Row| row.is_floor() && row.rounds > 0 && row.case != tls_cases::FLV;
    let floors: Vec<&Row> = rows.iter().filter(of_bursts).collect();
    let floor_players = floors.first().map(|row| row.players);
    let point = |row: &&Row| Some((row.burst_ms?, row.cpu_s_per_gbit));
    let mut floor: Vec<(f64, f64)> = floors.iter().filter_map(point).collect();
    floor.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let rates = rates(rows);
    let costs_of = |server: &str| -> Vec<(String, f64)> {
        let rows = rows.iter().filter(|row| row.server == server && row.rounds > 0);
        rows.map(|row| (row.case.clone(), row.cpu_s_per_gbit)).collect()
    };
    let [nginx_rtmp, nginx_files, multicat, datagram_floor] =
        ["nginx-rtmp", "nginx", "multicat", "datagram floor"].map(costs_of);
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
        row.nginx_ratio = against(&nginx_rtmp).or_else(|| against(&nginx_files));
        row.multicat_ratio = against(&multicat);
        let rate = row.hls.as_ref().and_then(|hls| hls.playlists_per_cpu_s);
        let nginx_rate = rates.iter().find(|(case, _)| *case == row.case);
        row.nginx_rate_ratio = rate.zip(nginx_rate).map(|(own, (_, nginx))| own / nginx);
        row.secure_ratio = secure_floor.as_ref().and_then(|floor| floor.ratio(row));
        let floor_ratio = at_burst.map(|floor| cost / floor);
        row.floor_ratio = floor_ratio.or_else(|| against(&datagram_floor));
    }
}

/// What nobody can do without: to send, and to encrypt.
struct SecureFloor {
    cost: f64,
    players: usize,
}

impl SecureFloor {
    fn of(rows: &[Row]) -> Option<Self> {
        let find = |is: fn(&Row) -> bool| {
            let mut of_case =
                rows.iter().filter(|row| row.case == tls_cases::FLV && row.rounds > 0);
            of_case.find(|row| is(row))
        };
        let (floor, aes) = (find(Row::is_floor)?, find(|row| row.protocol == "aes")?);
        let cost = floor.cpu_s_per_gbit + aes.cpu_s_per_gbit;
        Some(Self { cost, players: floor.players })
    }

    /// Of a row of players by TLS at the interval of the floor.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let is_secure = [tls_cases::FLV, tls_cases::RTMPS].contains(&row.case.as_str());
        let comparable = is_secure && row.is_corelay() && row.players == self.players;
        comparable.then(|| row.cpu_s_per_gbit / self.cost)
    }
}

/// nginx's playlists per second of CPU, by case.
fn rates(rows: &[Row]) -> Vec<(String, f64)> {
    let nginx = rows.iter().filter(|row| row.server == "nginx" && row.rounds > 0);
    let rate = |row: &Row| Some((row.case.clone(), row.hls.as_ref()?.playlists_per_cpu_s?));
    nginx.filter_map(rate).collect()
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
    use crate::bench::hls_figures::HlsFigures;

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
    fn players_by_tls_are_compared_with_their_own_floor_and_encryption_together() {
        let row = |case: &str, server: &str, protocol: &str, cost| Row {
            case: case.to_owned(),
            server: server.to_owned(),
            protocol: protocol.to_owned(),
            players: 500,
            rounds: 1,
            cpu_s_per_gbit: cost,
            ..Row::default()
        };
        let mut rows = [
            row("tls-flv", "corelay 40 ms", "https-flv", 0.11),
            row("tls-flv", "floor 40 ms", "tcp", 0.08),
            row("tls-flv", "AES-128-GCM", "aes", 0.02),
            row("tls-rtmps", "corelay 40 ms", "rtmps", 0.12),
            row("tls-flv plain", "corelay 40 ms", "http-flv", 0.09),
        ];
        relate(&mut rows);
        let ratios = rows.map(|row| row.secure_ratio.map(|ratio| (ratio * 100.0).round()));
        assert_eq!(ratios, [Some(110.0), None, None, Some(120.0), None]);
    }

    #[test]
    fn requests_are_compared_by_the_cpu_they_take() {
        let row = |server: &str, rate| Row {
            case: "hls-playlists".to_owned(),
            server: server.to_owned(),
            rounds: 1,
            cpu_s_per_gbit: 1.0,
            hls: Some(HlsFigures { playlists_per_cpu_s: Some(rate), ..HlsFigures::default() }),
            ..Row::default()
        };
        let mut rows = [row("corelay", 180_000.0), row("nginx", 100_000.0)];
        relate(&mut rows);
        assert_eq!((rows[0].nginx_rate_ratio, rows[0].nginx_ratio), (Some(1.8), Some(1.0)));
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
