//! Durations and sizes as people write them: `"250ms"`, `"7d"`, `"64KiB"`.

use crate::job::Millis;

/// Units of time, longest first, in milliseconds.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of size, in bytes, largest first among those that [`size_text`] uses.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Parses a duration: a whole number directly followed by `ms`, `s`, `m`, `h` or `d`. `None` for anything
/// else, and on overflow of 64 bits of milliseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Millis> {
    parse(text, &TIME_UNITS).map(Millis)
}

/// Parses a size in bytes: a whole number directly followed by `B`, `KB`, `MB`, `GB` (powers of 1000) or
/// `KiB`, `MiB`, `GiB` (powers of 1024). `None` for anything else, and on overflow.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZE_UNITS)
}

/// The shortest string that [`parse_duration`] parses as `span`.
#[must_use]
pub fn duration_text(span: Millis) -> String {
    text(span.0, &TIME_UNITS, "s")
}

/// The shortest string in binary units that [`parse_size`] parses as `bytes`.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    text(bytes, &SIZE_UNITS, "B")
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn text(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return format!("0{zero}");
    }
    for (name, scale) in units {
        if let (Some(0), Some(count)) = (value.checked_rem(*scale), value.checked_div(*scale)) {
            return format!("{count}{name}");
        }
    }
    value.to_string()
}
