//! The Worker: the only code that knows the platform. Events come in here, and every port of
//! [`crate::rpc::ports`] is implemented here. Nothing is decided here.

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
