//! Languages: ISO 639-2 codes, as broadcasters write them, as the tags of RFC 5646, and as names.

/// A language as a playlist has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Language<'a> {
    /// For LANGUAGE; empty when it is unknown.
    pub(super) tag: &'a str,
    /// What it calls itself; its tag when that is not known here.
    pub(super) name: &'a str,
}

/// The language of a code: ISO 639-2, terminological or bibliographic, or a tag already. Codes that say
/// that nothing is said, and what is no tag, are no language.
pub(super) fn language(code: &str) -> Language<'_> {
    let is_it = |row: &&Row| [row.0, row.1, row.2].contains(&code);
    if let Some((.., tag, name)) = LANGUAGES.iter().find(is_it) {
        return Language { tag, name };
    }
    let is_tag = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // Undetermined, no linguistic content, original sound ("qaa" of DVB: any language).
    let tag = if is_tag && !matches!(code, "und" | "zxx" | "qaa") { code } else { "" };
    Language { tag, name: tag }
}

/// ISO 639-2/T, ISO 639-2/B, ISO 639-1, name.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// Those of the broadcasters of Europe and of their neighbours. RFC 5646 2.2.1 wants the shortest code.
const LANGUAGES: [Row; 60] = [
    ("ara", "ara", "ar", "العربية"),
    ("bel", "bel", "be", "Беларуская"),
    ("bos", "bos", "bs", "Bosanski"),
    ("bre", "bre", "br", "Brezhoneg"),
    ("bul", "bul", "bg", "Български"),
    ("cat", "cat", "ca", "Català"),
    ("ces", "cze", "cs", "Čeština"),
    ("cos", "cos", "co", "Corsu"),
    ("cym", "wel", "cy", "Cymraeg"),
    ("dan", "dan", "da", "Dansk"),
    ("deu", "ger", "de", "Deutsch"),
    ("ell", "gre", "el", "Ελληνικά"),
    ("eng", "eng", "en", "English"),
    ("est", "est", "et", "Eesti"),
    ("eus", "baq", "eu", "Euskara"),
    ("fao", "fao", "fo", "Føroyskt"),
    ("fas", "per", "fa", "فارسی"),
    ("fin", "fin", "fi", "Suomi"),
    ("fra", "fre", "fr", "Français"),
    ("fry", "fry", "fy", "Frysk"),
    ("gla", "gla", "gd", "Gàidhlig"),
    ("gle", "gle", "ga", "Gaeilge"),
    ("glg", "glg", "gl", "Galego"),
    ("heb", "heb", "he", "עברית"),
    ("hin", "hin", "hi", "हिन्दी"),
    ("hrv", "scr", "hr", "Hrvatski"),
    ("hun", "hun", "hu", "Magyar"),
    ("hye", "arm", "hy", "Հայերեն"),
    ("isl", "ice", "is", "Íslenska"),
    ("ita", "ita", "it", "Italiano"),
    ("jpn", "jpn", "ja", "日本語"),
    ("kat", "geo", "ka", "ქართული"),
    ("kaz", "kaz", "kk", "Қазақша"),
    ("kor", "kor", "ko", "한국어"),
    ("kur", "kur", "ku", "Kurdî"),
    ("lav", "lav", "lv", "Latviešu"),
    ("lit", "lit", "lt", "Lietuvių"),
    ("ltz", "ltz", "lb", "Lëtzebuergesch"),
    ("mkd", "mac", "mk", "Македонски"),
    ("mlt", "mlt", "mt", "Malti"),
    ("nld", "dut", "nl", "Nederlands"),
    ("nno", "nno", "nn", "Norsk nynorsk"),
    ("nob", "nob", "nb", "Norsk bokmål"),
    ("nor", "nor", "no", "Norsk"),
    ("pol", "pol", "pl", "Polski"),
    ("por", "por", "pt", "Português"),
    ("roh", "roh", "rm", "Rumantsch"),
    ("ron", "rum", "ro", "Română"),
    ("rus", "rus", "ru", "Русский"),
    ("slk", "slo", "sk", "Slovenčina"),
    ("slv", "slv", "sl", "Slovenščina"),
    ("sme", "sme", "se", "Davvisámegiella"),
    ("spa", "spa", "es", "Español"),
    ("sqi", "alb", "sq", "Shqip"),
    ("srp", "scc", "sr", "Српски"),
    ("swe", "swe", "sv", "Svenska"),
    ("tur", "tur", "tr", "Türkçe"),
    ("ukr", "ukr", "uk", "Українська"),
    ("vie", "vie", "vi", "Tiếng Việt"),
    ("zho", "chi", "zh", "中文"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_becomes_the_shortest_tag() {
        for (code, tag, name) in [
            ("deu", "de", "Deutsch"),
            ("ger", "de", "Deutsch"),
            ("de", "de", "Deutsch"),
            ("gsw", "gsw", "gsw"),
            ("pt-BR", "pt-BR", "pt-BR"),
            ("und", "", ""),
            ("qaa", "", ""),
            ("", "", ""),
            ("d\"e", "", ""),
        ] {
            assert_eq!(language(code), Language { tag, name }, "{code}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_its_names_fit_between_quotes() {
        assert!(LANGUAGES.is_sorted_by(|one, next| one.0 < next.0));
        assert!(LANGUAGES.iter().all(|row| (row.0.len(), row.2.len()) == (3, 2)));
        assert!(LANGUAGES.iter().all(|row| !row.3.contains(['"', '\n'])));
    }
}
