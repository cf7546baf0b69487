//! The Worker: the only code that knows the platform. It receives the events and implements the ports of
//! [`crate::rpc::ports`]. The layers below make the decisions.

mod bindings;
mod bodies;
mod entry;
mod glue;
mod object;
mod origin;
mod pass_through;
mod ports;
mod sql;
mod watching;

pub use object::ShardObject;
