//! Names of streams, and which core owns one.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::mesh::CoreIndex;

/// A stream on the wire: application and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// Application, without leading or trailing slash.
    pub app: Arc<str>,
    /// Name, without query.
    pub name: Arc<str>,
}

impl StreamKey {
    /// The key of `name` in `app`.
    pub fn new(app: &str, name: &str) -> Self {
        Self { app: app.into(), name: name.into() }
    }

    /// The core that owns the stream: the same on every core of one process.
    pub fn owner(&self, cores: usize) -> CoreIndex {
        let mut hasher = FxHasher::default();
        self.hash(&mut hasher);
        // The hash's high bits are the mixed ones; multiply-shift maps them evenly onto any count.
        let core = (u128::from(hasher.finish()) * cores as u128) >> 64;
        CoreIndex(core as u16)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_spread_evenly_over_the_cores() {
        for cores in [1, 2, 3, 8, 64] {
            let mut counts = vec![0usize; cores];
            for number in 0..cores * 1_000 {
                let key = StreamKey::new("live", &format!("channel{number}"));
                counts[key.owner(cores).index()] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 700 && *most < 1_300, "{cores} cores: {counts:?}");
        }
    }
}
