//! Numbers, quantities, times and bytes: what is one, and how the server writes it.
//!
//! Does not know where a value stands.
//!
//! Source: apimachinery pkg/api/resource/{quantity,suffix}.go, apis/meta/v1/{time,micro_time}.go,
//! util/intstr @v0.36.3.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{messages::Kind, seed::timestamp, state::table::age::unix_seconds};

/// Why a value is none of its type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is another one of JSON's.
    Type,
    /// What its own decoder says.
    Said(String),
}

/// Checks a value, and writes it as the server does.
pub(super) fn settle(kind: Kind, value: &mut Value) -> Result<(), Fault> {
    match kind {
        Kind::Bytes => match value.as_str() {
            Some(text) => check_bytes(text),
            None => Err(Fault::Type),
        },
        Kind::Int32 => integer(value, i32::MIN.into(), i32::MAX.into()),
        Kind::Int64 => integer(value, i64::MIN, i64::MAX),
        Kind::IntOrString if value.is_string() => Ok(()),
        Kind::IntOrString => integer(value, i32::MIN.into(), i32::MAX.into()),
        Kind::MicroTime | Kind::Time => {
            let text = value.as_str().ok_or(Fault::Type)?;
            // An empty time is none, but only a null says so.
            let settled = time(kind, text).ok_or_else(|| not_a_time(kind, text))?;
            *value = settled.into();
            Ok(())
        }
        Kind::Quantity => {
            let text = match &*value {
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return Err(Fault::Said(NOT_A_QUANTITY.to_owned())),
            };
            let settled = quantity(&text).ok_or_else(|| Fault::Said(NOT_A_QUANTITY.to_owned()))?;
            *value = settled.into();
            Ok(())
        }
        Kind::Bool
        | Kind::Float
        | Kind::Message(_)
        | Kind::MessageOrOther(_)
        | Kind::Raw
        | Kind::String => Err(Fault::Type),
    }
}

fn integer(value: &Value, min: i64, max: i64) -> Result<(), Fault> {
    match value.as_i64() {
        Some(number) if (min..=max).contains(&number) => Ok(()),
        _ => Err(Fault::Type),
    }
}

fn check_bytes(text: &str) -> Result<(), Fault> {
    match STANDARD.decode(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                    text.len() / 4 * 4
                }
            };
            Err(Fault::Said(format!(
                "illegal base64 data at input byte {at}"
            )))
        }
    }
}

/// Times are kept to the second, those with a fraction to the microsecond, in UTC.
fn time(kind: Kind, text: &str) -> Option<String> {
    let seconds = u64::try_from(unix_seconds(text)?).ok()?;
    let whole = timestamp(seconds);
    if kind == Kind::Time {
        return Some(whole);
    }
    let fraction = text.get(19..)?.strip_prefix('.')?;
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    (digits == 6).then(|| format!("{}.{}Z", whole.trim_end_matches('Z'), &fraction[..6]))
}

fn not_a_time(kind: Kind, text: &str) -> Fault {
    let layout = match kind {
        Kind::MicroTime => "2006-01-02T15:04:05.000000Z07:00",
        _ => "2006-01-02T15:04:05Z07:00",
    };
    let rest = text.get(19..).unwrap_or_default();
    let (rest, part) = match kind {
        Kind::MicroTime if unix_seconds(text).is_some() => (rest, ".000000"),
        _ => (text, "2006"),
    };
    Fault::Said(format!(
        "parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}"
    ))
}

/// A quantity in the shortest form of its own family of suffixes; nothing if it is none.
fn quantity(text: &str) -> Option<String> {
    let (is_negative, family, nanos) = parts(text)?;
    // Larger numbers are cut off there; here they stay as they are written.
    let Some(nanos) = nanos else {
        return Some(text.to_owned());
    };
    let shown = family.show(nanos);
    Some(if is_negative && nanos != 0 {
        format!("-{shown}")
    } else {
        shown
    })
}

/// A quantity in billionths, if it is one that fits.
pub(in crate::state) fn nanos_of(text: &str) -> Option<i128> {
    let (is_negative, _, nanos) = parts(text)?;
    nanos.map(|nanos| if is_negative { -nanos } else { nanos })
}

/// Whether it is negative, how it is written, and its billionths, where they fit.
fn parts(text: &str) -> Option<(bool, Family, Option<i128>)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let len = unsigned
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let (digits, suffix) = unsigned.split_at(len);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let family = Family::of(suffix)?;
    let nanos = nanos(whole, fraction, &family);
    Some((text.starts_with('-'), family, nanos))
}

/// The suffixes that go together, and the power that one of them stands for.
enum Family {
    /// Powers of 1024.
    Binary(u32),
    /// Powers of 1000: `n`, `u`, `m`, none, `k` ..
    Decimal(i32),
    /// Powers of ten that are written out.
    Exponent(i32),
}

impl Family {
    fn of(suffix: &str) -> Option<Self> {
        if let Some(power) = BINARY.iter().position(|it| *it == suffix) {
            return Some(Self::Binary(u32::try_from(power).ok()? + 1));
        }
        if let Some(power) = DECIMAL.iter().position(|it| *it == suffix) {
            return Some(Self::Decimal((i32::try_from(power).ok()? - 3) * 3));
        }
        let power = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        Some(Self::Exponent(power))
    }

    fn show(&self, nanos: i128) -> String {
        let units = nanos / NANOS;
        let (is_whole, is_small) = (nanos % NANOS == 0, units < 1024);
        if let (Self::Binary(_), true, false) = (self, is_whole, is_small) {
            let (mut units, mut power) = (units, 0);
            while units % 1024 == 0 && power < BINARY.len() {
                (units, power) = (units / 1024, power + 1);
            }
            let suffix = power.checked_sub(1).map_or("", |at| BINARY[at]);
            return format!("{units}{suffix}");
        }
        let (mut mantissa, mut place) = (nanos, 0);
        while mantissa != 0 && mantissa % 1000 == 0 && place + 1 < DECIMAL.len() {
            (mantissa, place) = (mantissa / 1000, place + 1);
        }
        if mantissa == 0 {
            return "0".to_owned();
        }
        let power = place.cast_signed() * 3 - 9;
        match self {
            Self::Exponent(_) if power != 0 => format!("{mantissa}e{power}"),
            Self::Exponent(_) => mantissa.to_string(),
            Self::Binary(_) | Self::Decimal(_) => format!("{mantissa}{}", DECIMAL[place]),
        }
    }
}

/// The value in billionths, rounded up; nothing where it is too large for one.
fn nanos(whole: &str, fraction: &str, family: &Family) -> Option<i128> {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mantissa: i128 = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    let places = i32::try_from(fraction.len()).ok()?;
    let (factor, power) = match family {
        Family::Binary(power) => (1024_i128.checked_pow(*power)?, 9 - places),
        Family::Decimal(power) | Family::Exponent(power) => (1, power.checked_add(9)? - places),
    };
    let scaled = mantissa.checked_mul(factor)?;
    let ten = |power: i32| 10_i128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return scaled.checked_mul(ten(power)?);
    }
    // So small that nothing but the rounding is left of it.
    let divisor = ten(power).unwrap_or(i128::MAX);
    Some(scaled / divisor + i128::from(scaled % divisor != 0))
}

const NANOS: i128 = 1_000_000_000;

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// From billionths on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

const NOT_A_QUANTITY: &str = "quantities must match the regular expression \
    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_the_server_writes_them() {
        for (given, expected) in [
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("100000", "100k"),
            ("1024", "1024"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("1E", "1E"),
            ("0", "0"),
            ("-1000m", "-1"),
            ("0.0000000001", "1n"),
            ("12e-3", "12e-3"),
            ("128974848", "128974848"),
        ] {
            assert_eq!(quantity(given).as_deref(), Some(expected), "{given}");
        }
        for bad in ["", "x", "1.2.3", "1Kib", "--1", "e3", "."] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_utc_and_as_fine_as_their_type() {
        let mut value = Value::from("2026-01-02T03:04:05.678+01:00");
        assert_eq!(settle(Kind::Time, &mut value), Ok(()));
        assert_eq!(value, "2026-01-02T02:04:05Z");
        let mut value = Value::from("2026-01-02T03:04:05.678901Z");
        assert_eq!(settle(Kind::MicroTime, &mut value), Ok(()));
        assert_eq!(value, "2026-01-02T03:04:05.678901Z");
        let fault = settle(Kind::MicroTime, &mut "2026-01-02T03:04:05Z".into());
        assert!(
            matches!(fault, Err(Fault::Said(said)) if said.ends_with("cannot parse \"Z\" as \".000000\""))
        );
        assert_eq!(settle(Kind::Time, &mut 5.into()), Err(Fault::Type));
    }
}
