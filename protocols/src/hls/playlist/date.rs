//! Dates as ISO 8601 writes them (RFC 8216 4.3.2.6).

use std::fmt;

/// Microseconds since 1970, shown as `2026-11-22T15:58:03.123Z`: UTC, with milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Date(pub(super) u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.min(LATEST_US) / 1000;
        let (days, of_day) = (millis / DAY_MS, millis % DAY_MS);
        let (year, month, day) = civil(days);
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, of a number of days since 1970.
///
/// Years are counted from March, so that the day that leap years add is the last one; the calendar
/// repeats every 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_0_TO_1970;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leaps = of_era / 1460 - of_era / 36_524 + of_era / (DAYS_PER_ERA - 1);
    let year_of_era = (of_era - leaps) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days, again and again: 153 days in five.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// The end of the year 9999: years have four digits.
const LATEST_US: u64 = 253_402_300_799_999_999;

const DAY_MS: u64 = 86_400_000;

/// Days of 400 years.
const DAYS_PER_ERA: u64 = 146_097;

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_0_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `date -u -d @SECONDS +%FT%T`.
    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (68_169_599, "1972-02-28T23:59:59"),
            (68_169_600, "1972-02-29T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_795_363_083, "2026-11-22T15:58:03"),
            (1_798_761_599, "2026-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (253_402_300_799, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(Date(seconds * 1_000_000 + 7999).to_string(), format!("{text}.007Z"));
        }
        assert_eq!(Date(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
