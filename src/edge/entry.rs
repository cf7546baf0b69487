//! The events: requests and queue batches.

use futures_util::future::join_all;
use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, MessageBatch, MessageExt, RawMessage, event};

use crate::consumer::{self, Disposal};
use crate::http::Headers;
use crate::ingress::{Action, Announced, Head, Isolate, cors, decide};
use crate::ingress::{execute, hold};
use crate::job::Priority;
use crate::policy::Policy;
use crate::policy::bindings::SHARDS;
use crate::policy::limits::DEAD_LETTERS_SUFFIX;
use crate::protocol::problem::{Problem, ProblemCode};
use crate::rpc::Reply;
use crate::rpc::bounds::{DISCARD_MAX, SHARD_TIMEOUT};
use crate::rpc::call::Envelope;
use crate::rpc::client::{longest, within};
use crate::rpc::message::{JOBS_PER_MESSAGE, Message, Unread};

use super::bindings::Bindings;
use super::bodies::{Body, Sender, for_discarding, number};
use super::glue;
use super::pass_through::{origin_unreachable, pass_through};
use super::ports::{Platform, now, random, response};

/// Called by the Worker's entry for each request. Returns a promise of the response, or [`Pending`]. A request
/// that passes through, or needs a single shard call, never becomes a future here: it is one call to the
/// platform, whose promise is returned.
#[wasm_bindgen]
pub fn fetch(request: Request, env: JsValue) -> JsValue {
    let bindings = Bindings::new(env);
    let policy = match bindings.policy() {
        Ok(policy) => policy,
        Err(errors) => return refused(request, misconfigured(&errors)).into(),
    };
    let Some(head) = read_head(&request) else {
        return refused(request, Problem::new(ProblemCode::BadRequest).into()).into();
    };
    let has_body = head.has_body;
    let needs_cors = needs_cors(&policy);
    let origin = head
        .headers
        .get("origin")
        .filter(|_| needs_cors)
        .map(str::to_owned);
    let mut action = decide(&policy, head, now(), ISOLATE.with(|isolate| *isolate));
    let platform = Platform { bindings, policy };
    // For a request without a rule, CORS is a matter of the origin.
    if let Action::PassThrough(pass) = &action
        && !(pass.varies && needs_cors)
    {
        return match pass_through(&platform, &request, pass) {
            Ok(answer) => answer,
            Err(why) => refused(request, misconfigured(&why)),
        }
        .into();
    }
    let ignores_body = has_body && !matches!(action, Action::Accept(_));
    if !needs_cors
        && !ignores_body
        && let Some(answer) = by_shard_alone(&platform, &request, &mut action)
    {
        return answer.into();
    }
    Pending {
        platform,
        request,
        action,
        origin,
    }
    .into()
}

/// A request whose response needs more than one step.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Pending {
    platform: Platform,
    request: Request,
    action: Action,
    origin: Option<String>,
}

#[wasm_bindgen]
impl Pending {
    /// Runs the steps.
    pub fn run(self) -> Promise {
        future_to_promise(async move {
            let passes = matches!(self.action, Action::PassThrough(_));
            let answer = respond_to(&self.platform, &self.request, self.action).await;
            if !passes {
                discard(&self.request).await;
            }
            Ok(with_cors(&self.platform.policy, self.origin.as_deref(), answer).into())
        })
    }
}

/// The common accepts and status reads: a single call to a shard, whose response goes to the client as it is.
fn by_shard_alone(platform: &Platform, request: &Request, action: &mut Action) -> Option<Promise> {
    let (shard, call, body, safe_to_repeat) = match action {
        Action::Accept(plan) => {
            let call = execute::plain_accept(plan)?;
            let body = match plan.body {
                Announced::Nothing => None,
                _ => request.body(),
            };
            let body = body.map_or(JsValue::UNDEFINED, JsValue::from);
            (plan.shard, call, body, plan.call.key.is_some())
        }
        Action::Ask {
            shard,
            call,
            wait: None,
        } if call.is_about_status() => {
            let call = Envelope::header_of(*shard, call).ok()?;
            (*shard, call, JsValue::UNDEFINED, true)
        }
        _ => return None,
    };
    let namespace = platform.bindings.get(SHARDS);
    let name = format!("shard-{shard}");
    Some(glue::answer_of_shard(
        &namespace,
        &name,
        &call,
        &body,
        safe_to_repeat,
        number(longest(!body.is_undefined()).0),
    ))
}

/// Called by the Worker's entry when a shard did not respond.
#[wasm_bindgen(js_name = shardUnavailable)]
pub fn shard_unavailable(safe_to_repeat: bool) -> Response {
    response(execute::shard_unavailable(safe_to_repeat))
}

/// Reads the rest of a body, and discards it.
async fn discard(request: &Request) {
    let discarding = for_discarding(|it| glue::discard(request, number(DISCARD_MAX), it));
    let _ = JsFuture::from(discarding).await;
}

/// A response that does not use the request's body.
fn refused(request: Request, reply: Reply) -> Promise {
    future_to_promise(async move {
        discard(&request).await;
        Ok(response(reply).into())
    })
}

async fn respond_to(platform: &Platform, request: &Request, action: Action) -> Response {
    match action {
        Action::Reply(reply) => response(reply),
        Action::PassThrough(pass) => match pass_through(platform, request, &pass) {
            Ok(answer) => match JsFuture::from(answer).await {
                Ok(answer) => answer.unchecked_into(),
                Err(_) => origin_unreachable(&request.method(), pass.varies),
            },
            Err(why) => {
                discard(request).await;
                response(misconfigured(&why))
            }
        },
        Action::Ask {
            shard,
            call,
            wait: None,
        } => execute::ask(platform, shard, &call).await,
        Action::Ask {
            call,
            wait: Some((id, span)),
            ..
        } => hold::ask_when_ended(platform, &id, span, &call).await,
        Action::Redrive { id, call } => execute::redrive(platform, id, *call).await,
        Action::Accept(plan) => {
            let body = request
                .body()
                .map(|stream| Body::of(Sender::Client, stream.into()));
            if plan.hold.0 > 0 {
                hold::accept_and_hold(platform, *plan, body).await
            } else {
                execute::accept(platform, *plan, body).await
            }
        }
    }
}

/// Logs a configuration error. The client's problem does not contain it.
fn misconfigured(what: &dyn std::fmt::Display) -> Reply {
    worker::console_error!("misconfigured: {what}");
    let detail = "The operator of this gateway finds in its log what is wrong.";
    Problem::new(ProblemCode::Misconfigured)
        .detail(detail)
        .into()
}

fn read_head(request: &Request) -> Option<Head> {
    let text = glue::request_head(request);
    let mut lines = text.splitn(4, '\n');
    let (method, url, has_body) = (lines.next()?, lines.next()?, lines.next()?);
    let headers = Headers::from_packed(lines.next().unwrap_or_default());
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end)?;
    Some(Head {
        method: method.to_owned(),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        target: if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        },
        headers,
        has_body: has_body == "1",
    })
}

thread_local! {
    /// Drawn with the first request: before that, the platform provides no randomness.
    static ISOLATE: Isolate = {
        let mut drawn = [0; 8];
        random(&mut drawn);
        Isolate(u64::from_le_bytes(drawn))
    };
}

/// Whether CORS is configured. Responses then vary with `Origin`, even without one in the request.
fn needs_cors(policy: &Policy) -> bool {
    !policy.cors_origins.is_empty()
}

/// Adds the CORS fields.
fn with_cors(policy: &Policy, origin: Option<&str>, answer: Response) -> Response {
    if !needs_cors(policy) || answer.status() == 101 {
        return answer;
    }
    let text = glue::response_head(&answer);
    let (_, packed) = text.split_once('\n').unwrap_or((&text, ""));
    let mut headers = Headers::from_packed(packed);
    cors(policy).decorate(origin, &mut headers);
    glue::amend(&answer, headers.as_packed(), &JsValue::UNDEFINED).unwrap_or(answer)
}

#[event(queue)]
async fn queue(batch: MessageBatch<JsValue>, env: Env, context: Context) -> worker::Result<()> {
    let bindings = Bindings::from(env);
    let Ok(policy) = bindings.policy() else {
        // Nothing is lost: the queue and the shards will send the messages again.
        batch.raw_iter().for_each(|raw| raw.retry());
        return Ok(());
    };
    let messages: Vec<(RawMessage, Message)> = batch.raw_iter().filter_map(parsed).collect();
    let detached = bindings.is_detached();
    let platform = Platform { bindings, policy };
    if batch.queue().ends_with(DEAD_LETTERS_SUFFIX) {
        let buried = messages.iter().map(|(raw, it)| bury(&platform, raw, it));
        join_all(buried).await;
        return Ok(());
    }
    let priority = priority_of(&batch.queue());
    let run = async move |connections| {
        let settle = async |raw: RawMessage, done| settle(&platform, priority, &raw, done).await;
        consumer::run_batch(&platform, &platform.policy, messages, connections, settle).await;
    };
    if detached {
        // The batch is acknowledged when the handler returns.
        context.wait_until(run(usize::MAX));
    } else {
        run(JOBS_PER_MESSAGE).await;
    }
    Ok(())
}

/// The priority of a queue, by the end of its name; normal by default.
fn priority_of(queue: &str) -> Priority {
    match queue.rsplit('-').next() {
        Some("high") => Priority::High,
        Some("low") => Priority::Low,
        _ => Priority::Normal,
    }
}

/// Tells the queue what to do with a message. If a replacement cannot be sent, the message comes again.
async fn settle(platform: &Platform, priority: Priority, raw: &RawMessage, done: Disposal) {
    match done {
        Disposal::Acknowledge => raw.ack(),
        Disposal::Retry => raw.retry(),
        Disposal::Replace(message) => {
            let queue = platform.bindings.queue(priority);
            let sent = match serde_json::to_string(&message) {
                Ok(text) => match glue::send_message(&queue, &text) {
                    Ok(sending) => within(platform, SHARD_TIMEOUT, JsFuture::from(sending))
                        .await
                        .is_ok_and(|sent| sent.is_ok()),
                    Err(_) => false,
                },
                Err(_) => false,
            };
            if sent { raw.ack() } else { raw.retry() }
        }
    }
}

async fn bury(platform: &Platform, raw: &RawMessage, message: &Message) {
    let shard = message.shard;
    worker::console_warn!("a queue gave up on a message of shard {shard}");
    let done = consumer::dead_letter(platform, message).await;
    settle(platform, Priority::Normal, raw, done).await;
}

/// Parses a message. Unparsable ones are acknowledged, because redelivery cannot help. Those of a later build
/// are retried until that build gets them.
fn parsed(raw: RawMessage) -> Option<(RawMessage, Message)> {
    let text = raw.body().as_string();
    match text.map_or(Err(Unread::Foreign), |text| Message::read(&text)) {
        Ok(message) => Some((raw, message)),
        Err(Unread::LaterBuild) => {
            worker::console_warn!("a queue message of a later build was handed back");
            raw.retry();
            None
        }
        Err(Unread::Foreign) => {
            worker::console_error!("a queue message that is not Raincheck's was dropped");
            raw.ack();
            None
        }
    }
}
