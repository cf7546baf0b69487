//! What the Worker, the consumer and the shards say to each other, and how it is written down: calls,
//! frames, queue messages, stored heads and replies. [`ports`] is what all of them need of the world.

pub mod call;
pub mod client;
pub mod frame;
pub mod hash;
pub mod head;
pub mod message;
pub mod ports;
mod reply;

pub use reply::{Content, Reply};
