//! Threads: where they run and how urgent they are; and the process's limit of descriptors.

use std::io;

/// Pins the calling thread to a CPU.
///
/// # Errors
/// The CPU does not exist, or the process may not use it.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    pin_to_all(&[cpu])
}

/// Lets the calling thread, and what it starts, run on some CPUs only.
///
/// # Errors
/// As [`pin_to`].
pub fn pin_to_all(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: `cpu` is within the set.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: the set is live and of the size given; 0 is the calling thread.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The CPUs that the calling thread may run on.
///
/// # Errors
/// There are more CPUs than fit a plain set.
pub fn cpus() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is live and of the size given; 0 is the calling thread.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every number asked for is within the set.
    let is_in = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_in).collect())
}

/// Lets the calling thread go before the others on its CPU, where the process may ask for that;
/// otherwise nothing changes.
pub fn prefer() {
    // SAFETY: no pointers. Linux takes a thread id for PRIO_PROCESS; 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PREFERRED_NICE) };
}

/// Lets the calling thread go before every ordinary one, as often as it wakes; where the process may
/// not ask for that, as [`prefer`]. For threads that wait most of the time: others on their CPU get
/// what they leave.
pub fn go_first() {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are live and only read; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &lowest) } < 0 {
        prefer();
    }
}

/// Has the kernel wake the calling thread when its time has come, and not up to 50 us later to save
/// wake-ups; where it may not, nothing changes.
pub fn wake_on_time() {
    let slack_ns: libc::c_ulong = 1;
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns) };
}

/// Raises the soft limit of open descriptors to the hard one and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit into a live variable.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } < 0 {
        return 0;
    }
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: reads one live rlimit.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0;
    if raised { limit.rlim_cur } else { before }
}

/// Well before ordinary threads, and far from real-time priorities, which could starve them.
const PREFERRED_NICE: libc::c_int = -10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_runs_where_it_was_pinned() {
        let all = cpus().unwrap();
        let last = *all.last().unwrap();
        pin_to(last).unwrap();
        assert_eq!(cpus().unwrap(), [last]);
        pin_to_all(&all).unwrap();
        assert_eq!(cpus().unwrap(), all);
        assert!(pin_to(usize::MAX).is_err());
    }
}
