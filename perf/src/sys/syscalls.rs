//! How many system calls a process makes: the tracepoint `raw_syscalls:sys_enter`, counted by the
//! kernel (perf_event_open(2)).
//!
//! It takes a mounted tracefs that may be read, and the right to look at the process (root, or
//! CAP_PERFMON). Where either is missing there is no count, and no other figure changes.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// A count that is running.
#[derive(Debug)]
pub struct SyscallCounter {
    /// One for each thread there was, which counts those it starts as well.
    events: Vec<OwnedFd>,
}

impl SyscallCounter {
    /// Begins to count the calls of all threads of some processes; `None` where that is not
    /// possible.
    pub fn start(pids: &[u32]) -> Option<Self> {
        Self::start_below(Path::new(TRACEFS), pids)
    }

    fn start_below(tracefs: &Path, pids: &[u32]) -> Option<Self> {
        let id = fs::read_to_string(tracefs.join(SYS_ENTER_ID)).ok()?.trim().parse().ok()?;
        let mut events = Vec::new();
        for pid in pids {
            for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
                let thread = task.ok()?.file_name().to_str()?.parse().ok()?;
                match open(id, thread) {
                    Ok(event) => events.push(event),
                    // It ended between the listing and the opening.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    Err(_) => return None,
                }
            }
        }
        Some(Self { events })
    }

    /// The calls so far; `None` when the kernel does not say.
    pub fn count(&self) -> Option<u64> {
        self.events.iter().map(read).sum()
    }
}

/// Counts a tracepoint on one thread, on whichever CPU it runs.
fn open(tracepoint: u64, thread: libc::pid_t) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: tracepoint,
        sample_period: 0,
        sample_type: 0,
        read_format: 0,
        flags: FLAG_INHERIT,
        unused: [0; 2],
    };
    let (any_cpu, no_group, cloexec) = (-1, -1, libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC));
    // SAFETY: the kernel reads the attributes, live and of the size they name, and keeps no
    // pointer.
    let fd = unsafe {
        let attributes = &raw const attributes;
        libc::syscall(libc::SYS_perf_event_open, attributes, thread, any_cpu, no_group, cloexec)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

fn read(event: &OwnedFd) -> Option<u64> {
    let mut count = 0_u64;
    let into = (&raw mut count).cast();
    // SAFETY: the buffer is a live integer of the length given.
    let taken = unsafe { libc::read(event.as_raw_fd(), into, size_of_val(&count)) };
    (taken == size_of_val(&count) as isize).then_some(count)
}

/// The first version of `struct perf_event_attr`, which every kernel takes.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    /// Bits from the lowest on: disabled, inherit, ...
    flags: u64,
    /// wakeup_events, bp_type and config1: for samples and breakpoints.
    unused: [u64; 2],
}

const PERF_TYPE_TRACEPOINT: u32 = 2;
const FLAG_INHERIT: u64 = 1 << 1;
const PERF_FLAG_FD_CLOEXEC: u8 = 1 << 3;
const TRACEFS: &str = "/sys/kernel/tracing";
const SYS_ENTER_ID: &str = "events/raw_syscalls/sys_enter/id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tracefs_there_is_no_count() {
        let own = [std::process::id()];
        assert!(SyscallCounter::start_below(Path::new("/nowhere"), &own).is_none());
    }

    #[test]
    fn a_process_that_is_gone_has_no_count() {
        assert!(SyscallCounter::start(&[u32::MAX]).is_none());
    }

    /// Where the kernel does not let this process count, there is nothing to compare.
    #[test]
    fn every_call_of_every_thread_is_counted() {
        let Some(counter) = SyscallCounter::start(&[std::process::id()]) else { return };
        let before = counter.count().unwrap();
        let calls = || {
            for _ in 0..500 {
                // SAFETY: takes no pointers.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
        };
        calls();
        std::thread::spawn(calls).join().unwrap();
        let counted = counter.count().unwrap() - before;
        assert!(counted >= 1_000, "{counted} of 1,000 calls");
    }
}
