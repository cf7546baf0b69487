//! One job, two workers, and every way in which so many faults can strike them: the same world, with
//! chance replaced by a search through all choices.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use raincheck::gateway::message::{MESSAGE_VERSION, Message};
use raincheck::protocol::Headers;

use super::body::{Blob, Body};
use super::client::{Request, submit_once};
use super::fault::Fault;
use super::history::Wish;
use super::run::{Outcome, calm, conclude};
use super::world::{Chance, World};
use super::{plan, queue};

/// What may strike. The classes that are left out act on what one job and two workers do not have.
const CLASSES: [Fault; 12] = [
    Fault::CallBefore,
    Fault::CallLost,
    Fault::AckLost,
    Fault::QueueDrop,
    Fault::ConsumerCrash,
    Fault::ConsumerFrozen,
    Fault::ShardCrash,
    Fault::Sql,
    Fault::OriginRefuses,
    Fault::OriginBusy,
    Fault::OriginLost,
    Fault::OriginHangs,
];

/// How much later the later of two effects comes, in milliseconds.
const LATER: u64 = 40;

/// Choices made by a script, and after its end always the first.
struct Script {
    choices: RefCell<Vec<(usize, usize)>>,
    next: Cell<usize>,
    budget: Cell<u32>,
    open: Cell<bool>,
}

impl Script {
    fn pick(&self, n: usize) -> usize {
        if n < 2 || !self.open.get() {
            return 0;
        }
        let index = self.next.replace(self.next.get() + 1);
        let mut choices = self.choices.borrow_mut();
        if index == choices.len() {
            choices.push((0, n));
        }
        choices[index].0
    }
}

impl Chance for Script {
    /// Which of two tasks runs first matters only where they have effects, and there they wait.
    fn choose(&self, _n: usize) -> usize {
        0
    }

    fn strike(&self, candidates: &[Fault]) -> Option<Fault> {
        let open: Vec<Fault> = candidates
            .iter()
            .copied()
            .filter(|fault| CLASSES.contains(fault))
            .collect();
        if self.budget.get() == 0 || open.is_empty() {
            return None;
        }
        let picked = self.pick(open.len() + 1);
        let fault = picked.checked_sub(1).map(|index| open[index]);
        if fault.is_some() {
            self.budget.set(self.budget.get() - 1);
        }
        fault
    }

    fn latency(&self) -> u64 {
        0
    }

    fn order(&self) -> Option<u64> {
        Some(if self.pick(2) == 0 { 0 } else { LATER })
    }

    fn turn(&self) -> Option<u32> {
        u32::try_from(self.pick(3) + 1).ok()
    }
}

/// Runs every history with at most so many faults; tells how many there were, and the first that
/// broke an invariant.
pub fn search(faults: u32, repeatable: bool) -> (u64, Option<Outcome>) {
    let mut choices: Vec<(usize, usize)> = Vec::new();
    let mut histories = 0;
    loop {
        let script = Rc::new(Script {
            choices: RefCell::new(choices),
            next: Cell::new(0),
            budget: Cell::new(faults),
            open: Cell::new(false),
        });
        let outcome = one(&script, repeatable);
        histories += 1;
        if !outcome.violations.is_empty() {
            return (histories, Some(outcome));
        }
        choices = script.choices.take();
        while choices.last().is_some_and(|(choice, n)| choice + 1 >= *n) {
            choices.pop();
        }
        match choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return (histories, None),
        }
    }
}

fn one(script: &Rc<Script>, repeatable: bool) -> Outcome {
    let chance: Rc<dyn Chance> = Rc::clone(script) as Rc<dyn Chance>;
    let world = World::new(1, 1, plan::policy(1), chance);
    world.stormy.set(false);
    let within = Rc::clone(&world);
    world.spawn(async move {
        let (wish, request) = wish(repeatable);
        submit_once(&within, &wish, request).await;
    });
    world.run(5);
    world.stormy.set(true);
    script.open.set(true);
    // The receipt's own message is the first; this is the second worker's.
    let known = world.known.borrow().first().copied();
    if let Some(id) = known {
        let message = Message {
            v: MESSAGE_VERSION,
            shard: id.shard,
            jobs: vec![id.key],
        };
        queue::deliver(&world, serde_json::to_string(&message).expect("JSON"), 0);
    }
    world.run(120_000);
    script.open.set(false);
    calm(&world);
    conclude(&world)
}

fn wish(repeatable: bool) -> (Rc<Wish>, Request) {
    let target = if repeatable { "/honoured" } else { "/orders" };
    let body = Blob::new(b"{}".to_vec());
    let mut headers = Headers::new();
    headers.push("x-owner", "one");
    headers.push("content-length", "2");
    let wish = Wish {
        owner: "one".to_owned(),
        key: None,
        method: "POST",
        target: target.to_owned(),
        body: body.sha256().to_owned(),
        repeatable,
        hopeless: false,
    };
    let request = Request {
        method: "POST",
        target: target.to_owned(),
        headers,
        body: Some(Body::whole(body)),
    };
    (Rc::new(wish), request)
}
