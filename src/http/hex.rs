//! Hexadecimal digits, for hashes, traces and percent-encoding.

const LOWER: &[u8; 16] = b"0123456789abcdef";

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(digit)
        .collect()
}

/// The lower-case digit of a number below 16.
#[must_use]
pub fn digit(number: u8) -> char {
    LOWER
        .get(usize::from(number))
        .map_or('0', |&byte| char::from(byte))
}

/// The value of a digit in either case.
#[must_use]
pub const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// Whether a text is exactly `digits` hexadecimal digits in lower case.
#[must_use]
pub fn is_lower(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| LOWER.contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_bytes_are_read_again_in_either_case(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = encode(&bytes);
            prop_assert!(is_lower(&text, bytes.len().saturating_mul(2)));
            for text in [text.to_ascii_uppercase(), text] {
                let digits: Vec<u8> = text.bytes().filter_map(value).collect();
                let read: Vec<u8> = digits
                    .chunks_exact(2)
                    .map(|pair| pair.iter().fold(0_u8, |byte, digit| (byte << 4) | digit))
                    .collect();
                prop_assert_eq!(&read, &bytes);
            }
        }

        #[test]
        fn only_digits_are_digits(byte: u8) {
            prop_assert_eq!(value(byte).is_some(), byte.is_ascii_hexdigit());
        }
    }
}
