//! Parses URLs: of origins, of the gateway itself, and of the web origins that may call it.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use super::words::{is_field_value, is_token};
use crate::http::hop::HOP_BY_HOP;
use crate::policy::error::ConfigError;
use crate::policy::fields::{Fields, Table, shown_text};
use crate::policy::limits::{MAX_NAME_BYTES, MAX_ORIGIN_HEADERS, MAX_ORIGINS};
use crate::policy::names::ORIGIN_FIELDS;
use crate::policy::origin::{Origin, OriginAt, OriginHeader, Template};
use crate::policy::parse::rule::is_rule_name;
use crate::policy::{is_loopback, is_same_place};

const ORIGIN_FORMS: &str =
    "a URL such as \"https://api.example.com\", or a table with url or service";
const ORIGIN_URL: &str = "an absolute http or https URL such as \"https://api.example.com/base\", \
    without credentials, query or fragment";
const NO_HTTP: &str =
    "https, or http to a loopback address, or http anywhere with allow_http = true";
const SITE: &str = "scheme and host only, such as \"https://api.example.com\"";
const SERVICE: &str = "the name of a service binding, such as \"ORIGIN\"";

/// Request fields that `headers` cannot set, beside the hop-by-hop ones: those of the connection and the body,
/// and those by which Raincheck speaks to origins. A name that ends with `-` is a prefix.
const RESERVED_FIELDS: [&str; 7] = [
    "content-length",
    "content-encoding",
    "host",
    "idempotency-key",
    "raincheck-",
    "traceparent",
    "via",
];

/// `origin`, the only required field.
pub(super) fn origin(fields: &mut Fields, allow_http: bool) -> Option<Origin> {
    let Some(value) = fields.take("origin") else {
        fields.refuse("origin", "nothing", ORIGIN_FORMS);
        return None;
    };
    any_form(fields, "origin", value, allow_http)
}

/// `origins`: more of them, by name.
pub(super) fn origins(fields: &mut Fields, allow_http: bool) -> BTreeMap<String, Origin> {
    const ALLOWED: &str = "a table for each, such as [vars.RAINCHECK.origins.reports]";
    let mut origins = BTreeMap::new();
    let Some(value) = fields.take("origins") else {
        return origins;
    };
    let Value::Object(table) = value else {
        fields.wrong::<()>("origins", &value, ALLOWED);
        return origins;
    };
    if table.len() > MAX_ORIGINS {
        let found = format!("{} origins", table.len());
        fields.refuse("origins", found, format!("at most {MAX_ORIGINS} origins"));
        return origins;
    }
    let place = fields.home_of("origins").table("origins");
    let mut inner = Fields::new(Table::new(), place, &[]);
    for (name, value) in table {
        if !is_rule_name(&name) {
            let allowed =
                format!("a name of 1 to {MAX_NAME_BYTES} characters out of a-z, 0-9 and \"-\"");
            fields.refuse("origins", shown_text(&name), allowed);
            continue;
        }
        let origin = any_form(&mut inner, &name, value, allow_http);
        origins.extend(origin.map(|origin| (name, origin)));
    }
    fields.absorb(inner.finish());
    origins
}

/// An origin as a string or a table, under `key`.
fn any_form(fields: &mut Fields, key: &str, value: Value, allow_http: bool) -> Option<Origin> {
    match value {
        Value::String(text) => Some(url(fields, key, &text, allow_http)?.into()),
        Value::Object(table) => {
            let mut inner = Fields::new(table, fields.home_of(key).table(key), ORIGIN_FIELDS);
            let origin = origin_table(&mut inner, allow_http);
            let errors = inner.finish();
            // One error is enough: an unknown or invalid field explains what is missing.
            if errors.is_empty() && origin.is_none() {
                fields.refuse(key, "neither url nor service", ORIGIN_FORMS);
            }
            fields.absorb(errors);
            origin
        }
        _ => {
            fields.refuse(key, "neither a string nor a table", ORIGIN_FORMS);
            None
        }
    }
}

fn origin_table(inner: &mut Fields, allow_http: bool) -> Option<Origin> {
    let allow_http = inner.flag("allow_http").unwrap_or(allow_http);
    let service = inner.text("service", SERVICE);
    let text = inner.text("url", ORIGIN_URL);
    let headers = headers(inner);
    let at = match (text, service) {
        (Some(_), Some(_)) => {
            inner.refuse("service", "both url and service", "either url or service");
            None
        }
        (Some(text), None) => url(inner, "url", &text, allow_http),
        (None, Some(name)) if is_binding(&name) => Some(OriginAt::Service(name)),
        (None, Some(name)) => {
            inner.refuse("service", shown_text(&name), SERVICE);
            None
        }
        (None, None) => None,
    };
    at.map(|at| Origin { at, headers })
}

/// `headers` of an origin. Errors show no values: they may be credentials.
fn headers(inner: &mut Fields) -> Vec<OriginHeader> {
    const ALLOWED: &str = "a table such as { Authorization = \"Bearer ${TOKEN}\" }";
    const VALUE: &str = "a header value in which ${NAME} stands for a secret or a variable";
    let mut headers = Vec::new();
    let Some(value) = inner.take("headers") else {
        return headers;
    };
    let Value::Object(table) = value else {
        inner.refuse("headers", "no table", ALLOWED);
        return headers;
    };
    if table.len() > MAX_ORIGIN_HEADERS {
        let found = format!("{} headers", table.len());
        inner.refuse(
            "headers",
            found,
            format!("at most {MAX_ORIGIN_HEADERS} headers"),
        );
        return headers;
    }
    let place = inner.home_of("headers").table("headers");
    let mut below = Fields::new(Table::new(), place, &[]);
    for (name, value) in table {
        let lower = name.to_ascii_lowercase();
        let is_ours = |own: &str| lower == own || (own.ends_with('-') && lower.starts_with(own));
        if !is_token(&name) || headers.iter().any(|it: &OriginHeader| it.name == lower) {
            inner.refuse("headers", shown_text(&name), "names of headers, each once");
        } else if HOP_BY_HOP.contains(&lower.as_str())
            || RESERVED_FIELDS.iter().any(|own| is_ours(own))
        {
            let allowed =
                "headers other than those of the connection, of the body and of Raincheck";
            inner.refuse("headers", shown_text(&name), allowed);
        } else if let Some(template) = value
            .as_str()
            .filter(|text| is_field_value(text))
            .and_then(Template::parse)
        {
            headers.push(OriginHeader {
                name: lower,
                value: template,
            });
        } else {
            below.refuse(&name, "something else (not shown)", VALUE);
        }
    }
    inner.absorb(below.finish());
    headers
}

/// Whether a name is valid for a binding: a JavaScript identifier, as wrangler requires.
fn is_binding(name: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    name.bytes().all(proper)
        && name
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

fn url(fields: &mut Fields, key: &str, text: &str, allow_http: bool) -> Option<OriginAt> {
    let url = web_url(fields, key, text, ORIGIN_URL)?;
    if url.query().is_some() || url.fragment().is_some() {
        fields.refuse(key, shown_text(text), ORIGIN_URL);
        return None;
    }
    refuse_plain_http(fields, key, &url, allow_http)?;
    Some(OriginAt::Url(url.as_str().trim_end_matches('/').to_owned()))
}

/// `public_origin`, in serialized form.
pub(super) fn public_origin(fields: &mut Fields, allow_http: bool) -> Option<String> {
    let text = fields.text("public_origin", SITE)?;
    let url = site(fields, "public_origin", &text)?;
    refuse_plain_http(fields, "public_origin", &url, allow_http)?;
    Some(url.origin().ascii_serialization())
}

/// `cors_origins`, in serialized form. Plain http is allowed: it is the page's choice.
pub(super) fn cors_origins(fields: &mut Fields) -> Vec<String> {
    const ALLOWED: &str =
        "an array of origins such as [\"https://app.example.com\"], or [\"*\"] alone";
    let texts = fields.texts("cors_origins", ALLOWED).unwrap_or_default();
    if texts.iter().any(|text| text == "*") {
        if texts.len() > 1 {
            fields.refuse("cors_origins", "\"*\" among others", ALLOWED);
        }
        return texts;
    }
    let mut origins = Vec::with_capacity(texts.len());
    for text in &texts {
        origins.extend(
            site(fields, "cors_origins", text).map(|url| url.origin().ascii_serialization()),
        );
    }
    origins
}

/// Rejects origins at the gateway's own address.
pub(super) fn refuse_loops(
    fields: &mut Fields,
    origin: Option<&Origin>,
    origins: &BTreeMap<String, Origin>,
    public_origin: Option<&String>,
) {
    let Some(public) = public_origin.and_then(|public| Url::parse(public).ok()) else {
        return;
    };
    let named = origins.iter().map(|(name, origin)| (Some(name), origin));
    for (name, origin) in origin.map(|origin| (None, origin)).into_iter().chain(named) {
        let OriginAt::Url(text) = &origin.at else {
            continue;
        };
        if Url::parse(text).is_ok_and(|url| is_same_place(&url, &public)) {
            let (place, key) = match name {
                None => (fields.home_of("origin").clone(), "origin"),
                Some(name) => (fields.home_of("origins").table("origins"), name.as_str()),
            };
            let found = format!("{}, which is the public_origin", shown_text(text));
            let allowed = "the address of your API, not of this gateway";
            fields.absorb(vec![ConfigError::new(&place, key, found, allowed)]);
        }
    }
}

/// An absolute http or https URL without credentials.
fn web_url(fields: &mut Fields, key: &str, text: &str, allowed: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
    });
    // The part before an @ may be a password, so such a string is not shown.
    let found = if text.contains('@') {
        "a string with \"@\" (not shown)".to_owned()
    } else {
        shown_text(text)
    };
    let Some(url) = url.filter(|url| url.username().is_empty() && url.password().is_none()) else {
        // `url` is built without the tables that turn such a name into ASCII (Cargo.toml).
        let ascii =
            "; a host name that is not ASCII in its ASCII form, such as \"xn--bcher-kva.example\"";
        let more = if text.is_ascii() { "" } else { ascii };
        fields.refuse(key, found, format!("{allowed}{more}"));
        return None;
    };
    Some(url)
}

fn site(fields: &mut Fields, key: &str, text: &str) -> Option<Url> {
    let url = web_url(fields, key, text, SITE)?;
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        return Some(url);
    }
    fields.refuse(key, shown_text(text), SITE);
    None
}

fn refuse_plain_http(fields: &mut Fields, key: &str, url: &Url, allow_http: bool) -> Option<()> {
    if url.scheme() == "https" || allow_http || is_loopback(url) {
        return Some(());
    }
    fields.refuse(key, shown_text(url.as_str()), NO_HTTP);
    None
}
