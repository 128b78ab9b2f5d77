//! The clocks: the one that publishers and players share, and the one that the kernel stamps
//! datagrams with.

/// Microseconds of `CLOCK_MONOTONIC`: the same in every process of a machine.
pub fn now_us() -> u64 {
    read_us(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of `CLOCK_REALTIME`, in which the kernel says when a datagram arrived.
pub fn realtime_ns() -> u64 {
    read_ns(libc::CLOCK_REALTIME)
}

/// What is to be taken from a time of day (the kernel's receive stamps) to have [`now_us`] time.
///
/// Cost: two reads of the vDSO. The clocks are steered apart by NTP, so take it anew each time.
pub fn realtime_minus_monotonic_us() -> i64 {
    read_us(libc::CLOCK_REALTIME) as i64 - now_us() as i64
}

fn read_us(clock: libc::clockid_t) -> u64 {
    read_ns(clock) / 1_000
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec into a live variable; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_forward_in_microseconds() {
        let before = now_us();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let passed = now_us() - before;
        assert!((2_000..2_000_000).contains(&passed), "{passed}");
    }
}
