//! Splits field values at a separator outside quoted strings or comments (RFC 9110 sections 5.6.1, 5.6.4
//! and 5.6.5).

/// Where a separator does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Inside `"…"`, with `\` escaping one character.
    Strings,
    /// Inside `(…)`, which nest, with `\` escaping one character. Quotes are ordinary characters: `Via`
    /// has none, and an unclosed one would hide what follows.
    Comments,
}

/// Iterator over the trimmed pieces between separators, see [`split`].
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a> {
    rest: Option<&'a str>,
    separator: u8,
    quoting: Quoting,
}

/// Splits `text` at `separator` (an ASCII character) and trims optional whitespace. Empty pieces are
/// included. An unclosed string or comment reaches to the end.
pub(crate) const fn split(text: &str, separator: u8, quoting: Quoting) -> Pieces<'_> {
    Pieces {
        rest: Some(text),
        separator,
        quoting,
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        let mut scan = Scan::new(self.quoting);
        let end = text
            .bytes()
            .position(|byte| scan.outside(byte) && byte == self.separator);
        let piece = match end.and_then(|at| text.split_at_checked(at)) {
            Some((piece, tail)) => {
                let mut tail = tail.chars();
                tail.next();
                self.rest = Some(tail.as_str());
                piece
            }
            None => text,
        };
        Some(trim_ows(piece))
    }
}

/// Whether all strings or comments in `text` are closed, and no `)` closes a comment that is not open.
pub(crate) fn is_balanced(text: &str, quoting: Quoting) -> bool {
    let mut scan = Scan::new(quoting);
    for byte in text.bytes() {
        if scan.outside(byte) && quoting == Quoting::Comments && byte == b')' {
            return false;
        }
    }
    scan.depth == 0
}

/// Removes optional whitespace (space and tab, RFC 9110 section 5.6.3) from both ends.
pub(crate) fn trim_ows(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether `text` is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES.get(usize::from(byte)).is_some_and(|is| *is)
}

/// Indexed by byte, for speed: every field name of every request is checked.
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler evaluates it, and would refuse an index out of bounds"
)]
static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        let Some(next) = byte.checked_add(1) else {
            break table;
        };
        byte = next;
    }
};

/// The state of a scan over a field value.
struct Scan {
    quoting: Quoting,
    /// The number of open comments; for strings 0 or 1.
    depth: usize,
    escaped: bool,
}

impl Scan {
    const fn new(quoting: Quoting) -> Self {
        Self {
            quoting,
            depth: 0,
            escaped: false,
        }
    }

    /// Takes the next byte, and returns whether it is outside strings and comments.
    fn outside(&mut self, byte: u8) -> bool {
        if self.depth == 0 {
            let opens = match self.quoting {
                Quoting::Strings => byte == b'"',
                Quoting::Comments => byte == b'(',
            };
            self.depth = usize::from(opens);
            return !opens;
        }
        if self.escaped {
            self.escaped = false;
        } else {
            match (self.quoting, byte) {
                (_, b'\\') => self.escaped = true,
                (Quoting::Strings, b'"') | (Quoting::Comments, b')') => {
                    self.depth = self.depth.saturating_sub(1);
                }
                (Quoting::Comments, b'(') => self.depth = self.depth.saturating_add(1),
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, quoting: Quoting) -> Vec<&str> {
        split(text, b',', quoting).collect()
    }

    #[test]
    fn a_comma_in_a_quoted_string_does_not_split() {
        assert_eq!(
            pieces(r#"a="1,2", b , "\",""#, Quoting::Strings),
            [r#"a="1,2""#, "b", r#""\",""#]
        );
    }

    #[test]
    fn a_comma_in_a_nested_comment_does_not_split() {
        assert_eq!(
            pieces(r"1.1 a (x, (y, z), \), w), 1.0 b", Quoting::Comments),
            [r"1.1 a (x, (y, z), \), w)", "1.0 b"]
        );
    }

    #[test]
    fn what_is_never_closed_reaches_to_the_end() {
        assert_eq!(pieces("a, \"b, c", Quoting::Strings), ["a", "\"b, c"]);
        assert!(!is_balanced("a (b, c", Quoting::Comments));
        assert!(!is_balanced("a) (b", Quoting::Comments));
        assert!(is_balanced("a (b (c) \\) d) e", Quoting::Comments));
    }

    proptest! {
        #[test]
        fn any_text_splits_into_trimmed_pieces_that_hold_all_but_separators(text in ".{0,60}") {
            for quoting in [Quoting::Strings, Quoting::Comments] {
                let held: usize = pieces(&text, quoting).iter().map(|piece| piece.trim().len()).sum();
                prop_assert!(held <= text.len());
                prop_assert!(pieces(&text, quoting).iter().all(|piece| trim_ows(piece) == *piece));
            }
        }

        #[test]
        fn what_follows_balanced_text_is_a_piece_of_its_own(text in "[a-z(), \\\\]{0,40}") {
            let longer = format!("{text}, last");
            let seen = pieces(&longer, Quoting::Comments).last() == Some(&"last");
            prop_assert!(seen || !is_balanced(&text, Quoting::Comments));
        }
    }
}
