//! Pictures, sounds, teletext, subtitles and private data, in PES packets.

#[path = "../../../../codecs/tests/support/teletext.rs"]
mod teletext;

use super::FRAME_RATE;

/// What is sent as one piece.
#[derive(Debug)]
pub(super) struct Essence {
    /// A PES packet, or a pointer field and a section.
    pub(super) bytes: Vec<u8>,
    pub(super) is_section: bool,
    pub(super) has_pcr: bool,
    pub(super) is_random_access: bool,
}

impl Essence {
    pub(super) fn section(section: Vec<u8>) -> Self {
        let bytes = [vec![0], section].concat();
        Self { bytes, is_section: true, has_pcr: false, is_random_access: false }
    }

    fn pes(bytes: Vec<u8>) -> Self {
        Self { bytes, is_section: false, has_pcr: false, is_random_access: false }
    }
}

/// xorshift64*: the same numbers for the same seed.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D | 1);
        // Small seeds differ in few bits.
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Bytes without zeros and without sync words (0xFF) of sound.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 7);
        while bytes.len() < count {
            bytes.extend(self.next().to_be_bytes().map(|byte| byte & 0x7F | 1));
        }
        bytes.truncate(count);
        bytes
    }
}

/// Ticks of 90 kHz of the sounds in a PES packet of AAC: four frames of 1,024 samples.
pub(super) const AAC_TICKS: u64 = 4 * 1_920;
/// The same of MP2: three frames of 1,152 samples.
pub(super) const MP2_TICKS: u64 = 3 * 2_160;

/// From sending a picture to decoding it, in ticks of 90 kHz.
const VIDEO_DELAY: u64 = 45_000;
/// From decoding a picture to showing it.
const REORDER_DELAY: u64 = 3_600;
/// From sending a sound to hearing it.
const AUDIO_DELAY: u64 = 18_000;

/// Picture `number`: grey of another brightness in every group, filled up with a message to nobody.
pub(super) fn picture(
    random: &mut Random,
    number: u64,
    gop_pictures: u64,
    video_bps: u64,
    time: u64,
) -> Essence {
    let of_gop = number % gop_pictures;
    let is_idr = of_gop == 0;
    // An IDR picture has three times the bytes of another one.
    let group_bytes = video_bps * gop_pictures / FRAME_RATE / 8;
    let size = group_bytes / (gop_pictures + 2) * if is_idr { 3 } else { 1 };
    let mut units = vec![vec![0x09, if is_idr { 0x10 } else { 0x30 }]];
    if is_idr {
        units.extend([sequence_parameters(), picture_parameters()]);
    }
    // What is left of it beside packet headers and the other units.
    units.push(message(random, size as usize - size as usize / 188 * 4 - 100));
    units.push(match is_idr {
        true => idr_slice(number / gop_pictures, random.next()),
        false => skipped_slice(of_gop),
    });
    let mut stream = Vec::new();
    for unit in units {
        stream.extend([0, 0, 0, 1]);
        stream.extend(escaped(&unit));
    }
    let dts = time + VIDEO_DELAY;
    let mut bytes = vec![0, 0, 1, 0xE0, 0, 0, 0x84, 0xC0, 10];
    bytes.extend(timestamp(3, dts + REORDER_DELAY));
    bytes.extend(timestamp(1, dts));
    bytes.extend(stream);
    Essence { has_pcr: true, is_random_access: is_idr, ..Essence::pes(bytes) }
}

pub(super) fn aac(random: &mut Random, time: u64) -> Essence {
    let mut frames = Vec::new();
    for _ in 0..4 {
        let filling = 150 + random.next() as usize % 100;
        // A data stream element of random bytes, byte aligned, then a silent channel pair.
        let mut block = vec![0x81, filling as u8];
        block.extend(random.bytes(filling));
        block.extend([0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80]);
        let size = 7 + block.len();
        // Low complexity, 48 kHz, two channels.
        let [.., s1, s0] = ((size as u32) << 5 | 0x1F).to_be_bytes();
        frames.extend([0xFF, 0xF1, 0x4C, 0x80, s1, s0, 0xFC]);
        frames.extend(block);
    }
    sound(0xC0, time, frames)
}

pub(super) fn mp2(random: &mut Random, time: u64) -> Essence {
    let mut frames = Vec::new();
    for _ in 0..3 {
        // Layer II, no CRC, 128 kbit/s, 48 kHz, stereo; no band has bits, the rest is ancillary data.
        frames.extend([0xFF, 0xFD, 0x84, 0x00]);
        frames.extend([0; 40]);
        frames.extend(random.bytes(384 - 44));
    }
    sound(0xC1, time, frames)
}

fn sound(stream_id: u8, time: u64, frames: Vec<u8>) -> Essence {
    timed_pes(stream_id, time + AUDIO_DELAY, 5, frames)
}

/// Subtitles on page 150: every other second its presentation time in yellow, and a word with German
/// letters below, which are erased after a second. Between them, nothing but stuffing.
pub(super) fn subtitle(unit: u64, time: u64) -> Essence {
    let pts = (time + AUDIO_DELAY) & 0x1_FFFF_FFFF;
    let control = teletext::C4_ERASE | teletext::C6_SUBTITLE | teletext::option(1);
    let header = || teletext::header(0x150, control);
    // Decoders take a page for complete when another one begins in its magazine.
    let filler = || teletext::header(0x1FF, 0);
    let packets = match unit % 50 {
        0 => {
            let first = teletext::boxed(format!("\x03{pts}").as_bytes());
            let rows = [(20, first), (22, teletext::boxed(b"Gr}~e"))];
            let rows = rows.map(|(number, codes)| teletext::row(0x150, number, &codes));
            [header()].into_iter().chain(rows).chain([filler()]).collect()
        }
        25 => vec![header(), filler()],
        _ => Vec::new(),
    };
    Essence::pes(teletext::pes(pts, &packets))
}

/// Three lines of teletext: ETSI EN 300 472. Exactly one packet.
pub(super) fn teletext(random: &mut Random, time: u64) -> Essence {
    let mut data = vec![0x10];
    for line in 0..3 {
        data.extend([0x02, 0x2C, 0xE0 | (7 + line), 0xE4]);
        data.extend(random.bytes(42));
    }
    timed_pes(0xBD, time + AUDIO_DELAY, 0x24, data)
}

/// An empty page: ETSI EN 300 743.
pub(super) fn subtitles(number: u64, time: u64) -> Essence {
    let version = (number as u8 & 0x0F) << 4 | 0x08;
    let data =
        [0x20, 0x00, 0x0F, 0x10, 0, 1, 0, 2, 5, version, 0x0F, 0x80, 0, 1, 0, 0, 0xFF].to_vec();
    timed_pes(0xBD, time + AUDIO_DELAY, 5, data)
}

pub(super) fn private(random: &mut Random) -> Essence {
    let size = 100 + random.next() as usize % 900;
    let data = random.bytes(size);
    let mut bytes = vec![0, 0, 1, 0xBD];
    bytes.extend((data.len() as u16 + 3).to_be_bytes());
    bytes.extend([0x80, 0, 0]);
    bytes.extend(data);
    Essence::pes(bytes)
}

/// A PES packet with a PTS and a header of `header_size` bytes behind its first nine.
fn timed_pes(stream_id: u8, pts: u64, header_size: u8, data: Vec<u8>) -> Essence {
    let mut bytes = vec![0, 0, 1, stream_id];
    bytes.extend((data.len() as u16 + 3 + u16::from(header_size)).to_be_bytes());
    bytes.extend([0x84, 0x80, header_size]);
    bytes.extend(timestamp(2, pts));
    bytes.resize(9 + usize::from(header_size), 0xFF);
    bytes.extend(data);
    Essence::pes(bytes)
}

fn timestamp(prefix: u8, ticks: u64) -> [u8; 5] {
    let ticks = ticks & 0x1_FFFF_FFFF;
    let (middle, low) = ((ticks >> 15) as u16, ticks as u16);
    let [m1, m0] = (middle << 1 | 1).to_be_bytes();
    let [l1, l0] = (low << 1 | 1).to_be_bytes();
    [prefix << 4 | (ticks >> 29) as u8 & 0x0E | 1, m1, m0, l1, l0]
}

/// 176 x 144.
const MACROBLOCKS: u32 = 11 * 9;

/// ISO/IEC 14496-10 7.3.2.1: Baseline, level 3, output in the order of decoding, 25 pictures/s.
fn sequence_parameters() -> Vec<u8> {
    let mut bits = Bits::new(&[0x67, 66, 0xC0, 30]);
    for value in [0, 4, 2, 1] {
        bits.ue(value);
    }
    bits.put(0, 1);
    bits.ue(10);
    bits.ue(8);
    // Frames only, direct_8x8, no cropping, VUI; in it timing information alone, at a fixed rate.
    bits.put(0b1101, 4);
    bits.put(0b00001, 5);
    bits.put(1, 32);
    bits.put(2 * FRAME_RATE as u32, 32);
    bits.put(0b1_0000, 5);
    bits.end()
}

/// 7.3.2.2: CAVLC, one reference, deblocking told in the slices.
fn picture_parameters() -> Vec<u8> {
    let mut bits = Bits::new(&[0x68]);
    bits.ue(0);
    bits.ue(0);
    bits.put(0, 2);
    for _ in 0..3 {
        bits.ue(0);
    }
    bits.put(0, 3);
    for _ in 0..3 {
        bits.ue(0);
    }
    bits.put(0b100, 3);
    bits.end()
}

/// Macroblocks of one brightness: the first one has a coefficient, the others are predicted.
fn idr_slice(number: u64, random: u64) -> Vec<u8> {
    let mut bits = Bits::new(&[0x65]);
    bits.ue(0);
    bits.ue(7);
    bits.ue(0);
    bits.put(0, 8); // frame_num
    bits.ue(number as u32 & 1); // idr_pic_id
    bits.put(0, 2);
    // slice_qp_delta of 10 to 25: the step from grey.
    bits.ue(2 * (10 + random as u32 % 16) - 1);
    bits.ue(1);
    // I_16x16_2_0_0, and coeff_token, sign and total_zeros of one coefficient.
    bits.put(0b001_0011_0101 | (random >> 32) as u32 & 2, 11);
    for _ in 1..MACROBLOCKS {
        bits.put(0b0010_0111, 8);
    }
    bits.end()
}

/// The picture before, once more.
fn skipped_slice(frame_num: u64) -> Vec<u8> {
    let mut bits = Bits::new(&[0x41]);
    bits.ue(0);
    bits.ue(5);
    bits.ue(0);
    bits.put(frame_num as u32, 8);
    bits.put(0, 3);
    bits.ue(0);
    bits.ue(1);
    bits.ue(MACROBLOCKS);
    bits.end()
}

/// A supplemental enhancement information of about `size` bytes that no decoder knows.
fn message(random: &mut Random, size: usize) -> Vec<u8> {
    let mut unit = vec![0x06, 0x05];
    unit.resize(2 + size / 255, 0xFF);
    unit.push((size % 255) as u8);
    unit.extend(random.bytes(size));
    unit.push(0x80);
    unit
}

/// 7.4.1.1: no start code inside.
fn escaped(unit: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(unit.len() + 16);
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte <= 3 {
            escaped.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        escaped.push(byte);
    }
    escaped
}

struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are used; 8 when it is full.
    used: u32,
}

impl Bits {
    fn new(start: &[u8]) -> Self {
        Self { bytes: start.to_vec(), used: 8 }
    }

    fn put(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            let last = self.bytes.last_mut().expect("starts with a byte");
            *last |= (value >> at & 1) as u8 * (0x80 >> self.used);
            self.used += 1;
        }
    }

    /// Exponential Golomb: 9.1.
    fn ue(&mut self, value: u32) {
        let size = (value + 1).ilog2();
        self.put(0, size);
        self.put(value + 1, size + 1);
    }

    /// The stop bit, and zeros up to the byte's end.
    fn end(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.bytes
    }
}
