use super::*;
use encoder::{C4_ERASE, C5_NEWSFLASH, C6_SUBTITLE, C10_INHIBIT, C11_SERIAL};

#[path = "../../tests/support/teletext.rs"]
pub(super) mod encoder;

const PAGE: u16 = 0x888;
const SUBTITLES: u16 = C4_ERASE | C6_SUBTITLE;

fn decoder(language: &str) -> Decoder {
    Decoder::new(&[Page { number: PAGE, language: language.to_owned() }])
}

fn push(decoder: &mut Decoder, time: i64, packets: &[Vec<u8>]) -> Vec<Shown> {
    let mut all = Vec::new();
    decoder.push(&encoder::payload(packets), time, |shown| all.push(shown));
    all
}

/// The lines without colours.
fn plain(text: &Text) -> Vec<String> {
    let line = |spans: &Vec<Span>| spans.iter().map(|span| span.text.as_str()).collect();
    text.lines.iter().map(line).collect()
}

/// What a page of these packets behind its header shows.
fn shown(language: &str, control: u16, packets: &[Vec<u8>]) -> Vec<String> {
    let packets = [&[encoder::header(PAGE, control)], packets].concat();
    let all = push(&mut decoder(language), 5, &packets);
    assert_eq!((all.len(), all[0].time, all[0].page), (1, 5, 0));
    plain(&all[0].text)
}

fn row(number: u8, text: &[u8]) -> Vec<u8> {
    encoder::row(PAGE, number, &encoder::boxed(text))
}

#[test]
fn rows_in_boxes_are_lines_until_the_page_is_erased() {
    let mut decoder = decoder("eng");
    let packets =
        [encoder::header(PAGE, SUBTITLES), row(20, b"Good  evening."), row(22, b" and #5 ")];
    let all = push(&mut decoder, 90_000, &packets);
    assert_eq!(plain(&all[0].text), ["Good evening.", "and £5"]);
    assert!(!all[0].text.is_at_top);
    // A filler header of another page, then nothing new.
    assert_eq!(push(&mut decoder, 93_600, &[encoder::header(0x8FF, 0)]), []);
    let all = push(&mut decoder, 180_000, &[encoder::header(PAGE, SUBTITLES)]);
    assert_eq!(all, [Shown { page: 0, time: 180_000, text: Text::default() }]);
}

#[test]
fn a_page_may_come_in_pieces_and_has_the_time_of_its_header() {
    let mut decoder = decoder("eng");
    let first = push(&mut decoder, 100, &[encoder::header(PAGE, SUBTITLES)]);
    assert_eq!((first[0].time, first[0].text.lines.len()), (100, 0));
    let second = push(&mut decoder, 200, &[row(20, b"one")]);
    assert_eq!((second[0].time, plain(&second[0].text)), (100, vec!["one".to_owned()]));
    // Without C4, what is not sent again stays.
    let third = push(&mut decoder, 300, &[encoder::header(PAGE, C6_SUBTITLE), row(22, b"two")]);
    assert_eq!((third[0].time, plain(&third[0].text)), (300, vec!["one".into(), "two".into()]));
}

#[test]
fn what_is_behind_the_header_of_another_page_is_not_ours() {
    let page = [encoder::header(PAGE, SUBTITLES), row(20, b"ours")];
    let other = |number, control| {
        let mut decoder = decoder("eng");
        let header = encoder::header(number, control);
        push(&mut decoder, 1, &[&page[..], &[header, row(22, b"theirs")]].concat())
    };
    let lines = |all: &[Shown]| plain(&all.last().expect("told").text);
    assert_eq!(lines(&other(0x801, 0)), ["ours"], "same magazine");
    assert_eq!(lines(&other(0x101, 0)), ["ours", "theirs"], "another one, in parallel");
    assert_eq!(lines(&other(0x101, C11_SERIAL)), ["ours"], "another one, in series");
    let mut damaged = encoder::header(0x801, 0);
    damaged[2] ^= 0x03;
    let mut decoder = decoder("eng");
    let packets = [&page[..], &[damaged, row(22, b"whose?")]].concat();
    assert_eq!(lines(&push(&mut decoder, 1, &packets)), ["ours"]);
}

#[test]
fn two_pages_of_one_stream_are_told_apart() {
    let page = |number| Page { number, language: "eng".to_owned() };
    let mut decoder = Decoder::new(&[page(0x150), page(0x299)]);
    let packets = [0x150, 0x299].map(|number| {
        let text = encoder::boxed(format!("page {number:x}").as_bytes());
        [encoder::header(number, SUBTITLES), encoder::row(number, 20, &text)]
    });
    // The rows come in turns.
    let [[one, row_of_one], [two, row_of_two]] = packets;
    let all = push(&mut decoder, 7, &[one, two, row_of_one, row_of_two]);
    let told: Vec<_> = all.iter().map(|shown| (shown.page, plain(&shown.text))).collect();
    assert_eq!(told, [(0, vec!["page 150".to_owned()]), (1, vec!["page 299".to_owned()])]);
}

#[test]
fn what_is_not_in_a_box_is_not_seen_on_subtitles_and_newsflashes() {
    let rows = [encoder::row(PAGE, 20, b"out\x0B\x0Bin\x0A\x0Aout")];
    assert_eq!(shown("eng", C6_SUBTITLE, &rows), ["in"]);
    assert_eq!(shown("eng", C5_NEWSFLASH, &rows), ["in"]);
    assert_eq!(shown("eng", 0, &rows), ["out in out"]);
    assert_eq!(shown("eng", SUBTITLES | C10_INHIBIT, &rows), [""; 0]);
}

#[test]
fn colours_tell_speakers_apart_and_mosaics_and_concealed_text_are_spaces() {
    let mut decoder = decoder("eng");
    let line = row(3, b"\x03Who?\x06Me!\x17\x7F\x35A\x18secret\x01x");
    let all = push(&mut decoder, 1, &[encoder::header(PAGE, SUBTITLES), line]);
    let spans = &all[0].text.lines[0];
    let expected = [
        (Colour::Yellow, "Who?"),
        (Colour::Cyan, " Me!"),
        (Colour::White, " A"),
        (Colour::Red, " x"),
    ];
    let spans: Vec<_> = spans.iter().map(|span| (span.colour, span.text.as_str())).collect();
    assert_eq!(spans, expected);
    assert!(all[0].text.is_at_top);
}

#[test]
fn a_parity_error_is_a_space_and_the_row_below_double_height_is_covered() {
    let mut damaged = row(20, b"abc");
    damaged[2 + 4] ^= 0x01;
    let rows =
        [damaged, row(21, b"covered"), encoder::row(PAGE, 22, b"\x0B\x0Blow"), row(23, b"d")];
    assert_eq!(shown("eng", SUBTITLES, &rows), ["a c", "low", "d"]);
}

#[test]
fn national_options_have_their_letters() {
    let codes = b"\x23\x24\x40\x5B\x5C\x5D\x5E\x5F\x60\x7B\x7C\x7D\x7E";
    for (language, option, letters) in [
        ("eng", 0, "£$@←½→↑#—¼‖¾÷"),
        ("deu", 1, "#$§ÄÖÜ^_°äöüß"),
        ("swe", 2, "#¤ÉÄÖÅÜ_éäöåü"),
        ("ita", 3, "£$é°ç→↑#ùàòèì"),
        ("fra", 4, "éïàëêùî#èâôûç"),
        ("spa", 5, "ç$¡áéíóú¿üñèà"),
        ("ces", 6, "#ůčťžýířéáěúš"),
        ("eng", 7, "£$@←½→↑#—¼‖¾÷"),
        ("pol", 0, "#ńąŻŚŁćóężśłź"),
        ("tur", 6, "₺ğİŞÖÇÜĞışöçü"),
        ("hrv", 5, "#ËČĆŽĐŠëčćžđš"),
        ("ron", 7, "#¤ŢÂŞĂÎıţâşăî"),
        ("est", 2, "#õŠÄÖŽÜÕšäöžü"),
        ("lit", 3, "#$ŠėęŽčūšąųžį"),
        ("pol", 1, "#$§ÄÖÜ^_°äöüß"),
    ] {
        let control = SUBTITLES | encoder::option(option);
        assert_eq!(shown(language, control, &[row(20, codes)]), [letters], "{language} {option}");
    }
}

#[test]
fn other_scripts_are_chosen_by_the_language_or_by_the_stream() {
    let russian = [row(20, b"pRIWET &")];
    let control = SUBTITLES | encoder::option(4);
    assert_eq!(shown("rus", control, &russian), ["пРИВЕТ ы"]);
    // Region 4, option 4, and Latin letters behind an ESC.
    let set = encoder::designation(PAGE, 28, 4 << 3, 0);
    let mixed = [set.clone(), row(20, b"pRI\x1BWET\x1BA")];
    assert_eq!(shown("eng", control, &mixed), ["пРИ WET А"]);
    let of_magazine = [encoder::designation(PAGE, 29, 4 << 3, 0x7F), russian[0].clone()];
    assert_eq!(shown("eng", control, &of_magazine), ["пРИВЕТ ы"]);
    let greek = [row(20, b"Ekkgmij\\ <a>")];
    assert_eq!(shown("ell", SUBTITLES | encoder::option(7), &greek), ["Ελληνικά «α»"]);
}

#[test]
fn enhancements_replace_the_letters_of_the_row() {
    let triplets = [
        (60, 0x04, 0), // row 20
        (3, 0x1D, b'o'),
        (4, 0x12, b'E'),
        (5, 0x0F, 0x7B),
        (6, 0x10, 0x2A),
        (7, 0x0F, 0x56),
        (8, 0x11, b'q'),
        (40, 0x04, 0), // row 24
        (3, 0x0F, 0x55),
    ];
    let packets = [encoder::enhancements(PAGE, &triplets), row(20, b"oEs*Eqx"), row(24, b"*")];
    assert_eq!(shown("hun", SUBTITLES, &packets), ["őÉß@€q\u{300}x", "♪"]);
    // Another transmission without them.
    let mut decoder = decoder("hun");
    let page = [&[encoder::header(PAGE, SUBTITLES)], &packets[..]].concat();
    push(&mut decoder, 1, &page);
    let again = push(&mut decoder, 2, &[encoder::header(PAGE, C6_SUBTITLE)]);
    assert_eq!(plain(&again[0].text), ["oEs*Eqx", "*"]);
}

#[test]
fn what_is_no_teletext_is_passed_over() {
    let mut decoder = decoder("eng");
    let mut payload = encoder::payload(&[encoder::header(PAGE, SUBTITLES), row(20, b"text")]);
    payload[0] = 0x99;
    decoder.push(&payload, 1, |shown| panic!("{shown:?}"));
    payload[0] = 0x1F;
    for end in 0..payload.len() {
        decoder.push(&payload[..end], 1, |_| {});
    }
    // A unit of another kind, and one with another length.
    payload[1] = 0xC0;
    payload[48] = 40;
    decoder.push(&payload, 2, |_| {});
    assert!(!is_written("heb") && is_written("rus"));
}
