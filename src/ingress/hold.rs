//! Requests that wait for the end of a job (RFC 7240 section 4.3).
//!
//! A wait ends on time, whatever the shard does: the timer starts before the shard is called.

use crate::ingress::AcceptPlan;
use crate::job::{JobId, Millis, UnixMillis};
use crate::rpc::call::{
    Call, Envelope, HELD_HEADER, Held, JobCall, REPEATS_HEADER, View, ViewCall,
};
use crate::rpc::client::{call_shard, within};
use crate::rpc::ports::{CallBody, Host, Watching};

use super::execute::{Front, accept, ask, with_object};

/// How long reading the result may take at the end of a hold. After that the receipt is the response: it is
/// durable, so the client loses nothing.
const READ_MAX: Millis = Millis(5_000);

/// Reads a job once it has ended, or when `span` is over.
pub async fn ask_when_ended<P: Front + Watching>(
    ports: &P,
    id: &JobId,
    span: Millis,
    call: &Call,
) -> P::Response {
    until_ended(ports, id, ports.now().plus(span)).await;
    let response = ask(ports, id.shard, call).await;
    if matches!(ports.status(&response), 404 | 410) {
        // There was no job to wait for, so no preference was honoured.
        return response;
    }
    ports.amend(response, &[(APPLIED, Some(waited(span)))], None)
}

/// The field that says which preferences were honoured (RFC 7240 section 3). What the origin says in it is about
/// the request that it got, without our preferences, so ours replaces it.
const APPLIED: &str = "preference-applied";

/// The preference `wait`, as far as it was honoured: within the limit.
fn waited(span: Millis) -> String {
    format!("wait={}", span.0 / 1000)
}

/// Waits until the job has ended, but not longer than `end`.
async fn until_ended<P: Host + Watching>(ports: &P, id: &JobId, end: UnixMillis) {
    let watch = Call::Watch(JobCall { id: id.to_string() });
    let Ok(header) = Envelope::header_of(id.shard, &watch) else {
        return;
    };
    let _ = within(
        ports,
        end.since(ports.now()),
        ports.until_ended(id.shard, header),
    )
    .await;
}

/// Accepts a request and holds it: the response is the origin's if it comes within the plan's time,
/// else the receipt (RFC 7240 sections 4.1 and 4.3). The job is durable before the wait begins.
pub async fn accept_and_hold<P: Front + Watching>(
    ports: &P,
    mut plan: AcceptPlan,
    body: Option<P::Body>,
) -> P::Response {
    let end = ports.now().plus(plan.hold);
    let applied = applied(&plan);
    let base = plan.call.base.clone();
    let is_head = plan.call.method == "HEAD";
    plan.call.held = true;
    let receipt = accept(ports, plan, body).await;
    let Some(id) = ports
        .field(&receipt, HELD_HEADER)
        .and_then(|text| JobId::parse(&text))
    else {
        return receipt;
    };
    until_ended(ports, &id, end).await;
    let view = ViewCall {
        head: is_head,
        held: Some(match ports.field(&receipt, REPEATS_HEADER) {
            None => Held::Created,
            Some(_) => Held::Repeated,
        }),
        ..ViewCall::of(&id, base, View::Result)
    };
    let response = within(ports, READ_MAX, held_response(ports, &id, view))
        .await
        .ok();
    let mut fields = vec![
        (HELD_HEADER, None),
        (REPEATS_HEADER, None),
        (APPLIED, applied),
    ];
    let Some(response) = response.flatten() else {
        return ports.amend(receipt, &fields, None);
    };
    let vary = match ports.field(&response, "vary") {
        Some(theirs) => format!("{theirs}, Prefer"),
        None => "Prefer".to_owned(),
    };
    fields.push(("vary", Some(vary)));
    ports.amend(response, &fields, None)
}

/// `Preference-Applied` of a held request, if its client preferred anything.
fn applied(plan: &AcceptPlan) -> Option<String> {
    let mut applied = Vec::new();
    if plan.call.preferred {
        applied.push("respond-async".to_owned());
    }
    if plan.hold_preferred {
        applied.push(waited(plan.hold));
    }
    (!applied.is_empty()).then(|| applied.join(", "))
}

/// The job's response, if it has one by now and it can be read. The job is durable, so the receipt is the
/// response in every other case.
async fn held_response<P: Front>(ports: &P, id: &JobId, view: ViewCall) -> Option<P::Response> {
    let call = Call::View(view);
    let response = call_shard(ports, id.shard, &call, CallBody::Empty)
        .await
        .ok()?;
    let Call::View(view) = call else {
        return None;
    };
    // A result never has the status 202: the job has not ended.
    if ports.status(&response) == 202 || ports.field(&response, HELD_HEADER).is_none() {
        return None;
    }
    with_object(ports, response, &view).await.ok()
}
