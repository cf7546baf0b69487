//! One job, two workers, and every way in which up to a given number of faults can strike them: the same
//! world, with chance replaced by a search through all choices.
//!
//! A choice is which of the possible effects happens first (a call to the shard, a request to
//! the origin, an alarm), and whether a fault strikes there. The search runs a history from its
//! beginning for each choice not made yet. Four things keep it finite without losing a
//! behaviour:
//!
//! 1. Between two effects, processes do not interact. Their order there does not matter, and a kill there
//!    is equivalent to a kill before the next effect.
//! 2. Effects take no time, waits do. Time advances when no effect is possible. The fault
//!    `consumer-frozen` covers a worker that is so slow that another process's wait ends first.
//! 3. A state that was seen before, with as many faults left or more, is not followed again. A state
//!    is everything that the future depends on: rows, memory and alarm of the shard, messages, timers,
//!    all input of each worker, which determines its position, and what the checker remembers.
//! 4. The job's rule allows two attempts: enough to see one repeated, and to use them up.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use raincheck::http::Headers;
use raincheck::job::{Priority, RowKey};
use raincheck::rpc::message::{MESSAGE_VERSION, Message, Outgoing};

use super::body::{Blob, Body};
use super::check::{self, Violation};
use super::client::{Request, submit_once};
use super::fault::Fault;
use super::history::{Entry, Wish};
use super::run::{calm, conclude};
use super::world::{Chance, World};
use super::{plan, queue};

/// The faults that may strike. The other classes concern things that one job and two workers do not have.
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

/// Makes the choices of a script, and after its end always the first choice.
struct Script {
    choices: RefCell<Vec<(usize, usize)>>,
    next: Cell<usize>,
    struck: RefCell<Vec<Fault>>,
    most: usize,
    open: Cell<bool>,
    /// The states that were seen, each with the largest number of faults left there. `None` follows every
    /// history to its end.
    seen: Option<Rc<RefCell<HashMap<u64, usize>>>>,
}

impl Script {
    fn left(&self) -> usize {
        self.most - self.struck.borrow().len()
    }
}

impl Chance for Script {
    /// See 1. above.
    fn choose(&self, _n: usize) -> usize {
        0
    }

    fn strike(&self, candidates: &[Fault]) -> Option<Fault> {
        if !self.open.get() {
            // The message of the receipt is held back until the search begins.
            let held = candidates.contains(&Fault::QueueDrop);
            return held.then_some(Fault::QueueDrop);
        }
        let open: Vec<Fault> = candidates
            .iter()
            .copied()
            .filter(|fault| CLASSES.contains(fault))
            .collect();
        if self.left() == 0 || open.is_empty() {
            return None;
        }
        let fault = open[self.pick(open.len() + 1).checked_sub(1)?];
        self.struck.borrow_mut().push(fault);
        Some(fault)
    }

    fn latency(&self) -> u64 {
        0
    }

    fn searches(&self) -> bool {
        true
    }

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

    fn fresh(&self, state: &dyn Fn() -> u64) -> bool {
        let repeats = self.next.get() < self.choices.borrow().len();
        if repeats || !self.open.get() {
            return true;
        }
        let Some(seen) = &self.seen else {
            return true;
        };
        let (state, left) = (state(), self.left());
        let mut seen = seen.borrow_mut();
        if seen.get(&state).is_some_and(|known| *known >= left) {
            return false;
        }
        seen.insert(state, left);
        true
    }
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// How many faults strike at most.
    pub faults: usize,
    /// The origin honours the key.
    pub repeatable: bool,
    /// States that were seen before are not followed again.
    pub once: bool,
}

/// The result of a search.
#[derive(Default)]
pub struct Search {
    /// Distinct states.
    pub states: usize,
    /// Transitions between them.
    pub steps: u64,
    /// Histories that were followed to their end.
    pub histories: u64,
    /// The states in which they ended.
    pub ends: BTreeSet<u64>,
    /// The faults that struck together, in their order.
    pub struck: BTreeSet<Vec<&'static str>>,
    /// The first history that broke an invariant.
    pub broken: Option<(Vec<String>, Vec<Violation>)>,
}

impl Search {
    /// The classes that never struck first, never struck second, and so on.
    pub fn unstruck(&self, faults: usize) -> Vec<&'static str> {
        let missing = |class: &Fault| {
            let at = |place: usize| {
                let mut struck = self.struck.iter();
                struck.any(|names| names.get(place) == Some(&class.name()))
            };
            !(0..faults).all(at)
        };
        let classes = CLASSES.iter().filter(|class| missing(class));
        classes.map(|class| class.name()).collect()
    }
}

impl std::fmt::Display for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} states, {} steps between them, {} ends, {} combinations of faults",
            self.states,
            self.steps,
            self.ends.len(),
            self.struck.len()
        )
    }
}

/// Follows every history in the scope, until one breaks an invariant.
pub fn search(scope: Scope) -> Search {
    let mut choices: Vec<(usize, usize)> = Vec::new();
    let seen = scope.once.then(Rc::default);
    let mut done = Search::default();
    loop {
        let script = Rc::new(Script {
            choices: RefCell::new(choices),
            next: Cell::new(0),
            struck: RefCell::default(),
            most: scope.faults,
            open: Cell::new(false),
            seen: seen.clone(),
        });
        one(&script, scope.repeatable, &mut done);
        done.steps += 1;
        let struck = script
            .struck
            .borrow()
            .iter()
            .map(|fault| fault.name())
            .collect();
        done.struck.insert(struck);
        choices = script.choices.take();
        while choices.last().is_some_and(|(choice, n)| choice + 1 >= *n) {
            choices.pop();
        }
        match choices.last_mut() {
            Some((choice, _)) if done.broken.is_none() => *choice += 1,
            _ => break,
        }
    }
    done.states = seen.map_or(0, |seen: Rc<RefCell<HashMap<_, _>>>| seen.borrow().len());
    done
}

/// One history, up to a state that was seen before or to its end.
fn one(script: &Rc<Script>, repeatable: bool, done: &mut Search) {
    let chance: Rc<dyn Chance> = Rc::clone(script) as Rc<dyn Chance>;
    let world = World::new(1, 1, plan::policy(1), chance);
    let within = Rc::clone(&world);
    world.spawn(async move {
        let (wish, request) = wish(repeatable);
        submit_once(&within, &wish, request).await;
    });
    world.run(0);
    script.open.set(true);
    // Two messages at once, as if the first had counted as lost. A fault may strike one of them.
    let message = Message {
        v: MESSAGE_VERSION,
        shard: 0,
        jobs: vec![RowKey::first_of(1)],
        unsent: Vec::new(),
        unsent_until: None,
    };
    let text = serde_json::to_string(&message).expect("JSON");
    queue::deliver(&world, text.clone(), 0);
    let within = Rc::clone(&world);
    world.spawn(async move {
        let message = Outgoing {
            priority: Priority::Normal,
            delay_secs: 0,
            text,
        };
        let _ = queue::enqueue(&within, message).await;
    });
    world.run(plan::SEARCHED);
    let known = world.crossing.known.get();
    let (history, violations) = if known {
        let history = world.history.take();
        world.executor.clear();
        let violations = check::history(&history);
        (history, violations)
    } else {
        script.open.set(false);
        calm(&world);
        done.histories += 1;
        done.ends.insert(world.state());
        let outcome = conclude(&world);
        (outcome.history, outcome.violations)
    };
    if !violations.is_empty() {
        let history = history.iter().map(Entry::to_string);
        done.broken = Some((history.collect(), violations));
    }
}

fn wish(repeatable: bool) -> (Rc<Wish>, Request) {
    let target = if repeatable { "/twice" } else { "/once" };
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
