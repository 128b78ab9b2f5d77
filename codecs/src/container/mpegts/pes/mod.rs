//! Packetised elementary streams: ISO/IEC 13818-1 2.4.3.6.
//!
//! ```text
//! | 24 start code 000001 | 8 stream_id | 16 length |
//! | 2 10 | 2 scrambling | 1 priority | 1 alignment | 1 copyright | 1 original |
//! | 2 PTS DTS | 6 other fields | 8 header length | 40 PTS | 40 DTS | ... | payload |
//! ```
//!
//! Invariants
//! - [`Reader`] holds a header at most, 264 bytes: the payload is handed on as it arrives.

use super::Packet;
use super::timestamp;

/// The header of a PES packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// stream_id: 0xE0 to 0xEF video, 0xC0 to 0xDF audio, 0xBD and 0xFD by the PMT.
    pub stream_id: u8,
    /// Payload bytes; `None` when PES_packet_length is 0, which only video may send: the payload
    /// ends where the next PES packet starts.
    pub payload_size: Option<usize>,
    /// Presentation time in 90 kHz, 33 bits.
    pub pts: Option<u64>,
    /// Decoding time in 90 kHz, 33 bits; `None` when it is the presentation time.
    pub dts: Option<u64>,
    /// data_alignment_indicator: the payload starts with an access unit or a sync word.
    pub is_aligned: bool,
    /// PES_scrambling_control is not 0.
    pub is_scrambled: bool,
    /// random_access_indicator of the packet in which the header starts.
    pub is_random_access: bool,
}

impl Header {
    /// Decoding time, or the presentation time that stands for it.
    pub fn decoding_time(&self) -> Option<u64> {
        self.dts.or(self.pts)
    }

    /// Reads a header at the front of `bytes`, and returns it with its size.
    ///
    /// # Errors
    /// [`Fault::StartCode`] and [`Fault::Header`]; `Ok(None)` when more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let start = bytes.get(..START_CODE.len().min(bytes.len())).unwrap_or_default();
        if !START_CODE.starts_with(start) {
            return Err(Fault::StartCode);
        }
        let Some(&[_, _, _, stream_id, high, low]) = bytes.first_chunk::<FIXED_BYTES>() else {
            return Ok(None);
        };
        let packet_length = usize::from(u16::from_be_bytes([high, low]));
        let mut header = Self { stream_id, ..Self::default() };
        if !has_long_header(stream_id) {
            header.payload_size = (packet_length > 0).then_some(packet_length);
            return Ok(Some((header, FIXED_BYTES)));
        }
        let Some(&[flags, content, length]) =
            bytes.get(FIXED_BYTES..).and_then(|rest| rest.first_chunk::<LONG_BYTES>())
        else {
            return Ok(None);
        };
        if flags >> 6 != 0b10 {
            return Err(Fault::Header);
        }
        let length = usize::from(length);
        let at = FIXED_BYTES + LONG_BYTES;
        let Some(fields) = bytes.get(at..at + length) else {
            return Ok(None);
        };
        if packet_length > 0 {
            let payload_size = packet_length.checked_sub(LONG_BYTES + length);
            header.payload_size = Some(payload_size.ok_or(Fault::Header)?);
        }
        header.is_scrambled = flags & 0x30 != 0;
        header.is_aligned = flags & 0x04 != 0;
        header.pts = if content & 0x80 != 0 { timestamp::parse(fields) } else { None };
        if content & 0xC0 == 0xC0 {
            header.dts = fields.get(5..).and_then(timestamp::parse);
        }
        if content & 0x80 != 0 && header.pts.is_none() {
            return Err(Fault::Header);
        }
        Ok(Some((header, at + length)))
    }
}

/// A piece of a PES packet, in the order in which [`Reader`] hands them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A PES packet starts.
    Start(Header),
    /// The next bytes of its payload.
    Data(&'a [u8]),
    /// Its last byte was handed out.
    End,
    /// It was cut, or cannot be read; what follows until the next `Start` is left out.
    Fault(Fault),
}

/// What is wrong with a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The payload unit does not start with 00 00 01.
    StartCode,
    /// The header contradicts itself.
    Header,
    /// The next PES packet started before the announced end of this one.
    Cut,
}

/// Cuts the payloads of one PID into PES packets.
///
/// [`push`](Self::push) the packets in order, without duplicates; tell of lost ones by
/// [`lose`](Self::lose).
#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
    /// A header that did not fit into one packet.
    header: Vec<u8>,
    is_random_access: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Outside of any PES packet, or in one that is left out.
    #[default]
    Idle,
    Header,
    /// In the payload, and its bytes that are missing; `None` when it ends at the next start.
    Payload(Option<usize>),
}

impl Reader {
    /// Takes the next packet of the PID.
    pub fn push<'a>(&mut self, packet: Packet<'a>, mut on_part: impl FnMut(Part<'a>)) {
        let payload = packet.payload();
        if packet.starts_unit() {
            match self.state {
                State::Payload(None) => on_part(Part::End),
                State::Payload(Some(_)) | State::Header => on_part(Part::Fault(Fault::Cut)),
                State::Idle => {}
            }
            self.header.clear();
            self.state = State::Header;
            self.is_random_access = packet.is_random_access();
        }
        match self.state {
            State::Idle => {}
            State::Header => self.read_header(payload, &mut on_part),
            State::Payload(_) => self.read_payload(payload, &mut on_part),
        }
    }

    /// A packet was lost: the PES packet that is being read is left out. True when there was one.
    pub fn lose(&mut self) -> bool {
        self.header.clear();
        std::mem::take(&mut self.state) != State::Idle
    }

    /// The stream ended: a payload of unknown size is complete.
    pub fn finish<'a>(&mut self, mut on_part: impl FnMut(Part<'a>)) {
        match std::mem::take(&mut self.state) {
            State::Payload(None) => on_part(Part::End),
            State::Payload(Some(_)) | State::Header => on_part(Part::Fault(Fault::Cut)),
            State::Idle => {}
        }
    }

    fn read_header<'a>(&mut self, payload: &'a [u8], on_part: &mut impl FnMut(Part<'a>)) {
        let kept = self.header.len();
        let parsed = if kept == 0 {
            Header::parse(payload)
        } else {
            self.header.extend_from_slice(payload);
            Header::parse(&self.header)
        };
        match parsed {
            Ok(Some((header, size))) => {
                on_part(Part::Start(Header { is_random_access: self.is_random_access, ..header }));
                self.state = State::Payload(header.payload_size);
                self.header.clear();
                self.read_payload(
                    payload.get(size.saturating_sub(kept)..).unwrap_or_default(),
                    on_part,
                );
            }
            Ok(None) if kept == 0 => self.header.extend_from_slice(payload),
            Ok(None) => {}
            Err(fault) => {
                self.state = State::Idle;
                self.header.clear();
                on_part(Part::Fault(fault));
            }
        }
    }

    fn read_payload<'a>(&mut self, payload: &'a [u8], on_part: &mut impl FnMut(Part<'a>)) {
        let State::Payload(missing) = self.state else {
            return;
        };
        let size = missing.unwrap_or(payload.len()).min(payload.len());
        let data = payload.get(..size).unwrap_or_default();
        if !data.is_empty() {
            on_part(Part::Data(data));
        }
        self.state = match missing {
            None => State::Payload(None),
            Some(missing) if missing > size => State::Payload(Some(missing - size)),
            Some(_) => {
                on_part(Part::End);
                State::Idle
            }
        };
    }
}

/// Stream ids whose payload follows the length (table 2-22): maps, padding, private_stream_2, ECM,
/// EMM, directory, DSM-CC and H.222.1 type E.
fn has_long_header(stream_id: u8) -> bool {
    !matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0 | 0xF1 | 0xF2 | 0xF8 | 0xFF)
}

const START_CODE: [u8; 3] = [0, 0, 1];
/// Start code, stream_id and length.
const FIXED_BYTES: usize = 6;
/// Flags and PES_header_data_length.
const LONG_BYTES: usize = 3;

#[cfg(test)]
mod tests;
