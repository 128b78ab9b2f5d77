//! Packets of teletext, and the pages that they belong to.

use super::charset::{Charset, regions_of};
use super::hamming::{nibble, odd, triplet};
use super::page::{COLUMNS, Content, View};
use super::{Page, Shown, Text};

/// Decodes some pages of one elementary stream: [`push`](Self::push) the payloads of its PES packets in
/// order.
#[derive(Debug)]
pub struct Decoder {
    pages: Vec<Receiver>,
    magazines: [Magazine; 8],
}

/// One page.
#[derive(Debug)]
struct Receiver {
    page: Page,
    header: Header,
    /// When the header came.
    time: i64,
    content: Content,
    /// Something came since it was told last.
    is_new: bool,
    designation: Option<Designation>,
}

/// What the header of a page says of it.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    is_boxed: bool,
    is_inhibited: bool,
    /// C12 to C14.
    option: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Magazine {
    /// The page that its packets belong to, if it is one of ours.
    page: Option<usize>,
    designation: Option<Designation>,
}

/// Character sets (packets 28 and 29, table 33).
#[derive(Clone, Copy, Debug)]
struct Designation {
    region: u8,
    /// Region and option of the second set.
    second: Option<(u8, u8)>,
}

impl Decoder {
    /// A decoder for these pages that has seen nothing.
    pub fn new(pages: &[Page]) -> Self {
        let receiver = |page: &Page| Receiver {
            page: page.clone(),
            header: Header::default(),
            time: 0,
            content: Content::default(),
            is_new: false,
            designation: None,
        };
        Self { pages: pages.iter().map(receiver).collect(), magazines: Default::default() }
    }

    /// Takes the payload of a PES packet that is presented at `time`, and tells what pages show now. One
    /// of which something came is told again, also if nothing has changed. What is no teletext is passed
    /// over.
    ///
    /// # Cost
    /// A look at two bytes of each packet that belongs to another page.
    pub fn push(&mut self, payload: &[u8], time: i64, mut on_shown: impl FnMut(Shown)) {
        let Some((0x10..=0x1F, mut units)) = payload.split_first() else { return };
        while let Some((&[id, length], rest)) = units.split_first_chunk() {
            let (unit, next) = rest.split_at(usize::from(length).min(rest.len()));
            if let (SUBTITLE_UNIT | OTHER_UNIT, Some((_, packet))) =
                (id, unit.split_first_chunk::<UNIT_HEAD_BYTES>())
                && let Some(packet) = packet.first_chunk::<PACKET_BYTES>()
            {
                self.packet(&packet.map(u8::reverse_bits), time, &mut on_shown);
            }
            units = next;
        }
        for index in 0..self.pages.len() {
            self.tell(index, &mut on_shown);
        }
    }

    fn packet(&mut self, packet: &[u8; PACKET_BYTES], time: i64, on_shown: &mut impl FnMut(Shown)) {
        let (&[low, high], data) = packet.split_at(2) else { return };
        let Ok(data) = <&[u8; COLUMNS]>::try_from(data) else { return };
        let (Some(low), Some(high)) = (nibble(low), nibble(high)) else { return };
        let (magazine, number) = (low & 7, low >> 3 | high << 1);
        if number == 0 {
            return self.header(magazine, data, time, on_shown);
        }
        // It has three bits.
        let state = &mut self.magazines[usize::from(magazine)];
        if number == 29 {
            state.designation = designation(data).or(state.designation);
            return;
        }
        let Some(page) = state.page.and_then(|index| self.pages.get_mut(index)) else { return };
        match number {
            1..=24 => page.content.row(number.into(), data.map(|byte| odd(byte).unwrap_or(0x20))),
            26 => enhance(&mut page.content, data),
            28 => page.designation = designation(data).or(page.designation),
            _ => return,
        }
        page.is_new = true;
    }

    /// A page begins, and the one before in the magazine is complete; with C11, those of all magazines.
    ///
    /// ```text
    /// | units | tens | S1 | C4 S2 | S3 | C6 C5 S4 | C10 C9 C8 C7 | C14 C13 C12 C11 | 32 characters |
    /// ```
    fn header(
        &mut self,
        magazine: u8,
        data: &[u8; COLUMNS],
        time: i64,
        on_shown: &mut impl FnMut(Shown),
    ) {
        let fields: [_; 8] = std::array::from_fn(|at| data.get(at).copied().and_then(nibble));
        let ended = std::mem::take(&mut self.magazines[usize::from(magazine)].page);
        ended.into_iter().for_each(|index| self.tell(index, on_shown));
        let [Some(units), Some(tens), Some(_), Some(s2), _, Some(s4), Some(c7), Some(c11)] = fields
        else {
            // Nobody knows which page it is: what follows belongs to none.
            return;
        };
        if c11 & 1 != 0 {
            self.magazines.iter_mut().for_each(|magazine| magazine.page = None);
        }
        let hundreds = if magazine == 0 { 8 } else { u16::from(magazine) };
        let number = hundreds << 8 | u16::from(tens) << 4 | u16::from(units);
        let Some(index) = self.pages.iter().position(|page| page.page.number == number) else {
            return;
        };
        self.magazines[usize::from(magazine)].page = Some(index);
        let page = &mut self.pages[index];
        if s2 & 8 != 0 {
            page.content.erase();
        }
        page.content.begin();
        page.header = Header {
            is_boxed: s4 & 0xC != 0,
            is_inhibited: c7 & 8 != 0,
            option: (c11 >> 1 & 1) << 2 | (c11 >> 2 & 1) << 1 | c11 >> 3 & 1,
        };
        (page.time, page.is_new, page.designation) = (time, true, None);
    }

    /// Tells what a page shows, if something came of it.
    fn tell(&mut self, index: usize, on_shown: &mut impl FnMut(Shown)) {
        let Some(page) = self.pages.get_mut(index).filter(|page| page.is_new) else { return };
        page.is_new = false;
        let magazine = usize::from(page.page.number >> 8 & 7);
        let of_magazine = self.magazines.get(magazine).and_then(|magazine| magazine.designation);
        on_shown(Shown { page: index, time: page.time, text: page.text(of_magazine) });
    }
}

impl Receiver {
    fn text(&self, of_magazine: Option<Designation>) -> Text {
        if self.header.is_inhibited {
            return Text::default();
        }
        let designation = self.designation.or(of_magazine);
        let first = match designation {
            Some(designation) => Charset::new(&[designation.region], self.header.option),
            None => Charset::new(regions_of(&self.page.language), self.header.option),
        };
        let second = designation.and_then(|designation| designation.second);
        let second = second.map_or(first, |(region, option)| Charset::new(&[region], option));
        self.content.text(&View { is_boxed: self.header.is_boxed, first, second })
    }
}

/// Packet 26: a designation code and 13 triplets.
fn enhance(content: &mut Content, data: &[u8; COLUMNS]) {
    for triplet in triplets(data) {
        if triplet.is_some_and(|triplet| !content.enhance(triplet)) {
            return;
        }
    }
}

/// Packets 28 and 29 (9.4.2, 9.5.1): the sets are in triplet 1 from bit 8 on, and in triplet 2.
fn designation(data: &[u8; COLUMNS]) -> Option<Designation> {
    let is_known = data.first().copied().and_then(nibble).is_some_and(|code| matches!(code, 0 | 4));
    let mut triplets = triplets(data);
    let (first, second) = (triplets.next()??, triplets.next()?);
    // A function other than that of a basic page, or other coding than 7 bits with parity.
    if !is_known || first & 0x7F != 0 {
        return None;
    }
    let of_second = second.map(|second| (second & 0x7) << 4 | first >> 14);
    Some(Designation {
        region: (first >> 10 & 0xF) as u8,
        second: of_second
            .filter(|code| *code != 0x7F)
            .map(|code| ((code >> 3) as u8, (code & 7) as u8)),
    })
}

fn triplets(data: &[u8; COLUMNS]) -> impl Iterator<Item = Option<u32>> {
    let (_, triplets) = data.split_at(1);
    triplets.as_chunks::<3>().0.iter().map(|bytes| triplet(*bytes))
}

/// data_unit_id (EN 300 472 table 4).
const OTHER_UNIT: u8 = 0x02;
const SUBTITLE_UNIT: u8 = 0x03;
/// Line, field and framing code.
const UNIT_HEAD_BYTES: usize = 2;
const PACKET_BYTES: usize = 42;
