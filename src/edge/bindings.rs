//! What is read from the environment of an event.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{JSON, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::job::{Millis, Priority};
use crate::policy::bindings::{self, CONSUMER, ORIGIN};
use crate::policy::{ConfigError, ConfigErrors, Origin, Place, Policy, Variable, limits};
use crate::shard::Settings;

/// An object in the bucket that no record names counts as an orphan after this long: longer than any
/// upload takes.
const ORPHAN_GRACE: Millis = Millis::from_secs(2 * 3600);

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
        self.get(bindings::queue(priority))
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
                let policy = Policy::read(self.variables())?;
                if matches!(policy.origin, Origin::Service) && self.get(ORIGIN).is_undefined() {
                    return Err(unbound_origin().into());
                }
                Ok(Rc::new(policy))
            })
            .clone()
        })
    }

    /// The variables with the configuration, by way of JSON: tables arrive as JavaScript objects.
    fn variables(&self) -> Vec<Variable> {
        let Some(env) = self.0.dyn_ref::<Object>() else {
            return Vec::new();
        };
        let names = Object::keys(env)
            .into_iter()
            .filter_map(|name| name.as_string());
        let ours = names.filter(|name| bindings::is_configuration(name));
        ours.map(|name| {
            let text = JSON::stringify(&self.get(&name))
                .ok()
                .and_then(|text| text.as_string());
            let value = text.and_then(|text| serde_json::from_str(&text).ok());
            Variable {
                name,
                value: value.unwrap_or_default(),
            }
        })
        .collect()
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

/// Calls with the mount as configured, or the default where no configuration was read yet or it is refused.
pub(super) fn with_mount<T>(call: impl FnOnce(&str) -> T) -> T {
    POLICY.with(|cell| match cell.get() {
        Some(Ok(policy)) => call(&policy.mount),
        _ => call(limits::DEFAULT_MOUNT),
    })
}

/// Without the binding the requests would go to whoever answers on the Internet.
fn unbound_origin() -> ConfigError {
    ConfigError::new(
        &Place::variable(bindings::CONFIGURATION),
        "origin",
        "{ service = true }, but no service bound as ORIGIN",
        "a URL, or a service with binding = \"ORIGIN\" in wrangler.toml",
    )
}

impl From<worker::Env> for Bindings {
    fn from(env: worker::Env) -> Self {
        Self::new(env.unchecked_into())
    }
}
