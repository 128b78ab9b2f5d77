//! The packets of teletext in a transport stream, and its clock.

use corelay_codecs::TsBlock;
use corelay_codecs::container::mpegts::pes::{self, Header};
use corelay_codecs::container::mpegts::{Packet, Pid};
use corelay_codecs::teletext::{Decoder, Page, Text};

/// Reads some pages of some PIDs.
#[derive(Debug, Default)]
pub(super) struct Reader {
    streams: Vec<Stream>,
    pcr_pid: Option<Pid>,
    /// Time of the newest PCR.
    clock: Option<i64>,
}

/// One PID.
#[derive(Debug)]
struct Stream {
    pid: Pid,
    pages: Vec<Page>,
    decoder: Decoder,
    pes: pes::Reader,
    counter: Option<u8>,
    /// The PES packet that is being read.
    header: Option<Header>,
    payload: Vec<u8>,
}

impl Reader {
    /// Reads these pages from now on. PIDs whose pages stay the same go on.
    pub(super) fn follow(&mut self, pcr_pid: Pid, pages: impl Iterator<Item = (Pid, Page)>) {
        if self.pcr_pid.replace(pcr_pid) != Some(pcr_pid) {
            self.clock = None;
        }
        let mut wanted: Vec<(Pid, Vec<Page>)> = Vec::new();
        for (pid, page) in pages {
            match wanted.iter_mut().find(|(known, _)| *known == pid) {
                Some((_, pages)) => pages.push(page),
                None => wanted.push((pid, vec![page])),
            }
        }
        let mut before = std::mem::take(&mut self.streams);
        for (pid, pages) in wanted {
            let same = before.iter().position(|stream| stream.pid == pid && stream.pages == pages);
            self.streams.push(match same {
                Some(at) => before.remove(at),
                None => Stream::new(pid, pages),
            });
        }
    }

    /// The stream's clock, on the timeline.
    pub(super) fn clock(&self) -> Option<i64> {
        self.clock
    }

    /// The clock has jumped.
    pub(super) fn lose_clock(&mut self) {
        self.clock = None;
    }

    /// Takes the next packets. Tells what a page of a PID shows from some time on.
    ///
    /// # Cost
    /// A look at the PID of packets that are not read.
    pub(super) fn push(
        &mut self,
        block: &TsBlock,
        place: impl Fn(u64) -> Option<i64>,
        mut on_shown: impl FnMut(Pid, u16, i64, Text),
    ) {
        for packet in block.packets() {
            let pid = packet.pid();
            if Some(pid) == self.pcr_pid
                && let Some(pcr) = packet.pcr().filter(|_| is_good(packet))
            {
                self.clock = place(pcr.base()).or(self.clock);
            }
            let clock = self.clock;
            let stream = self.streams.iter_mut().find(|stream| stream.pid == pid);
            if let Some(stream) = stream.filter(|_| is_good(packet)) {
                let time_of = |header: &Header| time(header.pts.and_then(&place), clock);
                stream.push(packet, time_of, |page, time, text| on_shown(pid, page, time, text));
            }
        }
    }
}

impl Stream {
    fn new(pid: Pid, pages: Vec<Page>) -> Self {
        Self {
            pid,
            decoder: Decoder::new(&pages),
            pages,
            pes: pes::Reader::default(),
            counter: None,
            header: None,
            payload: Vec::new(),
        }
    }

    fn push(
        &mut self,
        packet: Packet<'_>,
        time_of: impl Fn(&Header) -> Option<i64>,
        mut on_shown: impl FnMut(u16, i64, Text),
    ) {
        if !packet.has_payload() || packet.is_scrambled() {
            return;
        }
        let counter = packet.continuity_counter();
        let last = self.counter.replace(counter);
        if last == Some(counter) {
            return;
        }
        if last.is_some_and(|last| counter != (last + 1) & 0x0F) {
            self.pes.lose();
        }
        let Self { pages, decoder, pes, header, payload, .. } = self;
        pes.push(packet, |part| match part {
            pes::Part::Start(start) => {
                *header = Some(start).filter(|start| !start.is_scrambled);
                payload.clear();
            }
            pes::Part::Data(data) if header.is_some() && payload.len() < PAYLOAD_BYTES_MAX => {
                payload.extend_from_slice(data);
            }
            pes::Part::End => {
                let Some(time) = header.take().as_ref().and_then(&time_of) else { return };
                decoder.push(payload, time, |shown| {
                    if let Some(page) = pages.get(shown.page) {
                        on_shown(page.number, shown.time, shown.text);
                    }
                });
            }
            pes::Part::Fault(_) => *header = None,
            pes::Part::Data(_) => {}
        });
    }
}

fn is_good(packet: Packet<'_>) -> bool {
    packet.has_sync() && !packet.has_transport_error()
}

/// When a page is shown: at its presentation time, or now if that is none. Multiplexers that copy
/// teletext from elsewhere write times of another clock.
fn time(pts: Option<i64>, clock: Option<i64>) -> Option<i64> {
    let (Some(pts), Some(clock)) = (pts, clock) else { return pts.or(clock) };
    let ahead = pts.saturating_sub(clock);
    Some(if (-LATE_TICKS_MAX..=EARLY_TICKS_MAX).contains(&ahead) { pts } else { clock })
}

/// PES packets have 16 bits for their length.
const PAYLOAD_BYTES_MAX: usize = 1 << 16;
/// One second: what comes so late is shown late.
const LATE_TICKS_MAX: i64 = 90_000;
/// Ten seconds: the longest that ISO/IEC 13818-1 2.4.2.3 lets anything wait.
const EARLY_TICKS_MAX: i64 = 900_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presentation_time_of_another_clock_is_not_believed() {
        let clock = 10_000_000;
        for (pts, expected) in [
            (clock + 3_600, clock + 3_600),
            (clock - 90_000, clock - 90_000),
            (clock - 90_001, clock),
            (clock + 900_001, clock),
            (i64::MIN, clock),
        ] {
            assert_eq!(time(Some(pts), Some(clock)), Some(expected), "{pts}");
        }
        assert_eq!((time(Some(5), None), time(None, Some(6))), (Some(5), Some(6)));
        assert_eq!(time(None, None), None);
    }
}
