//! What stands behind the gateway: it must be within reach, and not the gateway itself.

use serde_json::Value;
use url::Url;

use super::check::Report;
use super::file::{Environment, is, tables, text};
use crate::policy::bindings::{CONFIGURATION, ORIGIN};
use crate::policy::fields::Table;
use crate::policy::{Origin, is_loopback, is_same_place};

impl Report {
    /// Looks at the origin of an environment.
    pub(super) fn behind(&mut self, environment: &Environment<'_>, origin: &Origin) {
        match origin {
            Origin::Service => self.service(environment),
            Origin::Url(origin) => {
                if let Ok(url) = Url::parse(origin) {
                    self.address(environment, &url);
                }
            }
        }
    }

    fn service(&mut self, environment: &Environment<'_>) {
        let own_name = environment.deployed_as();
        let services = tables(environment.table, &["services"]);
        match services.into_iter().find(|it| is(it, "binding", ORIGIN)) {
            None => self.mistake(
                &environment.place,
                "services",
                format!("none bound as {ORIGIN:?}"),
                format!("one with binding = {ORIGIN:?}, because the origin is a service"),
            ),
            Some(bound) if is(bound, "service", &own_name) => self.mistake(
                &environment.place,
                "services",
                format!("{own_name:?} bound as {ORIGIN:?}, which is this gateway"),
                "the Worker behind",
            ),
            Some(_) => {}
        }
    }

    fn address(&mut self, environment: &Environment<'_>, origin: &Url) {
        let found = format!("{:?}", origin.as_str().trim_end_matches('/'));
        let place = environment.place.table("vars").table(CONFIGURATION);
        if self.deploy && is_loopback(origin) {
            self.mistake(
                &place,
                "origin",
                found,
                "the address of your API; a deployed Worker cannot reach this machine",
            );
        } else if custom_domains(environment.table).any(|own| is_same_place(&own, origin)) {
            self.mistake(
                &place,
                "origin",
                format!("{found}, which is a custom domain of this gateway"),
                "the address of the API behind",
            );
        }
    }
}

/// Where the Worker itself is the origin. A route is something else: what is behind it has the same name.
fn custom_domains(table: &Table) -> impl Iterator<Item = Url> {
    let route = table.get("route").and_then(Value::as_object);
    tables(table, &["routes"])
        .into_iter()
        .chain(route)
        .filter(|route| route.get("custom_domain").and_then(Value::as_bool) == Some(true))
        .filter_map(|route| Url::parse(&format!("https://{}", text(route, "pattern"))).ok())
}
