//! Time limits of storage calls and uploads, and the limit of body bytes in memory.

use crate::job::Millis;

use super::call::INLINE_MAX;

/// Longest wait for a shard's response. A shard takes milliseconds, or seconds when its object starts or
/// moves; after ten seconds it hangs, and the caller should try again.
pub const SHARD_TIMEOUT: Millis = Millis::from_secs(10);

/// Longest wait for the bucket to open an object, store a part of at most 5 MiB, or delete an object. Usually
/// that takes a second or two.
pub const BUCKET_TIMEOUT: Millis = Millis::from_secs(30);

/// Longest wait for each clean-up step after a failed upload. A sweep deletes what is left.
pub const CLEAN_UP_TIMEOUT: Millis = Millis::from_secs(5);

/// A client must send [`UPLOAD_STEP`] bytes of a body, or the rest of it, in this time. That is 1 KB/s, which even
/// a bad mobile connection reaches; a slower client has stalled.
pub const UPLOAD_TIMEOUT: Millis = Millis::from_secs(60);

/// See [`UPLOAD_TIMEOUT`]. A body that is stored in its job's row is not longer, so it is read in one step.
pub const UPLOAD_STEP: u64 = INLINE_MAX;

/// Longest time for a whole body: 100 MB at 19 KB/s. It is half an hour less than the two hours after which
/// an object that no record names is deleted.
pub const UPLOAD_MAX: Millis = Millis::from_secs(90 * 60);

/// Most bytes in the buffers of all bodies in one isolate; a client whose body needs more is rejected. An isolate
/// has 128 MB, and bytes on their way to the bucket may be in memory twice.
pub const HELD_MAX: u64 = 48 * 1024 * 1024;

/// A buffer without progress for this long belongs to a client that went away. It is longer than any single wait
/// of an upload.
pub const HELD_TIMEOUT: Millis = Millis::from_secs(2 * 60);

/// Most bytes that are read and discarded of an unused body before the response: many clients read the response
/// only after they have sent everything. Most bodies that are over a limit are smaller.
pub const DISCARD_MAX: u64 = 16 * 1024 * 1024;

/// Longest time that the response waits for a client that sends such a body slowly.
pub const DISCARD_TIMEOUT: Millis = Millis::from_secs(5);
