//! All defaults and limits of the configuration, with reasons.

use crate::job::Millis;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Largest variable that Cloudflare accepts; a table counts as JSON.
pub const MAX_VARIABLE_BYTES: usize = 5 * 1024;
/// Most rules. Every request walks the list.
pub const MAX_RULES: usize = 256;
/// Longest rule name, which is copied into every record and status document.
pub const MAX_NAME_BYTES: usize = 64;
/// Most parameters in a rule's `path`: the router names them by a letter each, and fails beyond.
pub const MAX_PATH_PARAMETERS: usize = 25;
/// Most origins beside the default one.
pub const MAX_ORIGINS: usize = 64;
/// Most headers that an origin adds to each of its requests.
pub const MAX_ORIGIN_HEADERS: usize = 32;
/// Longest mount. It keeps a job's URL far below every client's limit.
pub const MAX_MOUNT_BYTES: usize = 128;

/// Most `owner_headers`. Each is looked up in every deferred request.
pub const MAX_OWNER_HEADERS: usize = 32;
/// Most `cors_headers`, and most `cors_expose`: the lists go into responses to pages.
pub const MAX_CORS_FIELDS: usize = 32;
/// The path below which jobs live. Problems also use it if the configuration cannot be read.
pub const DEFAULT_MOUNT: &str = "/jobs";

/// Shards by default. The platform's soft limit is about 1,000 requests/s each, so eight carry several
/// thousand accepts a second.
pub const DEFAULT_SHARDS: u16 = 8;
/// Most shards. With more, too few requests meet in a shard to share commits.
pub const MAX_SHARDS: u16 = 1024;

/// Largest request body by default. Cloudflare rejects more than 100 MB on its Free and Pro plans. The
/// binary megabyte is the larger reading of that, so by default Raincheck rejects no body that the
/// platform accepts.
pub const DEFAULT_BODY_LIMIT: u64 = 100 * MIB;
/// Largest request body that may be configured: the default of Cloudflare's Enterprise plan.
pub const MAX_BODY_LIMIT: u64 = 500 * MIB;
/// Largest result, both default and maximum: R2's limit for one upload (5 GiB less 5 MiB). Within
/// [`MAX_ATTEMPT_TIMEOUT`] that takes 6 MB/s.
pub const MAX_RESULT_LIMIT: u64 = 5 * GIB - 5 * MIB;

/// Shortest span for fields that cannot be zero.
pub const MIN_SPAN: Millis = Millis(1);
/// How long `Prefer: wait` and `hold` may hold a request by default.
pub const DEFAULT_WAIT_LIMIT: Millis = Millis(30 * SECOND);
/// Longest configurable hold: common gateways in front of clients cut off at 60 s.
pub const MAX_WAIT_LIMIT: Millis = Millis(MINUTE);

/// Attempts by default.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// Most attempts. Each is billed in object requests, rows and queue operations.
pub const MAX_ATTEMPTS: u32 = 100;
/// Default wait after the first failed attempt.
pub const DEFAULT_BACKOFF_INITIAL: Millis = Millis(SECOND);
/// Growth of the waits by default, in thousandths.
pub const DEFAULT_BACKOFF_FACTOR_PERMILLE: u32 = 2_000;
/// Fastest growth of the waits, in thousandths. With more, the second wait is the longest anyway.
pub const MAX_BACKOFF_FACTOR_PERMILLE: u32 = 100_000;
/// The longest wait by default.
pub const DEFAULT_BACKOFF_MAX: Millis = Millis(5 * MINUTE);
/// Longest configurable wait: a queue delays a message for at most 12 hours.
pub const MAX_BACKOFF: Millis = Millis(12 * HOUR);
/// The random part of each wait by default, in thousandths.
pub const DEFAULT_BACKOFF_JITTER_PERMILLE: u32 = 500;
/// Most statuses in `retry_statuses`. The list is copied into every record of the rule.
pub const MAX_RETRY_STATUSES: usize = 32;

/// Longest time for one attempt by default.
pub const DEFAULT_ATTEMPT_TIMEOUT: Millis = Millis(10 * MINUTE);
/// Longest configurable attempt. A queue consumer has 15 minutes of wall time, and needs one of them to
/// claim the job, store the result and report.
pub const MAX_ATTEMPT_TIMEOUT: Millis = Millis(14 * MINUTE);
/// Time from acceptance until a job must have ended, by default.
pub const DEFAULT_DEADLINE: Millis = Millis(HOUR);
/// Time from acceptance until record and result are removed, by default.
pub const DEFAULT_RETENTION: Millis = Millis(DAY);
/// Longest retention: a shard holds 10 GB, so records must not pile up for ever.
pub const MAX_RETENTION: Millis = Millis(365 * DAY);

/// How long a queued job waits for a consumer before its message counts as late. A healthy queue
/// delivers within seconds.
pub const DEFAULT_CLAIM_PATIENCE: Millis = Millis::from_secs(30);
/// The range of `claim_patience`. Below a second, messages would be re-sent while they are still on their
/// way; above an hour, a job would wait too long for a lost message.
pub const CLAIM_PATIENCE: std::ops::RangeInclusive<Millis> =
    Millis::from_secs(1)..=Millis::from_secs(3600);

/// How long a silent consumer keeps its lease, by default.
pub const DEFAULT_LEASE: Millis = Millis::from_secs(60);
/// The range of `lease`: long enough for a renewal to arrive, and within a consumer's 15 minutes.
pub const LEASE: std::ops::RangeInclusive<Millis> = Millis::from_secs(1)..=Millis::from_secs(840);

/// How long an expired job responds with 410 before it is forgotten, by default.
pub const DEFAULT_TOMBSTONE: Millis = Millis::from_secs(3600);
/// The range of `tombstone`: at most a week, because its rows take space.
pub const TOMBSTONE: std::ops::RangeInclusive<Millis> = Millis(0)..=Millis::from_secs(7 * 86_400);

/// The suffix of the dead-letter queue's name, by which the Worker recognises its messages. The rest of the
/// name is free, so that an account can have several deployments.
pub const DEAD_LETTERS_SUFFIX: &str = "-dead";
