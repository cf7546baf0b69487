//! Checks the origins: they must be reachable, and not be the gateway itself.

use serde_json::Value;
use url::Url;

use super::check::Report;
use super::file::{Environment, is, tables, text};
use crate::policy::bindings::CONFIGURATION;
use crate::policy::fields::Table;
use crate::policy::place::Place;
use crate::policy::{OriginAt, Policy, is_loopback, is_same_place};

impl Report {
    /// Checks the origins of an environment.
    pub(super) fn behind(&mut self, environment: &Environment<'_>, policy: &Policy) {
        let named = policy.origins.iter();
        let named = named.map(|(name, origin)| (Some(name.as_str()), origin));
        for (name, origin) in std::iter::once((None, &policy.origin)).chain(named) {
            let (place, key) = home(environment, name);
            match &origin.at {
                OriginAt::Service(binding) => self.service(environment, binding),
                OriginAt::Url(origin) => {
                    if let Ok(url) = Url::parse(origin) {
                        self.address(environment, &place, &key, &url);
                    }
                }
            }
        }
    }

    fn service(&mut self, environment: &Environment<'_>, binding: &str) {
        let own_name = environment.deployed_as();
        let services = tables(environment.table, &["services"]);
        match services.into_iter().find(|it| is(it, "binding", binding)) {
            None => self.mistake(
                &environment.place,
                "services",
                format!("none bound as {binding:?}"),
                format!("one with binding = {binding:?}, because an origin is that service"),
            ),
            Some(bound) if is(bound, "service", &own_name) => self.mistake(
                &environment.place,
                "services",
                format!("{own_name:?} bound as {binding:?}, which is this gateway"),
                "the Worker behind",
            ),
            Some(_) => {}
        }
    }

    fn address(&mut self, environment: &Environment<'_>, place: &Place, key: &str, origin: &Url) {
        let found = format!("{:?}", origin.as_str().trim_end_matches('/'));
        if self.deploy && is_loopback(origin) {
            let allowed = "the address of your API; a deployed Worker cannot reach this machine";
            self.mistake(place, key, found, allowed);
        } else if custom_domains(environment.table).any(|own| is_same_place(&own, origin)) {
            let found = format!("{found}, which is a custom domain of this gateway");
            self.mistake(place, key, found, "the address of your API");
        }
    }
}

/// The place of an origin in the file, in any variable.
fn home(environment: &Environment<'_>, name: Option<&str>) -> (Place, String) {
    let has_it = |table: &Table| match name {
        None => table.contains_key("origin"),
        Some(name) => table
            .get("origins")
            .is_some_and(|all| all.get(name).is_some()),
    };
    let variables = environment.variables();
    let variable = variables
        .iter()
        .find(|variable| variable.value.as_object().is_some_and(has_it))
        .map_or(CONFIGURATION, |variable| variable.name.as_str());
    let place = environment.place.table("vars").table(variable);
    match name {
        None => (place, "origin".to_owned()),
        Some(name) => (place.table("origins"), name.to_owned()),
    }
}

/// The custom domains of the Worker. Routes are not included: the API behind one has the same host name.
fn custom_domains(table: &Table) -> impl Iterator<Item = Url> {
    let route = table.get("route").and_then(Value::as_object);
    tables(table, &["routes"])
        .into_iter()
        .chain(route)
        .filter(|route| route.get("custom_domain").and_then(Value::as_bool) == Some(true))
        .filter_map(|route| Url::parse(&format!("https://{}", text(route, "pattern"))).ok())
}
