//! The names of the bindings and variables that wrangler.toml declares, for the Worker and for the check
//! before a deploy.

use crate::job::Priority;

/// The variable with the configuration.
pub const CONFIGURATION: &str = "RAINCHECK";
/// Variables with this prefix add to the configuration, because one variable holds only 5 KB.
pub const MORE_CONFIGURATION: &str = "RAINCHECK_";
/// The Durable Object namespace of the shards.
pub const SHARDS: &str = "SHARDS";
/// The bucket for large bodies.
pub const BUCKET: &str = "BUCKET";
/// The queue for jobs of high priority.
pub const QUEUE_HIGH: &str = "QUEUE_HIGH";
/// The queue for jobs of normal priority.
pub const QUEUE_NORMAL: &str = "QUEUE_NORMAL";
/// The queue for jobs of low priority.
pub const QUEUE_LOW: &str = "QUEUE_LOW";
/// Variable; `detached`: the queue handler returns while its jobs still run. For local runs only, where a
/// queue delivers one batch at a time.
pub const CONSUMER: &str = "LOCAL_CONSUMER";

/// The queue of a priority.
#[must_use]
pub const fn queue(priority: Priority) -> &'static str {
    match priority {
        Priority::High => QUEUE_HIGH,
        Priority::Normal => QUEUE_NORMAL,
        Priority::Low => QUEUE_LOW,
    }
}

/// Whether a variable is part of the configuration.
#[must_use]
pub fn is_configuration(variable: &str) -> bool {
    variable == CONFIGURATION || variable.starts_with(MORE_CONFIGURATION)
}
