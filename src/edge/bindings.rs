//! Every binding by its name in wrangler.toml, and what is read from the environment.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::Reflect;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::job::{Millis, Priority};
use crate::policy::{ConfigError, ConfigErrors, Origin, Policy, limits};
use crate::shard::Settings;

/// An object in the bucket that no record names counts as an orphan after this long: longer than any
/// upload takes.
const ORPHAN_GRACE: Millis = Millis::from_secs(2 * 3600);

/// The variable with the configuration, TOML text.
pub(super) const CONFIGURATION: &str = "RAINCHECK";
/// The Durable Object namespace of the shards.
pub(super) const SHARDS: &str = "SHARDS";
/// The bucket for large bodies.
pub(super) const BUCKET: &str = "BUCKET";
/// The service binding to the origin, where the configuration says that there is one.
pub(super) const ORIGIN: &str = "ORIGIN";
/// The queues, by priority.
pub(super) const QUEUE_HIGH: &str = "QUEUE_HIGH";
pub(super) const QUEUE_NORMAL: &str = "QUEUE_NORMAL";
pub(super) const QUEUE_LOW: &str = "QUEUE_LOW";
/// `detached`: the queue handler returns while its jobs still run. For local runs only, where a
/// queue delivers one batch at a time.
pub(super) const CONSUMER: &str = "RAINCHECK_CONSUMER";

thread_local! {
    /// The configuration cannot change while an isolate lives.
    static POLICY: OnceCell<Result<Rc<Policy>, ConfigErrors>> = const { OnceCell::new() };
}

/// The environment of an event.
#[derive(Clone, Debug)]
pub(super) struct Bindings(JsValue);

impl Bindings {
    pub(super) const fn new(env: JsValue) -> Self {
        Self(env)
    }

    /// A binding; undefined when it is missing.
    pub(super) fn get(&self, name: &str) -> JsValue {
        Reflect::get(&self.0, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
    }

    pub(super) fn queue(&self, priority: Priority) -> JsValue {
        self.get(match priority {
            Priority::High => QUEUE_HIGH,
            Priority::Normal => QUEUE_NORMAL,
            Priority::Low => QUEUE_LOW,
        })
    }

    /// What answers the origin's requests: undefined stands for the global `fetch`.
    pub(super) fn fetcher(&self, policy: &Policy) -> JsValue {
        match policy.origin {
            Origin::Url(_) => JsValue::UNDEFINED,
            Origin::Service => self.get(ORIGIN),
        }
    }

    pub(super) fn is_detached(&self) -> bool {
        self.get(CONSUMER)
            .as_string()
            .is_some_and(|value| value == "detached")
    }

    /// The checked configuration, or everything that is wrong with it.
    pub(super) fn policy(&self) -> Result<Rc<Policy>, ConfigErrors> {
        POLICY.with(|cell| {
            cell.get_or_init(|| {
                let text = self.get(CONFIGURATION).as_string().unwrap_or_default();
                let policy = Policy::parse(&text)?;
                if matches!(policy.origin, Origin::Service) && self.get(ORIGIN).is_undefined() {
                    return Err(unbound_origin().into());
                }
                Ok(Rc::new(policy))
            })
            .clone()
        })
    }

    /// The times of a shard. A broken configuration must not keep its alarm from working, so then
    /// the defaults hold.
    pub(super) fn settings(&self) -> Settings {
        let policy = self.policy().ok();
        let policy = policy.as_deref();
        Settings {
            patience: policy.map_or(limits::DEFAULT_CLAIM_PATIENCE, |policy| {
                policy.claim_patience
            }),
            tombstone: policy.map_or(limits::DEFAULT_TOMBSTONE, |policy| policy.tombstone),
            orphan_grace: ORPHAN_GRACE,
        }
    }
}

/// Without the binding the requests would go to whoever answers on the Internet.
fn unbound_origin() -> ConfigError {
    ConfigError {
        field: "origin".to_owned(),
        found: "{ service = true }, but no service bound as ORIGIN".to_owned(),
        allowed: "a URL, or a service with binding = \"ORIGIN\" in wrangler.toml".to_owned(),
    }
}

impl From<worker::Env> for Bindings {
    fn from(env: worker::Env) -> Self {
        Self::new(env.unchecked_into())
    }
}
