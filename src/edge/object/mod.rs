//! The Durable Object of a shard. It gathers calls, commits them together, responds, sends messages and arms
//! its alarm.
//!
//! The class is bound by hand instead of with the `worker` crate's attribute: so responses stay the
//! platform's own objects, and the shared handle needs no `unsafe`.

mod alarm;
mod group;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
use worker::web_sys::Response;
use worker::worker_sys::{DurableObjectState, DurableObjectStorage};

use crate::job::{IdKey, JobId, RowKey, UnixMillis};
use crate::protocol::problem::{Problem, ProblemCode};
use crate::rpc::bounds::UPLOAD_TIMEOUT;
use crate::rpc::call::{CALL_VERSION, Call, Envelope};
use crate::rpc::message::{batches, pack};
use crate::shard::{Ended, JobMessage, Shard, ShardError};
use crate::shard_service::alarm::sooner;
use crate::shard_service::{GroupedCall, Handled, handle};

use super::bindings::Bindings;
use super::bodies::number;
use super::glue;
use super::ports::{Platform, now, random, response};
use super::sql::ObjectSql;
use group::{Answer, after_commit};

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
    /// When the armed alarm fires, as far as is known.
    alarm: Cell<Option<UnixMillis>>,
    group: RefCell<Vec<GroupedCall<Answer>>>,
    /// There may be watchers. Checked at the start, because they outlive the memory.
    watched: Cell<bool>,
    /// The active jobs are being read after a start.
    loading: Cell<bool>,
    /// A commit is under way; the next group gathers meanwhile.
    committing: Cell<bool>,
    /// Called after a commit.
    after_commit: Closure<dyn Fn()>,
}

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
        let inner = Rc::new_cyclic(|inner: &Weak<Inner>| Inner {
            state,
            storage,
            bindings: Bindings::new(env),
            shard: RefCell::default(),
            alarm: Cell::default(),
            group: RefCell::default(),
            loading: Cell::default(),
            committing: Cell::default(),
            watched: Cell::new(watched),
            after_commit: after_commit(Weak::clone(inner)),
        });
        Ok(Self { inner })
    }

    /// Called by the Worker's entry for each call of a Worker or consumer, with the call's whole body. The
    /// response is returned, or passed to `answer` later. With `packed`, a short one is packed into one
    /// field.
    #[must_use]
    pub fn call(
        &self,
        call: &str,
        body: Vec<u8>,
        packed: bool,
        answer: Function,
    ) -> Option<Response> {
        let envelope = match Envelope::from_header(call) {
            Ok(envelope) if envelope.v <= CALL_VERSION => envelope,
            // The caller is a later build, during a deploy. It may try again.
            _ => return Some(response(unavailable().into())),
        };
        let inner = Rc::clone(&self.inner);
        let answer = Answer {
            function: answer,
            packed,
        };
        if inner.shard.borrow().is_some() {
            return inner.dispatch(envelope.call, body, answer);
        }
        spawn_local(async move {
            let answered = match inner.open(Some(envelope.shard)).await {
                Ok(()) => {
                    inner.load();
                    inner.dispatch(envelope.call, body, answer.clone())
                }
                Err(error) => Some(response(inner.failed(error))),
            };
            if let Some(response) = answered {
                answer.give(&response);
            }
        });
        None
    }

    /// Called by the runtime when the alarm fires; `is_retry` after a failure. Never fails, because the
    /// platform retries a failing alarm only a few times.
    pub fn alarm(&self, is_retry: bool) -> Promise {
        let inner = Rc::clone(&self.inner);
        future_to_promise(async move {
            inner.ring(is_retry).await;
            Ok(JsValue::UNDEFINED)
        })
    }
}

impl Inner {
    /// Adds a call that shares its commit to the group, or handles it at once.
    fn dispatch(self: &Rc<Self>, call: Call, body: Vec<u8>, answer: Answer) -> Option<Response> {
        if call.shares_commit() {
            self.in_group(call, body, answer);
            return None;
        }
        let tag = match &call {
            Call::Watch(call) => JobId::parse(&call.id).map(|id| tag(id.key)),
            _ => None,
        };
        let handled = self.alone(call, body);
        self.follow_up(&handled.sends);
        Some(if handled.reply.status == 101 {
            self.watch(tag)
        } else {
            answer.response(handled)
        })
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

    /// Opens the database if it is not open. Its active jobs are read afterwards.
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
        // Another call may have opened it meanwhile.
        if self.shard.borrow().is_some() {
            return Ok(());
        }
        self.alarm.set(standing.map(time));
        let sql = ObjectSql::new(JsValue::from(&self.storage));
        let mut id_key = [0; 32];
        random(&mut id_key);
        *self.shard.borrow_mut() = Some(Shard::open(sql, number, settings, IdKey(id_key))?);
        Ok(())
    }

    fn failed(&self, error: ShardError) -> crate::rpc::Reply {
        worker::console_error!("shard: {error}");
        // Memory may be behind the rows now. The next call opens the database again.
        *self.shard.borrow_mut() = None;
        Handled::from(error).reply
    }

    /// Handles a call in a commit of its own.
    fn alone(&self, call: Call, body: Vec<u8>) -> Handled {
        match self.shard.borrow_mut().as_mut() {
            Some(shard) => handle(shard, call, body, now(), &mut random),
            None => unavailable().into(),
        }
    }

    /// After a commit: arms the alarm (in the same turn, so in the same transaction), tells the watchers, and
    /// sends the messages together.
    fn follow_up(self: &Rc<Self>, sends: &[JobMessage]) {
        let (wake, number, ended) = match self.shard.borrow_mut().as_mut() {
            Some(shard) => (shard.wake_at(), shard.number(), shard.take_ended()),
            None => return,
        };
        if let Some(at) = sooner(wake, self.alarm.get()) {
            let set = self.arm(at);
            let inner = Rc::clone(self);
            self.wait_until(async move { inner.armed(set).await });
        }
        for Ended { key, failure } in ended {
            if let Some(failure) = failure {
                worker::console_warn!("a job failed: {failure}");
            }
            if self.watched.get() {
                glue::tell_watchers(&self.state, &tag(key));
            }
        }
        if !sends.is_empty() {
            self.send(number, sends);
        }
    }

    /// Sends messages. If one is lost, the alarm sends it again.
    fn send(&self, shard: u16, sends: &[JobMessage]) {
        for batch in batches(pack(shard, sends)) {
            let Some(first) = batch.first() else { continue };
            let queue = self.bindings.queue(first.priority);
            let sent = if let [only] = batch.as_slice() {
                glue::enqueue(&queue, number(only.delay_secs), &only.text)
            } else {
                let lines: Vec<String> = batch
                    .iter()
                    .map(|message| format!("{}\n{}", message.delay_secs, message.text))
                    .collect();
                glue::enqueue_all(&queue, &lines.join("\n"))
            };
            if let Err(error) = sent {
                let why = glue::message_of(&error);
                worker::console_warn!("a message could not be sent yet: {why}");
            }
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

/// The tag of the web sockets that watch a job.
fn tag(key: RowKey) -> String {
    format!("job-{}", key.0)
}

/// Called by the Worker's entry when the body of a call broke off.
#[wasm_bindgen(js_name = bodyIncomplete)]
pub fn body_incomplete() -> Response {
    response(Problem::new(ProblemCode::BodyIncomplete).into())
}

/// Called by the Worker's entry when the body of a call did not come within [`body_millis`].
#[wasm_bindgen(js_name = bodyStalled)]
pub fn body_stalled() -> Response {
    response(Problem::new(ProblemCode::BodyTimeout).into())
}

/// Longest wait, in milliseconds, for the body of a call.
#[wasm_bindgen(js_name = bodyMillis)]
#[must_use]
pub fn body_millis() -> f64 {
    number(UPLOAD_TIMEOUT.0)
}

fn unavailable() -> Problem {
    Problem::storage_unavailable()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the runtime's own alarm time is in this era"
)]
const fn time(millis: f64) -> UnixMillis {
    UnixMillis(millis as u64)
}
