//! Thresholds: what ETSI TR 101 290 says, unless set otherwise.

/// Where the analyser's time comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// When packets arrive: what the caller says. For live inputs.
    #[default]
    Arrival,
    /// What the stream's first clock says: for files, and for sources that send in bursts. Before
    /// the first PCR no time passes.
    Pcr,
}

/// What is an error, and when an alarm is raised and cleared. Times in us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where time comes from.
    pub time: TimeSource,
    /// Bit rates and maxima are those of a window of this length: 100 ms to 60 s.
    pub window_us: u64,
    /// PIDs with their own counters, at most; packets of the others are counted together. Each costs
    /// about 300 bytes.
    pub pids_max: usize,
    /// Wrong sync bytes in a row that are a loss of synchronisation (1.1).
    pub sync_lost_packets: u32,
    /// Right sync bytes in a row that end it (1.1).
    pub sync_found_packets: u32,
    /// Longest time between two PATs (1.3).
    pub pat_interval_us: u64,
    /// Longest time between two PMTs of a program (1.5).
    pub pmt_interval_us: u64,
    /// Longest absence of a video, audio or PCR PID that the PMT names (1.6).
    pub pid_missing_us: u64,
    /// Longest step from one PCR to the next (2.3a): 100 ms since 2005, 40 ms for modulators that
    /// were built before.
    pub pcr_interval_us: u64,
    /// Longest such step without a discontinuity_indicator (2.3b).
    pub pcr_step_us: u64,
    /// Largest distance of a PCR from the stream's constant rate, in ns (2.4).
    pub pcr_accuracy_ns: u64,
    /// Longest time between two PTS of a video or audio PID (2.5).
    pub pts_interval_us: u64,
    /// Longest time that a PID may occur without a table that names it (3.4).
    pub unreferenced_us: u64,
    /// Errors of a kind within a window that raise its alarm: at least 1.
    pub raise_errors: u32,
    /// Time without an error after which an alarm is cleared.
    pub clear_after_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time: TimeSource::Arrival,
            window_us: 1_000_000,
            pids_max: 512,
            sync_lost_packets: 2,
            sync_found_packets: 5,
            pat_interval_us: 500_000,
            pmt_interval_us: 500_000,
            pid_missing_us: 5_000_000,
            pcr_interval_us: 100_000,
            pcr_step_us: 100_000,
            pcr_accuracy_ns: 500,
            pts_interval_us: 700_000,
            unreferenced_us: 500_000,
            raise_errors: 1,
            clear_after_us: 5_000_000,
        }
    }
}
