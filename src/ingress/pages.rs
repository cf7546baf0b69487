//! The documentation pages of problems, which a problem's `type` points to.

use std::fmt::Write as _;

use crate::http::Headers;
use crate::policy::Policy;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::result::{NO_REFERRER, REFERRER_POLICY};
use crate::rpc::Reply;

use super::{Action, Head};

/// A page changes only with a deploy, and a day-old copy does no harm.
const CACHE_CONTROL: &str = "public, max-age=86400";

/// The pages are plain text. Should a browser render them otherwise, they still load and run nothing.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

const METHODS: &str = "GET, HEAD";

/// The page about a problem, or without a code the list of all.
pub(super) fn problem_page(
    policy: &Policy,
    head: &Head,
    code: Option<&str>,
) -> Result<Action, Problem> {
    if !METHODS.split(", ").any(|known| known == head.method) {
        return Err(Problem::method_not_allowed(METHODS));
    }
    let text = match code {
        None => index(&policy.mount),
        Some(code) => ProblemCode::from_code(code)
            .ok_or_else(|| {
                Problem::new(ProblemCode::NotFound).detail("There is no problem with this code.")
            })?
            .page()
            .to_owned(),
    };
    let headers = Headers::from_iter([
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", CACHE_CONTROL),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        (REFERRER_POLICY, NO_REFERRER),
    ]);
    let page = Reply::new(200).headers(headers).text(text);
    Ok(Action::Reply(if head.method == "HEAD" {
        page.without_content()
    } else {
        page
    }))
}

fn index(mount: &str) -> String {
    let mut text = "# Problems\n\nThe errors of this gateway. Each has a page.\n\n".to_owned();
    for code in ProblemCode::ALL {
        let (status, title, page) = (code.status(), code.title(), code.type_uri(mount));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {status} {title}: {page}");
    }
    text
}
