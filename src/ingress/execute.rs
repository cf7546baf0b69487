//! Carries out an [`Action`](super::Action) over the ports.
//!
//! The order on accept is payload, record, receipt: a 202 is sent only when payload and record are
//! durable. If a storage response is lost, the client gets a 503 and may repeat the request; with an
//! `Idempotency-Key` it gets the same job.

use serde::Serialize;

use crate::job::{BodyRef, JobId};
use crate::protocol::problem::{Problem, ProblemCode};
use crate::protocol::result::{self, Source, status_link};

use super::{AcceptPlan, Announced, too_large};
use crate::rpc::Reply;
use crate::rpc::call::{
    AcceptCall, Call, Envelope, INLINE_MAX, OBJECT_HEADER, PayloadCall, RedriveCall, SLICE_HEADER,
    View, ViewCall,
};
use crate::rpc::client::{call_shard, clean_up, object_key, store};
use crate::rpc::ports::{
    BodyFault, Bucket, CallBody, Collected, Host, PutError, Shards, Unavailable,
};

/// The ports that serving a client needs.
pub trait IngressPorts: Host + Shards + Bucket {}

impl<P: Host + Shards + Bucket> IngressPorts for P {}

/// Calls a shard about a job, and adds the body if it is in the bucket.
pub async fn ask<P: IngressPorts>(ports: &P, shard: u16, call: &Call) -> P::Response {
    let answer = call_shard(ports, shard, call, CallBody::Empty).await;
    let view = match call {
        Call::View(view) if view.view == View::Result => view,
        _ => return answer.unwrap_or_else(|Unavailable| storage_unavailable(ports)),
    };
    let response = match answer {
        Ok(response) => with_object(ports, response, view)
            .await
            .unwrap_or_else(|problem| problem),
        Err(Unavailable) => storage_unavailable(ports),
    };
    if ports.status(&response) < 400 || ports.field(&response, result::SOURCE).is_some() {
        return response;
    }
    let source = Source::Gateway.as_str().to_owned();
    ports.amend(response, &[(result::SOURCE, Some(source))], None)
}

/// Adds a result's body if it is in the bucket. Fails with a problem response if the bucket cannot be read
/// now.
pub(super) async fn with_object<P: IngressPorts>(
    ports: &P,
    response: P::Response,
    view: &ViewCall,
) -> Result<P::Response, P::Response> {
    let Some(object) = ports.field(&response, OBJECT_HEADER) else {
        return Ok(response);
    };
    let slice = ports.field(&response, SLICE_HEADER).and_then(|text| {
        let (first, count) = text.split_once(' ')?;
        Some((first.parse().ok()?, count.parse().ok()?))
    });
    match ports.get(&object, slice).await {
        Ok(Some(body)) => Ok(ports.amend(
            response,
            &[(OBJECT_HEADER, None), (SLICE_HEADER, None)],
            Some(body),
        )),
        Ok(None) => {
            let problem = Problem::new(ProblemCode::ResultNotStored);
            Ok(problem_about_job(ports, &response, view, problem))
        }
        Err(Unavailable) => Err(problem_about_job(
            ports,
            &response,
            view,
            Problem::storage_unavailable(),
        )),
    }
}

/// A problem about the same job, in place of the origin's response.
fn problem_about_job<P: Shards>(
    ports: &P,
    response: &P::Response,
    view: &ViewCall,
    problem: Problem,
) -> P::Response {
    let mut problem = problem
        .at_result()
        .header("link", status_link(&view.base, &view.id));
    if let Some(job_status) = ports.field(response, result::JOB_STATUS) {
        problem = problem.header(result::JOB_STATUS, job_status);
    }
    ports.respond(problem.into())
}

/// The accept call as header text, if one call is all that is needed: a small body of announced length
/// streams along with it, and the shard's response goes to the client. `None`: use [`accept`].
pub fn plain_accept(plan: &mut AcceptPlan) -> Option<String> {
    /// Serializes like [`Call::Accept`], but borrows the call.
    #[derive(Serialize)]
    struct Accept<'a> {
        accept: &'a AcceptCall,
    }

    let small = match plan.body {
        Announced::Nothing => Some(PayloadCall::Absent),
        Announced::Length(len) if len <= INLINE_MAX => Some(PayloadCall::Inline(Some(len))),
        Announced::Length(_) | Announced::Unknown => None,
    };
    if plan.hold.0 > 0 || plan.previous.is_some() {
        return None;
    }
    plan.call.payload = small?;
    Envelope::header_of(plan.shard, &Accept { accept: &plan.call }).ok()
}

/// The problem for a shard that did not respond. `safe_to_repeat`: sending the request again cannot
/// create a second job.
#[must_use]
pub fn shard_unavailable(safe_to_repeat: bool) -> Reply {
    Problem::storage_unavailable()
        .retryable(safe_to_repeat)
        .on_route()
        .into()
}

/// Accepts a request. The response is the receipt, or a problem.
pub async fn accept<P: IngressPorts>(
    ports: &P,
    plan: AcceptPlan,
    body: Option<P::Body>,
) -> P::Response {
    match try_accept(ports, plan, body).await {
        Ok(response) => response,
        Err(problem) => ports.respond(problem.on_route().into()),
    }
}

async fn try_accept<P: IngressPorts>(
    ports: &P,
    plan: AcceptPlan,
    body: Option<P::Body>,
) -> Result<P::Response, Problem> {
    let AcceptPlan {
        shard,
        previous,
        mut call,
        body: announced,
        limit,
        ..
    } = plan;
    let (payload, carried) = take_body(ports, shard, body, announced, limit).await?;
    call.payload = payload;
    let (mut call, carried) = match previous {
        Some(previous) => match look_up(ports, previous, call, carried).await? {
            Known::Job(response) => return Ok(response),
            Known::Nothing(call, carried) => (*call, carried),
        },
        None => (call, carried),
    };
    call.lookup = false;
    // If the response is lost, the job may exist; only a request with a key finds it again.
    let safe_to_repeat = call.key.is_some();
    let uploaded = match &call.payload {
        PayloadCall::Object(body) => body.object.clone(),
        PayloadCall::Absent | PayloadCall::Inline(_) => None,
    };
    let call = Call::Accept(Box::new(call));
    let response = call_shard(ports, shard, &call, carried)
        .await
        .map_err(|Unavailable| Problem::storage_unavailable().retryable(safe_to_repeat))?;
    // The shard refused, so no record names the object. If the upload outlasted the sweep note, only this
    // deletes it.
    if let Some(object) = uploaded
        && ports.status(&response) != 202
    {
        clean_up(ports, object).await;
    }
    Ok(response)
}

/// Sends the body along with the call, or uploads it to the bucket.
async fn take_body<P: IngressPorts>(
    ports: &P,
    shard: u16,
    body: Option<P::Body>,
    announced: Announced,
    limit: u64,
) -> Result<(PayloadCall, CallBody<P::Body>), Problem> {
    let Some(body) = body else {
        return Ok((PayloadCall::Absent, CallBody::Empty));
    };
    match announced {
        Announced::Nothing => Ok((PayloadCall::Absent, CallBody::Empty)),
        Announced::Length(len) if len <= INLINE_MAX => {
            Ok((PayloadCall::Inline(Some(len)), CallBody::Stream(body)))
        }
        Announced::Length(len) => upload(ports, shard, body, Some(len), limit).await,
        Announced::Unknown => match ports.collect(body, INLINE_MAX.min(limit)).await {
            Collected::All(bytes) => Ok((PayloadCall::Inline(None), CallBody::Bytes(bytes))),
            Collected::More(_) if limit <= INLINE_MAX => Err(too_large(limit)),
            Collected::More(body) => upload(ports, shard, body, None, limit).await,
            Collected::Failed(fault) => Err(not_read(fault)),
        },
    }
}

async fn upload<P: IngressPorts>(
    ports: &P,
    shard: u16,
    body: P::Body,
    announced: Option<u64>,
    limit: u64,
) -> Result<(PayloadCall, CallBody<P::Body>), Problem> {
    let object = object_key(ports, "requests", shard);
    let stored = store(ports, shard, &object, None, body, announced, limit).await;
    match stored {
        Ok(reference) => Ok((PayloadCall::Object(reference), CallBody::Empty)),
        Err(PutError::TooLarge) => Err(too_large(limit)),
        Err(PutError::Body(fault)) => Err(not_read(fault)),
        Err(PutError::Storage) => Err(Problem::storage_unavailable()),
    }
}

enum Known<R, B> {
    Job(R),
    Nothing(Box<AcceptCall>, CallBody<B>),
}

/// Asks the shard that a key belonged to before the number of shards changed.
async fn look_up<P: IngressPorts>(
    ports: &P,
    previous: u16,
    mut call: AcceptCall,
    carried: CallBody<P::Body>,
) -> Result<Known<P::Response, P::Body>, Problem> {
    // The body is needed for two calls, so it is read into memory; larger ones are in the bucket already.
    let bytes = match carried {
        CallBody::Empty => None,
        CallBody::Bytes(bytes) => Some(bytes),
        CallBody::Stream(body) => match ports.collect(body, INLINE_MAX).await {
            Collected::All(bytes) => Some(bytes),
            Collected::More(_) => return Err(not_read(BodyFault::Incomplete)),
            Collected::Failed(fault) => return Err(not_read(fault)),
        },
    };
    let body = |bytes: Option<Vec<u8>>| bytes.map_or(CallBody::Empty, CallBody::Bytes);
    call.lookup = true;
    let question = Call::Accept(Box::new(call));
    let response = call_shard(ports, previous, &question, body(bytes.clone()))
        .await
        .map_err(|Unavailable| Problem::storage_unavailable())?;
    if ports.status(&response) != 204 {
        return Ok(Known::Job(response));
    }
    match question {
        Call::Accept(call) => Ok(Known::Nothing(call, body(bytes))),
        _ => Err(Problem::new(ProblemCode::InternalError)),
    }
}

/// Starts a failed job again, with a copy of its body if that is in the bucket.
pub async fn redrive<P: IngressPorts>(ports: &P, id: JobId, call: RedriveCall) -> P::Response {
    let shard = id.shard;
    let question = Call::Redrive(call);
    let Ok(response) = call_shard(ports, shard, &question, CallBody::Empty).await else {
        return redrive_unconfirmed(ports);
    };
    let Some(source) = ports.field(&response, OBJECT_HEADER) else {
        return response;
    };
    let Call::Redrive(mut call) = question else {
        return response;
    };
    match copy(ports, shard, &source).await {
        Ok(reference) => {
            call.object = Some(reference);
            let answer = call_shard(ports, shard, &Call::Redrive(call), CallBody::Empty).await;
            answer.unwrap_or_else(|Unavailable| redrive_unconfirmed(ports))
        }
        Err(problem) => ports.respond(problem.into()),
    }
}

/// The response was lost: the new job may exist, and another call could create a second one.
fn redrive_unconfirmed<P: Shards>(ports: &P) -> P::Response {
    ports.respond(Problem::storage_unavailable().retryable(false).into())
}

async fn copy<P: IngressPorts>(ports: &P, shard: u16, source: &str) -> Result<BodyRef, Problem> {
    let missing = || Problem::new(ProblemCode::PayloadUnavailable).retryable(false);
    let body = match ports.get(source, None).await {
        Ok(Some(body)) => body,
        Ok(None) => return Err(missing()),
        Err(Unavailable) => return Err(Problem::storage_unavailable()),
    };
    let object = object_key(ports, "requests", shard);
    store(ports, shard, &object, None, body, None, u64::MAX)
        .await
        .map_err(|_| Problem::storage_unavailable())
}

/// The problem for a client's body that could not be read.
#[must_use]
pub fn not_read(fault: BodyFault) -> Problem {
    match fault {
        BodyFault::Incomplete => Problem::new(ProblemCode::BodyIncomplete),
        BodyFault::Stalled => Problem::new(ProblemCode::BodyTimeout),
        BodyFault::Full => Problem::new(ProblemCode::Overloaded)
            .detail("Too many request bodies are in transfer.")
            .retry_after(1),
    }
}

fn storage_unavailable<P: Shards>(ports: &P) -> P::Response {
    ports.respond(Reply::from(Problem::storage_unavailable()))
}
