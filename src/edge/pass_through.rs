//! Passes a request through to the origin, and the response back.

use std::borrow::Cow;

use js_sys::{Array, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use worker::web_sys::{Request, Response};

use crate::http::hop::HOP_BY_HOP;
use crate::ingress::PassThrough;
use crate::protocol::dropped::OWN_PREFIX;
use crate::protocol::forwarding::{Edits, response_to_pass};
use crate::protocol::problem::{Problem, ProblemCode};

use super::glue;
use super::origin::Reach;
use super::ports::{Platform, read_head, response};

/// Passes a request on. Fails with a log line if the origin cannot be reached as configured.
pub(super) fn pass_through(
    platform: &Platform,
    request: &Request,
    pass: &PassThrough,
) -> Result<Promise, String> {
    let reach = Reach::of(&platform.policy, &platform.bindings, &pass.origin)?;
    let url = reach.url(&pass.target);
    let Edits { removed, set } = &pass.edits;
    let mut set = Cow::Borrowed(set);
    for (name, value) in &reach.headers {
        set.to_mut().set(name, value);
    }
    let plan = format!("{url}\n{}\n{}", removed.join(","), set.as_packed());
    let fetcher = &reach.fetcher;
    Ok(UNTOUCHED.with(|untouched| {
        FINISH.with(|finish| {
            let finish = finish.as_ref();
            glue::pass_through(fetcher, request, &plan, pass.varies, untouched, finish)
        })
    }))
}

thread_local! {
    /// Which responses go back unchanged, in the form for the JavaScript side; created once.
    static UNTOUCHED: JsValue = untouched();

    /// Called with all other responses.
    static FINISH: Closure<dyn Fn(Response, bool) -> Response> = Closure::new(finish);
}

/// Describes the responses that [`response_to_pass`] does not change, unless they vary: they have none of these
/// names, no name with this prefix, and no `Connection` but one of these, which name no field.
fn untouched() -> JsValue {
    let names: Array = HOP_BY_HOP
        .iter()
        .filter(|name| !REMOVED_BY_RUNTIME.contains(name))
        .map(|name| JsValue::from_str(name))
        .collect();
    let connections: Array = ["keep-alive", "Keep-Alive", "close"]
        .iter()
        .map(|value| JsValue::from_str(value))
        .collect();
    let object = Object::new();
    for (name, value) in [
        ("names", names.into()),
        ("prefix", JsValue::from_str(OWN_PREFIX)),
        ("connections", connections.into()),
    ] {
        // Setting a property of a plain object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// Fields of [`HOP_BY_HOP`] that the runtime itself removes from every message. A response without other
/// hop-by-hop fields goes back unchanged: a copy adds a tenth to the cost of passing it through, and most
/// responses have `Keep-Alive`.
const REMOVED_BY_RUNTIME: [&str; 6] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Edits a response of the origin for the client.
fn finish(came: Response, varies: bool) -> Response {
    let (_, headers) = read_head(&came);
    let Edits { removed, set } = response_to_pass(&headers, varies);
    if let Ok(edited) = glue::edited(&came, &removed.join(","), set.as_packed()) {
        return edited;
    }
    // The runtime cannot create a response with a status outside 200 to 599, only pass it on unchanged. With
    // a `Raincheck-*` field it would speak for the gateway.
    if removed.iter().any(|name| name.starts_with(OWN_PREFIX)) {
        let why = "a response of an odd status with fields of the gateway was rejected";
        worker::console_warn!("origin: {why}");
        let problem = Problem::new(ProblemCode::OriginProtocolError);
        return response(if varies { problem.on_route() } else { problem }.into());
    }
    came
}

/// Methods that a client may repeat although the origin may have seen the request (RFC 9110 section 9.2.1).
/// TRACE is never passed through.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Called by the Worker's entry when a request could not be passed through; `varies` if a rule looked at
/// it. The origin may have acted, so the client is told to try again only if the method is safe.
#[wasm_bindgen(js_name = originUnreachable)]
pub fn origin_unreachable(method: &str, varies: bool) -> Response {
    let problem = Problem::new(ProblemCode::OriginUnreachable)
        .detail("The origin did not respond; it is not known whether the request reached it.")
        .retryable(SAFE_METHODS.contains(&method));
    response(if varies { problem.on_route() } else { problem }.into())
}
