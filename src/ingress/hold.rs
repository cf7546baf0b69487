//! Requests that are held until a job ends (RFC 7240 section 4.3).
//!
//! The timer starts before the shard is called, so a wait ends on time even if the shard hangs.

use crate::ingress::AcceptPlan;
use crate::job::{JobId, Millis, UnixMillis};
use crate::rpc::call::{
    Call, Envelope, HELD_HEADER, Held, JobCall, REPEATS_HEADER, View, ViewCall,
};
use crate::rpc::client::{call_shard, within};
use crate::rpc::ports::{CallBody, Host, Watching};

use super::execute::{IngressPorts, accept, ask, with_object};

/// Longest time for reading the result at the end of a hold. After that the client gets the receipt, and
/// loses nothing: the job is durable.
const READ_MAX: Millis = Millis(5_000);

/// Reads a job once it has ended, or after `span`.
pub async fn ask_when_ended<P: IngressPorts + Watching>(
    ports: &P,
    id: &JobId,
    span: Millis,
    call: &Call,
) -> P::Response {
    until_ended(ports, id, ports.now().plus(span)).await;
    let response = ask(ports, id.shard, call).await;
    if matches!(ports.status(&response), 404 | 410) {
        // No job to wait for, so no preference was honoured.
        return response;
    }
    ports.amend(response, &[(APPLIED, Some(waited(span)))], None)
}

/// The field that lists the honoured preferences (RFC 7240 section 3). It replaces the origin's, whose request
/// came without the preferences that Raincheck handles.
const APPLIED: &str = "preference-applied";

/// The `wait` preference with the time that was honoured: at most the limit.
fn waited(span: Millis) -> String {
    format!("wait={}", span.0 / 1000)
}

/// Waits until the job has ended, or until `end`.
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

/// Accepts a request and holds it: the response is the origin's if it arrives within `plan.hold`, else
/// the receipt (RFC 7240 sections 4.1 and 4.3). The job is durable before the wait begins.
pub async fn accept_and_hold<P: IngressPorts + Watching>(
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

/// `Preference-Applied` of a held request, if its client sent a preference.
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

/// The job's response, if there is one by now and it can be read. Otherwise the receipt is sent; the job is
/// durable.
async fn held_response<P: IngressPorts>(
    ports: &P,
    id: &JobId,
    view: ViewCall,
) -> Option<P::Response> {
    let call = Call::View(view);
    let response = call_shard(ports, id.shard, &call, CallBody::Empty)
        .await
        .ok()?;
    let Call::View(view) = call else {
        return None;
    };
    // A result never has the status 202, so the job has not ended.
    if ports.status(&response) == 202 || ports.field(&response, HELD_HEADER).is_none() {
        return None;
    }
    with_object(ports, response, &view).await.ok()
}
