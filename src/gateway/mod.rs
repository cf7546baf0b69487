//! What happens to a request, over ports: no platform type, no clock or randomness of its own.

pub mod call;
pub mod consume;
pub mod frame;
pub mod front;
pub mod hash;
mod head;
pub mod hold;
pub mod host;
pub mod message;
pub mod ports;
mod reply;
pub mod serve;

pub use reply::{Content, Reply};
