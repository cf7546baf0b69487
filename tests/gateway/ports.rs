//! The ports in memory, with faults on request.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use raincheck::http::Headers;
use raincheck::job::{BodyRef, JobId, Millis, UnixMillis};
use raincheck::rpc::call::{Call, Envelope};
use raincheck::rpc::hash::sha256_hex;
use raincheck::rpc::message::pack;
use raincheck::rpc::ports::{
    BodyFault, Bucket, CallBody, Collected, Host, OriginError, OriginPort, OriginRequest,
    OriginResponse, PutError, Shards, Streams, Unavailable, Watching,
};
use raincheck::rpc::{Content, Reply};
use raincheck::shard_service::handle;

use super::script::Reaction;
use super::world::{Fault, NEVER, World};

/// A body: bytes, and the fault after them.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub broken: Option<BodyFault>,
    /// It never ends.
    pub hangs: bool,
}

/// A response in transit to a client.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Body,
}

/// A request that reached the origin.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: UnixMillis,
    pub origin: String,
    pub method: String,
    pub target: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn of(reply: Reply, mount: &str) -> Self {
        let reply = reply.rendered(mount);
        let bytes = match reply.content {
            Content::Empty | Content::Problem(_) => Vec::new(),
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        };
        let body = Body {
            bytes,
            broken: None,
            hangs: false,
        };
        Self {
            status: reply.status,
            headers: reply.headers,
            body,
        }
    }
}

impl Host for World {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.get().0.saturating_add_signed(self.skew.get()))
    }

    fn random(&self, bytes: &mut [u8]) {
        self.draw(bytes);
    }

    async fn sleep(&self, span: Millis) {
        let until = self.clock.get().plus(span);
        std::future::poll_fn(|context| {
            if self.clock.get() >= until {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            self.timers.borrow_mut().push((until, waker));
            Poll::Pending
        })
        .await;
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}

impl Streams for World {
    type Body = Body;

    async fn collect(&self, body: Body, limit: u64) -> Collected<Body> {
        if body.hangs {
            std::future::pending::<()>().await;
        }
        if body.bytes.len() as u64 > limit {
            Collected::More(body)
        } else if let Some(fault) = body.broken {
            Collected::Failed(fault)
        } else {
            Collected::All(body.bytes)
        }
    }

    fn body_of(&self, bytes: Vec<u8>) -> Body {
        Body {
            bytes,
            broken: None,
            hangs: false,
        }
    }
}

/// The name of a call, as faults name it.
pub fn name_of(call: &Call) -> &'static str {
    match call {
        Call::Accept(call) if call.lookup => "lookup",
        Call::Accept(_) => "accept",
        Call::View(_) => "view",
        Call::Cancel(_) => "cancel",
        Call::Purge(_) => "purge",
        Call::Redrive(_) => "redrive",
        Call::Claim(_) => "claim",
        Call::Renew(_) => "renew",
        Call::Finish => "finish",
        Call::Intend { .. } => "intend",
        Call::DeadLetter(_) => "dead_letter",
        Call::Watch(_) => "watch",
    }
}

impl Shards for World {
    type Response = Answer;

    async fn call(
        &self,
        shard: u16,
        call: String,
        body: CallBody<Body>,
    ) -> Result<Answer, Unavailable> {
        let envelope = Envelope::from_header(&call).expect("the gateway writes readable calls");
        assert!(call.is_ascii(), "a header carries ASCII");
        assert_eq!(envelope.shard, shard);
        let name = name_of(&envelope.call);
        self.calls.borrow_mut().push((shard, name));
        let fault = self.fault(name);
        match fault {
            Some(Fault::Before) => return Err(Unavailable),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Slow(millis)) => self.sleep(Millis(millis)).await,
            Some(Fault::After) | None => {}
        }
        let body = match body {
            CallBody::Empty => Body::default(),
            CallBody::Bytes(bytes) => Body {
                bytes,
                broken: None,
                hangs: false,
            },
            CallBody::Stream(body) => body,
        };
        if body.broken.is_some() {
            // The object reads the body before it does anything; the platform ends the call.
            return Err(Unavailable);
        }
        let now = self.clock.get();
        let mut random = |bytes: &mut [u8]| self.draw(bytes);
        let handled = self.with_shard(shard, |shard| {
            handle(shard, envelope.call, body.bytes, now, &mut random)
        });
        for message in pack(shard, &handled.sends) {
            self.put_in_queue(&message);
        }
        if fault == Some(Fault::After) {
            return Err(Unavailable);
        }
        Ok(Answer::of(handled.reply, &self.policy.mount))
    }

    fn status(&self, response: &Answer) -> u16 {
        response.status
    }

    fn field(&self, response: &Answer, name: &str) -> Option<String> {
        response.headers.get(name).map(str::to_owned)
    }

    async fn read(&self, response: Answer) -> Option<Vec<u8>> {
        response
            .body
            .broken
            .is_none()
            .then_some(response.body.bytes)
    }

    fn respond(&self, reply: Reply) -> Answer {
        Answer::of(reply, &self.policy.mount)
    }

    fn amend(
        &self,
        mut response: Answer,
        fields: &[(&str, Option<String>)],
        body: Option<Body>,
    ) -> Answer {
        for (name, value) in fields {
            match value {
                Some(value) => response.headers.set(*name, value.clone()),
                None => response.headers.remove(name),
            }
        }
        if let Some(body) = body {
            response.body = body;
        }
        response
    }
}

impl Watching for World {
    async fn until_ended(&self, shard: u16, call: String) -> bool {
        let envelope = Envelope::from_header(&call).unwrap();
        let Call::Watch(call) = envelope.call else {
            panic!("only a watch waits");
        };
        self.calls.borrow_mut().push((shard, "watch"));
        match self.fault("watch") {
            Some(Fault::Hang) => std::future::pending().await,
            Some(_) => return false,
            None => {}
        }
        let id = JobId::parse(&call.id).unwrap();
        std::future::poll_fn(|context| {
            if !self.consuming.get() {
                // While the client waits, the world continues.
                let waiting = self.timers.take();
                self.deliver();
                self.timers.borrow_mut().extend(waiting);
            }
            if self.has_ended(&id) {
                return Poll::Ready(true);
            }
            let waker = context.waker();
            let mut timers = self.timers.borrow_mut();
            // A consumer is notified with the next event.
            timers.push((NEVER, waker.clone()));
            if !self.consuming.get() {
                let queue = self.queue.borrow();
                timers.extend(queue.iter().map(|(due, _)| (*due, waker.clone())));
            }
            Poll::Pending
        })
        .await
    }
}

impl Bucket for World {
    async fn put(
        &self,
        key: &str,
        body: Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<BodyRef, PutError> {
        let fault = self.fault("put");
        if fault == Some(Fault::Before) {
            return Err(PutError::Storage);
        }
        let len = body.bytes.len() as u64;
        if len > limit {
            return Err(PutError::TooLarge);
        }
        if let Some(fault) = body.broken {
            return Err(PutError::Body(fault));
        }
        if announced.is_some_and(|announced| announced != len) {
            return Err(PutError::Body(BodyFault::Incomplete));
        }
        let sha256 = sha256_hex(&body.bytes);
        self.bucket.borrow_mut().insert(key.to_owned(), body.bytes);
        if fault == Some(Fault::After) {
            return Err(PutError::Storage);
        }
        Ok(BodyRef {
            len,
            sha256,
            object: Some(key.to_owned()),
        })
    }

    async fn get(&self, key: &str, slice: Option<(u64, u64)>) -> Result<Option<Body>, Unavailable> {
        match self.fault("get") {
            Some(Fault::Hang) => std::future::pending().await,
            Some(_) => return Err(Unavailable),
            None => {}
        }
        let bucket = self.bucket.borrow();
        let Some(bytes) = bucket.get(key) else {
            return Ok(None);
        };
        let (first, count) = slice.unwrap_or((0, bytes.len() as u64));
        let (first, count) = (
            usize::try_from(first).unwrap(),
            usize::try_from(count).unwrap(),
        );
        let bytes = bytes.iter().skip(first).take(count).copied().collect();
        Ok(Some(Body {
            bytes,
            broken: None,
            hangs: false,
        }))
    }

    async fn delete(&self, keys: &[String]) -> Result<(), Unavailable> {
        if self.fault("delete").is_some() {
            return Err(Unavailable);
        }
        for key in keys {
            self.bucket.borrow_mut().remove(key);
        }
        Ok(())
    }
}

/// Counts a request as aborted unless it ended.
struct Under {
    aborted: Rc<Cell<u32>>,
    ended: bool,
}

impl Drop for Under {
    fn drop(&mut self) {
        if !self.ended {
            self.aborted.set(self.aborted.get() + 1);
        }
    }
}

impl OriginPort for World {
    async fn send(
        &self,
        request: OriginRequest<Body>,
    ) -> Result<OriginResponse<Body>, OriginError> {
        // As the platform does.
        if self.policy.origin(&request.origin).is_none() {
            return Err(OriginError::Unreachable);
        }
        let mut under = Under {
            aborted: Rc::clone(&self.aborted),
            ended: false,
        };
        let mut reaction = self.next_reaction();
        let body = request.body.map(|(body, _)| body.bytes).unwrap_or_default();
        if !matches!(reaction, Reaction::Refuse) {
            self.sent.borrow_mut().push(Sent {
                at: self.clock.get(),
                origin: request.origin,
                method: request.method,
                target: request.target,
                headers: request.headers,
                body,
            });
        }
        while let Reaction::After(span, then) = reaction {
            self.sleep(span).await;
            reaction = *then;
        }
        if matches!(reaction, Reaction::Hang) {
            std::future::pending::<()>().await;
        }
        under.ended = true;
        match reaction {
            Reaction::Respond(response) => Ok(OriginResponse {
                status: response.status,
                headers: response.headers,
                body: Some(Body {
                    bytes: response.body,
                    broken: response.broken.then_some(BodyFault::Incomplete),
                    hangs: response.hangs,
                }),
            }),
            Reaction::Refuse => Err(OriginError::Unreachable),
            Reaction::Lose => Err(OriginError::Lost),
            Reaction::Hang | Reaction::After(..) => unreachable!("both were waited for"),
        }
    }
}
