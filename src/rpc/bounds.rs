//! How long calls to storage and uploads may take, and how much of bodies is held.

use crate::job::Millis;

use super::call::INLINE_MAX;

/// Longest wait for a shard's answer. A shard answers within milliseconds, and within seconds when its
/// object starts or moves; after ten it hangs, and the caller does better to try again.
pub const SHARD_TIMEOUT: Millis = Millis::from_secs(10);

/// Longest wait for the bucket: for the head of an object, for a part of at most 5 MiB to be stored, for an
/// object to be deleted. It answers within a second or two.
pub const BUCKET_TIMEOUT: Millis = Millis::from_secs(30);

/// Longest wait, each, for what cleans up after a failed upload. A sweep deletes what is left of it.
pub const CLEAN_UP_TIMEOUT: Millis = Millis::from_secs(5);

/// A client has to send [`UPLOAD_STEP`] bytes of a body, or the rest of it, in this time. That is 1 KB/s, which a
/// bad mobile connection still reaches; a client that is slower than that has stalled.
pub const UPLOAD_TIMEOUT: Millis = Millis::from_secs(60);

/// See [`UPLOAD_TIMEOUT`]. A body that is stored in its job's row is no longer than that, so it is read in one step.
pub const UPLOAD_STEP: u64 = INLINE_MAX;

/// Longest time for a whole body: 100 MB at 19 KB/s. The note that deletes an object which no job comes to name
/// runs out half an hour later, after two hours.
pub const UPLOAD_MAX: Millis = Millis::from_secs(90 * 60);

/// Most bytes in the buffers of all bodies in one isolate; a client whose body needs more is refused. An isolate has
/// 128 MB, and bytes on their way to the bucket may be there twice.
pub const HELD_MAX: u64 = 48 * 1024 * 1024;

/// A buffer of which nothing moved for this long belongs to a client that went away: longer than any single wait of
/// an upload, those above together.
pub const HELD_TIMEOUT: Millis = Millis::from_secs(2 * 60);

/// Most that is read of a body that nobody wants, before the response: many clients look for one only when they have
/// sent everything. More than the usual body that is over a limit.
pub const DISCARD_MAX: u64 = 16 * 1024 * 1024;

/// Longest that the response waits for a client that sends such a body slowly.
pub const DISCARD_TIMEOUT: Millis = Millis::from_secs(5);
