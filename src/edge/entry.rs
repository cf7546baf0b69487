//! The events: requests and queue batches.

use std::rc::Rc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use js_sys::Array;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, MessageBatch, MessageExt, RawMessage, event};

use crate::gateway::consume::{self, Disposal};
use crate::gateway::front::{Action, Head, PassThrough, decide};
use crate::gateway::message::{JOBS_PER_MESSAGE, Message};
use crate::gateway::{Reply, serve};
use crate::policy::{ConfigErrors, Policy};
use crate::protocol::Headers;
use crate::protocol::cors;
use crate::protocol::headers::HOP_BY_HOP;
use crate::protocol::problem::{Problem, ProblemCode};

use super::bindings::{Bindings, DEAD_LETTERS};
use super::glue;
use super::ports::{Body, Platform, now, random, response, url};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let bindings = Bindings::from(env);
    let policy = match bindings.policy() {
        Ok(policy) => policy,
        Err(errors) => return Ok(response(misconfigured(&errors))),
    };
    let Some(head) = read_head(&request) else {
        return Ok(response(Problem::new(ProblemCode::BadRequest).into()));
    };
    let origin = head.headers.get("origin").map(str::to_owned);
    let platform = Platform { bindings, policy };
    let action = decide(&platform.policy, head, now(), &mut random);
    // What no rule names is the origin's own, and so is what it tells browsers.
    let is_ours = !matches!(&action, Action::PassThrough(pass) if !pass.varies);
    let answer = serve_request(&platform, &request, action).await;
    Ok(if is_ours {
        with_cors(&platform.policy, origin.as_deref(), answer)
    } else {
        answer
    })
}

async fn serve_request(platform: &Platform, request: &Request, action: Action) -> Response {
    match action {
        Action::Reply(reply) => response(reply),
        Action::PassThrough(pass) => pass_through(platform, request, pass).await,
        Action::Ask {
            shard,
            call,
            wait: None,
        } => serve::ask(platform, shard, &call).await,
        Action::Ask {
            call,
            wait: Some((id, span)),
            ..
        } => serve::ask_when_ended(platform, &id, span, &call).await,
        Action::Redrive { id, call } => serve::redrive(platform, id, *call).await,
        Action::Accept(plan) => {
            let body = request.body().map(|stream| Body::of_stream(stream.into()));
            if plan.hold.0 > 0 {
                serve::accept_and_hold(platform, *plan, body).await
            } else {
                serve::accept(platform, *plan, body).await
            }
        }
    }
}

fn misconfigured(errors: &ConfigErrors) -> Reply {
    worker::console_error!("misconfigured: {errors}");
    Problem::new(ProblemCode::Misconfigured)
        .detail(errors.to_string())
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

async fn pass_through(platform: &Platform, request: &Request, pass: PassThrough) -> Response {
    let Some(url) = url(&platform.policy, pass.target.as_str()) else {
        return response(Problem::new(ProblemCode::BadRequest).into());
    };
    let names: Array = HOP_BY_HOP
        .iter()
        .map(|name| JsValue::from_str(name))
        .collect();
    let promise = glue::pass_through(
        &platform.bindings.fetcher(&platform.policy),
        &url,
        request,
        &pass.removed.join("\n"),
        &pass.set.to_packed(),
        &names,
        pass.varies,
    );
    match JsFuture::from(promise).await {
        Ok(answer) => answer.unchecked_into(),
        Err(error) => {
            worker::console_warn!("origin: {}", glue::message_of(&error));
            // Whether the origin acted is not known, and the method may be any.
            response(
                Problem::new(ProblemCode::OriginUnreachable)
                    .retryable(false)
                    .into(),
            )
        }
    }
}

/// Adds what a browser on another origin needs; most requests are not from one.
fn with_cors(policy: &Policy, origin: Option<&str>, answer: Response) -> Response {
    if origin.is_none() || policy.cors_origins.is_empty() || answer.status() == 101 {
        return answer;
    }
    let text = glue::response_head(&answer);
    let (_, packed) = text.split_once('\n').unwrap_or((&text, ""));
    let mut headers = Headers::from_packed(packed);
    cors::decorate(&policy.cors_origins, origin, &mut headers);
    glue::amend(
        &answer,
        answer.status(),
        &headers.to_packed(),
        &JsValue::UNDEFINED,
    )
    .unwrap_or(answer)
}

#[event(queue)]
async fn queue(batch: MessageBatch<JsValue>, env: Env, context: Context) -> worker::Result<()> {
    let bindings = Bindings::from(env);
    let messages: Vec<RawMessage> = batch.raw_iter().collect();
    let Ok(policy) = bindings.policy() else {
        // Nothing is lost: the messages come again, and so do those that the shards send.
        messages.iter().for_each(MessageExt::retry);
        return Ok(());
    };
    let detached = bindings.is_detached();
    let platform = Rc::new(Platform { bindings, policy });
    if batch.queue() == DEAD_LETTERS {
        join_all(messages.iter().map(|message| bury(&platform, message))).await;
        return Ok(());
    }
    if detached {
        for message in messages {
            let platform = Rc::clone(&platform);
            context.wait_until(async move { run(&platform, &message, true).await });
        }
        return Ok(());
    }
    // Each job holds one of the connections that an invocation may have waiting, so as many messages
    // run at a time as have that many jobs between them.
    let largest = messages
        .iter()
        .filter_map(parse)
        .map(|message| message.jobs.len())
        .max();
    let at_a_time = JOBS_PER_MESSAGE
        .checked_div(largest.unwrap_or(1))
        .unwrap_or(1)
        .max(1);
    futures_util::stream::iter(messages)
        .for_each_concurrent(at_a_time, |message| {
            let platform = Rc::clone(&platform);
            async move { run(&platform, &message, false).await }
        })
        .await;
    Ok(())
}

/// Runs the jobs of one message. Never fails: what cannot be done now is left to the message, which
/// comes again, or to the shard.
async fn run(platform: &Platform, raw: &RawMessage, detached: bool) {
    let Some(message) = parse(raw) else {
        return raw.ack();
    };
    match consume::run_message(platform, &platform.policy, &message).await {
        // A detached batch is acknowledged when the handler returns.
        _ if detached => {}
        Disposal::Acknowledge => raw.ack(),
        Disposal::Retry => raw.retry(),
    }
}

async fn bury(platform: &Platform, raw: &RawMessage) {
    let Some(message) = parse(raw) else {
        return raw.ack();
    };
    match consume::dead_letter(platform, &message).await {
        Disposal::Acknowledge => raw.ack(),
        Disposal::Retry => raw.retry(),
    }
}

/// A message that is none is acknowledged: nobody could ever do anything with it.
fn parse(raw: &RawMessage) -> Option<Message> {
    let message = raw
        .body()
        .as_string()
        .and_then(|text| Message::parse(&text));
    if message.is_none() {
        worker::console_error!("a queue message that is not Raincheck's was dropped");
    }
    message
}
