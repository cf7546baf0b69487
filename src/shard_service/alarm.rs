//! The alarm of a shard: it settles jobs, re-sends messages, sweeps and expires, and re-arms itself.

use crate::job::{Millis, UnixMillis};
use crate::shard::{JobMessage, Shard, ShardError, Sql, SqlError};

use super::permille;
use crate::rpc::ports::Unavailable;

/// Most ticks in one alarm. Each does a bounded amount of work; if some is left, the alarm fires again at
/// once, so that requests are served in between.
const TICKS_PER_ALARM: usize = 8;

/// When an alarm that failed, or could not open the database, fires again.
const ALARM_AGAIN: Millis = Millis(30_000);

/// The shortest time between two alarms of one shard. It bounds the cost of a bug that re-arms for ever.
const ALARM_PAUSE: Millis = Millis(50);

/// What an alarm needs of its shard's object.
#[expect(async_fn_in_trait, reason = "no object is ever used across threads")]
pub trait Alarmed {
    /// The shard's database.
    type Sql: Sql;

    /// The time.
    fn now(&self) -> UnixMillis;

    /// Fills a slice with random bytes.
    fn random(&self, bytes: &mut [u8]);

    /// Opens the database, if it is not open.
    async fn open(&self) -> Result<(), ShardError>;

    /// Yields, so that waiting calls run between two pieces of work.
    async fn breathe(&self);

    /// When the shard next has work. `None` also if it is not open.
    fn wake_at(&self) -> Option<UnixMillis>;

    /// Acts on the shard in one turn, which is one commit. `None` if it is not open.
    fn turn<T>(&self, act: impl FnOnce(&mut Shard<Self::Sql>) -> T) -> Option<T>;

    /// Deletes objects from the bucket. A missing object counts as deleted.
    async fn delete(&self, objects: &[String]) -> Result<(), Unavailable>;

    /// When the armed alarm fires. `None` while none is armed: an alarm that fires disarms itself.
    fn standing(&self) -> Option<UnixMillis>;

    /// Arms the alarm, in place of an armed one. If that fails, [`standing`](Self::standing) is `None`, and
    /// the next call arms it: see [`sooner`].
    async fn set_alarm(&self, at: UnixMillis);

    /// Disarms the alarm.
    async fn clear_alarm(&self);

    /// Waits until all writes so far are committed, so that a later failure cannot roll them back.
    async fn committed(&self);

    /// This many rows could not be read, and were left alone. For the log.
    fn unreadable(&self, rows: usize);

    /// The database refused a change, which is put off. For the log.
    fn refused(&self, error: &ShardError);
}

/// The time for an alarm that is wanted `at`: not before the shortest pause is over.
#[must_use]
pub fn not_at_once(at: UnixMillis, now: UnixMillis) -> UnixMillis {
    at.max(now.plus(ALARM_PAUSE))
}

/// The time to arm the alarm for work due at `wake`. `None` if the armed one fires early enough.
#[must_use]
pub fn sooner(wake: Option<UnixMillis>, standing: Option<UnixMillis>) -> Option<UnixMillis> {
    wake.filter(|at| standing.is_none_or(|standing| *at < standing))
}

/// Runs when the alarm fires, and returns the messages to send. Fails if the database cannot be opened or
/// read; the alarm is then armed again.
///
/// The platform retries an alarm that did not complete, but only
/// [six times](https://developers.cloudflare.com/durable-objects/api/alarms/). With `is_retry`, this is such
/// a retry, and the next alarm is armed before anything else. A first run saves that, because arming is
/// billed as a row written.
pub async fn ring<A: Alarmed>(object: &A, is_retry: bool) -> Result<Vec<JobMessage>, ShardError> {
    let again = || object.set_alarm(object.now().plus(ALARM_AGAIN));
    if is_retry {
        again().await;
    }
    let opened = match object.open().await {
        Ok(()) => load_pages(object).await,
        Err(error) => Err(error),
    };
    if let Err(error) = opened {
        again().await;
        return Err(error);
    }
    let mut sends = Vec::new();
    for _ in 0..TICKS_PER_ALARM {
        expire(object).await;
        sends.extend(tick(object).await);
        if object.wake_at().is_none_or(|at| at > object.now()) {
            break;
        }
    }
    set_next(object).await;
    Ok(sends)
}

/// Reads the active jobs of a shard that was opened for a call, page by page, while calls are served.
/// An alarm is armed meanwhile, because unread jobs may be due.
pub async fn load<A: Alarmed>(object: &A) -> Result<(), ShardError> {
    let is_loaded = object.turn(|shard| shard.is_loaded());
    if is_loaded == Some(false) && object.standing().is_none() {
        object.set_alarm(object.now().plus(ALARM_AGAIN)).await;
    }
    load_pages(object).await
}

async fn load_pages<A: Alarmed>(object: &A) -> Result<(), ShardError> {
    loop {
        let page = object.turn(|shard| shard.load().map(|()| shard.is_loaded()));
        let closed = || Err(ShardError::Sql(SqlError("the shard was closed".to_owned())));
        if page.unwrap_or_else(closed)? {
            return Ok(());
        }
        object.breathe().await;
    }
}

/// Arms the alarm for the next work, in place of one that was armed meanwhile.
async fn set_next<A: Alarmed>(object: &A) {
    let wanted = object.wake_at().map(|at| not_at_once(at, object.now()));
    if wanted == object.standing() {
        return;
    }
    match wanted {
        Some(at) => object.set_alarm(at).await,
        None => object.clear_alarm().await,
    }
}

/// Expires first, in a commit of its own: a full database refuses rows that grow, and may roll back the
/// whole turn.
async fn expire<A: Alarmed>(object: &A) {
    let now = object.now();
    match object.turn(|shard| shard.expire(now)) {
        None | Some(Ok(0)) => return,
        Some(Ok(_)) => {}
        Some(Err(error)) => object.refused(&error),
    }
    object.committed().await;
}

async fn tick<A: Alarmed>(object: &A) -> Vec<JobMessage> {
    let jitter = permille(&mut |bytes| object.random(bytes));
    let now = object.now();
    let Some(ticked) = object.turn(|shard| shard.tick(now, jitter)) else {
        return Vec::new();
    };
    if ticked.unreadable > 0 {
        object.unreadable(ticked.unreadable);
    }
    if let Some(error) = &ticked.fault {
        object.refused(error);
    }
    if !ticked.sweeps.is_empty() {
        sweep(object, &ticked.sweeps).await;
    }
    ticked.sends
}

async fn sweep<A: Alarmed>(object: &A, sweeps: &[String]) {
    let deleted = object.delete(sweeps).await.is_ok();
    let now = object.now();
    let noted = object.turn(|shard| {
        if deleted {
            return shard.swept(sweeps);
        }
        shard.sweep_later(now);
        Ok(())
    });
    if let Some(Err(error)) = noted {
        object.refused(&error);
        object.turn(|shard| shard.sweep_later(now));
    }
}
