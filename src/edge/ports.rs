//! Implements the gateway's ports on the platform.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::{AbortController, Response};

use crate::http::Headers;
use crate::http::target::Target;
use crate::job::{BodyRef, Millis, UnixMillis};
use crate::policy::Policy;
use crate::policy::bindings::{BUCKET, SHARDS};
use crate::rpc::bounds::BUCKET_TIMEOUT;
use crate::rpc::client::within;
use crate::rpc::ports::{
    BodyFault, Bucket, CallBody, Collected, Host, OriginError, OriginPort, OriginRequest,
    OriginResponse, PutError, Shards, Streams, Unavailable,
};
use crate::rpc::{Content, Reply};

use super::bindings::{Bindings, with_mount};
use super::bodies::{AbortGuard, Body, Sender, fault, number};
use super::glue;

use super::origin::Reach;

/// The ports of one event.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) bindings: Bindings,
    pub(super) policy: Rc<Policy>,
}

/// The time. The runtime's clock stands still between inputs, so all that happens in between has the same
/// time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates; a clock before 1970 counts as 1970"
)]
pub(super) fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

/// Random bytes from the runtime. If it has none, the instance aborts: a request fails, but no guessable id
/// or token is created.
pub(super) fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        worker::console_error!("no randomness");
        std::process::abort();
    }
}

impl Host for Platform {
    fn now(&self) -> UnixMillis {
        now()
    }

    fn random(&self, bytes: &mut [u8]) {
        random(bytes);
    }

    async fn sleep(&self, span: Millis) {
        worker::Delay::from(Duration::from_millis(span.0)).await;
    }

    fn log(&self, line: &str) {
        worker::console_warn!("{line}");
    }
}

impl Streams for Platform {
    type Body = Body;

    async fn collect(&self, body: Body, limit: u64) -> Collected<Body> {
        let expected = body.announced.map(number);
        let limits = body.sender.limits();
        let collecting = glue::collect(&body.stream, number(limit), expected, &limits);
        let Ok(found) = JsFuture::from(collecting).await else {
            return Collected::Failed(BodyFault::Incomplete);
        };
        if let Some(word) = found.as_string() {
            return Collected::Failed(fault(&word).unwrap_or(BodyFault::Incomplete));
        }
        match found.dyn_into::<Uint8Array>() {
            Ok(bytes) => {
                body.ended();
                Collected::All(bytes.to_vec())
            }
            Err(stream) => Collected::More(Body { stream, ..body }),
        }
    }

    fn body_of(&self, bytes: Vec<u8>) -> Body {
        Body::of(Sender::Us, Uint8Array::from(bytes.as_slice()).into())
    }
}

impl Shards for Platform {
    type Response = Response;

    async fn call(
        &self,
        shard: u16,
        call: String,
        body: CallBody<Body>,
    ) -> Result<Response, Unavailable> {
        let body = match body {
            CallBody::Empty => JsValue::UNDEFINED,
            CallBody::Stream(body) => body.stream,
            CallBody::Bytes(bytes) => Uint8Array::from(bytes.as_slice()).into(),
        };
        let name = format!("shard-{shard}");
        let namespace = self.bindings.get(SHARDS);
        let called = match glue::call_shard(&namespace, &name, &call, &body) {
            Ok(promise) => JsFuture::from(promise).await,
            Err(error) => Err(error),
        };
        called.map(JsCast::unchecked_into).map_err(|error| {
            worker::console_warn!("{name}: {}", glue::message_of(&error));
            Unavailable
        })
    }

    fn status(&self, response: &Response) -> u16 {
        response.status()
    }

    fn field(&self, response: &Response, name: &str) -> Option<String> {
        response.headers().get(name).ok().flatten()
    }

    async fn read(&self, response: Response) -> Option<Vec<u8>> {
        let bytes = JsFuture::from(glue::read_all(&response)).await.ok()?;
        Some(bytes.unchecked_into::<Uint8Array>().to_vec())
    }

    fn respond(&self, reply: Reply) -> Response {
        response(reply)
    }

    fn amend(
        &self,
        response: Response,
        fields: &[(&str, Option<String>)],
        body: Option<Body>,
    ) -> Response {
        let (_, mut headers) = read_head(&response);
        for (name, value) in fields {
            match value {
                Some(value) => headers.set(*name, value.clone()),
                None => headers.remove(name),
            }
        }
        let body = body.map_or(JsValue::UNDEFINED, |body| body.stream);
        glue::amend(&response, headers.as_packed(), &body).unwrap_or(response)
    }
}

/// Converts a reply into the platform's response. Status and fields are valid: they are ours, or were
/// checked when they were stored. If the runtime rejects them all the same, the client gets an empty 500.
pub(super) fn response(reply: Reply) -> Response {
    let reply = with_mount(|mount| reply.rendered(mount));
    let body: JsValue = match reply.content {
        // A problem was rendered to text.
        Content::Empty | Content::Problem(_) => JsValue::NULL,
        Content::Text(text) => JsString::from(text).into(),
        Content::Bytes(bytes) => Uint8Array::from(bytes.as_slice()).into(),
    };
    glue::respond(reply.status, reply.headers.as_packed(), &body).unwrap_or_else(|error| {
        worker::console_error!("response: {}", glue::message_of(&error));
        glue::respond(500, "", &JsValue::NULL).unwrap_or_else(|_| JsValue::NULL.unchecked_into())
    })
}

/// Status and fields of a response.
pub(super) fn read_head(response: &Response) -> (u16, Headers) {
    let text = glue::response_head(response);
    let (status, packed) = text.split_once('\n').unwrap_or((&text, ""));
    (status.parse().unwrap_or(0), Headers::from_packed(packed))
}

impl Bucket for Platform {
    async fn put(
        &self,
        key: &str,
        body: Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<BodyRef, PutError> {
        let bucket = self.bindings.get(BUCKET);
        let announced = announced.map(number);
        let limits = body.sender.limits();
        let stored = glue::store(
            &bucket,
            key,
            &body.stream,
            announced,
            number(limit),
            &limits,
        );
        let answer = JsFuture::from(stored)
            .await
            .ok()
            .and_then(|answer| answer.as_string());
        let answer = answer.unwrap_or_default();
        if answer == "too_large" {
            return Err(PutError::TooLarge);
        }
        if let Some(fault) = fault(&answer) {
            return Err(PutError::Body(fault));
        }
        let (len, sha256) = answer.split_once(' ').ok_or(PutError::Storage)?;
        body.ended();
        Ok(BodyRef {
            len: len.parse().map_err(|_| PutError::Storage)?,
            sha256: sha256.to_owned(),
            object: Some(key.to_owned()),
        })
    }

    async fn get(&self, key: &str, slice: Option<(u64, u64)>) -> Result<Option<Body>, Unavailable> {
        let bucket = self.bindings.get(BUCKET);
        let (first, count) = slice.map_or((0, None), |(first, count)| (first, Some(count)));
        let opened = glue::open(&bucket, key, number(first), count.map(number));
        let opened = within(self, BUCKET_TIMEOUT, JsFuture::from(opened)).await?;
        let stream = opened.map_err(|error| bucket_failed(&error))?;
        Ok((!stream.is_null()).then(|| Body::of(Sender::Bucket, stream)))
    }

    async fn delete(&self, keys: &[String]) -> Result<(), Unavailable> {
        let list: Array = keys.iter().map(|key| JsValue::from_str(key)).collect();
        let bucket = self.bindings.get(BUCKET);
        let removed = glue::remove(&bucket, list).map_err(|error| bucket_failed(&error))?;
        let removed = within(self, BUCKET_TIMEOUT, JsFuture::from(removed)).await?;
        removed.map(|_| ()).map_err(|error| bucket_failed(&error))
    }
}

fn bucket_failed(error: &JsValue) -> Unavailable {
    worker::console_warn!("bucket: {}", glue::message_of(error));
    Unavailable
}

/// For this long after a response, the origin is assumed to be listening.
const LISTENING_FOR: Millis = Millis(250);

thread_local! {
    /// The port of the origin that last responded in this isolate (0 if not on this machine), and when.
    static ANSWERED: Cell<(u16, UnixMillis)> = const { Cell::new((0, UnixMillis(0))) };
}

impl OriginPort for Platform {
    async fn send(
        &self,
        request: OriginRequest<Body>,
    ) -> Result<OriginResponse<Body>, OriginError> {
        let controller = AbortController::new().map_err(|_| OriginError::Unreachable)?;
        let signal = controller.signal();
        let guard = AbortGuard(Some(controller));
        let target = Target::parse(&request.target).map_err(|_| OriginError::Unreachable)?;
        let reach = Reach::of(&self.policy, &self.bindings, &request.origin);
        let reach = reach.map_err(|why| {
            // Nothing was sent. The job is retried until its deadline; a deploy may fix the configuration.
            worker::console_error!("misconfigured: {why}");
            OriginError::Unreachable
        })?;
        let mut headers = request.headers;
        for (name, value) in &reach.headers {
            headers.set(name, value);
        }
        let url = reach.url(&target);
        let body = request
            .body
            .map_or(JsValue::UNDEFINED, |(body, _)| body.stream);
        if !is_listening(&reach).await {
            return Err(OriginError::Unreachable);
        }
        let packed = headers.as_packed();
        let sent = glue::replay(
            &reach.fetcher,
            &url,
            &request.method,
            packed,
            &body,
            &signal,
        );
        let fetched = match sent {
            Ok(promise) => JsFuture::from(promise).await,
            // The runtime refused to send the request, so nothing was sent.
            Err(_) => return Err(OriginError::Unreachable),
        };
        let response: Response = match fetched {
            Ok(response) => response.unchecked_into(),
            Err(error) => {
                ANSWERED.set((0, UnixMillis(0)));
                worker::console_warn!("origin: {}", glue::message_of(&error));
                return Err(OriginError::Lost);
            }
        };
        ANSWERED.set((reach.loopback().map_or(0, |(_, port)| port), now()));
        let (status, headers) = read_head(&response);
        let body = if let Some(stream) = response.body() {
            Some(Body {
                stream: stream.into(),
                announced: headers.get("content-length").and_then(|n| n.parse().ok()),
                guard: Some(guard),
                sender: Sender::Origin,
            })
        } else {
            guard.ended();
            None
        };
        Ok(OriginResponse {
            status,
            headers,
            body,
        })
    }
}

/// Whether an origin on this machine accepts connections.
///
/// The local runtime reports refused and lost connections alike ("Network connection lost"), so this is
/// checked before anything is sent. On the platform a refused connection has a status of its own (521 and
/// similar).
async fn is_listening(reach: &Reach<'_>) -> bool {
    let Some((host, port)) = reach.loopback() else {
        return true;
    };
    let (last, at) = ANSWERED.get();
    if last == port && now().since(at) < LISTENING_FOR {
        return true;
    }
    JsFuture::from(glue::accepts(&host, port))
        .await
        .is_ok_and(|accepts| accepts.is_truthy())
}
