//! Byte sizes as people write them: `65536`, `"64 KiB"`, `"8 MiB"`, `"1 GiB"`.

use serde::Serializer;

use crate::document::quoted;

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a size with a binary unit. The error says what is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (number, unit) = (number.replace('_', ""), unit.trim());
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err("does not start with a whole number".to_owned());
    }
    let by_name = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit);
    let (_, factor) = match UNITS.iter().find(by_name) {
        Some(found) => found,
        None if unit.is_empty() => return Err("has no unit".to_owned()),
        None => return Err(format!("has the unknown unit {}", quoted(unit))),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    bytes.ok_or_else(|| "is beyond 64 bits".to_owned())
}

/// Writes a size in the largest unit that divides it.
pub(crate) fn format(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(fits) {
        Some((name, factor)) => format!("{} {name}", bytes / factor),
        None => "0 B".to_owned(),
    }
}

/// Serializes a size as the file writes it, for `#[serde(serialize_with)]`.
pub(crate) fn serialize<T, S>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + TryInto<u64>,
    S: Serializer,
{
    let bytes = (*bytes).try_into().unwrap_or(u64::MAX);
    serializer.serialize_str(&format(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_binary_units_are_read() {
        for (text, bytes) in [
            ("0 B", 0),
            ("512B", 512),
            ("64 KiB", 64 << 10),
            ("  8 MiB ", 8 << 20),
            ("1gib", 1 << 30),
            ("1_024 B", 1024),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_the_reason() {
        for (text, what) in [
            ("", "does not start with a whole number"),
            ("MiB", "does not start with a whole number"),
            ("-1 MiB", "does not start with a whole number"),
            ("_ MiB", "does not start with a whole number"),
            ("64", "has no unit"),
            ("64 MB", "has the unknown unit \"MB\""),
            ("1.5 GiB", "does not start with a whole number"),
            ("99999999999999999999 B", "is beyond 64 bits"),
            ("18446744073709551615 GiB", "is beyond 64 bits"),
        ] {
            assert_eq!(parse(text), Err(what.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_written_reads_back_the_same() {
        for bytes in [0, 1, 1000, 1024, 1025, 60_000, 1 << 20, 3 << 19, 1 << 30, u64::MAX] {
            assert_eq!(parse(&format(bytes)), Ok(bytes), "{}", format(bytes));
        }
        assert_eq!(format(3 << 19), "1536 KiB");
    }
}
