//! The gateway's configuration in the worlds.

use std::rc::Rc;

use raincheck::policy::Policy;
use raincheck::rpc::hash::sha256_hex;

use super::configuration;

/// Largest result that is stored, in bytes.
pub const RESULT_LIMIT: usize = 96 * 1024;

/// The operator's token.
pub const TOKEN: &str = "let-me-redrive";

/// The longest deadline, retention, tombstone and slack of any rule below, in milliseconds.
pub const DEADLINE: u64 = 180_000;
pub const RETENTION: u64 = 900_000;
pub const TOMBSTONE: u64 = 60_000;

/// How long a searched history runs, in milliseconds: past the deadline of its job.
pub const SEARCHED: u64 = 65_000;

/// A configuration with this many shards.
pub fn policy(shards: u16) -> Rc<Policy> {
    thread_local! {
        static MADE: std::cell::RefCell<Vec<Rc<Policy>>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    MADE.with_borrow_mut(|made| {
        if let Some(policy) = made.iter().find(|policy| policy.shards == shards) {
            return Rc::clone(policy);
        }
        let policy =
            Rc::new(configuration::parse(&text(shards)).expect("the configuration is valid"));
        made.push(Rc::clone(&policy));
        policy
    })
}

fn text(shards: u16) -> String {
    let token = sha256_hex(TOKEN.as_bytes());
    format!(
        r#"
origin = "https://origin.example"
owner_headers = ["x-owner"]
operator_token_sha256 = "{token}"
shards = {shards}
claim_patience = "5s"
lease = "10s"
tombstone = "1m"
retention = "15m"
result_limit = {RESULT_LIMIT}
body_limit = "80KiB"

[[rules]]
name = "orders"
methods = ["POST"]
path = "/orders"
attempts = 3
attempt_timeout = "25s"
deadline = "3m"
backoff = {{ initial = "1s", max = "10s" }}

[[rules]]
name = "things"
methods = ["PUT"]
path = "/things/{{id}}"
attempts = 4
attempt_timeout = "20s"
deadline = "2m"
retention = "10m"
backoff = {{ initial = "500ms", max = "20s", jitter = 0.0 }}

[[rules]]
name = "honoured"
methods = ["POST"]
path = "/honoured"
attempts = 2
attempt_timeout = "20s"
deadline = "1m"
idempotency_window = "5m"
origin_honours_key = true

[[rules]]
name = "once"
methods = ["POST"]
path = "/once"
attempts = 2
attempt_timeout = "20s"
deadline = "1m"
backoff = {{ initial = "1s", max = "10s", jitter = 0.0 }}

[[rules]]
name = "twice"
methods = ["POST"]
path = "/twice"
attempts = 2
attempt_timeout = "20s"
deadline = "1m"
backoff = {{ initial = "1s", max = "10s", jitter = 0.0 }}
origin_honours_key = true
"#
    )
}
