//! The configurations that the tests run under. The first segment of a path names the rule; a path
//! that begins otherwise is passed through.

use crate::origin::Origin;

/// The web origin that may call the gateway from a browser.
pub const WEB_ORIGIN: &str = "https://app.example";

/// The operator's token; the configuration has its hash.
pub const OPERATOR: &str = "operator of the edge tests";

/// Larger than every other test's result, and still quick to exceed.
pub const RESULT_LIMIT: u64 = 24_000_000;

/// Times for all rules: short, so that time-outs and expiry happen within a test.
const SHORT: &str = r#"
retention = "10m"
tombstone = "5s"
lease = "3s"
claim_patience = "3s"
"#;

/// The defaults of the tests' rules: three attempts, close together, with enough time on a slow machine.
const USUAL: &str = r#"
methods = ["*"]
attempts = 3
attempt_timeout = "60s"
deadline = "120s"
backoff = { initial = "50ms", factor = 1, max = "2s", jitter = 0 }
"#;

/// Rules that differ from the usual in one field.
const LIKE_USUAL: [(&str, &str); 10] = [
    ("always", ""),
    ("preferred", "defer = \"preferred\""),
    ("never", "defer = \"never\""),
    ("keyed", "idempotency = \"required\""),
    ("window", "idempotency_window = \"1500ms\""),
    ("honours", "origin_honours_key = true"),
    ("limited", "body_limit = \"1000B\""),
    ("held", "hold = \"2s\""),
    (
        "choosy",
        "client_priority = true\nclient_delay = true\nclient_deadline = true",
    ),
    ("urgent", "priority = \"high\""),
];

/// Rules about time.
const TIMED: &str = r#"
# Two attempts that hang are over in about a second.
[[rules]]
name = "impatient"
path = "/impatient/{*rest}"
methods = ["*"]
attempts = 2
attempt_timeout = "500ms"
deadline = "60s"
backoff = { initial = "50ms", factor = 1, jitter = 0 }

# The deadline comes before the last attempt.
[[rules]]
name = "doomed"
path = "/doomed/{*rest}"
methods = ["*"]
attempts = 100
attempt_timeout = "2s"
deadline = "2s"
backoff = { initial = "200ms", factor = 1, jitter = 0 }

# Expires soon.
[[rules]]
name = "brief"
path = "/brief/{*rest}"
methods = ["*"]
attempt_timeout = "2s"
deadline = "2s"
retention = "4s"

# Between two attempts there is time to cancel.
[[rules]]
name = "patient"
path = "/patient/{*rest}"
methods = ["*"]
attempt_timeout = "20s"
deadline = "60s"
backoff = { initial = "30s", jitter = 0 }
"#;

/// The configuration of a gateway that pages of another web origin may call.
pub fn for_pages(origin: &Origin) -> String {
    format!(
        "cors_origins = [{WEB_ORIGIN:?}]\ncors_headers = [\"X-Tenant\"]\ncors_expose = [\"X-Total\"]\n{}",
        shared(origin)
    )
}

/// The configuration of the gateway that most tests share. It names no web origin, like most configurations:
/// responses then take the shortest path.
pub fn shared(origin: &Origin) -> String {
    let mut text = format!(
        "origin = {:?}\nresult_limit = \"{RESULT_LIMIT}B\"\noperator_token_sha256 = {:?}\n{SHORT}",
        origin.url(),
        crate::pattern::sha256(OPERATOR.as_bytes())
    );
    for (name, fields) in LIKE_USUAL {
        text.push_str(&usual(name, fields));
    }
    text.push_str(TIMED);
    text
}

/// A configuration with one usual rule, `always`.
pub fn plain(origin: &str) -> String {
    format!("origin = {origin:?}\n{SHORT}{}", usual("always", ""))
}

/// A configuration for bodies of any size that the platform takes.
pub fn large(origin: &Origin) -> String {
    let always =
        "methods = [\"*\"]\nattempt_timeout = \"5m\"\ndeadline = \"10m\"\nretention = \"20m\"";
    let always = format!("[[rules]]\nname = \"always\"\npath = \"/always/{{*rest}}\"\n{always}\n");
    format!(
        "origin = {:?}\nbody_limit = \"200MiB\"\n{always}",
        origin.url()
    )
}

fn usual(name: &str, fields: &str) -> String {
    format!("\n[[rules]]\nname = {name:?}\npath = \"/{name}/{{*rest}}\"{USUAL}{fields}\n")
}
