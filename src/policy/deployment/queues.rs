//! Checks the bindings that the Worker uses: shards, bucket, queues.

use serde_json::Value;

use super::check::Report;
use super::file::{Environment, is, tables, text};
use crate::job::Priority;
use crate::policy::bindings::{BUCKET, SHARDS, queue};
use crate::policy::limits::DEAD_LETTERS_SUFFIX;
use crate::policy::place::Place;

/// The class of the shards.
const SHARD_CLASS: &str = "ShardObject";

impl Report {
    pub(super) fn shards(&mut self, environment: &Environment<'_>) {
        let (place, table) = (&environment.place, environment.table);
        let objects = place.table("durable_objects");
        let bindings = tables(table, &["durable_objects", "bindings"]);
        let binding = bindings.into_iter().find(|it| is(it, "name", SHARDS));
        let class = binding.map(|it| text(it, "class_name"));
        let needed = format!("{{ name = {SHARDS:?}, class_name = {SHARD_CLASS:?} }} among them");
        match class {
            None => self.mistake(
                &objects,
                "bindings",
                format!("none named {SHARDS:?}"),
                needed,
            ),
            Some(class) if class != SHARD_CLASS => {
                let found = format!("{SHARDS:?} of the class {class:?}");
                self.mistake(&objects, "bindings", found, needed);
            }
            Some(_) => {}
        }
        let holder = if table.contains_key("migrations") {
            (place.clone(), table)
        } else {
            (Place::default(), environment.file)
        };
        let migrated = tables(holder.1, &["migrations"]).into_iter().any(|it| {
            let classes = it.get("new_sqlite_classes").and_then(Value::as_array);
            let mut classes = classes.into_iter().flatten().filter_map(Value::as_str);
            classes.any(|class| class == SHARD_CLASS)
        });
        if !migrated {
            self.mistake(
                &holder.0,
                "migrations",
                format!("no SQLite class {SHARD_CLASS:?}"),
                format!("one with new_sqlite_classes = [{SHARD_CLASS:?}]"),
            );
        }
    }

    pub(super) fn bucket(&mut self, environment: &Environment<'_>) {
        let buckets = tables(environment.table, &["r2_buckets"]);
        if !buckets.into_iter().any(|it| is(it, "binding", BUCKET)) {
            self.mistake(
                &environment.place,
                "r2_buckets",
                format!("none bound as {BUCKET:?}"),
                format!("one with binding = {BUCKET:?}"),
            );
        }
    }

    /// Each priority needs its own queue that this Worker consumes, with a dead-letter queue so that messages
    /// are not deleted. The dead-letter queue needs a consumer too.
    pub(super) fn queues(&mut self, environment: &Environment<'_>) {
        let (place, table) = (environment.place.table("queues"), environment.table);
        let producers = tables(table, &["queues", "producers"]);
        let consumers = tables(table, &["queues", "consumers"]);
        let consumer = |queue: &str| consumers.iter().find(|it| is(it, "queue", queue));
        let (mut seen, mut dead): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for binding in Priority::ALL.map(queue) {
            let bound = producers.iter().find(|it| is(it, "binding", binding));
            let Some(queue) = bound.map(|it| text(it, "queue")) else {
                let found = format!("none bound as {binding:?}");
                self.mistake(
                    &place,
                    "producers",
                    found,
                    format!("one with binding = {binding:?}"),
                );
                continue;
            };
            if seen.contains(&queue) {
                let found = format!("{queue:?} for {binding:?} and another priority");
                self.mistake(&place, "producers", found, "a queue for each priority");
                continue;
            }
            seen.push(queue);
            match consumer(queue).map(|it| text(it, "dead_letter_queue")) {
                None => {
                    let found = format!("none for {queue:?}");
                    self.mistake(
                        &place,
                        "consumers",
                        found,
                        format!("one with queue = {queue:?}"),
                    );
                }
                Some(name) if !name.ends_with(DEAD_LETTERS_SUFFIX) => {
                    let found = format!("{queue:?} with dead_letter_queue = {name:?}");
                    let needed =
                        format!("a dead_letter_queue whose name ends with {DEAD_LETTERS_SUFFIX:?}");
                    self.mistake(&place, "consumers", found, needed);
                }
                Some(name) if !dead.contains(&name) => dead.push(name),
                Some(_) => {}
            }
            if queue.ends_with(DEAD_LETTERS_SUFFIX) {
                let needed =
                    format!("a name without {DEAD_LETTERS_SUFFIX:?}, which means dead letters");
                self.mistake(
                    &place,
                    "consumers",
                    format!("{queue:?} for {binding:?}"),
                    needed,
                );
            }
        }
        for name in dead {
            if consumer(name).is_none() {
                let found = format!("none for {name:?}");
                self.mistake(
                    &place,
                    "consumers",
                    found,
                    format!("one with queue = {name:?}"),
                );
            }
        }
    }
}
