//! What stands behind the gateway: it must be within reach, and not the gateway itself.

use raincheck::policy::{Origin, is_loopback, is_same_place};
use toml::{Table, Value};
use url::Url;

use super::check::{Report, VARIABLE, is, tables, text};

/// The Worker behind, when the origin is a service binding.
const SERVICE: &str = "ORIGIN";

impl Report {
    /// Looks at the origin of an environment that is deployed as `own_name`.
    pub(super) fn behind(&mut self, place: &str, origin: &Origin, table: &Table, own_name: &str) {
        match origin {
            Origin::Service => self.service(place, table, own_name),
            Origin::Url(origin) => {
                if let Ok(url) = Url::parse(origin) {
                    self.address(place, &url, table);
                }
            }
        }
    }

    fn service(&mut self, place: &str, table: &Table, own_name: &str) {
        let field = format!("{place}services");
        let services = tables(table, &["services"]);
        match services.into_iter().find(|it| is(it, "binding", SERVICE)) {
            None => self.mistake(
                field,
                format!("none bound as {SERVICE:?}"),
                format!("one with binding = {SERVICE:?}, because the origin is a service"),
            ),
            Some(bound) if is(bound, "service", own_name) => self.mistake(
                field,
                format!("{own_name:?} bound as {SERVICE:?}, which is this gateway"),
                "the Worker behind",
            ),
            Some(_) => {}
        }
    }

    fn address(&mut self, place: &str, origin: &Url, table: &Table) {
        let found = format!("{:?}", origin.as_str().trim_end_matches('/'));
        let field = format!("{place}vars.{VARIABLE}: origin");
        if self.deploy && is_loopback(origin) {
            self.mistake(
                field,
                found,
                "the address of your API; a deployed Worker cannot reach this machine",
            );
        } else if custom_domains(table).any(|own| is_same_place(&own, origin)) {
            self.mistake(
                field,
                format!("{found}, which is a custom domain of this gateway"),
                "the address of the API behind",
            );
        }
    }
}

/// Where the Worker itself is the origin. A route is something else: what is behind it has the same name.
fn custom_domains(table: &Table) -> impl Iterator<Item = Url> {
    let route = table.get("route").and_then(Value::as_table);
    tables(table, &["routes"])
        .into_iter()
        .chain(route)
        .filter(|route| route.get("custom_domain").and_then(Value::as_bool) == Some(true))
        .filter_map(|route| Url::parse(&format!("https://{}", text(route, "pattern"))).ok())
}
