//! Teletext: payloads of PES packets, each behind its length of two bytes.

use corelay_codecs::teletext::{Decoder, Page, Shown};
use corelay_codecs::webvtt;

/// Lines are text; a page is told with the time of a payload so far; what comes of it can be written.
pub fn run(data: &[u8]) {
    let pages = [(0x888, "pol"), (0x150, "rus"), (0x1FF, "eng")];
    let page = |(number, language): (u16, &str)| Page { number, language: language.to_owned() };
    let mut decoder = Decoder::new(&pages.map(page));
    let (mut rest, mut time) = (data, 0);
    while let Some((&[high, low], behind)) = rest.split_first_chunk() {
        let size = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        time += 1;
        decoder.push(&behind[..size], time, |shown| check(&shown, time));
        rest = &behind[size..];
    }
}

fn check(shown: &Shown, time: i64) {
    assert!(shown.page < 3 && shown.time <= time);
    assert!(shown.text.lines.len() <= 24);
    for spans in &shown.text.lines {
        let line: String = spans.iter().map(|span| span.text.as_str()).collect();
        assert!(!line.is_empty() && line.trim() == line && !line.contains("  "), "{line:?}");
        assert!(line.chars().count() <= 80 && !line.contains(char::is_control), "{line:?}");
    }
    let cue = webvtt::Cue { start: 0, end: 1, text: &shown.text };
    let written = webvtt::segment(shown.time, &[cue]);
    assert_eq!(written.matches("-->").count(), 1, "{written}");
}
