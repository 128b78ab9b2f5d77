//! What is checked before anything starts, so that every failure is one sentence with its remedy.

use std::fs;
use std::io;

use corelay_config::Config;

/// Why the server cannot run on this machine as configured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    /// The kernel has no io_uring that is good enough.
    #[error(
        "Linux {found} is too old: io_uring and epoll_pwait2 need 5.11 or newer (6.1 is recommended)"
    )]
    OldKernel {
        /// `uname -r`.
        found: String,
    },
    /// io_uring is compiled out, turned off or filtered.
    #[error("io_uring is not available ({why}); {remedy}")]
    NoIoUring {
        /// What the kernel answered.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Too little memory may be locked for the rings.
    #[error(
        "RLIMIT_MEMLOCK is {bytes} bytes and cannot be raised to {MEMLOCK_BYTES_MIN}; run `ulimit -l \
         unlimited` as root, or set LimitMEMLOCK=infinity in the systemd unit"
    )]
    Memlock {
        /// The hard limit.
        bytes: u64,
    },
    /// A CPU of the core map does not exist for this process.
    #[error("CPU {cpu} is not in this process's affinity mask ({allowed:?}); change [cores] {key}")]
    NoSuchCpu {
        /// The CPU asked for.
        cpu: usize,
        /// `data` or `control`.
        key: &'static str,
        /// The CPUs there are.
        allowed: Vec<usize>,
    },
    /// A listener's core set names a core that does not exist.
    #[error(
        "listener {listener} names core {core}, but there are only {count} data cores (0 to {})",
        count - 1
    )]
    NoSuchCore {
        /// Its address.
        listener: String,
        /// The core asked for.
        core: usize,
        /// Data cores.
        count: usize,
    },
}

/// The CPUs of the data cores, in the order of the core map.
///
/// # Errors
/// A CPU or a core of the map does not exist.
pub fn data_cpus(config: &Config) -> Result<Vec<usize>, Unfit> {
    let allowed: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let check = |cpu: usize, key| match allowed.contains(&cpu) {
        true => Ok(cpu),
        false => Err(Unfit::NoSuchCpu { cpu, key, allowed: allowed.clone() }),
    };
    if let Some(cpu) = config.cores.control {
        check(cpu, "control")?;
    }
    let cpus = match config.cores.data.as_slice() {
        [] => allowed.clone(),
        data => data.iter().map(|&cpu| check(cpu, "data")).collect::<Result<_, _>>()?,
    };
    let count = cpus.len();
    for listener in config.rtmp.listen.iter().chain(&config.http.listen).chain(&config.ts.listen) {
        if let Some(&core) = listener.cores.iter().find(|&&core| core >= count) {
            return Err(Unfit::NoSuchCore { listener: listener.address.to_string(), core, count });
        }
    }
    Ok(cpus)
}

/// Checks the kernel, and raises this process's limits as far as it may.
///
/// # Errors
/// What stands against running here.
pub fn check_host() -> Result<(), Unfit> {
    check_kernel(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())?;
    check_io_uring()?;
    raise_memlock()?;
    raise_nofile();
    Ok(())
}

fn check_kernel(release: &str) -> Result<(), Unfit> {
    let found = release.trim();
    let mut numbers = found.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL_MIN && version != (0, 0) {
        return Err(Unfit::OldKernel { found: found.to_owned() });
    }
    Ok(())
}

/// Asks the kernel for the smallest ring.
fn check_io_uring() -> Result<(), Unfit> {
    let mut params = [0u8; IO_URING_PARAMS_BYTES];
    // SAFETY: io_uring_setup reads and writes one io_uring_params, for which there is room.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 2, params.as_mut_ptr()) };
    if fd >= 0 {
        // SAFETY: a descriptor that was just made and is used nowhere else.
        unsafe { libc::close(fd as i32) };
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let remedy = match error.raw_os_error() {
        Some(libc::ENOSYS) => "use a kernel with CONFIG_IO_URING",
        Some(libc::EPERM) => {
            "set `sysctl kernel.io_uring_disabled=0`, or allow io_uring in the container's seccomp \
             profile"
        }
        _ => "see `man io_uring_setup`",
    };
    Err(Unfit::NoIoUring { why: error.to_string(), remedy })
}

fn raise_memlock() -> Result<(), Unfit> {
    let (soft, hard) = limit(libc::RLIMIT_MEMLOCK);
    if soft >= MEMLOCK_BYTES_MIN {
        return Ok(());
    }
    // Root may raise the hard limit too.
    let raised = set_limit(libc::RLIMIT_MEMLOCK, MEMLOCK_BYTES_MIN, hard.max(MEMLOCK_BYTES_MIN));
    if raised { Ok(()) } else { Err(Unfit::Memlock { bytes: hard }) }
}

/// Sets up the memory of this process; call it first.
pub fn prepare_memory() {
    use_small_pages();
    keep_freed_memory();
}

/// Keeps the kernel from backing this process with huge pages.
///
/// The allocator asks for them, and a page of 2 MiB for each size of object on each thread is 30 MiB of
/// memory before the first connection.
fn use_small_pages() {
    // SAFETY: a flag of this process; no pointers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Lets the allocator keep freed memory for a while before it goes back to the kernel.
///
/// The frames of a stream live for a group of pictures, one or two seconds: given back at the
/// allocator's own pace of one second, their pages are faulted in again at once, a fifth of the cost of
/// ingest.
fn keep_freed_memory() {
    // SAFETY: sets a number in a table of the allocator, whose size the library checks.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
}

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = libmimalloc_sys::mi_option_use_numa_nodes - 1;
const PURGE_DELAY_MS: std::ffi::c_long = 10_000;

/// Raises the soft limit of open files to the hard one; connections are refused when it is reached.
fn raise_nofile() {
    let (_, hard) = limit(libc::RLIMIT_NOFILE);
    set_limit(libc::RLIMIT_NOFILE, hard, hard);
}

/// What an operator should know although the server runs, in words.
pub fn warnings(config: &Config) -> Vec<String> {
    let (files, _) = limit(libc::RLIMIT_NOFILE);
    let wanted = config.limits.connections_max as u64 + FILES_OF_OUR_OWN;
    let short = (files < wanted).then(|| {
        format!(
            "limits.connections_max is {}, but this process may open only {files} files: raise \
             RLIMIT_NOFILE (LimitNOFILE in the systemd unit, ulimit -n) to {wanted} or more",
            config.limits.connections_max
        )
    });
    short.into_iter().collect()
}

fn limit(resource: libc::__rlimit_resource_t) -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit that lives here.
    unsafe { libc::getrlimit(resource, &mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

fn set_limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: reads one rlimit that lives here.
    unsafe { libc::setrlimit(resource, &limit) == 0 }
}

const KERNEL_MIN: (u32, u32) = (5, 11);
/// The reactor refuses to start with less.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
/// Listeners, rings, event descriptors, log files: a generous count for a large machine.
const FILES_OF_OUR_OWN: u64 = 1_024;
const IO_URING_PARAMS_BYTES: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_refused_by_name_and_new_ones_pass() {
        for good in ["6.18.44-fc-v669", "5.11.0", "6.1.0-40-amd64", "10.0"] {
            assert_eq!(check_kernel(good), Ok(()), "{good}");
        }
        let error = check_kernel("5.4.0-200-generic\n").unwrap_err();
        assert!(error.to_string().starts_with("Linux 5.4.0-200-generic is too old"), "{error}");
    }

    #[test]
    fn the_purge_delay_is_the_option_that_is_set() {
        // SAFETY: reads a number of the allocator's table.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(get(), 1_000, "the allocator's own value, which no other option has");
        keep_freed_memory();
        assert_eq!(get(), PURGE_DELAY_MS);
    }

    #[test]
    fn this_machine_is_fit() {
        check_host().unwrap();
        let (soft, hard) = limit(libc::RLIMIT_NOFILE);
        assert_eq!(soft, hard);
    }

    #[test]
    fn more_connections_than_files_are_said_at_start() {
        let config = Config::parse("[limits]\nconnections_max = 10000000\n", "test").unwrap();
        let warnings = warnings(&config);
        assert!(warnings[0].contains("RLIMIT_NOFILE"), "{warnings:?}");
        let config = Config::parse("[limits]\nconnections_max = 10\n", "test").unwrap();
        assert_eq!(super::warnings(&config), [""; 0]);
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_named_with_those_that_do() {
        let text = "[cores]\ndata = [0, 8000]\n";
        let config = Config::parse(text, "test").unwrap();
        let error = data_cpus(&config).unwrap_err();
        assert!(error.to_string().starts_with("CPU 8000 is not in"), "{error}");
    }
}
