//! Subtitles of teletext: the pages on which broadcasters of Europe send them, as text.
//!
//! Specifications: ETSI EN 300 706 (teletext), EN 300 472 (its carriage in PES packets).
//!
//! ```text
//! PES payload | 8 data_identifier | data unit | data unit | ...
//! data unit   | 8 id 0x02, 0x03 | 8 length 44 | 2 | 1 field | 5 line | 8 framing code | packet |
//! packet      | 16 magazine and number, Hamming 8/4 | 40 bytes |
//! ```
//!
//! | packet | is |
//! |---|---|
//! | 0 | header: page number, subcode, control bits C4 to C14; what is in the magazine's other packets belongs to it |
//! | 1 to 24 | a row of 40 characters and spacing attributes, with odd parity |
//! | 26 | characters that the rows have no code for, with their places |
//! | 28, 29 | character sets of the page, of the magazine |
//!
//! Level 1.5 is decoded, as far as it is text: mosaics are spaces, double height is a row. Arabic and
//! Hebrew are not: they are sent in the order in which they are seen.
//!
//! Invariants
//! - A byte with a parity error is a space; what Hamming codes cannot repair is left out.
//! - Lines have neither control characters nor two spaces in a row, and are never empty.
//! - Memory: 1 KiB for each page that is asked for, and its enhancements, at most 208 characters.

mod charset;
mod decoder;
mod hamming;
mod page;

pub use charset::is_written;
pub use decoder::Decoder;

/// A page that is to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// Magazine 1 to 8, then two hexadecimal digits: page 888 is 0x888.
    pub number: u16,
    /// ISO 639 code of its language, which tells the character set where the stream does not.
    pub language: String,
}

/// What a page shows from some time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Index of the page among those of the [`Decoder`].
    pub page: usize,
    /// Since when, on the timeline of the PES packets. Comes again with the same time while the page is
    /// being received.
    pub time: i64,
    /// What; no lines for nothing.
    pub text: Text,
}

/// Lines of text on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text {
    /// From the top to the bottom.
    pub lines: Vec<Vec<Span>>,
    /// All of them are in the upper half of the screen.
    pub is_at_top: bool,
}

/// Text of one colour.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its colour.
    pub colour: Colour,
    /// At least one character.
    pub text: String,
}

/// Colours of characters (EN 300 706 12.2), which tell the speakers apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Colour {
    Black,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    #[default]
    White,
}

#[cfg(test)]
mod tests;
