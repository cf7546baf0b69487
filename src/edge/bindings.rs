//! Reads the environment of an event: bindings, configuration, settings.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{JSON, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::job::{Millis, Priority};
use crate::policy::bindings::{self, CONSUMER};
use crate::policy::{ConfigError, ConfigErrors, OriginAt, Place, Policy, Variable, limits};
use crate::shard::Settings;

/// After this long, an object in the bucket that no record names is an orphan. Any upload is faster.
const ORPHAN_GRACE: Millis = Millis::from_secs(2 * 3600);

thread_local! {
    /// Read once: the configuration cannot change while an isolate lives.
    static POLICY: OnceCell<Result<Rc<Policy>, ConfigErrors>> = const { OnceCell::new() };
}

/// The environment of an event.
#[derive(Clone, Debug)]
pub(super) struct Bindings(JsValue);

impl Bindings {
    pub(super) const fn new(env: JsValue) -> Self {
        Self(env)
    }

    /// A binding; undefined if it is missing.
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

    /// The checked configuration, or its errors.
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

    /// The error of an origin whose service binding is missing. Otherwise its requests, with their
    /// credentials, would go out to the Internet.
    fn unbound(&self, policy: &Policy) -> Option<ConfigError> {
        let named = policy.origins.iter();
        let named = named.map(|(name, origin)| (format!("origins.{name}"), origin));
        let mut all = std::iter::once(("origin".to_owned(), &policy.origin)).chain(named);
        all.find_map(|(field, origin)| match &origin.at {
            OriginAt::Service(binding) if self.get(binding).is_undefined() => {
                Some(ConfigError::new(
                    &Place::variable(bindings::CONFIGURATION),
                    &field,
                    format!("the service {binding:?}, but no such binding"),
                    "a URL, or a service binding of wrangler.toml",
                ))
            }
            _ => None,
        })
    }

    /// The configuration variables, converted through JSON because tables arrive as JavaScript objects.
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

    /// The times of a shard. If the configuration is invalid, the defaults apply, so that the alarm still
    /// works.
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

/// Calls with the configured mount, or with the default if there is no valid configuration yet.
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
