//! The alarm of a shard: what it does when it rings, and when it is set.

use std::rc::Rc;

use raincheck::gateway::message::pack;
use raincheck::gateway::ports::Bucket as _;
use raincheck::job::{Millis, UnixMillis};
use raincheck::shard::{Send, Shard, ShardError, Sweep};

use super::crossing::Crash;
use super::history::Event;
use super::host::ShardHost;
use super::ports::Ports;
use super::queue;
use super::world::World;

const TICKS_PER_ALARM: usize = 8;
const ALARM_AGAIN: Millis = Millis(30_000);
const ALARM_PAUSE: Millis = Millis(50);

impl ShardHost {
    /// Sets the alarm when it has to ring earlier than it would.
    pub(super) fn align_alarm(&self) {
        let wake = self.shard.borrow().as_ref().and_then(Shard::wake_at);
        if let Some(at) = wake
            && self.alarm.get().is_none_or(|standing| at < standing)
        {
            self.set_alarm(at);
        }
    }

    pub(super) fn after(self: &Rc<Self>, sends: &[Send]) {
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

    pub(super) fn set_alarm(&self, at: UnixMillis) {
        let at = at.max(self.world().now().plus(ALARM_PAUSE));
        self.alarm.set(Some(at));
        self.stored_alarm.set(Some(at.0));
    }

    /// The alarm rings.
    pub fn ring(self: &Rc<Self>) {
        let world = self.world();
        world.log(Event::Rang { shard: self.number });
        if self.perhaps_crash(&world) == Crash::Before {
            return;
        }
        self.ringing.set(true);
        let host = Rc::clone(self);
        world.executor.spawn(self.pid.get(), async move {
            // Taken when the handler begins to run; until then the platform would ring again.
            host.ringing.set(false);
            host.alarm.set(None);
            host.rung().await;
        });
    }

    async fn rung(self: &Rc<Self>) {
        let world = self.world();
        self.set_alarm(world.now().plus(ALARM_AGAIN));
        world.latency().await;
        if let Err(error) = self.opened(None) {
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
            if wake.is_none_or(|at| at > world.now()) {
                break;
            }
        }
        let wake = self.shard.borrow().as_ref().and_then(Shard::wake_at);
        if let Some(at) = wake {
            self.set_alarm(at);
        } else {
            self.alarm.set(None);
            self.stored_alarm.set(None);
        }
        self.after(&sends);
    }

    async fn tick(&self) -> Result<Vec<Send>, ShardError> {
        let world = self.world();
        let permille = u16::try_from(world.secrets.below(1001)).unwrap_or(0);
        let ticked = self.turn(|| match self.shard.borrow_mut().as_mut() {
            Some(shard) => shard.tick(world.now(), permille).map(Some),
            None => Ok(None),
        })?;
        let Some(ticked) = ticked else {
            return Ok(Vec::new());
        };
        if !ticked.sweeps.is_empty() {
            self.sweep(&world, &ticked.sweeps).await?;
        }
        Ok(ticked.sends)
    }

    async fn sweep(&self, world: &Rc<World>, sweeps: &[Sweep]) -> Result<(), ShardError> {
        let keys: Vec<String> = sweeps.iter().map(|sweep| sweep.object.clone()).collect();
        let ports = Ports::new(world, self.pid.get());
        let deleted = ports.delete(&keys).await.is_ok();
        self.turn(|| match self.shard.borrow_mut().as_mut() {
            Some(shard) if deleted => shard.swept(sweeps),
            Some(shard) => {
                shard.sweep_later(world.now());
                Ok(())
            }
            None => Ok(()),
        })
    }
}
