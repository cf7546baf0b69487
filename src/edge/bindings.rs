//! What is read from the environment of an event.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{JSON, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::job::{Millis, Priority};
use crate::policy::bindings::{self, CONSUMER};
use crate::policy::{ConfigError, ConfigErrors, OriginAt, Place, Policy, Variable, limits};
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
                match self.unbound(&policy) {
                    Some(error) => Err(error.into()),
                    None => Ok(Rc::new(policy)),
                }
            })
            .clone()
        })
    }

    /// A service binding that an origin needs and that is not there. Without it the requests, with their
    /// credentials, would go to whoever answers on the Internet.
    fn unbound(&self, policy: &Policy) -> Option<ConfigError> {
        let named = policy.origins.iter();
        let named = named.map(|(name, origin)| (format!("origins.{name}"), origin));
        let mut all = std::iter::once(("origin".to_owned(), &policy.origin)).chain(named);
        all.find_map(|(field, origin)| match &origin.at {
            OriginAt::Service(binding) if self.get(binding).is_undefined() => {
                Some(ConfigError::new(
                    &Place::variable(bindings::CONFIGURATION),
                    &field,
                    format!("the service {binding:?}, but none bound by that name"),
                    "a URL, or a service binding of wrangler.toml",
                ))
            }
            _ => None,
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

impl From<worker::Env> for Bindings {
    fn from(env: worker::Env) -> Self {
        Self::new(env.unchecked_into())
    }
}
