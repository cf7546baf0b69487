//! The alarm of a shard: it settles, sends again, sweeps and expires, and sees to the next one.

use crate::job::{Millis, UnixMillis};
use crate::shard::{Send, Shard, ShardError, Sql, SqlError, Sweep};

use super::permille;
use crate::rpc::ports::Unavailable;

/// Most ticks in one alarm. Each does a bounded amount; what is left rings again at once, so that
/// requests come in between.
const TICKS_PER_ALARM: usize = 8;

/// An alarm that failed before, or cannot open the database, rings again after this long.
const ALARM_AGAIN: Millis = Millis(30_000);

/// The shortest time between two alarms of one shard. It bounds what a mistake could cost.
const ALARM_PAUSE: Millis = Millis(50);

/// What an alarm needs of the object in which its shard lives.
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

    /// Lets what waits for the shard come in between two pieces of work.
    async fn breathe(&self);

    /// When the shard next has something to do. `None` also when it is not open.
    fn wake_at(&self) -> Option<UnixMillis>;

    /// Does something with the shard in one turn, which is one commit. `None` when it is not open.
    fn turn<T>(&self, act: impl FnOnce(&mut Shard<Self::Sql>) -> T) -> Option<T>;

    /// Deletes objects from the bucket. One that is not there counts as deleted.
    async fn delete(&self, objects: &[String]) -> Result<(), Unavailable>;

    /// When the alarm that was set last rings. `None` while none stands: so it is in an alarm until
    /// somebody sets the next.
    fn standing(&self) -> Option<UnixMillis>;

    /// Sets the alarm, in place of any that stands. One that could not be set is none that stands, so
    /// the next call sets it: see [`sooner`].
    async fn set_alarm(&self, at: UnixMillis);

    /// Leaves no alarm standing.
    async fn clear_alarm(&self);

    /// Waits until what was done so far is committed, so that nothing that fails later takes it back.
    async fn committed(&self);

    /// So many rows could not be read, and were left alone.
    fn unreadable(&self, rows: usize);

    /// The database refused something, which is put off. For the log.
    fn refused(&self, error: &ShardError);
}

/// When an alarm that is wanted `at` a time is set to ring.
#[must_use]
pub fn not_at_once(at: UnixMillis, now: UnixMillis) -> UnixMillis {
    at.max(now.plus(ALARM_PAUSE))
}

/// The alarm that has to be set for what is to be done at `wake`, unless the standing one rings before.
#[must_use]
pub fn sooner(wake: Option<UnixMillis>, standing: Option<UnixMillis>) -> Option<UnixMillis> {
    wake.filter(|at| standing.is_none_or(|standing| *at < standing))
}

/// What happens when the alarm rings: returns the messages to send. After an error, which is that the
/// database cannot be opened or read, the alarm rings again.
///
/// An alarm that does not get to its end is rung again by the platform, but not for ever
/// ([six times](https://developers.cloudflare.com/durable-objects/api/alarms/)); with `is_retry` it is one
/// of these. Only then is the next alarm set before anything else, since each that is set is billed as
/// a row.
pub async fn ring<A: Alarmed>(object: &A, is_retry: bool) -> Result<Vec<Send>, ShardError> {
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

/// Reads the active jobs of a shard that was opened for a call, page by page, while calls are answered.
/// An alarm stands meanwhile: of what has not been read nobody knows yet when it is due.
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

/// The alarm that is wanted, in place of one that was set meanwhile.
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

/// Expires before anything else, and commits that alone: a database that is full refuses what makes rows
/// grow, and may take the whole turn back with it.
async fn expire<A: Alarmed>(object: &A) {
    let now = object.now();
    match object.turn(|shard| shard.expire(now)) {
        None | Some(Ok(0)) => return,
        Some(Ok(_)) => {}
        Some(Err(error)) => object.refused(&error),
    }
    object.committed().await;
}

async fn tick<A: Alarmed>(object: &A) -> Vec<Send> {
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

async fn sweep<A: Alarmed>(object: &A, sweeps: &[Sweep]) {
    let keys: Vec<String> = sweeps.iter().map(|sweep| sweep.object.clone()).collect();
    let deleted = object.delete(&keys).await.is_ok();
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
