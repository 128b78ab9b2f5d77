//! What can be set, and what is counted.

/// How switches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The new source's clock is taken for the same one when its first PCR is at most so far from
    /// where the clock should be, in ms: default 1,000; 0 to 60,000. Times then stay as they are, and
    /// go on with a step of at most this. 0 makes every switch a smooth one.
    pub same_clock_ms: u32,
    /// A source with another clock is put so far behind where the clock should be, in us, and at most
    /// half of the way that the clock has come: default 0; 0 to 50,000. Where sources come over
    /// networks, whose arrivals tell the time and vary, it keeps the clock from going back when the
    /// first source returns.
    pub reserve_us: u32,
    /// Programs with clocks of their own, at most: default 64, up to 255. Times of further ones stay
    /// as they are.
    pub clocks_max: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { same_clock_ms: 1_000, reserve_us: 0, clocks_max: 64 }
    }
}

impl Settings {
    /// In ticks of 27 MHz.
    pub(super) fn reserve_ticks(&self) -> i64 {
        i64::from(self.reserve_us.min(50_000)) * 27
    }

    /// In ticks of 27 MHz.
    pub(super) fn same_clock_ticks(&self) -> i64 {
        i64::from(self.same_clock_ms.min(60_000)) * 27_000
    }
}

/// Counts since the splicer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Switches.
    pub switches: u64,
    /// Packets of which bytes were changed.
    pub rewritten_packets: u64,
    /// What is added to the times of the source now, in ticks of 27 MHz; that of the first program.
    pub clock_shift: i64,
    /// PATs and PMTs whose version was raised at a switch.
    pub versions_raised: u64,
    /// PATs and PMTs whose version should have been raised and was not: they are longer than a
    /// packet.
    pub versions_not_raised: u64,
    /// Times that should have been changed and were not: in scrambled packets, or not in one packet
    /// with the start of their header.
    pub times_left: u64,
    /// Switches over which the clock could not be continued.
    pub discontinuities: u64,
}
