//! `depositado`: a moment in UTC, in whole seconds.

use std::fmt;

use super::FieldFault;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Always: at most 9999-12-31T23:59:59Z, the last moment that RFC 3339 can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcSeconds(u64);

const DAY: u64 = 86_400;

impl UtcSeconds {
    /// 9999-12-31T23:59:59Z.
    pub const MAX: UtcSeconds = UtcSeconds(253_402_300_799);

    /// So many seconds after 1970-01-01T00:00:00Z; a later moment than [`UtcSeconds::MAX`] is that.
    #[must_use]
    pub fn new(seconds: u64) -> UtcSeconds {
        UtcSeconds(seconds.min(Self::MAX.0))
    }

    /// The seconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A moment like `2026-11-23T02:10:00Z`: in whole seconds, in UTC, from 1970 on.
    ///
    /// # Errors
    /// Any other form, and days and times of day that there are not.
    pub fn parse(text: &str) -> Result<UtcSeconds, FieldFault> {
        parse_rfc3339(text).ok_or(FieldFault("a moment like 2026-11-23T02:10:00Z is wanted"))
    }
}

impl fmt::Display for UtcSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / DAY);
        let second_of_day = self.0 % DAY;
        let (hour, minute, second) =
            (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn parse_rfc3339(text: &str) -> Option<UtcSeconds> {
    let form = text.len() == 20
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !form {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let clock =
        hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    Some(UtcSeconds(days.checked_mul(DAY)?.checked_add(clock)?))
}

/// Year, month and day of a day counted from 1970-01-01: `civil_from_days` of Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", for the days from 1970 on. Years begin in March
/// there, so that the leap day is a year's last.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the day is at most that of 9999-12-31, and each difference is proven in the paper"
)]
fn civil_from_days(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468; // days from 0000-03-01
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The inverse, from the same paper; nothing for a day that there is not.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the year has four digits and is at least 1970, month and day have two"
)]
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - u64::from(month <= 2);
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // 31 February and its like land in the month after.
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_until_9999_comes_back() {
        let mut before = (1969, 12, 31);
        for day in 0..=UtcSeconds::MAX.get() / DAY {
            let civil = civil_from_days(day);
            assert!(civil > before, "day {day}");
            assert_eq!(days_from_civil(civil.0, civil.1, civil.2), Some(day));
            before = civil;
        }
        assert_eq!(before, (9999, 12, 31));
        assert_eq!(UtcSeconds::MAX.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn days_and_times_that_there_are_not() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+",
            "2026-01-01 00:00:00Z",
            "+026-01-01T00:00:00Z",
            "",
        ] {
            assert!(UtcSeconds::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            UtcSeconds::parse("2024-02-29T00:00:00Z").map(UtcSeconds::get),
            Ok(1_709_164_800)
        );
    }
}
