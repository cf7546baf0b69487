//! Header fields as plain data, for all layers below `edge`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::http::list;

/// Bytes that HTTP/1.1 adds to each field: `": "` and CRLF.
const FIELD_LINE_OVERHEAD: usize = 4;

/// Initial capacity; browsers send about twenty fields.
const FIELDS_EXPECTED: usize = 16;

/// An ordered list of header fields.
///
/// Names are lower-case tokens; order and repeated fields (`set-cookie`) are kept. CR, LF and NUL in a
/// value are replaced by spaces (RFC 9110 section 5.5), so no value can smuggle in another field. A field
/// whose name is not a token cannot be sent and is left out.
///
/// Serialized as an array of `[name, value]` pairs. In memory all fields are in one string, in the form
/// that `edge` passes: a head is parsed, copied and passed back without an allocation per field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Headers {
    /// `name LF value LF name LF value …`, without an LF at the end.
    packed: String,
    fields: Vec<Field>,
}

/// The position of a field in the packed string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    name: usize,
    /// One past the LF that ends the name.
    value: usize,
    end: usize,
}

impl Headers {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            packed: String::new(),
            fields: Vec::new(),
        }
    }

    /// Parses `name LF value LF name LF value …`. `edge` passes all fields as one such string, because one
    /// crossing into wasm is cheaper than one per field. A last name without a value is ignored.
    #[must_use]
    pub fn from_packed(packed: &str) -> Self {
        if let Some(headers) = Self::of_clean(packed) {
            return headers;
        }
        let mut headers = Self::with_capacity(packed.len());
        let mut lines = packed.split('\n');
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            headers.push(name, value);
        }
        headers
    }

    /// Takes packed fields unchanged, if they are valid as they are. All fields from the platform are.
    fn of_clean(packed: &str) -> Option<Self> {
        let mut fields = Vec::with_capacity(FIELDS_EXPECTED);
        let (mut name, mut value) = (0_usize, None);
        for (at, byte) in packed.bytes().enumerate() {
            match (value, byte) {
                (None, b'\n') if at > name => value = Some(at.saturating_add(1)),
                (None, _) if list::is_token_byte(byte) && !byte.is_ascii_uppercase() => {}
                (Some(start), b'\n') => {
                    fields.push(Field {
                        name,
                        value: start,
                        end: at,
                    });
                    (name, value) = (at.saturating_add(1), None);
                }
                (None, _) | (Some(_), b'\r' | b'\0') => return None,
                (Some(_), _) => {}
            }
        }
        fields.push(Field {
            name,
            value: value?,
            end: packed.len(),
        });
        Some(Self {
            packed: packed.to_owned(),
            fields,
        })
    }

    fn with_capacity(bytes: usize) -> Self {
        Self {
            packed: String::with_capacity(bytes),
            fields: Vec::with_capacity(FIELDS_EXPECTED),
        }
    }

    /// The inverse of [`from_packed`](Self::from_packed).
    #[must_use]
    pub fn as_packed(&self) -> &str {
        &self.packed
    }

    /// The first value of a field; `name` in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// All values of a field in order.
    pub fn get_all<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h str> + use<'h, 'n> {
        let same = move |field: &&Field| {
            let length = field.value.wrapping_sub(field.name).wrapping_sub(1);
            length == name.len() && self.name(field).eq_ignore_ascii_case(name)
        };
        self.fields
            .iter()
            .filter(same)
            .map(move |field| self.value(field))
    }

    fn name(&self, field: &Field) -> &str {
        let name = self.packed.get(field.name..field.value.saturating_sub(1));
        name.unwrap_or_default()
    }

    fn value(&self, field: &Field) -> &str {
        self.packed.get(field.value..field.end).unwrap_or_default()
    }

    /// All values of a field as one list, joined by `", "` (RFC 9110 section 5.3). Not for `set-cookie`,
    /// which is not a list. `None` if the field is absent.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.get_all(name);
        let mut all = Cow::Borrowed(values.next()?);
        for value in values {
            let text = all.to_mut();
            text.push_str(", ");
            text.push_str(value);
        }
        Some(all)
    }

    /// Whether the field is present.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Appends a field, and keeps others with the same name.
    pub fn push(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) {
        self.push_str(name.as_ref(), value.as_ref());
    }

    fn push_str(&mut self, name: &str, value: &str) {
        if !list::is_token(name) {
            return;
        }
        let is_bad = |byte| matches!(byte, b'\r' | b'\n' | b'\0');
        if value.bytes().any(is_bad) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let value = value.replace(['\r', '\n', '\0'], " ");
            self.append(&name.to_ascii_lowercase(), &value);
        } else {
            self.append(name, value);
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        if !self.fields.is_empty() {
            self.packed.push('\n');
        }
        let start = self.packed.len();
        self.packed.push_str(name);
        self.packed.push('\n');
        let middle = self.packed.len();
        self.packed.push_str(value);
        self.fields.push(Field {
            name: start,
            value: middle,
            end: self.packed.len(),
        });
    }

    /// Replaces all fields with this name by one.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) {
        self.remove(name.as_ref());
        self.push(name, value);
    }

    /// Removes all fields with this name.
    pub fn remove(&mut self, name: &str) {
        self.retain(|n, _| !n.eq_ignore_ascii_case(name));
    }

    /// Keeps only the fields whose name and value satisfy `keep`.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        let Some(first) = self.iter().position(|(name, value)| !keep(name, value)) else {
            return;
        };
        let mut kept = Self::with_capacity(self.packed.len());
        for (index, (name, value)) in self.iter().enumerate() {
            // `keep` is called once per field.
            if index < first || (index > first && keep(name, value)) {
                kept.append(name, value);
            }
        }
        *self = kept;
    }

    /// Adds a field name to `Vary`, unless it is there (RFC 9110 section 12.5.5).
    pub fn add_vary(&mut self, field: &str) {
        let value = match self.joined("vary") {
            None => field.to_owned(),
            Some(vary) => {
                let listed = list::split(&vary, b',', list::Quoting::Strings)
                    .any(|member| member == "*" || member.eq_ignore_ascii_case(field));
                if listed {
                    return;
                }
                format!("{vary}, {field}")
            }
        };
        self.set("vary", value);
    }

    /// All fields as name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|field| (self.name(field), self.value(field)))
    }

    /// The number of fields; repeated ones count each.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Size of the fields as HTTP/1.1 would send them, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.iter().fold(0, |sum, (name, value)| {
            sum.saturating_add(name.len())
                .saturating_add(value.len())
                .saturating_add(FIELD_LINE_OVERHEAD)
        })
    }
}

impl From<Vec<(String, String)>> for Headers {
    fn from(fields: Vec<(String, String)>) -> Self {
        fields.into_iter().collect()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}

impl Serialize for Headers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packed_head_keeps_order_repeated_fields_and_empty_values() {
        let headers = Headers::from_packed("Set-Cookie\na=1\nX-Empty\n\nset-cookie\nb=2\ndangling");
        let fields: Vec<_> = headers.iter().collect();
        assert_eq!(
            fields,
            [
                ("set-cookie", "a=1"),
                ("x-empty", ""),
                ("set-cookie", "b=2")
            ]
        );
        assert!(Headers::from_packed("").is_empty());
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_field_and_a_bad_name_is_left_out() {
        let mut headers = Headers::new();
        headers.push("x", "a\r\nset-cookie: b\0");
        headers.push("bad name", "1");
        headers.push("", "1");
        assert_eq!(headers.get("x"), Some("a  set-cookie: b "));
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn json_is_an_array_of_pairs_and_is_checked_when_read() {
        let headers = Headers::from_iter([("b", "1"), ("a", "2")]);
        let json = serde_json::to_string(&headers).unwrap();
        assert_eq!(json, r#"[["b","1"],["a","2"]]"#);
        assert_eq!(serde_json::from_str::<Headers>(&json).unwrap(), headers);
        let read: Headers = serde_json::from_str(r#"[["X-Up","a\nb"]]"#).unwrap();
        assert_eq!(read.iter().next(), Some(("x-up", "a b")));
    }

    #[test]
    fn lookup_ignores_case_and_joins_in_order() {
        let headers = Headers::from_iter([("accept", "a"), ("x", "1"), ("Accept", "b")]);
        assert_eq!(headers.get("ACCEPT"), Some("a"));
        assert_eq!(headers.joined("Accept").as_deref(), Some("a, b"));
        assert_eq!(headers.get_all("accept").count(), 2);
        assert_eq!(headers.joined("none"), None);
    }

    #[test]
    fn set_replaces_every_field_of_the_name() {
        let mut headers = Headers::from_iter([("a", "1"), ("b", "2"), ("A", "3")]);
        headers.set("A", "4");
        assert_eq!(headers, Headers::from_iter([("b", "2"), ("a", "4")]));
    }

    #[test]
    fn vary_gains_a_name_once_and_a_star_stands_for_all() {
        let mut headers = Headers::from_iter([("vary", "Accept"), ("vary", "prefer")]);
        headers.add_vary("Prefer");
        assert_eq!(headers.joined("vary").as_deref(), Some("Accept, prefer"));
        headers.add_vary("Origin");
        assert_eq!(headers.get("vary"), Some("Accept, prefer, Origin"));
        let mut star = Headers::from_iter([("vary", "*")]);
        star.add_vary("Origin");
        assert_eq!(star.get("vary"), Some("*"));
    }

    fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::vec(("[a-zA-Z-]{1,12}", "[^\r\n\0]{0,20}"), 0..12)
    }

    proptest! {
        #[test]
        fn packing_and_unpacking_gives_the_same_fields(fields in fields()) {
            let headers = Headers::from(fields);
            prop_assert_eq!(Headers::from_packed(headers.as_packed()), headers);
        }

        #[test]
        fn packed_text_is_read_as_if_each_field_were_appended(packed in "([a-zA-Z-]{0,3}[\n\r\0 ]?){0,12}") {
            let mut appended = Headers::new();
            let mut lines = packed.split('\n');
            while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
                appended.push(name, value);
            }
            prop_assert_eq!(Headers::from_packed(&packed), appended);
        }

        #[test]
        fn what_is_kept_keeps_its_order(fields in fields(), kept in "[a-z]") {
            let headers = Headers::from(fields);
            let keep = |name: &str, value: &str| name.contains(&kept) || value.is_empty();
            let expected = headers.iter().filter(|(name, value)| keep(name, value));
            let expected: Headers = expected.collect();
            let mut retained = headers.clone();
            retained.retain(keep);
            prop_assert_eq!(retained, expected);
        }

        #[test]
        fn any_packed_text_gives_fields_that_can_be_sent(packed in "(?s).{0,80}") {
            for (name, value) in Headers::from_packed(&packed).iter() {
                prop_assert!(list::is_token(name) && !name.bytes().any(|b| b.is_ascii_uppercase()));
                prop_assert!(!value.contains(['\r', '\n', '\0']));
            }
        }
    }
}
