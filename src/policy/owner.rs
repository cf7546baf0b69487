//! Which request fields tell callers apart, so that their idempotency keys never meet.

use crate::http::twin::is_twin;

use super::Policy;

/// Words of a field name that mean a credential or an identity; in order. They also count in the plural and with
/// `id` at the end, as in `userid`.
///
/// A stable field too many costs nothing. A missing one would give one caller the result of another.
pub const WORDS: [&str; 73] = [
    "accesskey",
    "account",
    "actor",
    "apikey",
    "appkey",
    "assertion",
    "auth",
    "authentication",
    "authkey",
    "authn",
    "authorization",
    "authz",
    "bearer",
    "cert",
    "certificate",
    "clientkey",
    "company",
    "consumer",
    "credential",
    "customer",
    "dn",
    "email",
    "functionkey",
    "functionskey",
    "identity",
    "impersonate",
    "jwt",
    "key",
    "licence",
    "license",
    "licensekey",
    "login",
    "masterkey",
    "member",
    "merchant",
    "oauth",
    "oidc",
    "org",
    "organisation",
    "organization",
    "owner",
    "partner",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "principal",
    "privatekey",
    "pwd",
    "role",
    "saml",
    "secret",
    "secretkey",
    "servicekey",
    "session",
    "sessionkey",
    "sharedkey",
    "sid",
    "sig",
    "signature",
    "sso",
    "subject",
    "subscriptionkey",
    "team",
    "tenant",
    "ticket",
    "token",
    "uid",
    "user",
    "userkey",
    "username",
    "workspace",
    "xapikey",
];

/// Longer words also count if they end in one of these, as in `accesstoken`.
pub const ENDINGS: [&str; 9] = [
    "auth",
    "cert",
    "credential",
    "jwt",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// Words that mean an identity only with `id` after them.
pub const WITH_ID: [&str; 5] = ["app", "application", "client", "device", "project"];

/// Names with a word that contains one of these never count: a repeated request may have a new value, and would
/// become a second job. They are no credentials alone. A proof of possession (`DPoP`, RFC 9449) is new in each
/// request and comes with the token that it belongs to; a CSRF token comes with a cookie.
pub const NEVER: [&str; 6] = [
    "captcha",
    "csrf",
    "dpop",
    "idempotency",
    "turnstile",
    "xsrf",
];

/// Names with these prefixes never count: browsers set them for each request, or they are conditions.
pub const NEVER_PREFIXES: [&str; 2] = ["if-", "sec-"];

impl Policy {
    /// Whether a request field tells callers apart; `name` in lower case. `Authorization` and `Cookie` always do.
    /// Others do if [`Policy::owner_headers`] has them, or without that list if [`is_credential`] says so.
    #[must_use]
    pub fn is_owner_header(&self, name: &str) -> bool {
        matches!(name, "authorization" | "cookie")
            || match &self.owner_headers {
                Some(listed) => listed.iter().any(|own| is_twin(name, own)),
                None => is_credential(name),
            }
    }
}

/// Whether the name of a request field says that it is a credential or an identity; `name` in lower case. The
/// cost is linear in its length.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let words = || name.split(|letter: char| !letter.is_ascii_alphanumeric());
    if NEVER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || words().any(|word| NEVER.iter().any(|never| word.contains(never)))
    {
        return false;
    }
    words()
        .zip(words().skip(1).chain([""]))
        .any(|pair| match pair {
            ("user", "agent") => false,
            (word, "id") if WITH_ID.contains(&word) => true,
            (word, _) => is_credential_word(word),
        })
}

fn is_credential_word(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    let with_id = singular.strip_suffix("id");
    let is_known = |word: &str| {
        WORDS.binary_search(&word).is_ok() || ENDINGS.iter().any(|ending| word.ends_with(ending))
    };
    is_known(word)
        || is_known(singular)
        || with_id.is_some_and(|word| is_known(word) || WITH_ID.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::WORDS;

    #[test]
    fn the_words_are_in_order() {
        assert!(WORDS.is_sorted());
    }
}
