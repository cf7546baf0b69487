//! The alarm of a shard: what it does when it runs, and when it is set.

use std::rc::Rc;

use raincheck::job::UnixMillis;
use raincheck::rpc::message::pack;
use raincheck::rpc::ports::{Bucket as _, Unavailable};
use raincheck::shard::{JobMessage, Shard, ShardError};
use raincheck::shard_service::alarm::{Alarmed, load, not_at_once, ring, sooner};

use super::crossing::Crash;
use super::history::Event;
use super::host::ShardHost;
use super::ports::Ports;
use super::queue;
use super::watch::Watched;

impl ShardHost {
    /// Sets the alarm if it has to fire earlier than it is set for.
    pub(super) fn align_alarm(&self) {
        let wake = self.shard.borrow().as_ref().and_then(Shard::wake_at);
        if let Some(at) = sooner(wake, self.alarm.get()) {
            self.arm(at);
        }
    }

    pub(super) fn after(self: &Rc<Self>, sends: &[JobMessage]) {
        self.align_alarm();
        let number = match self.shard.borrow().as_ref() {
            Some(shard) => shard.number(),
            None => return,
        };
        let world = self.world();
        for message in pack(number, sends) {
            let within = Rc::clone(&world);
            world.executor.spawn(self.pid.get(), async move {
                let _ = queue::enqueue(&within, message).await;
            });
        }
    }

    /// Reads the active jobs after a start, concurrently with calls.
    pub(super) fn load(self: &Rc<Self>) {
        let is_loaded = self.shard.borrow().as_ref().is_none_or(Shard::is_loaded);
        if is_loaded || self.loading.replace(true) {
            return;
        }
        let host = Rc::clone(self);
        self.world().executor.spawn(self.pid.get(), async move {
            let loaded = load(&*host).await;
            host.loading.set(false);
            match loaded {
                Ok(()) => host.align_alarm(),
                Err(error) => {
                    host.closed_by(error);
                }
            }
        });
    }

    fn arm(&self, at: UnixMillis) {
        let at = not_at_once(at, self.world().now());
        self.alarm.set(Some(at));
        self.stored_alarm.set(Some(at.0));
        self.failed.set(false);
        self.replaced.set(self.ringing.get());
    }

    /// Fires the alarm. It stays set until its handler has ended, so that the platform fires it again if
    /// the handler does not get to its end.
    pub fn ring(self: &Rc<Self>) {
        let world = self.world();
        world.log(Event::Rang { shard: self.number });
        let is_retry = self.failed.replace(true);
        if self.perhaps_crash(&world) == Crash::Before {
            return;
        }
        self.ringing.set(true);
        let host = Rc::clone(self);
        world.executor.spawn(self.pid.get(), async move {
            host.alarm.set(None);
            match ring(&*host, is_retry).await {
                Ok(sends) => host.after(&sends),
                Err(error) => {
                    host.closed_by(error);
                }
            }
            host.rang();
        });
    }

    /// Clears the alarm after its handler has ended, unless another was set meanwhile.
    fn rang(&self) {
        self.ringing.set(false);
        self.failed.set(false);
        if !self.replaced.replace(false) {
            self.stored_alarm.set(None);
        }
    }

    /// The alarm that the platform reports: none while its handler runs, unless another was set.
    pub(super) fn told_alarm(&self) -> Option<UnixMillis> {
        let stands = !self.ringing.get() || self.replaced.get();
        self.stored_alarm.get().filter(|_| stands).map(UnixMillis)
    }
}

impl Alarmed for ShardHost {
    type Sql = Watched;

    fn now(&self) -> UnixMillis {
        self.world().now()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.world().secrets.fill(bytes);
    }

    async fn open(&self) -> Result<(), ShardError> {
        self.world().latency().await;
        self.opened(None)
    }

    async fn breathe(&self) {
        self.world().latency().await;
    }

    fn wake_at(&self) -> Option<UnixMillis> {
        self.shard.borrow().as_ref().and_then(Shard::wake_at)
    }

    fn turn<T>(&self, act: impl FnOnce(&mut Shard<Watched>) -> T) -> Option<T> {
        self.committing(|| self.shard.borrow_mut().as_mut().map(act))
    }

    async fn delete(&self, objects: &[String]) -> Result<(), Unavailable> {
        Ports::new(&self.world(), self.pid.get())
            .delete(objects)
            .await
    }

    fn standing(&self) -> Option<UnixMillis> {
        self.alarm.get()
    }

    async fn set_alarm(&self, at: UnixMillis) {
        self.arm(at);
    }

    async fn clear_alarm(&self) {
        self.alarm.set(None);
        self.stored_alarm.set(None);
        self.replaced.set(false);
    }

    // Here, each turn is one commit.
    async fn committed(&self) {}

    fn refused(&self, _error: &ShardError) {}

    fn unreadable(&self, _rows: usize) {}
}
