//! What the Worker, the consumer and the shards exchange: calls, frames, queue messages, stored heads and
//! replies. [`ports`] has the traits through which all of them reach the platform.

pub mod bounds;
pub mod call;
pub mod client;
pub mod frame;
pub mod hash;
pub mod head;
pub mod message;
pub mod ports;
mod reply;

pub use reply::{Content, Reply};
