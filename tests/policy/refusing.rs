//! What is rejected, and with which error.
//!
//! The tables hold one case per line: TOML, ` => `, the whole error. ` & ` stands for a line break
//! in the TOML, `<NAME>` for an entry of [`WORDS`] in the error.

use super::configuration;
use crate::{ORIGIN, read, top, with_rule};

/// Long texts that several errors share.
const WORDS: &[(&str, &str)] = &[
    (
        "<SITE>",
        "scheme and host only, such as \"https://api.example.com\"",
    ),
    (
        "<ASCII>",
        "; a host name that is not ASCII in its ASCII form, such as \"xn--bcher-kva.example\"",
    ),
    (
        "<MOUNT>",
        "a path such as \"/jobs\": each segment a slash and letters, digits, \".\", \"_\", \"~\" or \"-\", no slash at the end, at most 128 characters",
    ),
    (
        "<CORS>",
        "an array of origins such as [\"https://app.example.com\"], or [\"*\"] alone",
    ),
    (
        "<FIELDS>",
        "an array of at most 32 names of headers, without \"*\"",
    ),
    (
        "<DIGEST>",
        "the SHA-256 of the operator's token, 64 hexadecimal digits",
    ),
    (
        "<FORMS>",
        "a URL such as \"https://api.example.com\", or a table with url or service",
    ),
    (
        "<URL>",
        "an absolute http or https URL such as \"https://api.example.com/base\", without credentials, query or fragment",
    ),
    (
        "<HTTP>",
        "https, or http to a loopback address, or http anywhere with allow_http = true",
    ),
    (
        "<METHODS>",
        "an array of method names such as [\"POST\"], or [\"*\"] for all but OPTIONS and TRACE",
    ),
    (
        "<HEADERS>",
        "an array of tables such as [{ name = \"x-mode\", value = \"slow\" }]",
    ),
    (
        "<TYPES>",
        "an array of media types without parameters, such as [\"application/json\", \"image/*\"]",
    ),
    (
        "<STATUSES>",
        "an array of at most 32 statuses from 400 to 599",
    ),
    ("<NAME>", "1 to 64 characters out of a-z, 0-9 and \"-\""),
    (
        "<PATH>",
        "a path that starts with \"/\", without \"//\", \".\", \"..\", \"?\" or \"#\", in which {name} stands for a segment or one part of it and {*name}, as the last segment, for the rest",
    ),
    (
        "<OUTSIDE>",
        "a path outside the mount \"/jobs\", where jobs live",
    ),
    (
        "<SERVICE>",
        "the name of a service binding, such as \"ORIGIN\"",
    ),
    (
        "<ADDED>",
        "a table such as { Authorization = \"Bearer ${TOKEN}\" }",
    ),
    (
        "<VALUE>",
        "a header value in which ${NAME} stands for a secret or a variable",
    ),
    (
        "<SETTABLE>",
        "headers other than those of the connection, of the body and of Raincheck",
    ),
    (
        "<OWNERS>",
        "an array of at most 32 names of request headers",
    ),
    ("<SPAN>", "a duration from \"1ms\" to \"365d\""),
    (
        "<FORM>",
        ": a whole number and ms, s, m, h or d, such as \"30s\"",
    ),
    ("<BOOL>", "true or false"),
    ("<SHARDS>", "a whole number from 1 to 1024"),
    ("<ATTEMPTS>", "a whole number from 1 to 100"),
];

/// Fields outside the rules, below a good origin.
const OUTSIDE_RULES: &str = r#"
allow_http = 1 => allow_http: found 1; allowed: <BOOL>
mount = "/" => mount: found "/"; allowed: <MOUNT>
mount = "jobs" => mount: found "jobs"; allowed: <MOUNT>
mount = "/jobs/" => mount: found "/jobs/"; allowed: <MOUNT>
mount = "/a/../b" => mount: found "/a/../b"; allowed: <MOUNT>
mount = "/{any}" => mount: found "/{any}"; allowed: <MOUNT>
mount = "/j%6Fbs" => mount: found "/j%6Fbs"; allowed: <MOUNT>
mount = "/*" => mount: found "/*"; allowed: <MOUNT>
mount = 1.5 => mount: found 1.5; allowed: <MOUNT>
public_origin = "https://h/base" => public_origin: found "https://h/base"; allowed: <SITE>
public_origin = "h.example" => public_origin: found "h.example"; allowed: <SITE>
public_origin = "ftp://h" => public_origin: found "ftp://h"; allowed: <SITE>
public_origin = "http://h.example" => public_origin: found "http://h.example/"; allowed: https, or http to a loopback address, or http anywhere with allow_http = true
public_origin = "http://api.example.com." => public_origin: found "http://api.example.com./"; allowed: https, or http to a loopback address, or http anywhere with allow_http = true
public_origin = "https://api.example.com." => origin: found "https://api.example.com", which is the public_origin; allowed: the address of your API, not of this gateway
public_origin = "https://api.example.com:443" => origin: found "https://api.example.com", which is the public_origin; allowed: the address of your API, not of this gateway
trusted_forwarded_host = "yes" => trusted_forwarded_host: found "yes"; allowed: <BOOL>
forwarding = "all" => forwarding: found "all"; allowed: "none", "x-forwarded", "forwarded", "both"
shards = 0 => shards: found 0; allowed: <SHARDS>
shards = 1025 => shards: found 1025; allowed: <SHARDS>
shards = -1 => shards: found -1; allowed: <SHARDS>
shards = "8" => shards: found "8"; allowed: <SHARDS>
previous_shards = 0 => previous_shards: found 0; allowed: <SHARDS>
previous_shards = 8 => previous_shards: found 8; allowed: the number of shards before the last change, other than shards itself
owner_headers = ["x tenant"] => owner_headers: found "x tenant"; allowed: <OWNERS>
owner_headers = [""] => owner_headers: found ""; allowed: <OWNERS>
owner_headers = "x-tenant" => owner_headers: found "x-tenant"; allowed: <OWNERS>
owner_header = "x-tenant" => owner_header: found an unknown field; did you mean "owner_headers"?
cors_origins = "*" => cors_origins: found "*"; allowed: <CORS>
cors_origins = ["*", "https://a"] => cors_origins: found "*" among others; allowed: <CORS>
cors_origins = ["https://a/path"] => cors_origins: found "https://a/path"; allowed: <SITE>
cors_origins = ["null"] => cors_origins: found "null"; allowed: <SITE>
cors_origins = ["https://bücher.example"] => cors_origins: found "https://bücher.example"; allowed: <SITE><ASCII>
cors_origins = [1] => cors_origins: found 1; allowed: <CORS>
cors_headers = "x-a" => cors_headers: found "x-a"; allowed: <FIELDS>
cors_headers = ["x-a", "x b"] => cors_headers: found "x b"; allowed: <FIELDS>
cors_headers = ["*"] => cors_headers: found "*"; allowed: <FIELDS>
cors_header = ["x-a"] => cors_header: found an unknown field; did you mean "cors_headers"?
cors_expose = ["*"] => cors_expose: found "*"; allowed: <FIELDS>
cors_expose = [""] => cors_expose: found ""; allowed: <FIELDS>
cors_exposed = ["x-a"] => cors_exposed: found an unknown field; did you mean "cors_expose"?
operator_token_sha256 = "hunter2" => operator_token_sha256: found something else (not shown); allowed: <DIGEST>
wait_limit = "61s" => wait_limit: found "61s"; allowed: a duration from "0s" to "1m"
wait_limit = 30 => wait_limit: found 30; allowed: a duration from "0s" to "1m"<FORM>
claim_patience = "999ms" => claim_patience: found "999ms"; allowed: a duration from "1s" to "1h"
lease = "15m" => lease: found "15m"; allowed: a duration from "1s" to "14m"
tombstone = "8d" => tombstone: found "8d"; allowed: a duration from "0s" to "7d"
retention = "366d" => retention: found "366d"; allowed: <SPAN>
retention = "1 d" => retention: found "1 d"; allowed: <SPAN><FORM>
body_limit = "501MiB" => body_limit: found "501MiB"; allowed: a size from "1B" to "500MiB"
body_limit = 0 => body_limit: found 0; allowed: a size from "1B" to "500MiB"
body_limit = "1mb" => body_limit: found "1mb"; allowed: a size from "1B" to "500MiB"
result_limit = "5GiB" => result_limit: found "5GiB"; allowed: a size from "1B" to "5115MiB"
rules = 1 => rules: found 1; allowed: an array of tables, each under [[vars.RAINCHECK.rules]]
rules = ["r"] => rules: found "r"; allowed: an array of tables, each under [[vars.RAINCHECK.rules]]
[rule] => rule: found an unknown field; did you mean "rules"?
raincheck = 1 => raincheck: found an unknown field; allowed: the fields in docs/configuration.md
origins_ = 1 => origins_: found an unknown field; did you mean "origins"?
attempts = 3 => attempts: found an unknown field; allowed: in a rule, under [[vars.RAINCHECK.rules]]
mout = "/x" => mout: found an unknown field; did you mean "mount"?
wait-limit = "1s" => wait-limit: found an unknown field; did you mean "wait_limit"?
"#;

/// Whole texts.
const ORIGINS: &str = r#"
 => origin: found nothing; allowed: <FORMS>
origin = 1 => origin: found neither a string nor a table; allowed: <FORMS>
origin = {} => origin: found neither url nor service; allowed: <FORMS>
origin = { service = true } => origin.service: found true; allowed: <SERVICE>
origin = { service = "A", url = "https://h" } => origin.service: found both url and service; allowed: either url or service
origin = { service = "a-b" } => origin.service: found "a-b"; allowed: <SERVICE>
origin = { url = "https://h", headers = "x" } => origin.headers: found no table; allowed: <ADDED>
origin = { url = "https://h", headers = { a = 1 } } => origin.headers.a: found something else (not shown); allowed: <VALUE>
origin = { url = "https://h", headers = { a = "${" } } => origin.headers.a: found something else (not shown); allowed: <VALUE>
origin = { url = "https://h", headers = { "a b" = "x" } } => origin.headers: found "a b"; allowed: names of headers, each once
origin = { url = "https://h", headers = { a = "x", A = "y" } } => origin.headers: found "a"; allowed: names of headers, each once
origin = { url = "https://h", headers = { Host = "x" } } => origin.headers: found "Host"; allowed: <SETTABLE>
origin = { url = "https://h", headers = { TE = "x" } } => origin.headers: found "TE"; allowed: <SETTABLE>
origin = { url = "https://h", headers = { Raincheck-Job = "x" } } => origin.headers: found "Raincheck-Job"; allowed: <SETTABLE>
origin = "https://h" & origins = [] => origins: found an empty array; allowed: a table for each, such as [vars.RAINCHECK.origins.reports]
origin = "https://h" & origins = { A = "https://a" } => origins: found "A"; allowed: a name of 1 to 64 characters out of a-z, 0-9 and "-"
origin = "https://h" & origins = { a = "http://a" } => origins.a: found "http://a/"; allowed: <HTTP>
origin = "https://h" & origins = { a = { url = "x" } } => origins.a.url: found "x"; allowed: <URL>
origin = "https://h" & origins = { a = { } } => origins.a: found neither url nor service; allowed: <FORMS>
origin = "https://h" & public_origin = "https://g" & origins = { a = "https://g/x" } => origins.a: found "https://g/x", which is the public_origin; allowed: the address of your API, not of this gateway
origin = "https://h" & [[rules]] & name = "r" & path = "/r" & origin = "ml" => rules[r].origin: found "ml"; allowed: one of the configured origins, but there are none: [vars.RAINCHECK.origins.NAME]
origin = "https://h" & origins = { ml = "https://ml" } & [[rules]] & name = "r" & path = "/r" & origin = "mll" => rules[r].origin: found "mll"; allowed: "ml"
origin = { uri = "https://h" } => origin.uri: found an unknown field; did you mean "url"?
origin = "api.example.com" => origin: found "api.example.com"; allowed: <URL>
origin = "/api" => origin: found "/api"; allowed: <URL>
origin = "ws://h" => origin: found "ws://h"; allowed: <URL>
origin = "https://h?a=b" => origin: found "https://h?a=b"; allowed: <URL>
origin = "https://h#f" => origin: found "https://h#f"; allowed: <URL>
origin = { url = "https://h?" } => origin.url: found "https://h?"; allowed: <URL>
origin = "https://me:pass@h" => origin: found a string with "@" (not shown); allowed: <URL>
origin = "me:pass@h" => origin: found a string with "@" (not shown); allowed: <URL>
origin = "http://api.example.com" => origin: found "http://api.example.com/"; allowed: <HTTP>
origin = "http://not-localhost" => origin: found "http://not-localhost/"; allowed: <HTTP>
origin = "https://:pass@h" => origin: found a string with "@" (not shown); allowed: <URL>
origin = "http://127.0.0.1.example.com" => origin: found "http://127.0.0.1.example.com/"; allowed: <HTTP>
"#;

/// Fields of a rule `r` with a good name and path; each error starts with `rules[r].`.
const OF_A_RULE: &str = r#"
methods = "POST" => methods: found "POST"; allowed: <METHODS>
methods = [] => methods: found an empty array; allowed: <METHODS>
methods = ["PO ST"] => methods: found "PO ST"; allowed: <METHODS>
methods = ["*", "GET"] => methods: found "*"; allowed: <METHODS>
methods = ["post"] => methods: found "post"; allowed: "POST"; method names are case-sensitive
methods = ["CONNECT"] => methods: found "CONNECT"; allowed: methods that a Worker can send: not CONNECT, TRACE or TRACK
headers = { name = "a" } => headers: found a table; allowed: <HEADERS>
headers = [{}] => headers[#1].name: found nothing; allowed: the name of a request header
headers = [{ name = "a" }, { name = "a b" }] => headers[#2].name: found "a b"; allowed: the name of a request header
headers = [{ name = 1 }] => headers[#1].name: found 1; allowed: the name of a request header
headers = [{ name = "a", value = " b" }] => headers[#1].value: found " b"; allowed: a header value without control characters or surrounding white space
headers = [{ name = "a", value = "b\u0007c" }] => headers[#1].value: found "b\u{7}c"; allowed: a header value without control characters or surrounding white space
headers = [{ name = "a", is = "b" }] => headers[#1].is: found an unknown field; allowed: the fields in docs/configuration.md
content_types = ["json"] => content_types: found "json"; allowed: <TYPES>
content_types = ["*/json"] => content_types: found "*/json"; allowed: <TYPES>
content_types = ["text/html; charset=x"] => content_types: found "text/html; charset=x"; allowed: <TYPES>
defer = true => defer: found true; allowed: "always", "preferred", "never"
defer = "sometimes" => defer: found "sometimes"; allowed: "always", "preferred", "never"
hold = "2m" => hold: found "2m"; allowed: a duration from "0s" to "1m"
hold = "31s" => hold: found "31s"; allowed: at most the wait_limit of "30s"
priority = "urgent" => priority: found "urgent"; allowed: "high", "normal", "low"
client_priority = 0 => client_priority: found 0; allowed: <BOOL>
client_deadline = 0 => client_deadline: found 0; allowed: <BOOL>
client_delay = 0 => client_delay: found 0; allowed: <BOOL>
attempts = 0 => attempts: found 0; allowed: <ATTEMPTS>
attempts = 101 => attempts: found 101; allowed: <ATTEMPTS>
attempts = [] => attempts: found an empty array; allowed: <ATTEMPTS>
attempts = [3] => attempts: found an array; allowed: <ATTEMPTS>
attempts = 2.5 => attempts: found 2.5; allowed: <ATTEMPTS>
attempts = 9223372036854775807 => attempts: found 9223372036854775807; allowed: <ATTEMPTS>
backoff = "1s" => backoff: found "1s"; allowed: a table such as { initial = "1s", factor = 2, max = "5m", jitter = 0.5 }
backoff = { initial = "0s" } => backoff.initial: found "0s"; allowed: a duration from "1ms" to "12h"
backoff = { initial = "6m" } => backoff.initial: found "6m"; allowed: at most max, "5m" by default
backoff = { max = "10ms" } => backoff.initial: found "1s" by default; allowed: at most max, "10ms"
backoff = { max = "13h" } => backoff.max: found "13h"; allowed: a duration from "1ms" to "12h"
backoff = { factor = 0.9999 } => backoff.factor: found 0.9999; allowed: a number from 1 to 100
backoff = { factor = 0 } => backoff.factor: found 0; allowed: a number from 1 to 100
backoff = { jitter = 1.01 } => backoff.jitter: found 1.01; allowed: a number from 0 to 1
backoff = { jitter = -0.1 } => backoff.jitter: found -0.1; allowed: a number from 0 to 1
backoff = { jitter = "half" } => backoff.jitter: found "half"; allowed: a number from 0 to 1
backoff = { base = 2 } => backoff.base: found an unknown field; allowed: the fields in docs/configuration.md
backoff = { inital = "1s" } => backoff.inital: found an unknown field; did you mean "initial"?
retry_statuses = [399] => retry_statuses: found 399; allowed: <STATUSES>
retry_statuses = [600] => retry_statuses: found 600; allowed: <STATUSES>
retry_statuses = ["503"] => retry_statuses: found "503"; allowed: <STATUSES>
retry_statuses = 503 => retry_statuses: found 503; allowed: <STATUSES>
attempt_timeout = "15m" => attempt_timeout: found "15m"; allowed: a duration from "1ms" to "14m"
attempt_timeout = "0s" => attempt_timeout: found "0s"; allowed: a duration from "1ms" to "14m"
attempt_timeout = "2m" & deadline = "1m" => deadline: found "1m"; allowed: at least the attempt_timeout of "2m"
deadline = "366d" => deadline: found "366d"; allowed: <SPAN>
deadline = "soon" => deadline: found "soon"; allowed: <SPAN><FORM>
deadline = "25h" => retention: found "1d" by default; allowed: at least the deadline of "25h"
retention = "59m" => retention: found "59m"; allowed: at least the deadline of "1h" by default
retention = "366d" => retention: found "366d"; allowed: <SPAN>
idempotency = "on" => idempotency: found "on"; allowed: "required", "optional", "off"
idempotency_window = "25h" => idempotency_window: found "25h"; allowed: at most the retention of "1d" by default
retention = "2h" & idempotency_window = "3h" => idempotency_window: found "3h"; allowed: at most the retention of "2h"
body_limit = "101MiB" => body_limit: found "101MiB"; allowed: at most the body_limit outside the rules, "100MiB"
origin_honours_key = "maybe" => origin_honours_key: found "maybe"; allowed: <BOOL>
hook = "x" => hook: found an unknown field; allowed: the fields in docs/configuration.md
mount = "/x" => mount: found an unknown field; allowed: outside the rules, under [vars.RAINCHECK]
atempts = 3 => atempts: found an unknown field; did you mean "attempts"?
retires = 3 => retires: found an unknown field; allowed: the fields in docs/configuration.md
attepmts = 3 => attepmts: found an unknown field; did you mean "attempts"?
"#;

/// Whole rules, below a good origin.
const NAMES_AND_PATHS: &str = r#"
path = "/r" => rules[#1].name: found nothing; allowed: <NAME>
name = 1 & path = "/r" => rules[#1].name: found 1; allowed: <NAME>
name = "" & path = "/r" => rules[#1].name: found ""; allowed: <NAME>
name = "A_b" & path = "/r" => rules[#1].name: found "A_b"; allowed: <NAME>
name = "r" & path = "/r" & [[rules]] & name = "r" & path = "/q" => rules[r].name: found "r" a second time; allowed: a name that no other rule has
name = "r" => rules[r].path: found nothing; allowed: a path such as "/reports/{id}"
name = "r" & path = 1 => rules[r].path: found 1; allowed: a path such as "/reports/{id}"
name = "r" & path = "r" => rules[r].path: found "r"; allowed: <PATH>
name = "r" & path = "/a//b" => rules[r].path: found "/a//b"; allowed: the canonical form of the path, "/a/b"
name = "r" & path = "/a b" => rules[r].path: found "/a b"; allowed: the canonical form of the path, "/a%20b"
name = "r" & path = "/%61" => rules[r].path: found "/%61"; allowed: the canonical form of the path, "/a"
name = "r" & path = "/{a}/../b" => rules[r].path: found "/{a}/../b"; allowed: <PATH>
name = "r" & path = "/{a" => rules[r].path: found "/{a"; allowed: <PATH>
name = "r" & path = "/{}" => rules[r].path: found "/{}"; allowed: <PATH>
name = "r" & path = "/{a-b}" => rules[r].path: found "/{a-b}"; allowed: <PATH>
name = "r" & path = "/{{a}}" => rules[r].path: found "/{{a}}"; allowed: <PATH>
name = "r" & path = "/{a}-{b}" => rules[r].path: found "/{a}-{b}"; allowed: <PATH>
name = "r" & path = "/{*a}/b" => rules[r].path: found "/{*a}/b"; allowed: <PATH>
name = "r" & path = "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}/{r}/{s}/{t}/{u}/{v}/{w}/{x}/{y}/{z}" => rules[r].path: found "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}"…; allowed: a path with at most 25 parameters
name = "r" & path = "/r?x" => rules[r].path: found "/r?x"; allowed: the canonical form of the path, "/r"
name = "r" & path = "/jobs" => rules[r].path: found "/jobs"; allowed: <OUTSIDE>
name = "r" & path = "/jobs/{id}" => rules[r].path: found "/jobs/{id}"; allowed: <OUTSIDE>
name = "r" & path = "/jobs/{*rest}" => rules[r].path: found "/jobs/{*rest}"; allowed: <OUTSIDE>
"#;

#[track_caller]
fn refused(text: &str, expected: &str) {
    let errors = match configuration::parse(text) {
        Ok(policy) => panic!("{text}\nwas read as {policy:?}"),
        Err(errors) => errors.to_string(),
    };
    assert_eq!(errors, expected, "for\n{text}");
}

#[track_caller]
fn check(table: &str, configuration: impl Fn(&str) -> String, place: &str) {
    let mut checked = 0;
    for line in table.trim().lines() {
        let (toml, expected) = line.split_once("=> ").expect(line);
        let mut expected = format!("{place}{expected}");
        for (name, text) in WORDS {
            expected = expected.replace(name, text);
        }
        refused(
            &configuration(&toml.trim_end().replace(" & ", "\n")),
            &expected,
        );
        checked += 1;
    }
    assert!(checked > 10, "the table was read");
}

#[test]
fn wrong_fields_outside_the_rules_are_refused() {
    check(OUTSIDE_RULES, top, "");
}

#[test]
fn wrong_origins_are_refused_and_credentials_never_shown() {
    check(ORIGINS, str::to_owned, "");
}

#[test]
fn wrong_fields_of_a_rule_are_refused() {
    check(OF_A_RULE, with_rule, "rules[r].");
}

#[test]
fn rules_need_a_name_of_their_own_and_a_path_outside_the_mount() {
    check(
        NAMES_AND_PATHS,
        |rule| format!("{ORIGIN}[[rules]]\n{rule}"),
        "",
    );
    for beside in [
        "/jobsearch",
        "/jobs-{id}",
        "/jobs{id}",
        "/{*rest}",
        "/{any}/jobs",
        "/{any_1}",
    ] {
        read(&format!(
            "{ORIGIN}[[rules]]\nname = \"r\"\npath = \"{beside}\""
        ));
    }
}

#[test]
fn a_digest_has_64_hexadecimal_digits() {
    let allowed = "the SHA-256 of the operator's token, 64 hexadecimal digits";
    for digest in ["a".repeat(63), "a".repeat(65), "g".repeat(64)] {
        refused(
            &top(&format!("operator_token_sha256 = \"{digest}\"")),
            &format!("operator_token_sha256: found something else (not shown); allowed: {allowed}"),
        );
    }
}

#[test]
fn long_values_are_shortened_in_errors() {
    refused(
        &format!(
            "{ORIGIN}[[rules]]\nname = \"{}\"\npath = \"/r\"",
            "é".repeat(65)
        ),
        &format!(
            "rules[#1].name: found \"{}\"…; allowed: 1 to 64 characters out of a-z, 0-9 and \"-\"",
            "é".repeat(60)
        ),
    );
}

#[test]
fn a_mount_that_is_too_long_is_refused() {
    let errors =
        configuration::parse(&top(&format!("mount = \"/{}\"", "a".repeat(128)))).unwrap_err();
    assert_eq!(errors.as_slice().len(), 1);
    assert_eq!(errors.as_slice()[0].field, "mount");
}

#[test]
fn too_many_statuses_to_retry_are_refused() {
    let statuses: Vec<String> = (400..433).map(|status| status.to_string()).collect();
    refused(
        &with_rule(&format!("retry_statuses = [{}]", statuses.join(","))),
        "rules[r].retry_statuses: found 33 statuses; allowed: an array of at most 32 statuses from 400 to 599",
    );
}

#[test]
fn a_second_rule_without_a_name_is_called_by_its_position() {
    refused(
        &format!("{}[[rules]]\npath = \"/q\"\nattempts = 0", with_rule("")),
        "rules[#2].name: found nothing; allowed: 1 to 64 characters out of a-z, 0-9 and \"-\"\n\
         rules[#2].attempts: found 0; allowed: a whole number from 1 to 100",
    );
}

#[test]
fn all_mistakes_are_reported_at_once_without_their_consequences() {
    refused(
        &top("mount = \"\"\nshards = \"many\"\nprevious_shards = 8\n\
              [[rules]]\nname = \"r\"\npath = \"/r\"\ndeadline = \"x\"\nretention = \"1m\"\ntypo = 1"),
        "mount: found \"\"; allowed: a path such as \"/jobs\": each segment a slash and letters, digits, \".\", \"_\", \"~\" or \"-\", no slash at the end, at most 128 characters\n\
         shards: found \"many\"; allowed: a whole number from 1 to 1024\n\
         rules[r].deadline: found \"x\"; allowed: a duration from \"1ms\" to \"365d\": a whole number and ms, s, m, h or d, such as \"30s\"\n\
         rules[r].typo: found an unknown field; allowed: the fields in docs/configuration.md",
    );
}

#[test]
fn too_many_rules_are_refused() {
    let many: Vec<String> = (0..257)
        .map(|n| format!("[[rules]]\nname = \"r{n}\"\npath = \"/r\"\n"))
        .collect();
    refused(
        &top(&many.concat()),
        "rules: found 257 rules; allowed: at most 256 rules",
    );
}
