//! Behind the tracks: clock, tables and continuity counters, and the order in which packets leave.

use super::Stats;
use super::carriage::{NotCarried, STREAM_ID_PRIVATE_1};
use super::clock::{Clock, Due, Move};
use super::pes::{self, Adaptation, PacketCounter, PesHeader};
use super::settings::Settings;
use super::tables::Tables;
use crate::container::mpegts::packet::Pid;
use crate::sink::ByteSink;

/// A PES packet that is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct PesPacket {
    pub track: usize,
    pub counter: usize,
    pub stream_id: u8,
    pub is_video: bool,
    pub random_access: bool,
    pub priority: bool,
    /// Stream time, in ticks.
    pub dts: i64,
    /// Stream time, in ticks.
    pub pts: i64,
}

/// Everything behind the tracks: clock, tables and counters.
#[derive(Debug)]
pub(super) struct Line {
    pub settings: Settings,
    pub clock: Clock,
    pub tables: Tables,
    /// Of every PID ever used: they go on when a track comes back.
    counters: Vec<PacketCounter>,
    /// The track that carries the PCR.
    pub pcr_track: Option<usize>,
    pcr_counter: usize,
    /// Counters of PIDs that carried the PCR before.
    former_pcr_counters: Vec<usize>,
    /// The PCR came back to a PID: a receiver would take the time since then for a jump.
    pcr_returned: bool,
    /// The tracks have changed since the tables were told.
    pub must_describe: bool,
    /// The tables were told something since they were written.
    pub tables_changed: bool,
    pub stats: Stats,
}

impl Line {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            clock: Clock::new(&settings),
            tables: Tables::new(&settings),
            settings,
            counters: Vec::new(),
            pcr_track: None,
            pcr_counter: 0,
            former_pcr_counters: Vec::new(),
            pcr_returned: false,
            must_describe: false,
            tables_changed: false,
            stats: Stats::default(),
        }
    }

    pub(super) fn counter_index(&mut self, pid: Pid) -> usize {
        if let Some(index) = self.counters.iter().position(|counter| counter.pid == pid) {
            return index;
        }
        self.counters.push(PacketCounter::new(pid));
        self.counters.len() - 1
    }

    /// The PCR is on this PID from now on.
    pub(super) fn set_pcr_pid(&mut self, pid: Pid) {
        let counter = self.counter_index(pid);
        if counter == self.pcr_counter {
            return;
        }
        if !self.former_pcr_counters.contains(&self.pcr_counter) {
            self.former_pcr_counters.push(self.pcr_counter);
        }
        self.pcr_counter = counter;
        self.pcr_returned = self.former_pcr_counters.contains(&counter);
    }

    /// Writes a PES packet behind everything that is due before it.
    pub(super) fn write_pes(
        &mut self,
        packet: PesPacket,
        payload: &[&[u8]],
        out: &mut impl ByteSink,
    ) -> Result<(), NotCarried> {
        let is_pcr_track = self.pcr_track == Some(packet.track);
        let moved = self.clock.advance(packet.dts, is_pcr_track)?;
        self.stats.discontinuities += u64::from(moved == Move::Jump);
        if std::mem::take(&mut self.pcr_returned) || moved == Move::Jump {
            self.write_pcr(self.clock.now(), true, out);
            self.clock.pcr_written();
        }
        self.write_due(packet.is_video && packet.random_access, out);
        let takes_pcr = is_pcr_track && self.clock.takes_pcr(packet.is_video);
        let adaptation = Adaptation {
            random_access: packet.random_access,
            priority: packet.priority,
            pcr: takes_pcr.then(|| self.clock.now()),
        };
        let header = PesHeader {
            stream_id: packet.stream_id,
            pts: self.clock.time(packet.pts),
            dts: self.clock.time(packet.dts),
            may_be_unbounded: packet.is_video,
        };
        let Some(counter) = self.counters.get_mut(packet.counter) else { return Ok(()) };
        let packets = pes::write(counter, header, adaptation, payload, out);
        self.stats.packets += u64::from(packets.ok_or(NotCarried::TooLong)?);
        Ok(())
    }

    /// Writes a PES packet of the metadata's PID. It does not move the clock: what comes too late is
    /// shown at once.
    pub(super) fn write_metadata(
        &mut self,
        tag: &[u8],
        time: i64,
        out: &mut impl ByteSink,
    ) -> Result<(), NotCarried> {
        // Not before the PMT that says what it is.
        if !self.settings.timed_metadata || self.stats.table_packets == 0 {
            return Err(NotCarried::Data);
        }
        let pts = self.clock.bounded_time(time);
        let header =
            PesHeader { stream_id: STREAM_ID_PRIVATE_1, pts, dts: pts, may_be_unbounded: false };
        let index = self.counter_index(self.settings.metadata_pid);
        let Some(counter) = self.counters.get_mut(index) else { return Ok(()) };
        let packets = pes::write(counter, header, Adaptation::default(), &[tag], out);
        self.stats.packets += u64::from(packets.ok_or(NotCarried::TooLong)?);
        Ok(())
    }

    /// Writes the PCRs and tables that are due before the clock's time, and the tables now if they
    /// are wanted.
    fn write_due(&mut self, wants_tables: bool, out: &mut impl ByteSink) {
        let have_changed = std::mem::take(&mut self.tables_changed);
        if have_changed {
            self.write_tables(self.clock.now(), out);
        }
        while let Some(due) = self.clock.take_due() {
            match due {
                Due::Pcr(at) => self.write_pcr(at, false, out),
                Due::Tables(at) => {
                    self.write_pcr(at, false, out);
                    self.write_tables(at, out);
                }
            }
        }
        if !have_changed && (wants_tables || self.clock.wants_tables()) {
            self.write_tables(self.clock.now(), out);
        }
    }

    fn write_tables(&mut self, at: i64, out: &mut impl ByteSink) {
        let with_sdt = self.clock.tables_written(at);
        let packets = u64::from(self.tables.write(with_sdt, out));
        self.stats.packets += packets;
        self.stats.table_packets += packets;
    }

    fn write_pcr(&mut self, at: i64, is_discontinuity: bool, out: &mut impl ByteSink) {
        let Some(counter) = self.counters.get(self.pcr_counter) else { return };
        pes::write_pcr(counter, at, is_discontinuity, out);
        self.stats.packets += 1;
        self.stats.pcr_packets += 1;
    }
}
