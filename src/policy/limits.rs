//! Every default and limit of the configuration, each with its reason.

use crate::job::Millis;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Largest variable that Cloudflare takes; a table counts as JSON.
pub const MAX_VARIABLE_BYTES: usize = 5 * 1024;
/// Most rules. Matching walks the list on every request, so the list must stay short.
pub const MAX_RULES: usize = 256;
/// Longest rule name: it is copied into every record and status document.
pub const MAX_NAME_BYTES: usize = 64;
/// Most origins beside the default one.
pub const MAX_ORIGINS: usize = 64;
/// Most headers that an origin adds to each of its requests.
pub const MAX_ORIGIN_HEADERS: usize = 32;
/// Longest mount, so that a job's URL stays far below every client's limit.
pub const MAX_MOUNT_BYTES: usize = 128;

/// Header fields that tell callers apart beside `Authorization` and `Cookie`, by default: the usual names of
/// API keys and tokens, without a scheme of their own. A field that is on this list in vain costs nothing;
/// one that is missing would let two callers share their idempotency keys.
pub const DEFAULT_OWNER_HEADERS: [&str; 16] = [
    // What most gateways and frameworks call an API key.
    "api-key",
    "apikey",
    "x-api-key",
    "x-api-token",
    // Tokens beside or instead of `Authorization`.
    "x-access-token",
    "x-auth-token",
    "x-authorization",
    // Amazon's temporary credentials; their signature is in `Authorization`, and changes with each request.
    "x-amz-security-token",
    // Azure Functions and Azure API Management.
    "x-functions-key",
    "ocp-apim-subscription-key",
    // Google, `RapidAPI`, GitLab, Vault.
    "x-goog-api-key",
    "x-rapidapi-key",
    "private-token",
    "x-vault-token",
    // Cloudflare Access: the caller whom it has let in, and service tokens.
    "cf-access-jwt-assertion",
    "cf-access-client-id",
];
/// Most `owner_headers`: each is looked up in every deferred request.
pub const MAX_OWNER_HEADERS: usize = 32;
/// Most `cors_headers`, and most `cors_expose`: the lists go into responses to pages.
pub const MAX_CORS_FIELDS: usize = 32;
/// The path under which jobs live: what they are called. Also where a problem's page is said to be while no
/// configuration can be read.
pub const DEFAULT_MOUNT: &str = "/jobs";

/// Shards by default: about 1,000 requests/s each is the platform's soft limit, so eight carry
/// several thousand accepts a second.
pub const DEFAULT_SHARDS: u16 = 8;
/// Most shards. Above this the group commit in each shard has too little to gather.
pub const MAX_SHARDS: u16 = 1024;

/// Largest request body by default. Cloudflare refuses more than 100 MB on its Free and Pro plans;
/// the binary megabyte is the larger reading of that, so the platform's limit is met first and
/// nothing that the platform lets in is refused here unless a rule asks for it.
pub const DEFAULT_BODY_LIMIT: u64 = 100 * MIB;
/// Largest request body that may be configured: the default of Cloudflare's Enterprise plan.
pub const MAX_BODY_LIMIT: u64 = 500 * MIB;
/// Largest result, by default and at most: R2's limit for one upload (5 GiB less 5 MiB). An
/// attempt of [`MAX_ATTEMPT_TIMEOUT`] would need 6 MB/s to reach it.
pub const MAX_RESULT_LIMIT: u64 = 5 * GIB - 5 * MIB;

/// Shortest span where zero makes no sense.
pub const MIN_SPAN: Millis = Millis(1);
/// How long `Prefer: wait` and `hold` may hold a request by default.
pub const DEFAULT_WAIT_LIMIT: Millis = Millis(30 * SECOND);
/// Longest hold that may be configured: common gateways in front of clients cut off at 60 s.
pub const MAX_WAIT_LIMIT: Millis = Millis(MINUTE);

/// Attempts by default.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// Most attempts: each is billed in object requests, rows and queue operations.
pub const MAX_ATTEMPTS: u32 = 100;
/// The wait after the first failed attempt by default.
pub const DEFAULT_BACKOFF_INITIAL: Millis = Millis(SECOND);
/// Growth of the waits by default, in thousandths.
pub const DEFAULT_BACKOFF_FACTOR_PERMILLE: u32 = 2_000;
/// Fastest growth of the waits, in thousandths; beyond it the second wait is the longest anyway.
pub const MAX_BACKOFF_FACTOR_PERMILLE: u32 = 100_000;
/// The longest wait by default.
pub const DEFAULT_BACKOFF_MAX: Millis = Millis(5 * MINUTE);
/// Longest wait that may be configured: a queue delays a message for at most 12 hours.
pub const MAX_BACKOFF: Millis = Millis(12 * HOUR);
/// The random part of each wait by default, in thousandths.
pub const DEFAULT_BACKOFF_JITTER_PERMILLE: u32 = 500;
/// Most statuses in `retry_statuses`: the list is copied into every record of the rule.
pub const MAX_RETRY_STATUSES: usize = 32;

/// Longest time for one attempt by default.
pub const DEFAULT_ATTEMPT_TIMEOUT: Millis = Millis(10 * MINUTE);
/// Longest attempt that may be configured: a queue consumer has 15 minutes of wall time, and the
/// last of them is for claiming the job, storing the result and recording the end.
pub const MAX_ATTEMPT_TIMEOUT: Millis = Millis(14 * MINUTE);
/// Time from acceptance until a job must have ended, by default.
pub const DEFAULT_DEADLINE: Millis = Millis(HOUR);
/// Time from acceptance until record and result are removed, by default.
pub const DEFAULT_RETENTION: Millis = Millis(DAY);
/// Longest retention: a shard holds 10 GB, so records must not gather for ever.
pub const MAX_RETENTION: Millis = Millis(365 * DAY);

/// How long a queued job waits for a consumer before its message is sent again. A healthy queue
/// delivers within seconds; shorter than a second would send messages that are only on their way.
pub const DEFAULT_CLAIM_PATIENCE: Millis = Millis::from_secs(30);
/// The range of `claim_patience`: up to an hour, because a lost message waits that long.
pub const CLAIM_PATIENCE: std::ops::RangeInclusive<Millis> =
    Millis::from_secs(1)..=Millis::from_secs(3600);

/// How long a consumer that went silent keeps the right to its attempt.
pub const DEFAULT_LEASE: Millis = Millis::from_secs(60);
/// The range of `lease`: long enough for a renewal to arrive, within a consumer's 15 minutes.
pub const LEASE: std::ops::RangeInclusive<Millis> = Millis::from_secs(1)..=Millis::from_secs(840);

/// How long an expired job is answered 410 before it is forgotten.
pub const DEFAULT_TOMBSTONE: Millis = Millis::from_secs(3600);
/// The range of `tombstone`: its rows take room, so at most a week.
pub const TOMBSTONE: std::ops::RangeInclusive<Millis> = Millis(0)..=Millis::from_secs(7 * 86_400);

/// What the name of the dead-letter queue ends with: by that the Worker knows its messages. The rest is
/// free, so that an account can have several deployments.
pub const DEAD_LETTERS_SUFFIX: &str = "-dead";
