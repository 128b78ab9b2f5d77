//! A page that is being received, and what of it is seen.

use super::charset::{Charset, accented, supplementary};
use super::{Colour, Span, Text};

/// Rows and enhancements of a page, as they came last.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// Rows 1 to 24: codes of seven bits.
    rows: [Option<Box<[u8; COLUMNS]>>; ROWS],
    enhancements: Vec<Enhancement>,
    /// The row at which column addresses point (active position).
    active_row: u8,
}

/// How a page is to be seen: of its header, and of packets 28 and 29.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// C5 or C6: what is not in a box is not seen.
    pub(super) is_boxed: bool,
    pub(super) first: Charset,
    /// The set that the ESC code changes to.
    pub(super) second: Charset,
}

/// A character that stands in place of that of the row.
#[derive(Clone, Copy, Debug)]
struct Enhancement {
    row: u8,
    column: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Of G2, by its code.
    Supplementary(u8),
    /// Of G0 without national option, with a diacritical mark.
    Accented { code: u8, mark: u8 },
    /// Of G0, by its code.
    Plain(u8),
}

/// A character, and a mark on it that it cannot have in one code point.
type Seen = (char, Option<char>);

/// What spacing attributes have set (12.2).
struct State {
    colour: Colour,
    is_boxed: bool,
    is_mosaic: bool,
    is_concealed: bool,
    is_second: bool,
}

impl Content {
    /// C4: what is there is wiped out.
    pub(super) fn erase(&mut self) {
        *self = Self::default();
    }

    /// Another transmission of the page: its enhancements come again.
    pub(super) fn begin(&mut self) {
        self.enhancements.clear();
        self.active_row = 0;
    }

    /// Takes row `number`, 1 to 24, as codes of seven bits.
    pub(super) fn row(&mut self, number: usize, codes: [u8; COLUMNS]) {
        if let Some(row) = number.checked_sub(1).and_then(|index| self.rows.get_mut(index)) {
            *row = Some(Box::new(codes));
        }
    }

    /// Takes a triplet of packet 26 (12.3). False for the one that ends them.
    ///
    /// ```text
    /// | 7 data | 5 mode | 6 address: a column below 40, otherwise a row |
    /// ```
    pub(super) fn enhance(&mut self, triplet: u32) -> bool {
        let (address, mode) = ((triplet & 0x3F) as u8, (triplet >> 6 & 0x1F) as u8);
        let data = (triplet >> 11 & 0x7F) as u8;
        let kind = match (address, mode) {
            (63, 0x1F) => return false,
            // Full row colour says the row too.
            (40.., 0x01 | 0x04) => {
                self.active_row = if address == 40 { 24 } else { address - 40 };
                return true;
            }
            (40.., 0x07) => {
                self.active_row = 0;
                return true;
            }
            (..40, 0x09) => Kind::Plain(data),
            (..40, 0x0F) => Kind::Supplementary(data),
            (..40, 0x10..) => Kind::Accented { code: data, mark: mode & 0x0F },
            _ => return true,
        };
        if self.enhancements.len() < ENHANCEMENTS_MAX {
            self.enhancements.push(Enhancement { row: self.active_row, column: address, kind });
        }
        true
    }

    /// What is seen.
    pub(super) fn text(&self, view: &View) -> Text {
        let mut text = Text { lines: Vec::new(), is_at_top: true };
        let mut is_covered = false;
        for (number, row) in (1..).zip(&self.rows) {
            // The lower half of the row above is there.
            let Some(codes) = row.as_deref().filter(|_| !is_covered) else {
                is_covered = false;
                continue;
            };
            is_covered = codes.iter().any(|code| matches!(code, 0x0D | 0x0F));
            let line = self.line(number, codes, view);
            if !line.is_empty() {
                text.is_at_top &= number <= ROWS as u8 / 2;
                text.lines.push(line);
            }
        }
        text.is_at_top &= !text.lines.is_empty();
        text
    }

    fn line(&self, number: u8, codes: &[u8; COLUMNS], view: &View) -> Vec<Span> {
        let mut line = Line::default();
        let mut state = State {
            colour: Colour::White,
            is_boxed: false,
            is_mosaic: false,
            is_concealed: false,
            is_second: false,
        };
        for (column, code) in (0..).zip(*codes) {
            let set = if state.is_second { view.second } else { view.first };
            let enhancement =
                self.enhancements.iter().rfind(|one| (one.row, one.column) == (number, column));
            let seen = match enhancement.map(|one| one.kind) {
                Some(kind) => kind.character(set),
                None if state.is_mosaic && code & 0x20 != 0 => (' ', None),
                None => (set.character(code), None),
            };
            let is_seen = (state.is_boxed || !view.is_boxed) && !state.is_concealed;
            line.push(if is_seen { seen } else { (' ', None) }, state.colour);
            state.apply(code);
        }
        line.spans
    }
}

impl Kind {
    fn character(self, set: Charset) -> Seen {
        match self {
            Self::Supplementary(code) => (supplementary(code), None),
            Self::Plain(code) => (set.character(code), None),
            // 12.3.4: the place of this one is taken in all national options but one.
            Self::Accented { code: 0x2A, mark: 0 } => ('@', None),
            Self::Accented { code, mark } => match code {
                b'!'..=b'~' => accented(char::from(code), mark),
                _ => (' ', None),
            },
        }
    }
}

impl State {
    /// The spacing attributes count for what comes behind them.
    fn apply(&mut self, code: u8) {
        match code {
            0x00..=0x07 | 0x10..=0x17 => {
                self.colour = COLOURS.get(usize::from(code & 7)).copied().unwrap_or_default();
                (self.is_mosaic, self.is_concealed) = (code & 0x10 != 0, false);
            }
            0x0A => self.is_boxed = false,
            0x0B => self.is_boxed = true,
            0x18 => self.is_concealed = true,
            0x1B => self.is_second = !self.is_second,
            _ => {}
        }
    }
}

/// A line that is being written: without spaces at its ends, and never two of them.
#[derive(Default)]
struct Line {
    spans: Vec<Span>,
    has_space: bool,
}

impl Line {
    fn push(&mut self, (character, mark): Seen, colour: Colour) {
        if character == ' ' {
            self.has_space = !self.spans.is_empty();
            return;
        }
        if self.spans.last().is_none_or(|last| last.colour != colour) {
            self.spans.push(Span { colour, text: String::new() });
        }
        let has_space = std::mem::take(&mut self.has_space);
        // There is one: it was pushed if there was none.
        let Some(Span { text, .. }) = self.spans.last_mut() else { return };
        text.extend(has_space.then_some(' '));
        text.push(character);
        text.extend(mark);
    }
}

/// Characters of a row.
pub(super) const COLUMNS: usize = 40;
/// Rows below the header that can have text.
const ROWS: usize = 24;
/// 16 packets of 13 triplets.
const ENHANCEMENTS_MAX: usize = 208;
const COLOURS: [Colour; 8] = [
    Colour::Black,
    Colour::Red,
    Colour::Green,
    Colour::Yellow,
    Colour::Blue,
    Colour::Magenta,
    Colour::Cyan,
    Colour::White,
];
