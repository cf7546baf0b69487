//! The queue: delivers late, twice, out of order, or not at all, and drops a message after a few
//! deliveries.

use std::rc::Rc;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use raincheck::consumer::{self, Disposal};
use raincheck::rpc::message::{Message, Outgoing};
use raincheck::rpc::ports::Unavailable;

use super::fault::Fault;
use super::one_by_one::run_message;
use super::ports::Ports;
use super::world::World;

/// Deliveries before a message goes to the dead-letter queue, and before that queue drops it.
const TRIES: u32 = 4;

/// The platform ends a consumer invocation after this long.
const WALL_TIME: u64 = 15 * 60 * 1000;

/// The wait before a message is delivered again.
const AGAIN: u64 = 1_000;

/// Accepts a message.
pub async fn enqueue(world: &Rc<World>, message: Outgoing) -> Result<(), Unavailable> {
    use Fault::{QueueBefore, QueueDrop, QueueLate, QueueLost, QueueTwice};
    let fault = world.strike(&[QueueBefore, QueueLost, QueueDrop, QueueTwice, QueueLate]);
    world.latency().await;
    if fault == Some(QueueBefore) {
        return Err(Unavailable);
    }
    let copies = match fault {
        Some(QueueDrop) => 0,
        Some(QueueTwice) => world.dice.range(2, 3),
        _ => 1,
    };
    let late = if fault == Some(QueueLate) {
        world.dice.range(1_000, 90_000)
    } else {
        0
    };
    for _ in 0..copies {
        let delay = message.delay_secs * 1000 + late + world.dice.range(0, 300);
        let text = message.text.clone();
        deliver(world, text, delay);
    }
    world.latency().await;
    if fault == Some(QueueLost) {
        Err(Unavailable)
    } else {
        Ok(())
    }
}

/// Carries one message to its end.
pub fn deliver(world: &Rc<World>, text: String, delay: u64) {
    world.messages.set(world.messages.get() + 1);
    let within = Rc::clone(world);
    let name = world.crossing.sent(&text, world.executor.now() + delay);
    world.spawn(async move {
        within.sleep(delay).await;
        let text = if within.strike(&[Fault::LaterField]).is_some() {
            text.replacen('{', "{\"later\":true,", 1)
        } else {
            text
        };
        let mut acknowledged = false;
        for try_number in 0..2 * TRIES {
            let dead = try_number >= TRIES;
            if try_number == TRIES {
                within.count("dead-letter");
            }
            match consume_once(&within, &text, dead, name).await {
                Some(Disposal::Acknowledge) => {
                    acknowledged = within.strike(&[Fault::AckLost]).is_none();
                }
                // Sent first, then acknowledged; either may fail.
                Some(Disposal::Replace(message))
                    if within.strike(&[Fault::QueueBefore]).is_none() =>
                {
                    within.count("message-replaced");
                    let fresh = serde_json::to_string(&message).expect("a message is JSON");
                    deliver(&within, fresh, 0);
                    acknowledged = within.strike(&[Fault::AckLost]).is_none();
                }
                Some(Disposal::Replace(message)) => {
                    let keys = message.jobs.iter().map(|key| key.0).collect();
                    let shard = message.shard;
                    within.log(super::history::Event::Struck { shard, keys });
                }
                Some(Disposal::Retry) | None => {}
            }
            if acknowledged {
                break;
            }
            let again = within.executor.now() + AGAIN;
            within.crossing.returned(name, again);
            within.sleep(AGAIN).await;
        }
        within.crossing.gone(name);
        within.messages.set(within.messages.get() - 1);
    });
}

/// Delivers a message to a consumer, in a separate process. Returns the consumer's decision about it,
/// unless the consumer died.
async fn consume_once(world: &Rc<World>, text: &str, dead: bool, name: u32) -> Option<Disposal> {
    let Ok(message) = Message::read(text) else {
        return Some(Disposal::Acknowledge);
    };
    let pid = world.process(Fault::ConsumerCrash, Some(Fault::ConsumerFrozen));
    world.crossing.consumed(name, pid);
    let keys = message.jobs.iter().map(|key| key.0).collect();
    let shard = message.shard;
    world.consumers.borrow_mut().insert(pid, (shard, keys));
    let ports = Ports::new(world, pid);
    let policy = Rc::clone(&world.policy);
    let (done, disposal) = oneshot::channel();
    world.executor.spawn(pid, async move {
        let disposal = if dead {
            consumer::dead_letter(&ports, &message).await
        } else {
            run_message(&ports, &policy, &message).await
        };
        let _ = done.send(disposal);
    });
    let limit = std::pin::pin!(world.sleep(WALL_TIME));
    match select(disposal, limit).await {
        Either::Left((disposal, _)) => disposal.ok(),
        Either::Right(_) => {
            world.executor.kill(pid);
            None
        }
    }
}
