//! Server processes: their end, and what they have used so far, from /proc (proc(5)).

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Readings of one process and all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds in all, from the scheduler's own account in nanoseconds.
    pub cpu_s: f64,
    /// CPU seconds in user mode, to 10 ms.
    pub user_s: f64,
    /// CPU seconds in the kernel, to 10 ms.
    pub system_s: f64,
    /// Resident memory now, in KiB.
    pub rss_kib: u64,
    /// The most resident memory there was, in KiB.
    pub rss_peak_kib: u64,
    /// Times its threads waited.
    pub switches_voluntary: u64,
    /// Times its threads were made to wait.
    pub switches_involuntary: u64,
}

impl Usage {
    /// Reads the figures of the processes together: nginx has a master and workers.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn of(pids: &[u32]) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            sum.add_process(*pid)?;
        }
        Ok(sum)
    }

    fn add_process(&mut self, pid: u32) -> io::Result<()> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user_s, system_s) = cpu_of_stat(&stat).ok_or(io::ErrorKind::InvalidData)?;
        self.user_s += user_s;
        self.system_s += system_s;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        self.rss_kib += field(&status, "VmRSS:");
        self.rss_peak_kib += field(&status, "VmHWM:");
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = task?.path();
            // A thread may end between the listing and the reading: it has then no say.
            let read = |file| fs::read_to_string(path.join(file)).unwrap_or_default();
            let schedstat = read("schedstat");
            let ran_ns = schedstat.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
            self.cpu_s += ran_ns.unwrap_or(0) as f64 / 1e9;
            let status = read("status");
            self.switches_voluntary += field(&status, "voluntary_ctxt_switches:");
            self.switches_involuntary += field(&status, "nonvoluntary_ctxt_switches:");
        }
        Ok(())
    }

    /// What was used since an earlier reading; memory as it is now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_s: self.cpu_s - earlier.cpu_s,
            user_s: self.user_s - earlier.user_s,
            system_s: self.system_s - earlier.system_s,
            rss_kib: self.rss_kib,
            rss_peak_kib: self.rss_peak_kib,
            switches_voluntary: self.switches_voluntary.saturating_sub(earlier.switches_voluntary),
            switches_involuntary: self
                .switches_involuntary
                .saturating_sub(earlier.switches_involuntary),
        }
    }
}

/// The children of a process, and theirs, itself first.
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let path = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    all
}

/// Has a process killed when the thread that starts it ends, however that comes about.
pub fn die_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: prctl with these arguments takes no pointers.
        let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec, prctl(2) alone is called, which allocates nothing.
    unsafe { command.pre_exec(ask) };
}

/// Kills a process at once.
pub fn kill(pid: u32) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: no pointers; a process that is gone is an error that changes nothing.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Seconds that a CPU was not idle since the machine started, whoever used it, to 10 ms.
pub fn cpu_busy_s(cpu: usize) -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_of_stat(&stat, cpu).unwrap_or(0.0)
}

/// The line of a CPU: user, nice, system, idle, iowait, irq, softirq, steal and more, in ticks.
fn busy_of_stat(stat: &str, cpu: usize) -> Option<f64> {
    let name = format!("cpu{cpu} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|field| ticks.get(*field)).sum::<u64>();
    Some(busy as f64 / TICKS_PER_S)
}

/// User and system seconds: fields 14 and 15 in ticks of 10 ms; the name, in brackets, is field 2
/// and may hold anything.
fn cpu_of_stat(stat: &str) -> Option<(f64, f64)> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? as f64 / TICKS_PER_S, ticks()? as f64 / TICKS_PER_S))
}

/// The number behind `name` at the start of a line.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// USER_HZ, which is 100 on every architecture Linux shows to programs.
const TICKS_PER_S: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_is_seen_to_use_its_cpu() {
        // Not this one: what threads have used goes with them, and other tests have such.
        let mut command = Command::new("sh");
        die_with_parent(command.args(["-c", "while :; do :; done"]));
        let mut busy = command.spawn().unwrap();
        let before = Usage::of(&[busy.id()]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let used = Usage::of(&[busy.id()]).unwrap().since(&before);
        busy.kill().and_then(|()| busy.wait()).unwrap();
        assert!(used.cpu_s > 0.001 && used.cpu_s < 60.0, "{used:?}");
        assert!(used.rss_kib > 500 && used.rss_peak_kib >= used.rss_kib / 2, "{used:?}");
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 125 0 0";
        assert_eq!(cpu_of_stat(stat), Some((2.5, 1.25)));
    }

    #[test]
    fn idle_time_is_not_busy_time() {
        let stat = "cpu  9 9 9 9\ncpu0 1 2 3 1000 1000 4 5 6 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(busy_of_stat(stat, 0), Some(0.21));
        assert_eq!(busy_of_stat(stat, 2), None);
        assert!(cpu_busy_s(0) > 0.0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Usage::of(&[u32::MAX]).is_err());
    }
}
