//! A transport-stream packet, read in place: ISO/IEC 13818-1 2.4.3.2.
//!
//! ```text
//! | 8 sync 0x47 | 1 error | 1 unit start | 1 priority | 13 PID |
//! | 2 scrambling | 2 adaptation field control | 4 continuity counter |
//! | adaptation field: 8 length, 8 flags, 48 PCR ... | payload |
//! ```

use super::Error;

/// Bytes of a packet.
pub const PACKET_SIZE: usize = 188;
/// Bytes of a packet with its Reed-Solomon parity (ETSI EN 300 429 5.3).
pub const PACKET_WITH_PARITY_SIZE: usize = 204;
/// First byte of every packet.
pub const SYNC_BYTE: u8 = 0x47;

/// A packet identifier: 13 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u16);

impl Pid {
    /// Program association table.
    pub const PAT: Self = Self(0);
    /// Conditional access table.
    pub const CAT: Self = Self(1);
    /// Service description table (ETSI EN 300 468 5.1.3).
    pub const SDT: Self = Self(0x11);
    /// Null packets.
    pub const NULL: Self = Self(0x1FFF);
    /// Number of PIDs: the size of a table that is indexed by [`index`](Self::index).
    pub const COUNT: usize = 0x2000;

    /// The PID in the lower 13 bits of `value`.
    pub const fn new(value: u16) -> Self {
        Self(value & 0x1FFF)
    }

    /// 0 to 8,191.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// Index into a table of [`COUNT`](Self::COUNT) entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One packet of 188 bytes. Every getter reads the bytes when it is called; none fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a>(&'a [u8; PACKET_SIZE]);

impl<'a> Packet<'a> {
    /// The packet in these bytes, whatever they are.
    pub const fn new(bytes: &'a [u8; PACKET_SIZE]) -> Self {
        Self(bytes)
    }

    /// The packet at the front of `bytes`, which may be longer.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there are fewer than 188 bytes or no sync byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let at = bytes.len() as u64;
        let packet = bytes.first_chunk().ok_or(Error::Malformed { at, what: "TS packet size" })?;
        match Self(packet) {
            packet if packet.has_sync() => Ok(packet),
            _ => Err(Error::Malformed { at: 0, what: "TS packet sync byte" }),
        }
    }

    /// The 188 bytes.
    pub const fn bytes(self) -> &'a [u8; PACKET_SIZE] {
        self.0
    }

    /// True when the packet starts with the sync byte.
    pub const fn has_sync(self) -> bool {
        self.0[0] == SYNC_BYTE
    }

    /// transport_error_indicator: a demodulator could not repair the packet.
    pub const fn has_transport_error(self) -> bool {
        self.0[1] & 0x80 != 0
    }

    /// payload_unit_start_indicator: a PES packet starts, or a section does.
    pub const fn starts_unit(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// The packet's PID.
    pub const fn pid(self) -> Pid {
        Pid::new(u16::from_be_bytes([self.0[1], self.0[2]]))
    }

    /// transport_scrambling_control, 0 to 3; 0 is clear, 2 and 3 the even and the odd key.
    pub const fn scrambling(self) -> u8 {
        self.0[3] >> 6
    }

    /// True when the payload is scrambled.
    pub const fn is_scrambled(self) -> bool {
        self.scrambling() != 0
    }

    /// True when there is an adaptation field.
    pub const fn has_adaptation_field(self) -> bool {
        self.0[3] & 0x20 != 0
    }

    /// True when there is a payload. The continuity counter counts these packets only.
    pub const fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    /// continuity_counter, 0 to 15.
    pub const fn continuity_counter(self) -> u8 {
        self.0[3] & 0x0F
    }

    /// The adaptation field; `None` when there is none, or it has no flags (length 0, one byte of
    /// stuffing), or is longer than the packet.
    pub fn adaptation_field(self) -> Option<AdaptationField<'a>> {
        if !self.has_adaptation_field() {
            return None;
        }
        let end = ADAPTATION_FIELD_AT + 1 + usize::from(self.0[ADAPTATION_FIELD_AT]);
        let field = self.0.get(ADAPTATION_FIELD_AT + 1..end)?;
        (!field.is_empty()).then_some(AdaptationField(field))
    }

    /// The payload; empty when there is none or the adaptation field leaves no room for it.
    pub fn payload(self) -> &'a [u8] {
        let at = match (self.has_payload(), self.has_adaptation_field()) {
            (false, _) => return &[],
            (true, false) => ADAPTATION_FIELD_AT,
            (true, true) => ADAPTATION_FIELD_AT + 1 + usize::from(self.0[ADAPTATION_FIELD_AT]),
        };
        self.0.get(at..).unwrap_or_default()
    }

    /// True when the adaptation field is longer than the packet, or both control bits are clear:
    /// the packet is to be left out (2.4.3.3, 2.4.3.5).
    pub const fn is_malformed(self) -> bool {
        let length = self.0[ADAPTATION_FIELD_AT];
        match self.0[3] >> 4 & 0x03 {
            0 => true,
            1 => false,
            2 => length as usize > PACKET_SIZE - 5,
            _ => length as usize > PACKET_SIZE - 6,
        }
    }

    /// The packet's PCR, in ticks of 27 MHz; `None` when it carries none.
    pub fn pcr(self) -> Option<Pcr> {
        self.adaptation_field()?.pcr()
    }

    /// discontinuity_indicator; false without an adaptation field.
    pub fn is_discontinuity(self) -> bool {
        self.adaptation_field().is_some_and(AdaptationField::is_discontinuity)
    }

    /// random_access_indicator; false without an adaptation field.
    pub fn is_random_access(self) -> bool {
        self.adaptation_field().is_some_and(AdaptationField::is_random_access)
    }
}

/// An adaptation field from its flags on: 2.4.3.4. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptationField<'a>(&'a [u8]);

impl AdaptationField<'_> {
    fn flag(self, mask: u8) -> bool {
        self.0.first().is_some_and(|flags| flags & mask != 0)
    }

    /// discontinuity_indicator: the continuity counter may jump here; on the PCR PID, the clock.
    pub fn is_discontinuity(self) -> bool {
        self.flag(0x80)
    }

    /// random_access_indicator: decoding can start here.
    pub fn is_random_access(self) -> bool {
        self.flag(0x40)
    }

    /// elementary_stream_priority_indicator.
    pub fn is_priority(self) -> bool {
        self.flag(0x20)
    }

    /// The program clock reference; `None` when there is none or the field is cut.
    pub fn pcr(self) -> Option<Pcr> {
        let at = if self.flag(0x10) { 1 } else { return None };
        Pcr::parse(self.0.get(at..)?)
    }

    /// The original program clock reference; `None` when there is none or the field is cut.
    pub fn original_pcr(self) -> Option<Pcr> {
        let at = if self.flag(0x10) { 7 } else { 1 };
        if self.flag(0x08) { Pcr::parse(self.0.get(at..)?) } else { None }
    }
}

/// A program clock reference: 33 bits of 90 kHz and 9 bits of 27 MHz (2.4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pcr(u64);

impl Pcr {
    /// Ticks per second.
    pub const HZ: u64 = 27_000_000;
    /// Ticks after which it wraps: about 26.5 hours.
    pub const MODULUS: u64 = 300 << 33;

    /// The reference at `ticks` of 27 MHz; what exceeds the modulus wraps.
    pub const fn new(ticks: u64) -> Self {
        Self(ticks % Self::MODULUS)
    }

    /// Ticks of 27 MHz, 0 to [`MODULUS`](Self::MODULUS) - 1.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// Ticks of 90 kHz, as PTS and DTS count: 33 bits.
    pub const fn base(self) -> u64 {
        self.0 / 300
    }

    /// Ticks of 27 MHz from `earlier` to this one, the shorter way around the wrap.
    pub const fn since(self, earlier: Self) -> i64 {
        let forward = (self.0 + Self::MODULUS - earlier.0) % Self::MODULUS;
        if forward < Self::MODULUS / 2 {
            forward as i64
        } else {
            forward as i64 - Self::MODULUS as i64
        }
    }

    /// Reads the six bytes of a PCR field:
    ///
    /// ```text
    /// | 33 base | 6 reserved | 9 extension |
    /// ```
    ///
    /// An extension above 299 is taken as it is, as receivers do.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let &[b0, b1, b2, b3, b4, b5] = field.first_chunk()?;
        let bits = u64::from_be_bytes([0, 0, b0, b1, b2, b3, b4, b5]);
        Some(Self::new((bits >> 15) * 300 + (bits & 0x1FF)))
    }

    /// The six bytes of a PCR field.
    pub const fn to_bytes(self) -> [u8; 6] {
        const RESERVED: u64 = 0x3F << 9;
        let bits = ((self.0 / 300) << 15) | RESERVED | (self.0 % 300);
        let [_, _, b0, b1, b2, b3, b4, b5] = bits.to_be_bytes();
        [b0, b1, b2, b3, b4, b5]
    }
}

/// Where the adaptation field's length, or the payload, is.
const ADAPTATION_FIELD_AT: usize = 4;

#[cfg(test)]
mod tests;
