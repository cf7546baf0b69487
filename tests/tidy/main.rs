//! What the compiler does not check: the layers, the bindings, the size of things, and what must
//! not be used where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

mod bindings;
mod circles;
mod layers;
mod source;
mod usage;
