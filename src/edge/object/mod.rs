//! The Durable Object of a shard: gathers what arrives together, commits it once, answers, then
//! sends what has to be sent and sets its alarm.
//!
//! The class is bound by hand instead of by the crate's attribute, because responses then stay the
//! platform's own objects, and because a handle that is shared needs no `unsafe`.

mod alarm;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use js_sys::{Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::web_sys::{Request, Response};
use worker::worker_sys::{DurableObjectState, DurableObjectStorage};

use crate::gateway::call::{AcceptCall, CALL_HEADER, CALL_VERSION, Call, Envelope, PayloadCall};
use crate::gateway::host::{Handled, accept_group, handle};
use crate::gateway::message::pack;
use crate::gateway::ports::Queues as _;
use crate::job::{JobId, RowKey, UnixMillis};
use crate::protocol::problem::{Problem, ProblemCode};
use crate::shard::{Send, Shard, ShardError};

use super::bindings::Bindings;
use super::glue;
use super::ports::{Platform, now, random, response};
use super::sql::ObjectSql;

/// How long the shard at least gathers once several calls came together. A commit costs more than
/// anything else here; under load two milliseconds of company more than halve what each call pays.
/// A call that comes alone is committed at once.
const GATHER_WINDOW: Duration = Duration::from_millis(2);

/// A group of this size is committed at once. Twice the connections of a busy client; the bodies of
/// a full group (at most 64 KiB each) are a small part of the isolate's 128 MB.
const GROUP_MAX: usize = 128;

/// A shard.
#[wasm_bindgen]
pub struct ShardObject {
    inner: Rc<Inner>,
}

struct Inner {
    state: DurableObjectState,
    storage: DurableObjectStorage,
    bindings: Bindings,
    shard: RefCell<Option<Shard<ObjectSql>>>,
    /// When the standing alarm rings, as far as is known.
    alarm: Cell<Option<UnixMillis>>,
    group: RefCell<Vec<Waiting>>,
    /// Somebody may wait for a job to end. Looked up at the start, since they outlive the memory.
    watched: Cell<bool>,
    /// A commit is under way, and whoever started it will commit what gathers meanwhile.
    committing: Cell<bool>,
}

/// A call that waits for the commit of its group.
#[derive(Debug)]
struct Waiting {
    call: Call,
    body: Vec<u8>,
    answer: Answer,
}

type Answer = futures_channel::oneshot::Sender<Handled>;

impl std::fmt::Debug for ShardObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardObject").finish_non_exhaustive()
    }
}

#[wasm_bindgen]
impl ShardObject {
    /// Called by the runtime.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState, env: JsValue) -> Result<ShardObject, JsValue> {
        let storage = state.storage()?;
        let watched = glue::has_watchers(&state);
        let inner = Inner {
            state,
            storage,
            bindings: Bindings::new(env),
            shard: RefCell::default(),
            alarm: Cell::default(),
            group: RefCell::default(),
            committing: Cell::default(),
            watched: Cell::new(watched),
        };
        Ok(Self {
            inner: Rc::new(inner),
        })
    }

    /// Called by the runtime for each call of a Worker or consumer.
    pub fn fetch(&self, request: Request) -> Promise {
        let inner = Rc::clone(&self.inner);
        future_to_promise(async move { Ok(inner.serve(request).await.into()) })
    }

    /// Called by the runtime when the alarm rings. Never fails: an alarm that does is given up
    /// after a few tries.
    pub fn alarm(&self) -> Promise {
        let inner = Rc::clone(&self.inner);
        future_to_promise(async move {
            inner.ring().await;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Called by the runtime; those who wait have nothing to say.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn websocket_message(&self) {}

    /// Called by the runtime when somebody no longer waits.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn websocket_close(&self) {}

    /// Called by the runtime when somebody who waited is gone.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn websocket_error(&self) {}
}

impl Inner {
    async fn serve(self: Rc<Self>, request: Request) -> Response {
        let header = request
            .headers()
            .get(CALL_HEADER)
            .ok()
            .flatten()
            .unwrap_or_default();
        let envelope = match Envelope::from_header(&header) {
            Ok(envelope) if envelope.v <= CALL_VERSION => envelope,
            // A caller of a later build, during a deploy: it may try again.
            _ => return response(unavailable().into()),
        };
        let Some(body) = read_body(&request, &envelope.call).await else {
            return response(Problem::new(ProblemCode::BodyIncomplete).into());
        };
        if let Err(error) = self.open(Some(envelope.shard)).await {
            return response(self.failed(error));
        }
        let tag = match &envelope.call {
            Call::Watch(call) => JobId::parse(&call.id).map(|id| tag(id.key)),
            _ => None,
        };
        let handled = if writes(&envelope.call) {
            self.in_group(envelope.call, body).await
        } else {
            let mut handled = self.alone(envelope.call, body);
            self.follow_up(std::mem::take(&mut handled.sends));
            handled
        };
        if let Some(fault) = &handled.fault {
            worker::console_error!("shard: {fault}");
        }
        if handled.reply.status == 101 {
            return self.watch(tag);
        }
        response(handled.reply)
    }

    /// Keeps a WebSocket until the job ends.
    fn watch(&self, tag: Option<String>) -> Response {
        self.watched.set(true);
        let watched = tag.map(|tag| glue::watch(&self.state, &tag));
        match watched {
            Some(Ok(upgraded)) => upgraded,
            _ => response(unavailable().into()),
        }
    }

    /// Opens the database if it is not open, and sees to it that an alarm stands.
    async fn open(&self, number: Option<u16>) -> Result<(), ShardError> {
        if self.shard.borrow().is_some() {
            return Ok(());
        }
        let settings = self.bindings.settings();
        let standing = match self.storage.get_alarm(Object::new()) {
            Ok(promise) => JsFuture::from(promise)
                .await
                .ok()
                .and_then(|at| at.as_f64()),
            Err(_) => None,
        };
        // Another request may have opened it meanwhile.
        if self.shard.borrow().is_some() {
            return Ok(());
        }
        self.alarm.set(standing.map(time));
        let sql = ObjectSql::new(JsValue::from(&self.storage));
        *self.shard.borrow_mut() = Some(Shard::open(sql, number, settings)?);
        Ok(())
    }

    fn failed(&self, error: ShardError) -> crate::gateway::Reply {
        worker::console_error!("shard: {error}");
        // Whatever memory holds may be behind the rows now; the next call opens it anew.
        *self.shard.borrow_mut() = None;
        Handled::from(error).reply
    }

    /// Answers a call that writes nothing.
    fn alone(&self, call: Call, body: Vec<u8>) -> Handled {
        match self.shard.borrow_mut().as_mut() {
            Some(shard) => handle(shard, call, body, now(), &mut random),
            None => unavailable().into(),
        }
    }

    /// Puts a call into the group that is being gathered, and waits for its commit.
    async fn in_group(self: &Rc<Self>, call: Call, body: Vec<u8>) -> Handled {
        let (answer, answered) = futures_channel::oneshot::channel();
        self.group.borrow_mut().push(Waiting { call, body, answer });
        // While a commit is under way its successor gathers; otherwise there is nothing to wait for.
        if !self.committing.get() || self.group.borrow().len() >= GROUP_MAX {
            self.flush();
        }
        answered.await.unwrap_or_else(|_| unavailable().into())
    }

    /// Commits the group. Everything happens in one turn, so the runtime makes one commit of it, and
    /// holds every answer and message back until it is durable.
    fn flush(self: &Rc<Self>) {
        let group = self.group.take();
        let size = group.len();
        if size == 0 {
            return;
        }
        let Some(answers) = self.commit(group) else {
            return;
        };
        let mut sends = Vec::new();
        for (answer, mut handled) in answers {
            sends.append(&mut handled.sends);
            // Whoever asked may be gone; what it asked for stands.
            let _ = answer.send(handled);
        }
        self.follow_up(sends);
        if !self.committing.replace(true) {
            let inner = Rc::clone(self);
            self.wait_until(async move { inner.gather_on(size).await });
        }
    }

    /// While commits are under way, lets the next group gather, and commits it.
    async fn gather_on(self: Rc<Self>, mut size: usize) {
        while size > 0 {
            let durable = JsFuture::from(glue::durable(&self.storage));
            if size > 1 {
                let _ = join(durable, worker::Delay::from(GATHER_WINDOW)).await;
            } else {
                let _ = durable.await;
            }
            size = self.group.borrow().len();
            self.flush();
        }
        self.committing.set(false);
    }

    /// Handles the calls of a group; the accepts among them together.
    fn commit(&self, group: Vec<Waiting>) -> Option<Vec<(Answer, Handled)>> {
        let mut borrowed = self.shard.borrow_mut();
        let shard = borrowed.as_mut()?;
        let mut answers = Vec::with_capacity(group.len());
        let mut accepts: Vec<(AcceptCall, Vec<u8>)> = Vec::new();
        let mut acceptors = Vec::new();
        for Waiting { call, body, answer } in group {
            match call {
                Call::Accept(call) if !call.lookup => {
                    accepts.push((*call, body));
                    acceptors.push(answer);
                }
                call => answers.push((answer, handle(shard, call, body, now(), &mut random))),
            }
        }
        let handled = accept_group(shard, accepts, now(), &mut random);
        answers.extend(acceptors.into_iter().zip(handled));
        Some(answers)
    }

    /// What follows a commit: the alarm, which is set in the same turn and so belongs to the same
    /// transaction; a word to those who wait; and the messages, all together.
    fn follow_up(self: &Rc<Self>, sends: Vec<Send>) {
        let (wake, number, ended) = match self.shard.borrow_mut().as_mut() {
            Some(shard) => (shard.wake_at(), shard.number(), shard.take_ended()),
            None => return,
        };
        if let Some(at) = wake
            && self.alarm.get().is_none_or(|standing| at < standing)
        {
            let set = self.arm(at);
            let inner = Rc::clone(self);
            self.wait_until(async move { inner.armed(set).await });
        }
        if self.watched.get() {
            for key in ended {
                glue::tell_watchers(&self.state, &tag(key));
            }
        }
        if !sends.is_empty() {
            let inner = Rc::clone(self);
            self.wait_until(async move { inner.send(number, &sends).await });
        }
    }

    async fn send(&self, number: u16, sends: &[Send]) {
        let Some(platform) = self.platform() else {
            return;
        };
        let messages = pack(number, sends);
        let sent = join_all(messages.iter().map(|message| platform.enqueue(message))).await;
        let lost = sent.iter().filter(|outcome| outcome.is_err()).count();
        if lost > 0 {
            // The alarm sends them again.
            worker::console_warn!("{lost} messages could not be sent");
        }
    }

    fn platform(&self) -> Option<Platform> {
        let policy = self.bindings.policy().ok()?;
        Some(Platform {
            bindings: self.bindings.clone(),
            policy,
        })
    }

    fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        let promise = future_to_promise(async move {
            future.await;
            Ok(JsValue::UNDEFINED)
        });
        if self.state.wait_until(&promise).is_err() {
            worker::console_warn!("waitUntil was refused");
        }
    }
}

/// The tag of every WebSocket that waits for a job.
fn tag(key: RowKey) -> String {
    format!("job-{}", key.0)
}

/// Whether a call goes with the group: what writes does, what only reads need not wait.
const fn writes(call: &Call) -> bool {
    match call {
        Call::Accept(call) => !call.lookup,
        Call::Claim(_) | Call::Finish(_) => true,
        _ => false,
    }
}

/// Reads the body of a call that has one. `None` when it broke off.
async fn read_body(request: &Request, call: &Call) -> Option<Vec<u8>> {
    let has_body = match call {
        Call::Accept(call) => matches!(call.payload, PayloadCall::Inline(_)),
        Call::Finish(call) => call.response.is_some() && call.object.is_none(),
        _ => false,
    };
    if !has_body {
        return Some(Vec::new());
    }
    let bytes = JsFuture::from(glue::read_all(request)).await.ok()?;
    Some(bytes.unchecked_into::<Uint8Array>().to_vec())
}

fn unavailable() -> Problem {
    Problem::new(ProblemCode::StorageUnavailable).retry_after(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the runtime's own alarm time is in this era"
)]
const fn time(millis: f64) -> UnixMillis {
    UnixMillis(millis as u64)
}
