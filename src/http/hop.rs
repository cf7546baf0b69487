//! Hop-by-hop fields (RFC 9110 section 7.6.1).

use crate::http::Headers;
use crate::http::list;

/// Fields that belong to one connection and are never forwarded (RFC 9110 section 7.6.1), beside those that
/// `Connection` names. `proxy-connection` is not a standard field, but old clients send it in place of
/// `connection`. `te` is always removed, because trailers are not relayed.
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

/// The hop-by-hop fields of a message: those of [`HOP_BY_HOP`], and those that its `Connection` names
/// (RFC 9110 section 7.6.1).
///
/// By naming fields in `Connection`, a client can remove its own. Use this before adding fields for the
/// next hop, so that it cannot remove those.
#[derive(Clone, Debug)]
pub struct EndsAtHop {
    /// The names in `Connection`, in lower case and sorted: there may be thousands, and each of the message's
    /// fields is looked up.
    named: Vec<String>,
}

impl EndsAtHop {
    /// Parses the `Connection` of a message.
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        // Most clients send only `keep-alive`, which is hop-by-hop anyway.
        let mut named: Vec<String> = headers
            .get_all("connection")
            .filter(|options| !options.eq_ignore_ascii_case("keep-alive"))
            .flat_map(|options| options.split(','))
            .map(|option| list::trim_ows(option).to_ascii_lowercase())
            .collect();
        named.sort_unstable();
        Self { named }
    }

    /// Whether a field is hop-by-hop; `name` in lower case.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        HOP_BY_HOP.contains(&name)
            || self
                .named
                .binary_search_by(|named| named.as_str().cmp(name))
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_hop_by_hop_field_survives_and_every_other_field_does(
            fields in prop::collection::vec(("[a-zA-Z-]{1,12}", "[^\r\n\0]{0,20}"), 0..12),
            named in prop::collection::vec("[a-z-]{1,8}|keep-alive|Keep-Alive", 0..4),
        ) {
            let mut headers = Headers::from(fields);
            for hop in HOP_BY_HOP {
                headers.push(hop, "x");
            }
            headers.push("Connection", named.join(" , "));
            let ends_at_hop = EndsAtHop::of(&headers);
            for (name, _) in headers.iter() {
                let ends = HOP_BY_HOP.contains(&name) || name == "x" || named.iter().any(|n| n == name);
                prop_assert_eq!(ends_at_hop.contains(name), ends, "{}", name);
            }
        }
    }
}
