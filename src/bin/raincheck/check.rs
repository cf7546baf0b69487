//! What must be in order before a deploy: the configuration, read exactly as the Worker reads it when
//! it starts, and the bindings that the Worker uses.
//!
//! wrangler lets an environment inherit migrations, but no variable, binding or queue, so each must
//! be complete.

use raincheck::job::Priority;
use raincheck::policy::limits::{DEAD_LETTERS_SUFFIX, MAX_VARIABLE_BYTES};
use raincheck::policy::{ConfigError, Defer, Origin, Policy, Rule, duration_text};
use toml::{Table, Value};

/// The variable that holds the configuration.
pub(super) const VARIABLE: &str = "RAINCHECK";
/// Lets the consumer work on after it has acknowledged its messages.
const CONSUMER: &str = "RAINCHECK_CONSUMER";
/// The Durable Object namespace of the shards, and the class behind it.
const SHARDS: &str = "SHARDS";
const SHARD_CLASS: &str = "ShardObject";
/// The bucket for large bodies.
const BUCKET: &str = "BUCKET";

const fn producer(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "QUEUE_HIGH",
        Priority::Normal => "QUEUE_NORMAL",
        Priority::Low => "QUEUE_LOW",
    }
}

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// One environment by its name, `""` for the top level; all of them without.
    pub environment: Option<&'a str>,
    /// It is about to be deployed, so its origin must be within reach of Cloudflare.
    pub deploy: bool,
}

/// Looks at a wrangler.toml.
pub fn check(wrangler: &Table, scope: Scope<'_>) -> Report {
    let mut report = Report {
        deploy: scope.deploy,
        ..Report::default()
    };
    let mut environments = environments(wrangler);
    if let Some(name) = scope.environment {
        let place = place(name);
        environments.retain(|(at, _)| *at == place);
        if environments.is_empty() {
            let known = tables_of(wrangler, "env").map(|(name, _)| format!("{name:?}"));
            let known: Vec<String> = known.collect();
            let allowed = if known.is_empty() {
                "none, the file has no environment".to_owned()
            } else {
                known.join(", ")
            };
            report.mistake("env", format!("no {name:?}"), allowed);
        }
    }
    for (place, table) in environments {
        report.environment(&place, table, wrangler);
    }
    report
}

/// The top level and every environment, each with what stands before its fields in messages.
pub fn environments(wrangler: &Table) -> Vec<(String, &Table)> {
    let named = tables_of(wrangler, "env").map(|(name, table)| (place(name), table));
    std::iter::once((place(""), wrangler))
        .chain(named)
        .collect()
}

/// What stands before the fields of an environment.
fn place(environment: &str) -> String {
    match environment {
        "" => String::new(),
        name => format!("env.{name}."),
    }
}

/// The name under which an environment is deployed.
fn name(place: &str, table: &Table, wrangler: &Table) -> String {
    let top = text(wrangler, "name");
    let environment = place.trim_start_matches("env.").trim_end_matches('.');
    match table.get("name").and_then(Value::as_str) {
        Some(own) => own.to_owned(),
        None => format!("{top}-{environment}"),
    }
}

/// The tables inside a table, with their names.
fn tables_of<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = (&'a str, &'a Table)> {
    let inner = table.get(key).and_then(Value::as_table);
    let all = inner.into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.as_str(), value.as_table()?)))
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// One line for each environment and each of its rules.
    pub lines: Vec<String>,
    /// Everything that is wrong.
    pub mistakes: Vec<ConfigError>,
    pub(super) deploy: bool,
}

impl Report {
    fn environment(&mut self, place: &str, table: &Table, wrangler: &Table) {
        let text = self.variable(place, table);
        if let Some(policy) = text.and_then(|text| self.policy(place, text)) {
            self.lines.push(format!("{place}{}", headline(&policy)));
            for rule in &policy.rules {
                self.lines.push(format!("{place}{}", line(rule)));
            }
            let own_name = name(place, table, wrangler);
            self.behind(place, &policy.origin, table, &own_name);
        }
        self.consumer(place, table);
        self.shards(place, table, wrangler);
        self.bucket(place, table);
        self.queues(place, table);
    }

    /// The text of the variable that holds the configuration.
    pub fn variable<'a>(&mut self, place: &str, table: &'a Table) -> Option<&'a str> {
        let field = format!("{place}vars.{VARIABLE}");
        let value = table.get("vars").and_then(|vars| vars.get(VARIABLE));
        let Some(text) = value.and_then(Value::as_str) else {
            let found = if value.is_some() {
                "no text"
            } else {
                "nothing"
            };
            self.mistake(field, found, "the configuration as one text between '''");
            return None;
        };
        if text.len() > MAX_VARIABLE_BYTES {
            self.mistake(
                field,
                format!("a text of {} bytes", text.len()),
                format!("{MAX_VARIABLE_BYTES} bytes, which is all that Cloudflare takes"),
            );
        }
        Some(text)
    }

    /// The configuration in that text.
    pub fn policy(&mut self, place: &str, text: &str) -> Option<Policy> {
        match Policy::parse(text) {
            Ok(policy) => Some(policy),
            Err(errors) => {
                for error in errors.as_slice() {
                    let field = format!("{place}vars.{VARIABLE}: {}", error.field);
                    self.mistake(field, error.found.as_str(), error.allowed.as_str());
                }
                None
            }
        }
    }

    /// On the platform it would acknowledge messages whose jobs may not survive.
    fn consumer(&mut self, place: &str, table: &Table) {
        let value = table.get("vars").and_then(|vars| vars.get(CONSUMER));
        if let Some(value) = value {
            self.mistake(
                format!("{place}vars.{CONSUMER}"),
                value.to_string(),
                "nothing; it is for local runs and stands in .dev.vars",
            );
        }
    }

    fn shards(&mut self, place: &str, table: &Table, wrangler: &Table) {
        let field = format!("{place}durable_objects.bindings");
        let bindings = tables(table, &["durable_objects", "bindings"]);
        let binding = bindings.into_iter().find(|it| is(it, "name", SHARDS));
        let class = binding.map(|it| text(it, "class_name"));
        let needed = format!("{{ name = {SHARDS:?}, class_name = {SHARD_CLASS:?} }} among them");
        match class {
            None => self.mistake(field, format!("none named {SHARDS:?}"), needed),
            Some(class) if class != SHARD_CLASS => {
                self.mistake(field, format!("{SHARDS:?} of the class {class:?}"), needed);
            }
            Some(_) => {}
        }
        let holder = if table.contains_key("migrations") {
            (place, table)
        } else {
            ("", wrangler)
        };
        let migrated = tables(holder.1, &["migrations"]).into_iter().any(|it| {
            let classes = it.get("new_sqlite_classes").and_then(Value::as_array);
            let mut classes = classes.into_iter().flatten().filter_map(Value::as_str);
            classes.any(|class| class == SHARD_CLASS)
        });
        if !migrated {
            self.mistake(
                format!("{}migrations", holder.0),
                format!("no SQLite class {SHARD_CLASS:?}"),
                format!("one with new_sqlite_classes = [{SHARD_CLASS:?}]"),
            );
        }
    }

    fn bucket(&mut self, place: &str, table: &Table) {
        let buckets = tables(table, &["r2_buckets"]);
        if !buckets.into_iter().any(|it| is(it, "binding", BUCKET)) {
            self.mistake(
                format!("{place}r2_buckets"),
                format!("none bound as {BUCKET:?}"),
                format!("one with binding = {BUCKET:?}"),
            );
        }
    }

    /// Each priority needs a queue of its own that this Worker consumes, and whose messages end in
    /// the dead-letter queue instead of being deleted; that queue needs a consumer as well.
    fn queues(&mut self, place: &str, table: &Table) {
        let producers = tables(table, &["queues", "producers"]);
        let consumers = tables(table, &["queues", "consumers"]);
        let consumer = |queue: &str| consumers.iter().find(|it| is(it, "queue", queue));
        let field = format!("{place}queues.consumers");
        let (mut seen, mut dead): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for binding in Priority::ALL.map(producer) {
            let bound = producers.iter().find(|it| is(it, "binding", binding));
            let Some(queue) = bound.map(|it| text(it, "queue")) else {
                let found = format!("none bound as {binding:?}");
                let field = format!("{place}queues.producers");
                self.mistake(field, found, format!("one with binding = {binding:?}"));
                continue;
            };
            if seen.contains(&queue) {
                let found = format!("{queue:?} for {binding:?} and another priority");
                let field = format!("{place}queues.producers");
                self.mistake(field, found, "a queue for each priority");
                continue;
            }
            seen.push(queue);
            match consumer(queue).map(|it| text(it, "dead_letter_queue")) {
                None => {
                    let found = format!("none for {queue:?}");
                    self.mistake(field.clone(), found, format!("one with queue = {queue:?}"));
                }
                Some(name) if !name.ends_with(DEAD_LETTERS_SUFFIX) => {
                    let found = format!("{queue:?} with dead_letter_queue = {name:?}");
                    let needed =
                        format!("a dead_letter_queue whose name ends with {DEAD_LETTERS_SUFFIX:?}");
                    self.mistake(field.clone(), found, needed);
                }
                Some(name) if !dead.contains(&name) => dead.push(name),
                Some(_) => {}
            }
            if queue.ends_with(DEAD_LETTERS_SUFFIX) {
                let needed =
                    format!("a name without {DEAD_LETTERS_SUFFIX:?}, which means dead letters");
                self.mistake(field.clone(), format!("{queue:?} for {binding:?}"), needed);
            }
        }
        for name in dead {
            if consumer(name).is_none() {
                let found = format!("none for {name:?}");
                self.mistake(field.clone(), found, format!("one with queue = {name:?}"));
            }
        }
    }

    pub(super) fn mistake(
        &mut self,
        field: impl Into<String>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.mistakes.push(ConfigError {
            field: field.into(),
            found: found.into(),
            allowed: allowed.into(),
        });
    }
}

/// The tables of an array at a path; none when anything on the way is absent or of another type.
pub fn tables<'a>(table: &'a Table, path: &[&str]) -> Vec<&'a Table> {
    let Some((last, before)) = path.split_last() else {
        return Vec::new();
    };
    let parent = before
        .iter()
        .try_fold(table, |table, key| table.get(*key)?.as_table());
    let array = parent.and_then(|parent| parent.get(*last)?.as_array());
    array
        .into_iter()
        .flatten()
        .filter_map(Value::as_table)
        .collect()
}

/// The text of a field; empty when there is none.
pub fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is(table: &Table, key: &str, value: &str) -> bool {
    text(table, key) == value
}

fn headline(policy: &Policy) -> String {
    let origin = match &policy.origin {
        Origin::Url(url) => url.as_str(),
        Origin::Service => "the service binding",
    };
    let count = match policy.rules.len() {
        0 => "no rules, everything passes through".to_owned(),
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    format!("{count}, to {origin}, jobs under {}", policy.mount)
}

fn line(rule: &Rule) -> String {
    let what = format!("{}: {} {}", rule.name, rule.methods.join("|"), rule.path);
    if rule.defer == Defer::Never {
        return format!("{what}: passed through");
    }
    format!(
        "{what}: {}, priority {}, at most {} attempts of {}, deadline {}, kept for {}",
        rule.defer.as_str(),
        rule.priority.as_str(),
        rule.attempts,
        duration_text(rule.attempt_timeout),
        duration_text(rule.deadline),
        duration_text(rule.retention),
    )
}
