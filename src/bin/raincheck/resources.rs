//! What a deployment needs that wrangler does not create by itself.

use serde_json::json;
use toml::Table;

use crate::check::{environments, tables, text};

/// The names of all queues and buckets of all environments, each once, as one line of JSON.
pub fn resources(wrangler: &Table) -> String {
    let (mut queues, mut buckets) = (Vec::new(), Vec::new());
    for (_, table) in environments(wrangler) {
        let producers = tables(table, &["queues", "producers"]);
        let consumers = tables(table, &["queues", "consumers"]);
        for it in producers.into_iter().chain(consumers) {
            note(&mut queues, text(it, "queue"));
            note(&mut queues, text(it, "dead_letter_queue"));
        }
        for it in tables(table, &["r2_buckets"]) {
            note(&mut buckets, text(it, "bucket_name"));
        }
    }
    json!({ "queues": queues, "buckets": buckets }).to_string()
}

fn note<'a>(names: &mut Vec<&'a str>, name: &'a str) {
    if !name.is_empty() && !names.contains(&name) {
        names.push(name);
    }
}
