//! Header fields as plain data: what every layer below `edge` sees of a request's or response's head.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::list;

/// Fields that belong to one connection and are never forwarded (RFC 9110 section 7.6.1), beside
/// those that `Connection` names. `proxy-connection` is no standard field, but is sent by old
/// clients in the place of `connection`. `te` is kept in no form: trailers are not relayed.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Bytes that HTTP/1.1 adds to each field line: `": "` and CRLF.
const FIELD_LINE_OVERHEAD: usize = 4;

/// An ordered list of header fields.
///
/// Names are lower-case tokens; order and repeated fields (`set-cookie`) are kept. A value never
/// holds CR, LF or NUL: they are replaced by spaces (RFC 9110 section 5.5), so no value can smuggle
/// in another field. A name that is no token cannot be sent and is left out.
///
/// Serialized as an array of `[name, value]` pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads `name LF value LF name LF value …`: how the edge hands over all fields in one string,
    /// because one crossing into wasm costs less than one for each field. A name without a value at
    /// the end is ignored.
    #[must_use]
    pub fn from_packed(packed: &str) -> Self {
        let mut headers = Self::new();
        let mut lines = packed.split('\n');
        while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
            headers.push(name, value);
        }
        headers
    }

    /// The opposite of [`from_packed`](Self::from_packed).
    #[must_use]
    pub fn to_packed(&self) -> String {
        let mut packed = String::with_capacity(self.len_bytes());
        for (name, value) in self.iter() {
            if !packed.is_empty() {
                packed.push('\n');
            }
            packed.push_str(name);
            packed.push('\n');
            packed.push_str(value);
        }
        packed
    }

    /// The first value of a field; `name` in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value))
    }

    /// All values of a field in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter_map(move |(n, value)| n.eq_ignore_ascii_case(name).then_some(value))
    }

    /// All values of a field in one list, joined by `", "` (RFC 9110 section 5.3). Not for
    /// `set-cookie`, which is no list. `None` when the field is absent.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self
            .iter()
            .filter_map(|(n, value)| n.eq_ignore_ascii_case(name).then_some(value));
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

    /// Appends a field, beside any of the same name.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let mut name = name.into();
        if !list::is_token(&name) {
            return;
        }
        name.make_ascii_lowercase();
        let mut value = value.into();
        if value.contains(['\r', '\n', '\0']) {
            value = value.replace(['\r', '\n', '\0'], " ");
        }
        self.0.push((name, value));
    }

    /// Replaces all fields of this name by one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.push(name, value);
    }

    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Keeps the fields whose name and value satisfy `keep`.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Adds a field name to `Vary`, once (RFC 9110 section 12.5.5).
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
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many fields there are, repeated ones counted each.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
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

    /// Removes the fields that end at this hop: [`HOP_BY_HOP`] and every field that `Connection`
    /// names (RFC 9110 section 7.6.1).
    ///
    /// A client can so remove any field that it sent itself. Call this before adding fields for the
    /// next hop; then it cannot remove those.
    #[must_use]
    pub fn without_hop_by_hop(mut self) -> Self {
        let named = self.joined("connection").map(Cow::into_owned);
        self.0.retain(|(name, _)| {
            !HOP_BY_HOP.contains(&name.as_str())
                && !named
                    .as_deref()
                    .is_some_and(|options| connection_names(options, name))
        });
        self
    }
}

/// Whether the value of a `Connection` field names the field `name`.
#[must_use]
pub fn connection_names(connection: &str, name: &str) -> bool {
    connection
        .split(',')
        .any(|option| list::trim_ows(option).eq_ignore_ascii_case(name))
}

impl From<Vec<(String, String)>> for Headers {
    fn from(fields: Vec<(String, String)>) -> Self {
        fields.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name, value);
        }
        headers
    }
}

impl IntoIterator for Headers {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
            prop_assert_eq!(Headers::from_packed(&headers.to_packed()), headers);
        }

        #[test]
        fn any_packed_text_gives_fields_that_can_be_sent(packed in "(?s).{0,80}") {
            for (name, value) in Headers::from_packed(&packed).iter() {
                prop_assert!(list::is_token(name) && !name.bytes().any(|b| b.is_ascii_uppercase()));
                prop_assert!(!value.contains(['\r', '\n', '\0']));
            }
        }

        #[test]
        fn no_hop_by_hop_field_survives_and_every_other_field_does(
            fields in fields(),
            named in prop::collection::vec("[a-z-]{1,8}", 0..4),
        ) {
            let mut headers = Headers::from(fields);
            for hop in HOP_BY_HOP {
                headers.push(hop, "x");
            }
            headers.push("Connection", named.join(" , "));
            let before = headers.clone();
            let after = headers.without_hop_by_hop();
            for (name, _) in before.iter() {
                let ends = HOP_BY_HOP.contains(&name) || name == "x" || named.iter().any(|n| n == name);
                prop_assert_eq!(after.contains(name), !ends, "{}", name);
            }
        }
    }
}
