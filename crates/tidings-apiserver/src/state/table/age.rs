//! How long ago something was, in the few letters of a column.
//!
//! Does not read a clock: the present is handed in, in seconds since 1970.
//!
//! Source: apimachinery pkg/util/duration/duration.go @v0.36.3.

use serde_json::Value;

/// The time since an RFC 3339 timestamp: `5m3s`, or `<unknown>` where there is none.
pub(super) fn since(timestamp: &Value, now: u64) -> String {
    match timestamp.as_str().and_then(unix_seconds) {
        None => "<unknown>".to_owned(),
        Some(then) => human(now.cast_signed().saturating_sub(then)),
    }
}

/// Two or three significant figures of a duration in seconds.
pub(super) fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: (i64, char), small: (i64, char)| match small.0 {
        0 => format!("{}{}", large.0, large.1),
        rest => format!("{}{}{rest}{}", large.0, large.1, small.1),
    };
    match seconds {
        // Clocks may differ a little.
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two((seconds / MINUTE, 'm'), (seconds % MINUTE, 's')),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two((seconds / HOUR, 'h'), (seconds / MINUTE % 60, 'm')),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two((seconds / DAY, 'd'), (seconds / HOUR % 24, 'h')),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two((seconds / YEAR, 'y'), (seconds / DAY % 365, 'd')),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Seconds since 1970 of `2026-01-02T03:04:05[.678](Z|+01:00)`.
pub(in crate::state) fn unix_seconds(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_laid_out = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')]
        .iter()
        .all(|&(at, mark)| text[at..].starts_with(mark));
    if !is_laid_out || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = text
        .get(19..)?
        .trim_start_matches(|it: char| it == '.' || it.is_ascii_digit());
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), ..] if zone.len() == 6 => {
            let minutes =
                zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..)?.parse::<i64>().ok()?;
            if *sign == b'-' {
                -60 * minutes
            } else {
                60 * minutes
            }
        }
        _ => return None,
    };
    // A civil date to days, by eras of 400 years that begin on 1 March (Hinnant).
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}
