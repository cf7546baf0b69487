//! Parses variables into a policy; this file has the fields outside the rules.

mod attempts;
mod origin;
mod rule;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::rule::{Entry, Inherited};
use self::words::{is_mount, is_token};
use super::bindings::CONFIGURATION;
use super::error::{ConfigError, ConfigErrors};
use super::fields::{Fields, Table, shown, shown_text};
use super::limits::{
    CLAIM_PATIENCE, DEFAULT_BODY_LIMIT, DEFAULT_CLAIM_PATIENCE, DEFAULT_LEASE, DEFAULT_MOUNT,
    DEFAULT_RETENTION, DEFAULT_SHARDS, DEFAULT_TOMBSTONE, DEFAULT_WAIT_LIMIT, LEASE,
    MAX_BODY_LIMIT, MAX_CORS_FIELDS, MAX_MOUNT_BYTES, MAX_OWNER_HEADERS, MAX_RESULT_LIMIT,
    MAX_RETENTION, MAX_RULES, MAX_SHARDS, MAX_WAIT_LIMIT, MIN_SPAN, TOMBSTONE,
};
use super::names::TOP_FIELDS;
use super::place::Place;
use super::rule::Rule;
use super::{Forwarding, Origin, OriginAt, Policy, Variable, duration_text, size_text};
use crate::job::Millis;

const FORWARDING: [(&str, Forwarding); 4] = [
    ("none", Forwarding::None),
    ("x-forwarded", Forwarding::XForwarded),
    ("forwarded", Forwarding::Forwarded),
    ("both", Forwarding::Both),
];

pub(super) fn policy(variables: Vec<Variable>) -> Result<Policy, ConfigErrors> {
    if variables.is_empty() {
        let error = ConfigError::new(&Place::default(), CONFIGURATION, "nothing", TABLES);
        return Err(error.into());
    }
    let (mut fields, entries) = merged(variables);
    let allow_http = fields.flag("allow_http").unwrap_or(false);
    let origin = origin::origin(&mut fields, allow_http);
    let origins = origin::origins(&mut fields, allow_http);
    let mount = mount(&mut fields);
    let public_origin = origin::public_origin(&mut fields, allow_http);
    let trusted_forwarded_host = fields.flag("trusted_forwarded_host").unwrap_or(false);
    let forwarding = fields.choice("forwarding", &FORWARDING).unwrap_or_default();
    let shards = fields
        .whole("shards", &(1..=MAX_SHARDS))
        .unwrap_or(DEFAULT_SHARDS);
    let previous_shards = previous_shards(&mut fields, shards);
    let owner_headers = owner_headers(&mut fields);
    let cors_origins = origin::cors_origins(&mut fields);
    let [cors_headers, cors_expose] =
        ["cors_headers", "cors_expose"].map(|key| cors_fields(&mut fields, key));
    let operator_token_sha256 = operator_token(&mut fields);
    let wait_limit = fields
        .duration("wait_limit", &(Millis(0)..=MAX_WAIT_LIMIT))
        .unwrap_or(DEFAULT_WAIT_LIMIT);
    let claim_patience = fields
        .duration("claim_patience", &CLAIM_PATIENCE)
        .unwrap_or(DEFAULT_CLAIM_PATIENCE);
    let lease = fields.duration("lease", &LEASE).unwrap_or(DEFAULT_LEASE);
    let tombstone = fields
        .duration("tombstone", &TOMBSTONE)
        .unwrap_or(DEFAULT_TOMBSTONE);
    let retention = fields.duration("retention", &(MIN_SPAN..=MAX_RETENTION));
    let body_limit = fields
        .size("body_limit", MAX_BODY_LIMIT)
        .unwrap_or(DEFAULT_BODY_LIMIT);
    let result_limit = fields
        .size("result_limit", MAX_RESULT_LIMIT)
        .unwrap_or(MAX_RESULT_LIMIT);
    let (first, public) = (origin.as_ref(), public_origin.as_ref());
    origin::refuse_loops(&mut fields, first, &origins, public);
    let inherited = Inherited {
        mount: &mount,
        origins: &origins,
        retention: retention.unwrap_or(DEFAULT_RETENTION),
        body_limit,
        wait_limit,
    };
    let rules = rules(&mut fields, entries, &inherited);
    // Without an origin the result is an error, and this one is not used.
    let nowhere = || Origin::from(OriginAt::Url(String::new()));
    let policy = Policy {
        origin: origin.unwrap_or_else(nowhere),
        origins,
        mount,
        public_origin,
        shards,
        previous_shards,
        owner_headers,
        trusted_forwarded_host,
        forwarding,
        cors_origins,
        cors_headers,
        cors_expose,
        operator_token_sha256,
        body_limit,
        result_limit,
        wait_limit,
        claim_patience,
        lease,
        tombstone,
        rules,
    };
    ConfigErrors::unless_empty(policy, fields.finish())
}

/// Merges the variables before they are interpreted: all their fields but `rules`, and all their rules,
/// those of `RAINCHECK` first, then by the variables' names. Rejects a variable that is not a table, and a
/// field that is in two variables.
fn merged(mut variables: Vec<Variable>) -> (Fields, Vec<Entry>) {
    variables.sort_unstable_by(|a, b| {
        let order = |name: &str| (name != CONFIGURATION, name.to_owned());
        order(&a.name).cmp(&order(&b.name))
    });
    let mut fields = Fields::new(Table::new(), Place::variable(CONFIGURATION), TOP_FIELDS);
    let (mut entries, mut homes) = (Vec::new(), BTreeMap::new());
    for Variable { name, value } in variables {
        let home = Place::variable(&name);
        let table = match value {
            Value::Object(table) => table,
            // Not shown: a string may be a secret.
            Value::String(_) => {
                let found = "a string (not shown)";
                fields.absorb(vec![ConfigError::new(
                    &Place::default(),
                    &name,
                    found,
                    TABLES,
                )]);
                continue;
            }
            _ => {
                fields.absorb(vec![ConfigError::new(
                    &Place::default(),
                    &name,
                    "no table",
                    TABLES,
                )]);
                continue;
            }
        };
        for (key, value) in table {
            if key == "rules" {
                match tables(&value) {
                    Ok(tables) => entries.extend(entries_of(tables, &home)),
                    Err(other) => {
                        let error = ConfigError::new(&home, "rules", shown(other), RULES);
                        fields.absorb(vec![error]);
                    }
                }
                continue;
            }
            if let Some(first) = homes.insert(key.clone(), name.clone()) {
                let found = format!("it in both {first} and {name}");
                let error = ConfigError::new(&home, &key, found, "one of them");
                fields.absorb(vec![error]);
                continue;
            }
            fields.put(key, value, &home);
        }
    }
    (fields, entries)
}

/// What a variable is.
const TABLES: &str = "tables, as under [vars.RAINCHECK] and [[vars.RAINCHECK.rules]]";
/// What `rules` is.
const RULES: &str = "an array of tables, each under [[vars.RAINCHECK.rules]]";

fn entries_of(tables: Vec<Table>, home: &Place) -> impl Iterator<Item = Entry> {
    let tables = tables.into_iter().enumerate();
    tables.map(|(index, table)| Entry {
        home: home.clone(),
        index,
        table,
    })
}

/// The tables of an array, or the first value that is not a table.
fn tables(value: &Value) -> Result<Vec<Table>, &Value> {
    let items = value.as_array().ok_or(value)?;
    let tables = items
        .iter()
        .map(|item| item.as_object().cloned().ok_or(item));
    tables.collect()
}

fn mount(fields: &mut Fields) -> String {
    let allowed = format!(
        "a path such as \"/jobs\": each segment a slash and letters, digits, \".\", \"_\", \"~\" or \
         \"-\", no slash at the end, at most {MAX_MOUNT_BYTES} characters"
    );
    let Some(text) = fields.text("mount", &allowed) else {
        return DEFAULT_MOUNT.to_owned();
    };
    if text.len() > MAX_MOUNT_BYTES || !is_mount(&text) {
        fields.refuse("mount", shown_text(&text), allowed);
        return DEFAULT_MOUNT.to_owned();
    }
    text
}

fn previous_shards(fields: &mut Fields, shards: u16) -> Option<u16> {
    let previous = fields.whole("previous_shards", &(1..=MAX_SHARDS))?;
    if previous == shards && fields.is_sound("shards") {
        fields.refuse(
            "previous_shards",
            previous.to_string(),
            "the number of shards before the last change, other than shards itself",
        );
    }
    Some(previous)
}

/// In lower case and sorted, so that the spelling of the list does not change who owns a key.
fn owner_headers(fields: &mut Fields) -> Option<Vec<String>> {
    let allowed = format!("an array of at most {MAX_OWNER_HEADERS} names of request headers");
    let names = fields.texts("owner_headers", &allowed)?;
    if names.len() > MAX_OWNER_HEADERS {
        fields.refuse("owner_headers", format!("{} names", names.len()), &allowed);
    }
    if let Some(name) = names.iter().find(|name| !is_token(name)) {
        fields.refuse("owner_headers", shown_text(name), allowed);
    }
    Some(in_one_form(&names))
}

/// Field names for CORS, in lower case. `*` is rejected: it would mean every field.
fn cors_fields(fields: &mut Fields, key: &str) -> Vec<String> {
    let allowed = format!("an array of at most {MAX_CORS_FIELDS} names of headers, without \"*\"");
    let names = fields.texts(key, &allowed).unwrap_or_default();
    if names.len() > MAX_CORS_FIELDS {
        fields.refuse(key, format!("{} names", names.len()), &allowed);
    }
    if let Some(name) = names.iter().find(|name| !is_token(name) || *name == "*") {
        fields.refuse(key, shown_text(name), allowed);
    }
    in_one_form(&names)
}

/// Field names in lower case, sorted, each once.
fn in_one_form(names: &[String]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Errors never show the value: it may be the token itself.
fn operator_token(fields: &mut Fields) -> Option<String> {
    const ALLOWED: &str = "the SHA-256 of the operator's token, 64 hexadecimal digits";
    match fields.take("operator_token_sha256")? {
        Value::String(digest)
            if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            Some(digest.to_ascii_lowercase())
        }
        _ => {
            fields.refuse(
                "operator_token_sha256",
                "something else (not shown)",
                ALLOWED,
            );
            None
        }
    }
}

fn rules(fields: &mut Fields, entries: Vec<Entry>, inherited: &Inherited<'_>) -> Vec<Rule> {
    if entries.len() > MAX_RULES {
        fields.refuse(
            "rules",
            format!("{} rules", entries.len()),
            format!("at most {MAX_RULES} rules"),
        );
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut rules = Vec::with_capacity(entries.len());
    for (position, entry) in (1_usize..).zip(entries) {
        let (rule, errors) = rule::rule(entry, position, inherited, &mut names);
        fields.absorb(errors);
        rules.extend(rule);
    }
    rules
}

/// Formats a value, and says if it is a default or inherited.
fn span_found(span: Millis, written: bool) -> String {
    origin_of(&duration_text(span), written)
}

fn size_found(size: u64, written: bool) -> String {
    origin_of(&size_text(size), written)
}

fn origin_of(text: &str, written: bool) -> String {
    let note = if written { "" } else { " by default" };
    format!("{text:?}{note}")
}
