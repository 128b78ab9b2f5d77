//! `[cores]`: which CPUs do what.

use serde::{Serialize, Serializer};

use crate::document::quoted;
use crate::section::{Section, Value};

/// The core map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cores {
    /// CPU ids of the data cores, in core order, without repetition. Empty: every CPU of the
    /// affinity mask that the process starts with.
    pub data: Vec<usize>,
    /// CPU id of the control thread; `None` (`"any"` in the file): wherever the kernel puts it.
    #[serde(serialize_with = "serialize_control")]
    pub control: Option<usize>,
    /// What a data core does when it has nothing to do.
    pub idle: Idle,
    /// How long an idle core spins before it parks, with [`Idle::Spin`]. Microseconds, 1 to
    /// 1000000.
    pub spin_us: u64,
    /// How often the input of a publisher that nobody watches is read. Milliseconds, 0 to 1000; 0:
    /// as it arrives.
    pub unwatched_read_ms: u64,
    /// Whether data cores run with real-time priority (SCHED_FIFO).
    pub realtime: bool,
    /// A core whose heartbeat stands still for this long is rung awake. Milliseconds, 10 to 60000.
    pub heartbeat_ms: u64,
    /// Slots of the media lane of each ring from one core to another. 64 to 1048576.
    pub ring_media_slots: usize,
    /// Slots of the control lane of each ring from one core to another. 64 to 1048576.
    pub ring_control_slots: usize,
}

/// What a data core does when it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Sleep in the kernel until something happens.
    Park,
    /// Look for work for `spin_us` before sleeping: a wake-up less, a hot core more.
    Spin,
}

/// More CPUs than any kernel is built for (`CONFIG_NR_CPUS` goes to 8192).
pub(crate) const CPU_ID_MAX: u64 = 8191;

impl Cores {
    pub(crate) fn read(section: &mut Section<'_>) -> Cores {
        const CPUS: &str = "write a list of CPU ids, as in [0, 1]; [] takes every CPU allowed";
        let data = section.value("data").and_then(|value| value.items(CPUS));
        Cores {
            data: data.into_iter().flatten().filter_map(|v| v.integer(0..=CPU_ID_MAX)).collect(),
            control: section.value("control").and_then(control),
            idle: section.choice("idle", [("park", Idle::Park), ("spin", Idle::Spin)]),
            spin_us: section.integer("spin_us", 1..=1_000_000),
            unwatched_read_ms: section.integer("unwatched_read_ms", 0..=1_000),
            realtime: section.boolean("realtime"),
            heartbeat_ms: section.integer("heartbeat_ms", 10..=60_000),
            ring_media_slots: section.integer("ring_media_slots", 64..=1_048_576),
            ring_control_slots: section.integer("ring_control_slots", 64..=1_048_576),
        }
    }
}

fn control(value: Value<'_>) -> Option<usize> {
    match value.word() {
        Some("any") => None,
        Some(word) => {
            let what = format!("{} is neither a CPU id nor \"any\"", quoted(word));
            value.reject(what, "write a CPU id without quotes, as in 0, or \"any\"");
            None
        }
        None => value.integer(0..=CPU_ID_MAX),
    }
}

fn serialize_control<S: Serializer>(cpu: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
    match cpu {
        Some(cpu) => cpu.serialize(to),
        None => to.serialize_str("any"),
    }
}
