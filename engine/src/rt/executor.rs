//! Executors pinned to CPUs.

use std::future::Future;
use std::time::Duration;

use glommio::timer::Timer;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};

/// How one data core is run.
#[derive(Clone, Debug)]
pub struct CoreSpec {
    /// Thread name; the kernel keeps 15 bytes of it.
    pub name: String,
    /// CPU the executor is pinned to.
    pub cpu: usize,
}

/// A running data core.
pub struct CoreHandle(ExecutorJoinHandle<()>);

impl CoreHandle {
    /// Waits until the core's main future has ended.
    ///
    /// # Errors
    /// The core's thread panicked or its reactor failed; the text says which.
    pub fn join(self) -> Result<(), String> {
        self.0.join().map_err(|error| error.to_string())
    }
}

/// Starts an executor on its own pinned thread and runs the future that `main` makes there.
///
/// # Errors
/// The thread or its io_uring instance could not be created.
pub fn spawn_core<G, F>(spec: CoreSpec, main: G) -> Result<CoreHandle, String>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    // Registered I/O memory serves only DMA file reads, which we do not do: take the least. The
    // blocking pool is pinned to the data core by default: unbind it, and never use it on a hot path.
    LocalExecutorBuilder::new(Placement::Fixed(spec.cpu))
        .name(&spec.name)
        .io_memory(IO_MEMORY_BYTES)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
        .spawn(main)
        .map(CoreHandle)
        .map_err(|error| error.to_string())
}

/// Gives the reactor its turn: completed I/O is delivered, timers fire, other tasks run.
///
/// The reactor collects completions only when the run queue is empty, so yielding is not enough and a
/// zero timer starves the others; a timer of 1 us is the shortest that works.
pub async fn let_io_in() {
    Timer::new(Duration::from_micros(1)).await;
}

/// CPU time of the calling thread, in microseconds.
pub fn thread_cpu_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec that lives here.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

/// Lets the calling thread's waits end within a microsecond of their time; the kernel's default of 50
/// would be most of what a paced output may be late.
pub fn set_precise_timers() {
    // SAFETY: no pointers; it concerns the calling thread alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong) };
}

/// Gives the calling thread the lowest real-time priority: everything that has none comes behind it.
///
/// # Errors
/// The process may not: it has neither CAP_SYS_NICE nor RLIMIT_RTPRIO.
pub fn set_realtime() -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: reads one struct that lives here; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Memory registered with the ring for direct file I/O.
const IO_MEMORY_BYTES: usize = 64 << 10;
