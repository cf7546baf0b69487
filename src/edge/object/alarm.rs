//! The alarm of a shard: it settles, sends again, sweeps and expires, and sees to the next one.

use std::rc::Rc;

use js_sys::{Date, Object, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use crate::gateway::ports::Bucket as _;
use crate::job::{Millis, UnixMillis};
use crate::shard::{Send, Shard, ShardError, Sweep};

use super::super::glue;
use super::super::ports::{now, random};
use super::Inner;

/// Most ticks in one alarm. Each does a bounded amount; what is left rings again at once, so that
/// requests come in between.
const TICKS_PER_ALARM: usize = 8;

/// If an alarm does not get to its end, it rings again after this long.
const ALARM_AGAIN: Millis = Millis(30_000);

/// The shortest time between two alarms of one shard. It bounds what a mistake could cost.
const ALARM_PAUSE: Millis = Millis(50);

impl Inner {
    /// Sets the alarm, in this turn. [`Self::armed`] tells whether that came to be.
    pub(super) fn arm(&self, at: UnixMillis) -> Result<Promise, JsValue> {
        let at = at.max(now().plus(ALARM_PAUSE));
        self.alarm.set(Some(at));
        self.storage.set_alarm(date(at), Object::new())
    }

    pub(super) async fn armed(&self, set: Result<Promise, JsValue>) {
        let set = match set {
            Ok(promise) => JsFuture::from(promise).await,
            Err(error) => Err(error),
        };
        if let Err(error) = set {
            // The next call finds that none stands, and sets it.
            self.alarm.set(None);
            worker::console_error!("alarm: {}", glue::message_of(&error));
        }
    }

    async fn set_alarm(&self, at: UnixMillis) {
        self.armed(self.arm(at)).await;
    }

    pub(super) async fn ring(self: Rc<Self>) {
        // First of all the next alarm, so that nothing below can leave the shard without one.
        self.alarm.set(None);
        self.set_alarm(now().plus(ALARM_AGAIN)).await;
        if let Err(error) = self.open(None).await {
            self.failed(error);
            return;
        }
        let mut sends = Vec::new();
        for _ in 0..TICKS_PER_ALARM {
            match self.tick().await {
                Ok(more) => sends.extend(more),
                Err(error) => {
                    self.failed(error);
                    return;
                }
            }
            let wake = self.shard.borrow().as_ref().and_then(Shard::wake_at);
            if wake.is_none_or(|at| at > now()) {
                break;
            }
        }
        self.rest().await;
        self.follow_up(&sends);
    }

    async fn tick(&self) -> Result<Vec<Send>, ShardError> {
        let mut draw = [0; 2];
        random(&mut draw);
        let permille = u16::from_le_bytes(draw) % 1001;
        let ticked = match self.shard.borrow_mut().as_mut() {
            Some(shard) => shard.tick(now(), permille)?,
            None => return Ok(Vec::new()),
        };
        if ticked.unreadable > 0 {
            worker::console_error!(
                "{} rows of another build were left alone",
                ticked.unreadable
            );
        }
        if !ticked.sweeps.is_empty() {
            self.sweep(&ticked.sweeps).await?;
        }
        Ok(ticked.sends)
    }

    async fn sweep(&self, sweeps: &[Sweep]) -> Result<(), ShardError> {
        let keys: Vec<String> = sweeps.iter().map(|sweep| sweep.object.clone()).collect();
        let deleted = match self.platform() {
            Some(platform) => platform.delete(&keys).await.is_ok(),
            None => false,
        };
        match self.shard.borrow_mut().as_mut() {
            Some(shard) if deleted => shard.swept(sweeps),
            Some(shard) => {
                shard.sweep_later(now());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Replaces the safety alarm by the one that is wanted, or by none.
    async fn rest(&self) {
        let wake = self.shard.borrow().as_ref().and_then(Shard::wake_at);
        if let Some(at) = wake {
            return self.set_alarm(at).await;
        }
        self.alarm.set(None);
        if let Ok(promise) = self.storage.delete_alarm(Object::new()) {
            let _ = JsFuture::from(promise).await;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this era are far below 2⁵³"
)]
fn date(at: UnixMillis) -> Date {
    Date::new(&JsValue::from_f64(at.0 as f64))
}
