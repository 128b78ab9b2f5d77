//! Character sets (EN 300 706 15).

/// A set of 96 characters (G0): which one, and which national letters it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// Latin letters with the 13 characters of a national option (table 36).
    Latin(&'static str),
    /// Letters of another script for 0x40 to 0x7F (tables 37 to 40).
    Script(&'static str),
}

/// True when the script of a language can be decoded, by its ISO 639 code.
pub fn is_written(language: &str) -> bool {
    !matches!(language, "ara" | "heb" | "fas" | "per" | "urd" | "yid" | "kur" | "pus" | "snd")
}

/// The regions of the designation in packets 28 and 29 (table 33) that suit a language, where the stream
/// has none: what broadcasters of it agree on (table 32, note).
pub(super) fn regions_of(language: &str) -> &'static [u8] {
    match language {
        "pol" => &[1],
        "tur" => &[2],
        "hrv" | "scr" | "slv" | "bos" | "ron" | "rum" | "mol" => &[3],
        "srp" | "scc" | "mkd" | "mac" => &[3, 4],
        "est" | "lav" | "lit" | "rus" | "bul" | "ukr" | "bel" => &[4],
        "ell" | "gre" => &[6],
        _ => &[],
    }
}

impl Charset {
    /// The set of a designation: a region and the national option of the page's header, C12 to C14
    /// (table 33). What a region has not is that of western Europe.
    pub(super) fn new(regions: &[u8], option: u8) -> Self {
        let own = regions.iter().find_map(|region| Self::of_region(*region, option));
        own.unwrap_or_else(|| Self::Latin(WESTERN.get(usize::from(option)).unwrap_or(&ENGLISH)))
    }

    fn of_region(region: u8, option: u8) -> Option<Self> {
        Some(match (region, option) {
            (1, 0) => Self::Latin(POLISH),
            (2 | 6, 6) => Self::Latin(TURKISH),
            (3, 5) => Self::Latin(SERBIAN_CROATIAN_SLOVENIAN),
            (3, 7) => Self::Latin(RUMANIAN),
            (4, 0) => Self::Script(CYRILLIC_SERBIAN),
            (4, 2) => Self::Latin(ESTONIAN),
            (4, 3) => Self::Latin(LETTISH_LITHUANIAN),
            (4, 4) => Self::Script(CYRILLIC_RUSSIAN),
            (4, 5) => Self::Script(CYRILLIC_UKRAINIAN),
            (6, 7) => Self::Script(GREEK),
            _ => return None,
        })
    }

    /// The character of a code from 0x20 to 0x7F; a space for what is a block or has none.
    pub(super) fn character(self, code: u8) -> char {
        let nth = |set: &str, index: usize| set.chars().nth(index).unwrap_or(' ');
        match (self, code) {
            (_, ..=0x20 | 0x7F..) => ' ',
            (Self::Latin(national), _) => {
                let place = NATIONAL_CODES.iter().position(|national| *national == code);
                place.map_or(char::from(code), |place| nth(national, place))
            }
            (Self::Script(set), 0x40..) => nth(set, usize::from(code - 0x40)),
            (Self::Script(CYRILLIC_RUSSIAN), 0x26) => 'ы',
            (Self::Script(CYRILLIC_UKRAINIAN), 0x26) => 'ї',
            (Self::Script(GREEK), 0x3C) => '«',
            (Self::Script(GREEK), 0x3E) => '»',
            (Self::Script(_), _) => char::from(code),
        }
    }
}

/// The supplementary character (G2, table 41) of a code from 0x20 to 0x7F.
pub(super) fn supplementary(code: u8) -> char {
    let place = usize::from(code).checked_sub(0x20);
    place.and_then(|place| G2.chars().nth(place)).unwrap_or(' ')
}

/// A letter with diacritical mark 0 to 15 (column 4 of G2): the letter that has it, or the letter and
/// the mark that is put on it.
pub(super) fn accented(letter: char, mark: u8) -> (char, Option<char>) {
    let Some((sign, pairs)) = usize::from(mark).checked_sub(1).and_then(|at| MARKS.get(at)) else {
        return (letter, None);
    };
    let mut pairs = pairs.chars();
    while let (Some(plain), Some(composed)) = (pairs.next(), pairs.next()) {
        if plain == letter {
            return (composed, None);
        }
    }
    (letter, letter.is_alphabetic().then_some(*sign))
}

/// Codes for which nations have their own characters.
const NATIONAL_CODES: [u8; 13] =
    [0x23, 0x24, 0x40, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x7B, 0x7C, 0x7D, 0x7E];

/// By C12 to C14.
const WESTERN: [&str; 7] =
    [ENGLISH, GERMAN, SWEDISH_FINNISH_HUNGARIAN, ITALIAN, FRENCH, PORTUGUESE_SPANISH, CZECH_SLOVAK];
const ENGLISH: &str = "£$@←½→↑#—¼‖¾÷";
const GERMAN: &str = "#$§ÄÖÜ^_°äöüß";
const SWEDISH_FINNISH_HUNGARIAN: &str = "#¤ÉÄÖÅÜ_éäöåü";
const ITALIAN: &str = "£$é°ç→↑#ùàòèì";
const FRENCH: &str = "éïàëêùî#èâôûç";
const PORTUGUESE_SPANISH: &str = "ç$¡áéíóú¿üñèà";
const CZECH_SLOVAK: &str = "#ůčťžýířéáěúš";
const POLISH: &str = "#ńąŻŚŁćóężśłź";
const TURKISH: &str = "₺ğİŞÖÇÜĞışöçü";
const SERBIAN_CROATIAN_SLOVENIAN: &str = "#ËČĆŽĐŠëčćžđš";
const RUMANIAN: &str = "#¤ŢÂŞĂÎıţâşăî";
const ESTONIAN: &str = "#õŠÄÖŽÜÕšäöžü";
const LETTISH_LITHUANIAN: &str = "#$ŠėęŽčūšąųžį";
const CYRILLIC_SERBIAN: &str = "ЧАБЦДЕФГХИЈКЛМНОПЌРСТУВЃЉЊЗЋЖЂШЏ\
                                чабцдефгхијклмнопќрстувѓљњзћжђш";
const CYRILLIC_RUSSIAN: &str = "ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬЪЗШЭЩЧЫ\
                                юабцдефгхийклмнопярстужвьъзшэщч";
const CYRILLIC_UKRAINIAN: &str = "ЮАБЦДЕФГХИЙКЛМНОПЯРСТУЖВЬІЗШЄЩЧЇ\
                                  юабцдефгхийклмнопярстужвьізшєщч";
const GREEK: &str = "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡ΄ΣΤΥΦΧΨΩΪΫάέήί\
                     ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώ";

const G2: &str = " ¡¢£$¥#§¤‘“«←↑→↓°±²³×µ¶·÷’”»¼½¾¿ `´ˆ˜¯˘˙¨.˚¸_˝˛ˇ―¹®©™♪€‰∝   ⅛⅜⅝⅞\
                  ΩÆĐªĦ ĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ ";

/// Marks 1 to 15: the one that is put on any letter, and the letters that have it.
const MARKS: [(char, &str); 15] = [
    ('\u{300}', "AÀaàEÈeèIÌiìNǸnǹOÒoòUÙuùWẀwẁYỲyỳ"),
    ('\u{301}', "AÁaáCĆcćEÉeéGǴgǵIÍiíLĹlĺNŃnńOÓoóRŔrŕSŚsśUÚuúWẂwẃYÝyýZŹzź"),
    ('\u{302}', "AÂaâCĈcĉEÊeêGĜgĝHĤhĥIÎiîJĴjĵOÔoôSŜsŝUÛuûWŴwŵYŶyŷ"),
    ('\u{303}', "AÃaãIĨiĩNÑnñOÕoõUŨuũ"),
    ('\u{304}', "AĀaāEĒeēIĪiīOŌoōUŪuū"),
    ('\u{306}', "AĂaăEĔeĕGĞgğIĬiĭOŎoŏUŬuŭ"),
    ('\u{307}', "CĊcċEĖeėGĠgġIİZŻzż"),
    ('\u{308}', "AÄaäEËeëIÏiïOÖoöUÜuüWẄwẅYŸyÿ"),
    ('\u{323}', ""),
    ('\u{30A}', "AÅaåUŮuů"),
    ('\u{327}', "CÇcçGĢgģKĶkķLĻlļNŅnņRŖrŗSŞsşTŢtţ"),
    ('\u{332}', ""),
    ('\u{30B}', "OŐoőUŰuű"),
    ('\u{328}', "AĄaąEĘeęIĮiįUŲuų"),
    ('\u{30C}', "CČcčDĎdďEĚeěGǦgǧLĽlľNŇnňRŘrřSŠsšTŤtťZŽzž"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_as_many_characters_as_codes() {
        let latin = [POLISH, TURKISH, SERBIAN_CROATIAN_SLOVENIAN, RUMANIAN, ESTONIAN];
        for set in WESTERN.iter().chain(&latin).chain(&[LETTISH_LITHUANIAN]) {
            assert_eq!(set.chars().count(), NATIONAL_CODES.len(), "{set}");
        }
        for set in [CYRILLIC_SERBIAN, CYRILLIC_RUSSIAN, CYRILLIC_UKRAINIAN, GREEK] {
            assert_eq!(set.chars().count(), 63, "{set}");
        }
        assert_eq!(G2.chars().count(), 96);
        assert!(MARKS.iter().all(|(_, pairs)| pairs.chars().count() % 2 == 0));
    }

    #[test]
    fn letters_get_their_marks() {
        assert_eq!(accented('o', 13), ('ő', None));
        assert_eq!(accented('q', 1), ('q', Some('\u{300}')));
        assert_eq!(accented('A', 0), ('A', None));
        assert_eq!(accented('!', 2), ('!', None));
        assert_eq!(accented('A', 16), ('A', None));
    }
}
