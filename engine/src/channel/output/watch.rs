//! Measures what leaves.

use corelay_codecs::container::mpegts::analysis::{self, Analyser};

use crate::clock::Micros;

/// The analyser of an output.
#[derive(Debug)]
pub(super) struct Watch {
    analyser: Analyser,
    /// Something left since the output was opened: from then on, what does not is missing.
    has_packets: bool,
}

impl Watch {
    pub(super) fn new(settings: analysis::Settings) -> Self {
        Self { analyser: Analyser::new(settings), has_packets: false }
    }

    /// What was on its way is over; nothing is missing before there are packets again.
    pub(super) fn close(&mut self) {
        self.has_packets = false;
    }

    /// Takes whole packets that leave now.
    pub(super) fn packets(&mut self, packets: &[u8], now: Micros) {
        self.has_packets = true;
        self.analyser.packets(packets, now.0);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Micros) {
        if self.has_packets {
            self.analyser.tick(now.0);
        }
    }

    /// The next alarm that was raised or cleared.
    pub(super) fn poll_alarm(&mut self) -> Option<analysis::Event> {
        self.analyser.poll_event()
    }

    pub(super) fn analyser(&self) -> &Analyser {
        &self.analyser
    }
}
