//! Who a request comes from, as far as its fields tell.

use std::collections::BTreeMap;

use crate::http::{Headers, hex};
use crate::policy::Policy;
use crate::rpc::hash::of_parts;

/// A hash of all fields that tell callers apart, so that no record holds a credential outside the stored
/// request. Empty if the request has none of them.
///
/// All fields count together: clients that send an API key in a custom field may share one `Authorization`.
/// [`of_parts`] prefixes each name and value with its length. Lines of one field count as one list (RFC 9110
/// section 5.3), because a proxy may join them.
pub(super) fn owner(policy: &Policy, headers: &Headers) -> String {
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers.iter() {
        if let Some(list) = shown.get_mut(name) {
            list.push_str(", ");
            list.push_str(value);
        } else if policy.is_owner_header(name) {
            shown.insert(name, value.to_owned());
        }
    }
    if shown.is_empty() {
        return String::new();
    }
    let mut parts: Vec<&[u8]> = vec![b"owner"];
    for (name, value) in &shown {
        parts.extend([name.as_bytes(), value.as_bytes()]);
    }
    hex::encode(&of_parts(&parts))
}
