//! Links of an origin's response that are not replayed.

use crate::http::Headers;
use crate::http::list::{self, Quoting};

/// Relations for which a browser loads something, or connects, as soon as it has the `Link` field. The page that
/// shows a result would then tell other sites about it.
const LOADING: [&str; 17] = [
    "apple-touch-icon",
    "apple-touch-icon-precomposed",
    "compression-dictionary",
    "dns-prefetch",
    "icon",
    "import",
    "manifest",
    "mask-icon",
    "modulepreload",
    "monetization",
    "preconnect",
    "prefetch",
    "preload",
    "prerender",
    "serviceworker",
    "stylesheet",
    "subresource",
];

/// Removes the links that make a browser load something. All lines are read as one list, as browsers do.
pub(super) fn drop_loading(headers: &mut Headers) {
    let Some(all) = headers.joined("link") else {
        return;
    };
    let kept: Vec<&str> = members(&all).filter(|member| !loads(member)).collect();
    let kept = kept.join(", ");
    if kept.is_empty() {
        headers.remove("link");
    } else {
        headers.set("link", kept);
    }
}

/// The members of the list: a comma inside `<…>` or `"…"` does not count (RFC 8288 section 3).
fn members(text: &str) -> impl Iterator<Item = &str> {
    let (mut in_target, mut in_string, mut is_escaped) = (false, false, false);
    let pieces = text.split(move |letter| {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' if !in_target => in_string = !in_string,
            '<' if !in_string => in_target = true,
            '>' if !in_string => in_target = false,
            ',' => return !in_target && !in_string,
            _ => {}
        }
        false
    });
    pieces.map(list::trim_ows).filter(|piece| !piece.is_empty())
}

fn loads(member: &str) -> bool {
    let parameters = member
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .map(|(_, parameters)| parameters)
        .filter(|parameters| list::is_balanced(parameters, Quoting::Strings));
    let Some(parameters) = parameters else {
        // Browsers differ in what they make of a malformed link.
        return member
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-')
            .any(is_loading);
    };
    list::split(parameters, b';', Quoting::Strings)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| list::trim_ows(name).eq_ignore_ascii_case("rel"))
        .any(|(_, value)| {
            let plain = value.replace(['"', '\'', '\\'], "");
            plain.split_ascii_whitespace().any(is_loading)
        })
}

fn is_loading(relation: &str) -> bool {
    LOADING
        .iter()
        .any(|known| known.eq_ignore_ascii_case(relation))
}
