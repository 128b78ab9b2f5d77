//! Until when a certificate is valid (RFC 5280 4.1.2.5), read from its DER.

/// Seconds since 1970 at which it ends to be valid; `None` where the bytes are no certificate.
///
/// ```text
/// Certificate  SEQUENCE
///   tbs        SEQUENCE
///     version  [0], left out in version 1
///     serial   INTEGER
///     algorithm, issuer   SEQUENCE each
///     validity SEQUENCE   notBefore, notAfter
/// ```
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (SEQUENCE, certificate, _) = value(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = value(certificate)? else { return None };
    let (tag, _, behind) = value(rest)?;
    if tag == VERSION {
        rest = behind;
    }
    for expected in [INTEGER, SEQUENCE, SEQUENCE] {
        let (tag, _, behind) = value(rest)?;
        if tag != expected {
            return None;
        }
        rest = behind;
    }
    let (SEQUENCE, validity, _) = value(rest)? else { return None };
    let (_, _, rest) = value(validity)?;
    let (tag, text, _) = value(rest)?;
    seconds(tag, text)
}

/// Tag, content and what is behind it. DER has one way to say a length.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime `YYMMDDhhmmssZ` counts from 1950; GeneralizedTime has the whole year.
fn seconds(tag: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |range: std::ops::Range<usize>| {
        let digits = digits.get(range)?;
        let is_digit = digits.iter().all(u8::is_ascii_digit);
        is_digit.then(|| digits.iter().fold(0, |sum, &digit| sum * 10 + u64::from(digit - b'0')))
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (number(0..2)?, 2),
        (GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let year = match (tag, year) {
        (UTC_TIME, 0..50) => 2000 + year,
        (UTC_TIME, _) => 1900 + year,
        _ => year,
    };
    let [month, day, hour, minute, second] =
        [0, 2, 4, 6, 8].map(|offset| number(at + offset..at + offset + 2));
    let days = days_since_1970(year, month?, day?)?;
    Some(((days * 24 + hour?) * 60 + minute?) * 60 + second?)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let years = if month > 2 { year } else { year - 1 };
    let days_before = (153 * ((month + 9) % 12) + 2) / 5;
    let leap_days = years / 4 - years / 100 + years / 400;
    Some((years * 365 + leap_days + days_before + day).saturating_sub(DAYS_BEFORE_1970))
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
/// What the sum above gives for 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_469;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1990, 1, 1);
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_from_either_form_of_time() {
        // Seconds by `date -u -d DAY +%s`. Beyond 2049 the time is a GeneralizedTime.
        for ((year, month, day), seconds) in [
            ((2000, 2, 29), 951_782_400),
            ((2000, 3, 1), 951_868_800),
            ((2026, 12, 31), 1_798_675_200),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((2100, 3, 1), 4_107_542_400),
        ] {
            let der = certificate(year, month, day);
            assert_eq!(not_after(&der), Some(seconds), "{year}-{month}-{day}");
        }
        assert_eq!(seconds(UTC_TIME, b"700101000001Z"), Some(1));
        assert_eq!(seconds(UTC_TIME, b"490101000000Z"), Some(2_493_072_000));
    }

    #[test]
    fn what_is_cut_or_changed_is_no_certificate_and_no_panic() {
        let der = certificate(2030, 1, 1);
        for at in 0..der.len() {
            assert_eq!(not_after(&der[..at]), None, "{at}");
            for change in [0xff, 0x80, 0x01] {
                let mut changed = der.clone();
                changed[at] ^= change;
                let _ = not_after(&changed);
            }
        }
        for text in ["300101000000", "301301000000Z", "300100000000Z", "3001010000xxZ", "Z", ""] {
            assert_eq!(seconds(UTC_TIME, text.as_bytes()), None, "{text}");
        }
    }
}
