//! The alarm of a shard, on the platform.

use std::rc::Rc;
use std::time::Duration;

use js_sys::{Date, Object, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use crate::job::UnixMillis;
use crate::rpc::ports::{Bucket as _, Unavailable};
use crate::shard::{Shard, ShardError};
use crate::shard_service::alarm::{Alarmed, load, not_at_once, ring};

use super::super::glue;
use super::super::ports::{now, random};
use super::super::sql::ObjectSql;
use super::Inner;

impl Inner {
    /// Arms the alarm, in this turn. Pass the result to [`Self::armed`].
    pub(super) fn arm(&self, at: UnixMillis) -> Result<Promise, JsValue> {
        let at = not_at_once(at, now());
        self.alarm.set(Some(at));
        self.storage.set_alarm(date(at), Object::new())
    }

    /// Waits until the alarm is armed, and handles a failure.
    pub(super) async fn armed(&self, set: Result<Promise, JsValue>) {
        let set = match set {
            Ok(promise) => JsFuture::from(promise).await,
            Err(error) => Err(error),
        };
        if let Err(error) = set {
            // The next call finds no armed alarm, and arms it.
            self.alarm.set(None);
            worker::console_error!("alarm: {}", glue::message_of(&error));
        }
    }

    /// Reads the active jobs after a start, while calls are served.
    pub(super) fn load(self: &Rc<Self>) {
        let is_loaded = self.shard.borrow().as_ref().is_none_or(Shard::is_loaded);
        if is_loaded || self.loading.replace(true) {
            return;
        }
        let inner = Rc::clone(self);
        self.wait_until(async move {
            let loaded = load(&*inner).await;
            inner.loading.set(false);
            match loaded {
                Ok(()) => inner.follow_up(&[]),
                Err(error) => {
                    inner.failed(error);
                }
            }
        });
    }

    pub(super) async fn ring(self: Rc<Self>, is_retry: bool) {
        self.alarm.set(None);
        match ring(&*self, is_retry).await {
            Ok(sends) => self.follow_up(&sends),
            Err(error) => {
                self.failed(error);
            }
        }
    }
}

impl Alarmed for Inner {
    type Sql = ObjectSql;

    fn now(&self) -> UnixMillis {
        now()
    }

    fn random(&self, bytes: &mut [u8]) {
        random(bytes);
    }

    async fn open(&self) -> Result<(), ShardError> {
        Self::open(self, None).await
    }

    async fn breathe(&self) {
        worker::Delay::from(Duration::ZERO).await;
    }

    fn wake_at(&self) -> Option<UnixMillis> {
        self.shard.borrow().as_ref().and_then(Shard::wake_at)
    }

    fn turn<T>(&self, act: impl FnOnce(&mut Shard<ObjectSql>) -> T) -> Option<T> {
        self.shard.borrow_mut().as_mut().map(act)
    }

    async fn delete(&self, objects: &[String]) -> Result<(), Unavailable> {
        match self.platform() {
            Some(platform) => platform.delete(objects).await,
            None => Err(Unavailable),
        }
    }

    fn standing(&self) -> Option<UnixMillis> {
        self.alarm.get()
    }

    async fn set_alarm(&self, at: UnixMillis) {
        self.armed(self.arm(at)).await;
    }

    async fn clear_alarm(&self) {
        self.alarm.set(None);
        if let Ok(promise) = self.storage.delete_alarm(Object::new()) {
            let _ = JsFuture::from(promise).await;
        }
    }

    async fn committed(&self) {
        if let Ok(promise) = self.storage.sync() {
            let _ = JsFuture::from(promise).await;
        }
    }

    fn refused(&self, error: &ShardError) {
        worker::console_error!("shard: {error}");
    }

    fn unreadable(&self, rows: usize) {
        worker::console_error!("{rows} rows of another build were left alone");
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "current times are far below 2⁵³ milliseconds"
)]
fn date(at: UnixMillis) -> Date {
    Date::new(&JsValue::from_f64(at.0 as f64))
}
