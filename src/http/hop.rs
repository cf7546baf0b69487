//! Fields that end at a hop (RFC 9110 section 7.6.1).

use std::borrow::Cow;

use crate::http::Headers;
use crate::http::list;

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

impl Headers {
    /// Removes the fields that [end at this hop](ends_at_hop).
    ///
    /// A client can so remove any field that it sent itself. Call this before adding fields for the
    /// next hop; then it cannot remove those.
    #[must_use]
    pub fn without_hop_by_hop(mut self) -> Self {
        let connection = self.connection_options().map(Cow::into_owned);
        self.retain(|name, _| !ends_at_hop(name, connection.as_deref()));
        self
    }

    /// The value of `Connection` where it may name fields that do not end at every hop anyway. Most
    /// clients send `keep-alive` alone; nothing has to be looked for in that.
    #[must_use]
    pub fn connection_options(&self) -> Option<Cow<'_, str>> {
        self.joined("connection")
            .filter(|options| !options.eq_ignore_ascii_case("keep-alive"))
    }
}

/// Whether a field ends at this hop: those of [`HOP_BY_HOP`], and every one that the message's
/// `Connection` names (RFC 9110 section 7.6.1). `name` in lower case, `connection` from
/// [`Headers::connection_options`].
#[must_use]
pub fn ends_at_hop(name: &str, connection: Option<&str>) -> bool {
    HOP_BY_HOP.contains(&name) || connection.is_some_and(|options| connection_names(options, name))
}

/// Whether the value of a `Connection` field names the field `name`.
fn connection_names(connection: &str, name: &str) -> bool {
    connection
        .split(',')
        .any(|option| list::trim_ows(option).eq_ignore_ascii_case(name))
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
            let before = headers.clone();
            let after = headers.without_hop_by_hop();
            for (name, _) in before.iter() {
                let ends = HOP_BY_HOP.contains(&name) || name == "x" || named.iter().any(|n| n == name);
                prop_assert_eq!(after.contains(name), !ends, "{}", name);
            }
        }
    }
}
