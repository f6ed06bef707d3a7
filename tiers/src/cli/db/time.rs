//! Times as people read them.

const DAY_SECONDS: u64 = 86_400;
/// Years of four digits; what is later is shown in seconds.
const SECONDS_MAX: u64 = 253_402_300_800;

/// `seconds` since 1970-01-01 00:00 UTC as `2024-01-01 00:00:00 UTC`.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`, whose years begin in March so that the day
/// that is added in some comes last.
pub(super) fn utc(seconds: u64) -> String {
    if seconds >= SECONDS_MAX {
        return format!("{seconds} s");
    }
    let (days, second) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_have_their_dates() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_704_067_199, "2023-12-31 23:59:59 UTC"),
            (1_709_210_096, "2024-02-29 12:34:56 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (SECONDS_MAX - 1, "9999-12-31 23:59:59 UTC"),
            (SECONDS_MAX, "253402300800 s"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
