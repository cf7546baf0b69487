//! A single-threaded executor in virtual time. Tasks belong to processes; a process can be killed
//! after any poll (its futures are dropped where they wait) or frozen and continued later.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A process: a Worker invocation, a consumer invocation, or an incarnation of a shard.
pub type Pid = u32;

/// The process that is never killed: the world itself.
pub const WORLD: Pid = 0;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A task with its process and its waker. The future is taken out while it is polled.
type Entry = (Pid, Option<Task>, Waker);

struct Woken {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.ready.lock().expect("one thread").push(self.task);
    }
}

#[derive(Default)]
struct Process {
    polls: u32,
    kill_at: Option<u32>,
    freeze_at: Option<(u32, u64)>,
    frozen_until: u64,
    on_kill: Option<Box<dyn FnOnce()>>,
}

/// The executor.
pub struct Executor {
    now: Cell<u64>,
    next_task: Cell<u64>,
    next_pid: Cell<Pid>,
    next_timer: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Entry>>,
    woken: Arc<Mutex<Vec<u64>>>,
    ready: RefCell<Vec<u64>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    processes: RefCell<HashMap<Pid, Process>>,
    /// Chooses one of `n` ready tasks.
    choose: Box<dyn Fn(usize) -> usize>,
    /// The processes that were killed or frozen, for the history.
    pub ended: RefCell<Vec<(Pid, &'static str)>>,
}

impl Executor {
    pub fn new(choose: Box<dyn Fn(usize) -> usize>) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            next_task: Cell::new(1),
            next_pid: Cell::new(1),
            next_timer: Cell::new(0),
            tasks: RefCell::default(),
            woken: Arc::default(),
            ready: RefCell::default(),
            timers: RefCell::default(),
            processes: RefCell::default(),
            choose,
            ended: RefCell::default(),
        })
    }

    /// Virtual milliseconds since the beginning; never goes back.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// A new process.
    pub fn process(&self) -> Pid {
        let pid = self.next_pid.get();
        self.next_pid.set(pid + 1);
        self.processes.borrow_mut().insert(pid, Process::default());
        pid
    }

    /// Kills a process after this many more polls of its tasks.
    pub fn kill_after(&self, pid: Pid, polls: u32) {
        if let Some(process) = self.processes.borrow_mut().get_mut(&pid) {
            process.kill_at = Some(process.polls + polls);
        }
    }

    /// Freezes a process for a time, after this many more polls of its tasks.
    pub fn freeze_after(&self, pid: Pid, polls: u32, span: u64) {
        if let Some(process) = self.processes.borrow_mut().get_mut(&pid) {
            process.freeze_at = Some((process.polls + polls, span));
        }
    }

    /// Cancels planned kills and freezes, because faults have stopped.
    pub fn calm(&self) {
        for process in self.processes.borrow_mut().values_mut() {
            process.kill_at = None;
            process.freeze_at = None;
        }
    }

    /// Until when a process is frozen; 0 if it is not.
    pub fn frozen_until(&self, pid: Pid) -> u64 {
        let processes = self.processes.borrow();
        processes
            .get(&pid)
            .map_or(0, |process| process.frozen_until)
    }

    /// When the timers are due, in order.
    pub fn timers_at(&self) -> Vec<u64> {
        self.timers.borrow().keys().map(|(at, _)| *at).collect()
    }

    /// What to do when a process is killed.
    pub fn on_kill(&self, pid: Pid, act: impl FnOnce() + 'static) {
        if let Some(process) = self.processes.borrow_mut().get_mut(&pid) {
            process.on_kill = Some(Box::new(act));
        }
    }

    /// Starts a task. It is dropped immediately if its process is gone.
    pub fn spawn(&self, pid: Pid, future: impl Future<Output = ()> + 'static) {
        if pid != WORLD && !self.processes.borrow().contains_key(&pid) {
            return;
        }
        let task = self.next_task.get();
        self.next_task.set(task + 1);
        let waker = Waker::from(Arc::new(Woken {
            task,
            ready: Arc::clone(&self.woken),
        }));
        self.tasks
            .borrow_mut()
            .insert(task, (pid, Some(Box::pin(future)), waker));
        self.ready.borrow_mut().push(task);
    }

    /// Drops every task at the end of the world, because tasks and world refer to each other.
    pub fn clear(&self) {
        let tasks = self.tasks.take();
        drop(tasks);
        self.processes.borrow_mut().clear();
        let timers = self.timers.take();
        drop(timers);
    }

    /// Polls one ready task. Returns false if there is none.
    pub fn step(&self) -> bool {
        let Some(task) = self.next_ready() else {
            return false;
        };
        let taken = self
            .tasks
            .borrow_mut()
            .get_mut(&task)
            .and_then(|(pid, future, waker)| {
                future.take().map(|future| (*pid, future, waker.clone()))
            });
        let Some((pid, mut future, waker)) = taken else {
            return true;
        };
        let done = future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        if done {
            self.tasks.borrow_mut().remove(&task);
        } else if let Some(entry) = self.tasks.borrow_mut().get_mut(&task) {
            entry.1 = Some(future);
        }
        self.after_poll(pid);
        true
    }

    /// One of the ready tasks whose process is not frozen.
    fn next_ready(&self) -> Option<u64> {
        let mut ready = self.ready.borrow_mut();
        for task in self.woken.lock().expect("one thread").drain(..) {
            if !ready.contains(&task) {
                ready.push(task);
            }
        }
        let tasks = self.tasks.borrow();
        ready.retain(|task| tasks.contains_key(task));
        let processes = self.processes.borrow();
        let frozen = |task: &u64| {
            let pid = tasks[task].0;
            processes
                .get(&pid)
                .is_some_and(|process| process.frozen_until > self.now.get())
        };
        let open: Vec<usize> = (0..ready.len())
            .filter(|index| !frozen(&ready[*index]))
            .collect();
        let chosen = match open.len() {
            0 => return None,
            1 => open[0],
            several => open[(self.choose)(several)],
        };
        Some(ready.remove(chosen))
    }

    fn after_poll(&self, pid: Pid) {
        let strike = {
            let mut processes = self.processes.borrow_mut();
            let Some(process) = processes.get_mut(&pid) else {
                return;
            };
            process.polls += 1;
            if process.freeze_at.is_some_and(|(at, _)| process.polls >= at) {
                let span = process.freeze_at.take().map_or(0, |(_, span)| span);
                process.frozen_until = self.now.get() + span;
                self.ended.borrow_mut().push((pid, "frozen"));
                // A timer must fire at its end, so that the tasks are polled again.
                self.timer(process.frozen_until, Waker::noop().clone());
            }
            process.kill_at.is_some_and(|at| process.polls >= at)
        };
        if strike {
            self.kill(pid);
        }
    }

    /// Drops every task of a process, now. Must not be called from one of its tasks.
    pub fn kill(&self, pid: Pid) {
        let process = self.processes.borrow_mut().remove(&pid);
        let doomed: Vec<u64> = {
            let tasks = self.tasks.borrow();
            tasks
                .iter()
                .filter(|(_, entry)| entry.0 == pid)
                .map(|(task, _)| *task)
                .collect()
        };
        for task in doomed {
            let removed = self.tasks.borrow_mut().remove(&task);
            drop(removed);
        }
        if let Some(process) = process {
            self.ended.borrow_mut().push((pid, "killed"));
            if let Some(act) = process.on_kill {
                act();
            }
        }
    }

    fn timer(&self, at: u64, waker: Waker) -> (u64, u64) {
        let key = (at, self.next_timer.get());
        self.next_timer.set(key.1 + 1);
        self.timers.borrow_mut().insert(key, waker);
        key
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<u64> {
        self.timers
            .borrow()
            .first_key_value()
            .map(|((at, _), _)| *at)
    }

    /// Advances the time and wakes what is due.
    pub fn advance(&self, to: u64) {
        self.now.set(self.now.get().max(to));
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_key_value() {
                    Some(((at, _), _)) if *at <= self.now.get() => timers.pop_first(),
                    _ => None,
                }
            };
            match due {
                Some((_, waker)) => waker.wake(),
                None => return,
            }
        }
    }

    /// Waits.
    pub fn sleep(self: &Rc<Self>, span: u64) -> Sleep {
        Sleep {
            executor: Rc::clone(self),
            at: self.now.get().saturating_add(span),
            key: None,
        }
    }
}

/// See [`Executor::sleep`]. A span of zero yields to other tasks once.
pub struct Sleep {
    executor: Rc<Executor>,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.key.is_some() && self.executor.now() >= self.at {
            return Poll::Ready(());
        }
        if let Some(key) = self.key.take() {
            self.executor.timers.borrow_mut().remove(&key);
        }
        if self.executor.now() >= self.at {
            context.waker().wake_by_ref();
            self.key = Some((self.at, u64::MAX));
        } else {
            self.key = Some(self.executor.timer(self.at, context.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.executor.timers.borrow_mut().remove(&key);
        }
    }
}
