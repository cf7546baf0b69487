//! Raincheck.
