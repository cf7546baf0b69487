//! Group commit: the calls that come while a commit is under way share the next one.

use std::rc::{Rc, Weak};

use js_sys::Function;
use wasm_bindgen::prelude::*;
use worker::web_sys::Response;

use crate::rpc::call::Call;
use crate::shard_service::{GroupedCall, Handled, handle_group};

use super::super::bindings::with_mount;
use super::super::glue;
use super::super::ports::{now, random, response};
use super::{Inner, unavailable};

/// How long the shard at least gathers once several calls came together: short beside what a client
/// waits for a commit anyway, and long enough to share the next one. What that saves depends on what a
/// commit costs; see docs/benchmark.md. A call that comes alone is committed at once.
const GATHER_MILLIS: u32 = 2;

/// A group of this size is committed at once. Twice the connections of a busy client; the bodies of
/// a full group (at most 64 KiB each) are a small part of the isolate's 128 MB.
const GROUP_MAX: usize = 128;

/// How to answer a call: a function of the Worker's entry. A future for each call would cost more
/// than everything else that is done for it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) function: Function,
    /// The caller prefers a short answer in one field.
    pub(super) packed: bool,
}

impl Answer {
    /// The response that the caller gets.
    pub(super) fn response(&self, handled: Handled) -> Response {
        if let Some(fault) = &handled.fault {
            worker::console_error!("shard: {fault}");
        }
        let reply = with_mount(|mount| handled.reply.rendered(mount));
        if self.packed
            && let Some(packed) = reply.packed()
        {
            return glue::respond_packed(&packed);
        }
        response(reply)
    }

    /// Whoever asked may be gone; what it asked for stands.
    pub(super) fn give(&self, response: &Response) {
        let _ = self.function.call1(&JsValue::UNDEFINED, response);
    }
}

impl Inner {
    /// Puts a call into the group that is being gathered; it is answered with the group's commit.
    pub(super) fn in_group(self: &Rc<Self>, call: Call, body: Vec<u8>, answer: Answer) {
        self.group.borrow_mut().push(GroupedCall {
            call,
            body,
            caller: answer,
        });
        // While a commit is under way its successor gathers; otherwise there is nothing to wait for.
        if !self.committing.get() || self.group.borrow().len() >= GROUP_MAX {
            self.flush();
        }
    }

    /// Commits the group. Everything happens in one turn, so the runtime makes one commit of it, and
    /// holds every answer and message back until it is durable.
    fn flush(self: &Rc<Self>) {
        let group = self.group.take();
        let size = group.len();
        if size == 0 {
            return;
        }
        let mut sends = Vec::new();
        self.commit(group, |answer, mut handled| {
            sends.append(&mut handled.sends);
            answer.give(&answer.response(handled));
        });
        self.follow_up(&sends);
        if !self.committing.replace(true) {
            self.gather_on(size);
        }
    }

    /// After a commit of so many: while it is under way, the next group gathers.
    fn gather_on(&self, size: usize) {
        let millis = if size > 1 { GATHER_MILLIS } else { 0 };
        let then = self.after_commit.as_ref().unchecked_ref();
        glue::after_commit(&self.storage, millis, then);
    }

    /// Commits what has gathered. When nothing has, the next call finds nothing to wait for.
    fn committed(self: &Rc<Self>) {
        let size = self.group.borrow().len();
        if size == 0 {
            self.committing.set(false);
            return;
        }
        self.flush();
        self.gather_on(size);
    }

    fn commit(&self, group: Vec<GroupedCall<Answer>>, mut answer: impl FnMut(Answer, Handled)) {
        if let Some(shard) = self.shard.borrow_mut().as_mut() {
            return handle_group(shard, group, now(), &mut random, answer);
        }
        // It failed while the group gathered, and opens anew with the next call.
        for waiting in group {
            answer(waiting.caller, unavailable().into());
        }
    }
}

/// The function that is called after each commit. It does not keep the shard alive.
pub(super) fn after_commit(inner: Weak<Inner>) -> Closure<dyn Fn()> {
    Closure::new(move || {
        if let Some(inner) = inner.upgrade() {
            inner.committed();
        }
    })
}
