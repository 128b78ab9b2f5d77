//! What the kernel says of this process: proc(5).

use std::fs;

/// Memory and processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::control) struct Usage {
    /// Resident memory in bytes.
    pub(in crate::control) resident_bytes: u64,
    /// Processor time of all threads, user and system, in seconds.
    pub(in crate::control) cpu_seconds: f64,
}

impl Usage {
    /// Asks the kernel. What it does not say is 0.
    pub(in crate::control) fn now() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        Self::parse(&read("/proc/self/status"), &read("/proc/self/stat"))
    }

    fn parse(status: &str, stat: &str) -> Self {
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident_kib: Option<u64> =
            resident.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
        // The second field is the program's name in brackets, and may hold blanks and brackets.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u64 = fields.skip(UTIME).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
        Self {
            resident_bytes: resident_kib.unwrap_or(0) * 1_024,
            cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
        }
    }
}

/// `utime` is field 14 of 52, `stime` follows; fields are counted from the third here.
const UTIME: usize = 14 - 3;
/// USER_HZ, which Linux keeps at 100 towards user space whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by hand after proc(5), with a name as awkward as can be.
    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "711 (a) b( c) S 1 711 711 0 -1 4194560 1041 55 0 0 1234 66 9 8 20 0 4 0 915 \
                    231 77 18446744073709551615";
        let status = "Name:\ta) b( c\nVmPeak:\t   99 kB\nVmRSS:\t    3272 kB\nThreads:\t4\n";
        let usage = Usage::parse(status, stat);
        assert_eq!(usage, Usage { resident_bytes: 3_272 << 10, cpu_seconds: 13.0 });
    }

    #[test]
    fn says_nothing_where_the_kernel_says_nothing() {
        assert_eq!(Usage::parse("", ""), Usage::default());
        assert_eq!(Usage::parse("VmRSS: many", "1 (x) S"), Usage::default());
    }

    #[test]
    fn knows_this_process() {
        let usage = Usage::now();
        assert!(usage.resident_bytes > 100_000, "{usage:?}");
    }
}
