//! The transport stream of a headend, made without one: everything that such a stream carries, at a
//! constant rate, the same bytes for the same settings.
//!
//! One program with H.264 pictures, sounds in two languages, teletext, DVB subtitles, SCTE-35 cues,
//! HbbTV sections and private data; PAT, PMT, NIT, SDT, EIT, TDT and null packets around it. Pictures
//! and sounds can be decoded (grey, silence); what fills them to their size is random.
//!
//! As in real multiplexes, pictures are sent half a second before they are decoded and sounds a fifth
//! of a second before, so that sound comes later than the pictures it belongs to.
//!
//! Invariants
//! - Packet n is sent at n * 1,504 bits / rate; a PCR says exactly that, to 1/27 us.
//! - Nothing is sent after its decoding time as long as the rate has room for what is asked for.
//! - Only `std`: other test programs may take this file by its path.

#[path = "headend/essence.rs"]
mod essence;
#[path = "headend/tables.rs"]
mod tables;

use std::collections::{BTreeMap, VecDeque};

use essence::{Essence, Random};

/// Bytes of a packet.
pub const PACKET_SIZE: usize = 188;
/// Ticks of the stream's clock per second.
pub const CLOCK_HZ: u64 = 27_000_000;
/// Ticks after which a PCR wraps.
pub const CLOCK_WRAP: u64 = 300 << 33;
/// Pictures per second.
pub const FRAME_RATE: u64 = 25;

/// What to make.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Other seeds have other content and another clock.
    pub seed: u64,
    /// Rate of the whole stream, in bit/s: default 4,000,000. At least 1,300,000 above `video_bps`.
    pub rate_bps: u64,
    /// Rate of the pictures, in bit/s: default 2,000,000; at least 100,000.
    pub video_bps: u64,
    /// Pictures from one random access point to the next: default 25, at most 250.
    pub gop_pictures: u64,
    /// The sounds, at most eight: default AAC in English, MP2 in German.
    pub sounds: Vec<Sound>,
    /// PID of the PMT: default 0x100. The elementary streams have the 16 PIDs behind it.
    pub first_pid: u16,
    /// Default 1001.
    pub program_number: u16,
    /// Default 1.
    pub transport_stream_id: u16,
    /// Default "Headend One".
    pub service_name: String,
    /// The PAT begins with the network information table, as in DVB. Default true; hls.js takes the first row
    /// of a PAT for the program.
    pub has_network: bool,
    /// The teletext is German subtitles on page 150: a text in every other second, for that second, with
    /// its presentation time in it. Default: an initial page of random bytes.
    pub has_subtitles: bool,
    /// The clock at the first packet, in ticks of 27 MHz below [`CLOCK_WRAP`]; `None` (default) for
    /// one that the seed makes, hours away from the wrap.
    pub clock_start: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            rate_bps: 4_000_000,
            video_bps: 2_000_000,
            gop_pictures: 25,
            sounds: vec![Sound::Aac, Sound::Mp2],
            first_pid: 0x100,
            program_number: 1001,
            transport_stream_id: 1,
            service_name: "Headend One".to_owned(),
            has_network: true,
            has_subtitles: false,
            clock_start: None,
        }
    }
}

/// How a sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// AAC-LC in ADTS, 48 kHz stereo, four frames to a PES packet.
    Aac,
    /// MPEG-1 layer II, 48 kHz stereo, three frames to a PES packet.
    Mp2,
}

/// Languages of the sounds, in their order.
pub const LANGUAGES: [&str; 8] = ["eng", "deu", "fra", "ita", "spa", "tur", "pol", "swe"];

/// What a PID is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Role {
    Pat,
    Nit,
    Sdt,
    Eit,
    Tdt,
    Pmt,
    Video,
    /// The number of the sound, from 0.
    Audio(u8),
    Teletext,
    Subtitles,
    /// SCTE-35.
    Cues,
    /// HbbTV's application information table.
    Sections,
    /// PES packets that only their owner understands.
    Private,
    Null,
}

/// Makes the stream, packet by packet, without end.
#[derive(Debug)]
pub struct Headend {
    settings: Settings,
    clock_start: u64,
    /// Packets made.
    sent: u64,
    lines: Vec<Line>,
    random: Random,
    last_pcr: Option<u64>,
}

/// One PID.
#[derive(Debug)]
struct Line {
    pid: u16,
    role: Role,
    counter: u8,
    /// Units made: PES packets or sections.
    units: u64,
    /// Time from unit to unit, in ticks of 27 MHz.
    period: u64,
    waiting: VecDeque<Waiting>,
}

/// A packet that is sent when its turn comes.
#[derive(Debug)]
struct Waiting {
    due: u64,
    has_pcr: bool,
    bytes: [u8; PACKET_SIZE],
}

impl Headend {
    /// A stream at its first packet.
    ///
    /// # Panics
    /// When the settings are out of their ranges.
    pub fn new(settings: Settings) -> Self {
        assert!(settings.video_bps >= 100_000, "too few bits for the pictures");
        assert!(settings.rate_bps >= settings.video_bps + 1_300_000, "no room for the rest");
        assert!((1..=250).contains(&settings.gop_pictures), "frame_num has eight bits");
        assert!(settings.sounds.len() <= LANGUAGES.len(), "too many sounds");
        assert!((0x20..0x1FE0).contains(&settings.first_pid), "PIDs of the system");
        let mut random = Random::new(settings.seed);
        let of_seed = (random.next() >> 32) * 300;
        let clock_start = settings.clock_start.unwrap_or(of_seed);
        assert!(clock_start < CLOCK_WRAP, "no value of a PCR");
        let line = |(pid, role)| Line {
            pid,
            role,
            counter: (settings.seed as u8).wrapping_mul(7) & 0x0F,
            units: 0,
            period: period(role, &settings),
            waiting: VecDeque::new(),
        };
        let all = all_pids(&settings);
        let lines = all.into_iter().filter(|(_, role)| *role != Role::Null).map(line).collect();
        Self { settings, clock_start, sent: 0, lines, random, last_pcr: None }
    }

    /// The next `count` packets.
    pub fn next_packets(&mut self, count: usize) -> Vec<u8> {
        let mut packets = Vec::with_capacity(count * PACKET_SIZE);
        for _ in 0..count {
            packets.extend(self.next_packet());
        }
        packets
    }

    /// The packets of so many milliseconds.
    pub fn next_ms(&mut self, ms: u64) -> Vec<u8> {
        let end_us = self.elapsed_us() + ms * 1_000;
        let mut packets = Vec::new();
        while self.elapsed_us() < end_us {
            packets.extend(self.next_packet());
        }
        packets
    }

    /// The stream's clock at the next packet, in ticks of 27 MHz, not wrapped.
    pub fn clock_27mhz(&self) -> u64 {
        self.clock_start + self.now()
    }

    /// Time from the first packet to the next one, in us.
    pub fn elapsed_us(&self) -> u64 {
        self.now() / 27
    }

    /// Every PID and its role, in the order of the PIDs.
    pub fn pids(&self) -> Vec<(u16, Role)> {
        all_pids(&self.settings)
    }

    /// The PID with this role.
    ///
    /// # Panics
    /// When there is none, as for a sound that was not asked for.
    pub fn pid(&self, role: Role) -> u16 {
        let mut pids = self.pids().into_iter();
        pids.find(|(_, found)| *found == role).expect("every role has a PID").0
    }

    fn now(&self) -> u64 {
        let bits = u128::from(self.sent) * 8 * PACKET_SIZE as u128;
        (bits * u128::from(CLOCK_HZ) / u128::from(self.settings.rate_bps)) as u64
    }

    fn next_packet(&mut self) -> [u8; PACKET_SIZE] {
        let now = self.now();
        self.sent += 1;
        for index in 0..self.lines.len() {
            self.make_due_unit(index, now);
        }
        let is_pcr_due = self.last_pcr.is_none_or(|last| now - last >= PCR_PERIOD);
        let first = (0..self.lines.len())
            .filter_map(|index| Some((self.lines[index].waiting.front()?.due, index)))
            .filter(|(due, _)| *due <= now)
            .min();
        match first {
            Some((_, index)) if !is_pcr_due || self.lines[index].waiting[0].has_pcr => {
                self.send(index, now)
            }
            _ if is_pcr_due => self.clock_packet(now),
            _ => self.null_packet(),
        }
    }

    fn send(&mut self, index: usize, now: u64) -> [u8; PACKET_SIZE] {
        let line = &mut self.lines[index];
        let Waiting { mut bytes, has_pcr, .. } = line.waiting.pop_front().expect("chosen for it");
        bytes[3] |= line.counter;
        line.counter = (line.counter + 1) & 0x0F;
        if has_pcr {
            bytes[6..12].copy_from_slice(&self.pcr(now));
        }
        bytes
    }

    /// A packet of the pictures' PID with a PCR and nothing else: it does not count.
    fn clock_packet(&mut self, now: u64) -> [u8; PACKET_SIZE] {
        let video = self.lines.iter().find(|line| line.role == Role::Video).expect("always there");
        let mut bytes = [0xFF; PACKET_SIZE];
        bytes[..4].copy_from_slice(&header(video.pid, false, 0x20));
        bytes[3] |= video.counter.wrapping_sub(1) & 0x0F;
        bytes[4..6].copy_from_slice(&[183, 0x10]);
        bytes[6..12].copy_from_slice(&self.pcr(now));
        bytes
    }

    fn null_packet(&mut self) -> [u8; PACKET_SIZE] {
        let mut bytes = [0xFF; PACKET_SIZE];
        bytes[..4].copy_from_slice(&header(NULL_PID, false, 0x10));
        bytes
    }

    fn pcr(&mut self, now: u64) -> [u8; 6] {
        self.last_pcr = Some(now);
        let clock = (self.clock_start + now) % CLOCK_WRAP;
        let field = (clock / 300) << 15 | 0x7E00 | (clock % 300);
        let [_, _, bytes @ ..] = field.to_be_bytes();
        bytes
    }

    /// Makes the next unit of a PID when it is time and the last one was sent.
    fn make_due_unit(&mut self, index: usize, now: u64) {
        let line = &self.lines[index];
        let due = line.units * line.period;
        if !line.waiting.is_empty() || due > now {
            return;
        }
        let (role, unit, pid) = (line.role, line.units, line.pid);
        // Times are those of the unit, not of the moment at which it is made.
        let time = (self.clock_start + due) / 300;
        let waiting = match self.essence(role, unit, time) {
            Some(essence) => in_packets(pid, &essence),
            None => in_packets(pid, &Essence::section(self.section(role, unit, time))),
        };
        let line = &mut self.lines[index];
        // A unit's packets are spread over its time.
        let step = line.period / waiting.len() as u64;
        let packets = waiting.into_iter().zip(0..);
        line.waiting.extend(packets.map(|(packet, at)| Waiting { due: due + at * step, ..packet }));
        line.units += 1;
    }

    /// A PES packet; `None` for what is sent in sections.
    fn essence(&mut self, role: Role, unit: u64, time: u64) -> Option<Essence> {
        let Settings { video_bps, gop_pictures, ref sounds, .. } = self.settings;
        let random = &mut self.random;
        Some(match role {
            Role::Video => essence::picture(random, unit, gop_pictures, video_bps, time),
            Role::Audio(number) => match sounds[usize::from(number)] {
                Sound::Aac => essence::aac(random, time),
                Sound::Mp2 => essence::mp2(random, time),
            },
            Role::Teletext if self.settings.has_subtitles => essence::subtitle(unit, time),
            Role::Teletext => essence::teletext(random, time),
            Role::Subtitles => essence::subtitles(unit, time),
            Role::Private => essence::private(random),
            _ => return None,
        })
    }

    fn section(&mut self, role: Role, unit: u64, time: u64) -> Vec<u8> {
        let settings = &self.settings;
        match role {
            Role::Pat => tables::pat(settings),
            Role::Nit => tables::nit(settings),
            Role::Sdt => tables::sdt(settings),
            Role::Eit => tables::eit(settings),
            Role::Tdt => tables::tdt(unit),
            Role::Pmt => tables::pmt(settings, &all_pids(settings)),
            Role::Cues if unit % 8 == 7 => tables::splice_insert(unit as u32, time),
            Role::Cues => tables::splice_null(),
            Role::Sections => tables::application_information(settings, &mut self.random),
            _ => unreachable!("{role:?} is not sent in sections"),
        }
    }
}

/// Packets and a hash of all their bytes, in order, for each PID: equal for two streams when the
/// packets of every PID are equal and in the same order.
///
/// # Panics
/// When there is something else than whole packets.
pub fn digest_per_pid(packets: &[u8]) -> BTreeMap<u16, (u64, u64)> {
    let (packets, rest) = packets.as_chunks::<PACKET_SIZE>();
    assert!(rest.is_empty(), "{} bytes at the end are no packet", rest.len());
    let mut digests = BTreeMap::new();
    for packet in packets {
        assert_eq!(packet[0], 0x47, "a packet without sync byte");
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        // FNV-1a.
        let (count, hash) = digests.entry(pid).or_insert((0, 0xCBF2_9CE4_8422_2325));
        *count += 1;
        for &byte in packet {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    digests
}

fn all_pids(settings: &Settings) -> Vec<(u16, Role)> {
    let first = settings.first_pid;
    let mut pids = vec![
        (0x00, Role::Pat),
        (0x10, Role::Nit),
        (0x11, Role::Sdt),
        (0x12, Role::Eit),
        (0x14, Role::Tdt),
        (first, Role::Pmt),
        (first + 1, Role::Video),
    ];
    let sounds = 0..settings.sounds.len() as u8;
    pids.extend(sounds.map(|number| (first + 2 + u16::from(number), Role::Audio(number))));
    let data = [Role::Teletext, Role::Subtitles, Role::Cues, Role::Sections, Role::Private];
    pids.extend((first + 10..).zip(data));
    pids.push((NULL_PID, Role::Null));
    pids
}

fn period(role: Role, settings: &Settings) -> u64 {
    let sound = |number: u8| match settings.sounds[usize::from(number)] {
        Sound::Aac => essence::AAC_TICKS * 300,
        Sound::Mp2 => essence::MP2_TICKS * 300,
    };
    let ms = match role {
        Role::Video => return CLOCK_HZ / FRAME_RATE,
        Role::Audio(number) => return sound(number),
        Role::Teletext => 40,
        Role::Pat | Role::Pmt => 80,
        Role::Private => 200,
        Role::Sdt | Role::Eit => 500,
        Role::Nit | Role::Tdt | Role::Cues | Role::Sections => 1_000,
        Role::Subtitles => 2_000,
        Role::Null => unreachable!("made when there is nothing else"),
    };
    ms * (CLOCK_HZ / 1_000)
}

/// A PES packet, or a section with its pointer field, in packets without counters and PCR.
fn in_packets(pid: u16, essence: &Essence) -> Vec<Waiting> {
    let mut rest = &essence.bytes[..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let is_first = packets.is_empty();
        let has_pcr = is_first && essence.has_pcr;
        let mut field = match has_pcr {
            // Flags, and room for the PCR.
            true => vec![0x10 | u8::from(essence.is_random_access) << 6, 0, 0, 0, 0, 0, 0],
            false => Vec::new(),
        };
        let mut bytes = [0xFF; PACKET_SIZE];
        let room = PACKET_SIZE - 4 - if has_pcr { 1 + field.len() } else { 0 };
        let stuffing = room.saturating_sub(rest.len());
        // Sections are filled up behind their end, PES packets in front of their start.
        let has_field = has_pcr || (stuffing > 0 && !essence.is_section);
        bytes[..4].copy_from_slice(&header(pid, is_first, if has_field { 0x30 } else { 0x10 }));
        let mut at = 4;
        if has_field {
            let size = if has_pcr { field.len() + stuffing } else { stuffing - 1 };
            if field.is_empty() && size > 0 {
                field.push(0);
            }
            bytes[4] = size as u8;
            bytes[5..5 + field.len()].copy_from_slice(&field);
            at = 5 + size;
        }
        let (now, later) = rest.split_at(rest.len().min(PACKET_SIZE - at));
        bytes[at..at + now.len()].copy_from_slice(now);
        rest = later;
        packets.push(Waiting { due: 0, has_pcr, bytes });
    }
    packets
}

/// The first four bytes, the counter 0.
fn header(pid: u16, is_start: bool, fields: u8) -> [u8; 4] {
    let [high, low] = pid.to_be_bytes();
    [0x47, u8::from(is_start) << 6 | high, low, fields]
}

const NULL_PID: u16 = 0x1FFF;
/// ETSI TR 101 290 2.3 wants 40 ms; multiplexers send more often.
const PCR_PERIOD: u64 = 20 * CLOCK_HZ / 1_000;
