//! Raincheck: an edge gateway that turns slow HTTP requests into durable jobs.

pub mod edge;
pub mod gateway;
pub mod job;
pub mod policy;
pub mod protocol;
pub mod shard;
