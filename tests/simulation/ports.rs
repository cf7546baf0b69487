//! The gateway's ports over the world. Each effect may fail before it happens, or after it with its response
//! lost. The caller may be killed or frozen at every await.

use std::rc::Rc;

use futures_channel::oneshot;
use raincheck::rpc::call::{Call, Envelope};
use raincheck::rpc::ports::{
    BodyFault, Bucket, CallBody, Collected, Host, OriginError, OriginPort, OriginRequest,
    OriginResponse, PutError, Shards, Streams, Unavailable, Watching,
};
use raincheck::rpc::{Content, Reply};

use raincheck::http::Headers;
use raincheck::job::{BodyRef, JobId, Millis, UnixMillis};

use super::body::{Blob, Body};
use super::executor::Pid;
use super::fault::Fault;
use super::history::Event;
use super::origin;
use super::world::World;

/// The ports as one process sees them.
pub struct Ports {
    pub world: Rc<World>,
    pub pid: Pid,
    /// How far its clock is ahead of the shards' clock, in milliseconds. Shards do not see each other's clocks,
    /// so all of them share one.
    apart: i64,
}

/// A response in transit to a client.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Body,
}

/// The clock's difference: small for most machines, now and then large.
fn apart(world: &World) -> i64 {
    if world.strike(&[Fault::ClockApart]).is_none() {
        return 0;
    }
    let most = if world.dice.chance(125) {
        600_000
    } else {
        2_000
    };
    let apart = i64::try_from(world.dice.below(most)).unwrap_or(0);
    if world.dice.chance(500) {
        apart
    } else {
        -apart
    }
}

impl Ports {
    pub fn new(world: &Rc<World>, pid: Pid) -> Self {
        Self {
            world: Rc::clone(world),
            pid,
            apart: apart(world),
        }
    }

    /// An effect that acts immediately elsewhere.
    async fn effect<T>(
        &self,
        before: Fault,
        lost: Fault,
        act: impl FnOnce() -> T,
    ) -> Result<T, Unavailable> {
        self.world.gate(self.pid).await;
        let fault = self.world.strike(&[before, lost]);
        self.world.tell(self.pid, &fault.map(Fault::name));
        if fault == Some(before) {
            return Err(Unavailable);
        }
        let done = act();
        self.world.latency().await;
        if fault == Some(lost) {
            Err(Unavailable)
        } else {
            Ok(done)
        }
    }
}

impl Host for Ports {
    fn now(&self) -> UnixMillis {
        let now = UnixMillis(self.world.now().0.saturating_add_signed(self.apart));
        self.world.tell(self.pid, &now.0);
        now
    }

    fn random(&self, bytes: &mut [u8]) {
        self.world.random(self.pid, bytes);
    }

    async fn sleep(&self, span: Millis) {
        self.world.sleep(span.0).await;
    }

    fn log(&self, _line: &str) {}
}

impl Streams for Ports {
    type Body = Body;

    async fn collect(&self, body: Body, limit: u64) -> Collected<Body> {
        self.world.latency().await;
        self.world.sleep(body.slow).await;
        if body.blob.len() > limit {
            Collected::More(body)
        } else if body.broken {
            Collected::Failed(BodyFault::Incomplete)
        } else {
            Collected::All(body.blob.bytes().to_vec())
        }
    }

    fn body_of(&self, bytes: Vec<u8>) -> Body {
        Body::whole(Blob::new(bytes))
    }
}

impl Shards for Ports {
    type Response = Response;

    async fn call(
        &self,
        shard: u16,
        call: String,
        body: CallBody<Body>,
    ) -> Result<Response, Unavailable> {
        use Fault::{CallBefore, CallLost, CallTimeout, LaterCall, LaterField};
        let world = &self.world;
        world.gate(self.pid).await;
        let fault = world.strike(&[CallBefore, CallLost, CallTimeout, LaterCall, LaterField]);
        world.tell(self.pid, &fault.map(Fault::name));
        let call = match fault {
            Some(CallBefore) => return Err(Unavailable),
            // A Worker of a later build calls a shard of this build.
            Some(LaterCall) => call.replacen("{\"v\":1,", "{\"v\":2,", 1),
            Some(LaterField) => call.replacen("{\"v\":1,", "{\"later\":[1],\"v\":1,", 1),
            _ => call,
        };
        let host = world.shard(shard).ok_or(Unavailable)?;
        let (answer, answered) = oneshot::channel();
        host.call(call, body, answer, true);
        if fault == Some(CallTimeout) {
            world.sleep(world.dice.range(0, 400)).await;
            return Err(Unavailable);
        }
        let reply = answered.await.map_err(|_| Unavailable)?;
        world.latency().await;
        if fault == Some(CallLost) {
            return Err(Unavailable);
        }
        let response = self.respond(reply);
        world.tell(self.pid, &(response.status, response.body.blob.bytes()));
        Ok(response)
    }

    fn status(&self, response: &Response) -> u16 {
        response.status
    }

    fn field(&self, response: &Response, name: &str) -> Option<String> {
        response
            .headers
            .joined(name)
            .map(std::borrow::Cow::into_owned)
    }

    async fn read(&self, response: Response) -> Option<Vec<u8>> {
        self.world.latency().await;
        if self.world.strike(&[Fault::CallBody]).is_some() {
            return None;
        }
        Some(response.body.blob.bytes().to_vec())
    }

    fn respond(&self, reply: Reply) -> Response {
        let reply = reply.rendered("/jobs");
        let content = match reply.content {
            Content::Empty | Content::Problem(_) => Vec::new(),
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        };
        Response {
            status: reply.status,
            headers: reply.headers,
            body: Body::whole(Blob::new(content)),
        }
    }

    fn amend(
        &self,
        mut response: Response,
        fields: &[(&str, Option<String>)],
        body: Option<Body>,
    ) -> Response {
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

/// How often a watch checks whether its job has ended.
const WATCH: u64 = 1_000;

impl Watching for Ports {
    async fn until_ended(&self, shard: u16, call: String) -> bool {
        let world = &self.world;
        // Without watches in a search, to limit the number of orders: a cancel is noticed at the next renewal.
        let asked = Envelope::from_header(&call).map(|envelope| envelope.call);
        let (Ok(Call::Watch(watch)), false) = (asked, world.chance.searches()) else {
            std::future::pending::<()>().await;
            return false;
        };
        world.gate(self.pid).await;
        let fault = world.strike(&[Fault::CallBefore, Fault::CallLost]);
        let (Some(host), Some(id), None) = (world.shard(shard), JobId::parse(&watch.id), fault)
        else {
            return false;
        };
        let opened = host.incarnation();
        while host.incarnation() == opened {
            if host.has_ended(&id) {
                world.gate(self.pid).await;
                world.count("watch-told");
                return true;
            }
            world.sleep(WATCH).await;
        }
        false
    }
}

impl Bucket for Ports {
    async fn put(
        &self,
        key: &str,
        body: Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<BodyRef, PutError> {
        let len = body.blob.len();
        self.world.sleep(body.slow).await;
        if len > limit {
            self.world.latency().await;
            return Err(PutError::TooLarge);
        }
        if body.broken || announced.is_some_and(|announced| announced != len) {
            self.world.latency().await;
            return Err(PutError::Body(BodyFault::Incomplete));
        }
        let stored = self
            .effect(Fault::BucketBefore, Fault::BucketLost, || {
                self.world.log(Event::Object {
                    key: key.to_owned(),
                    stored: true,
                });
                self.world
                    .objects
                    .borrow_mut()
                    .insert(key.to_owned(), body.blob.clone());
            })
            .await;
        stored.map_err(|Unavailable| PutError::Storage)?;
        Ok(BodyRef {
            len,
            sha256: body.blob.sha256().to_owned(),
            object: Some(key.to_owned()),
        })
    }

    async fn get(&self, key: &str, slice: Option<(u64, u64)>) -> Result<Option<Body>, Unavailable> {
        let fault = self.world.strike(&[Fault::BucketTorn]);
        let found = self
            .effect(Fault::BucketBefore, Fault::BucketLost, || {
                self.world.objects.borrow().get(key).cloned()
            })
            .await?;
        let Some(blob) = found else {
            self.world.count("missing-object");
            return Ok(None);
        };
        let whole = slice.is_none_or(|(first, count)| first == 0 && count >= blob.len());
        let blob = if whole {
            blob
        } else {
            let (first, count) = slice.unwrap_or_default();
            let from = usize::try_from(first).unwrap_or(usize::MAX);
            let take = usize::try_from(count).unwrap_or(usize::MAX);
            Blob::new(blob.bytes().iter().skip(from).take(take).copied().collect())
        };
        if fault.is_some() {
            let half = blob.bytes().len() / 2;
            let blob = Blob::new(blob.bytes().iter().take(half).copied().collect());
            return Ok(Some(Body {
                broken: true,
                ..Body::whole(blob)
            }));
        }
        Ok(Some(Body::whole(blob)))
    }

    async fn delete(&self, keys: &[String]) -> Result<(), Unavailable> {
        self.effect(Fault::BucketBefore, Fault::BucketLost, || {
            for key in keys {
                if self.world.objects.borrow_mut().remove(key).is_some() {
                    self.world.log(Event::Object {
                        key: key.clone(),
                        stored: false,
                    });
                }
            }
        })
        .await
    }
}

impl OriginPort for Ports {
    async fn send(
        &self,
        request: OriginRequest<Body>,
    ) -> Result<OriginResponse<Body>, OriginError> {
        origin::send(&self.world, self.pid, request).await
    }
}
