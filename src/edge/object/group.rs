//! Group commit: calls that arrive during a commit share the next one.

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

/// The shortest time for gathering after a group of several calls: short compared to the wait for a commit,
/// and long enough to share the next one. See docs/benchmark.md for what it saves. A single call is committed
/// at once.
const GATHER_MILLIS: u32 = 2;

/// A group of this size is committed at once. It is twice the connections of a busy client, and the bodies
/// of a full group (at most 64 KiB each) are a small part of the isolate's 128 MB.
const GROUP_MAX: usize = 128;

/// How to respond to a call: a function of the Worker's entry. A future for each call would be more
/// expensive than the rest of the call.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) function: Function,
    /// The caller prefers a short response packed into one field.
    pub(super) packed: bool,
}

impl Answer {
    /// The response for the caller.
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

    /// Responds. The caller may be gone, but the call took effect.
    pub(super) fn give(&self, response: &Response) {
        let _ = self.function.call1(&JsValue::UNDEFINED, response);
    }
}

impl Inner {
    /// Adds a call to the current group. Its response comes with the group's commit.
    pub(super) fn in_group(self: &Rc<Self>, call: Call, body: Vec<u8>, answer: Answer) {
        self.group.borrow_mut().push(GroupedCall {
            call,
            body,
            caller: answer,
        });
        // The group gathers only while a commit is under way.
        if !self.committing.get() || self.group.borrow().len() >= GROUP_MAX {
            self.flush();
        }
    }

    /// Commits the group. It runs in one turn, so the runtime makes one commit of it, and holds responses
    /// and messages back until that is durable.
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

    /// Lets the next group gather while the commit of a group of `size` is under way.
    fn gather_on(&self, size: usize) {
        let millis = if size > 1 { GATHER_MILLIS } else { 0 };
        let then = self.after_commit.as_ref().unchecked_ref();
        glue::after_commit(&self.storage, millis, then);
    }

    /// Called after a commit: commits the next group. If it is empty, the next call need not wait.
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
        // The shard failed while the group gathered. The next call opens it again.
        for waiting in group {
            answer(waiting.caller, unavailable().into());
        }
    }
}

/// The function to call after each commit. It does not keep the shard alive.
pub(super) fn after_commit(inner: Weak<Inner>) -> Closure<dyn Fn()> {
    Closure::new(move || {
        if let Some(inner) = inner.upgrade() {
            inner.committed();
        }
    })
}
