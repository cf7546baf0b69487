//! Access to the tables of wrangler.toml.

use serde_json::Value;

use crate::policy::fields::Table;
use crate::policy::place::Place;
use crate::policy::{Variable, bindings};

/// The top level of the file or one of its environments.
#[derive(Clone, Debug)]
pub(super) struct Environment<'a> {
    /// Its name; empty for the top level.
    pub(super) name: &'a str,
    pub(super) place: Place,
    pub(super) table: &'a Table,
    /// The whole file.
    pub(super) file: &'a Table,
}

impl Environment<'_> {
    /// The Worker's name when it is deployed.
    pub(super) fn deployed_as(&self) -> String {
        match self.table.get("name").and_then(Value::as_str) {
            Some(own) => own.to_owned(),
            None => format!("{}-{}", text(self.file, "name"), self.name),
        }
    }

    /// The variables that hold the configuration.
    pub(super) fn variables(&self) -> Vec<Variable> {
        let vars = self.table.get("vars").and_then(Value::as_object);
        let all = vars.into_iter().flatten();
        let ours = all.filter(|(name, _)| bindings::is_configuration(name));
        ours.map(|(name, value)| Variable {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
    }
}

/// The top level and every environment.
pub(super) fn environments(file: &Table) -> Vec<Environment<'_>> {
    let top = Environment {
        name: "",
        place: Place::default(),
        table: file,
        file,
    };
    let named = tables_of(file, "env").map(|(name, table)| Environment {
        name,
        place: Place::default().table("env").table(name),
        table,
        file,
    });
    std::iter::once(top).chain(named).collect()
}

/// The tables inside a table, with their names.
pub(super) fn tables_of<'a>(
    table: &'a Table,
    key: &str,
) -> impl Iterator<Item = (&'a str, &'a Table)> {
    let inner = table.get(key).and_then(Value::as_object);
    let all = inner.into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.as_str(), value.as_object()?)))
}

/// The tables of an array at a path; empty if anything on the path is absent or of another type.
pub(super) fn tables<'a>(table: &'a Table, path: &[&str]) -> Vec<&'a Table> {
    let Some((last, before)) = path.split_last() else {
        return Vec::new();
    };
    let parent = before
        .iter()
        .try_fold(table, |table, key| table.get(*key)?.as_object());
    let array = parent.and_then(|parent| parent.get(*last)?.as_array());
    array
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

/// The string in a field; empty if there is none.
pub(super) fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is(table: &Table, key: &str, value: &str) -> bool {
    text(table, key) == value
}
