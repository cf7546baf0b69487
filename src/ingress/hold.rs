//! Requests that wait for their own result.

use crate::job::{JobId, Millis};

use crate::ingress::AcceptPlan;
use crate::rpc::call::{Call, Envelope, HELD_HEADER, JobCall, View, ViewCall};
use crate::rpc::client::call_shard;
use crate::rpc::ports::{CallBody, Watching};

use super::execute::{Front, accept, ask, try_with_object};

/// Asks a shard about a job once it has ended, or when `span` is over.
pub async fn ask_when_ended<P: Front + Watching>(
    ports: &P,
    id: &JobId,
    span: Millis,
    call: &Call,
) -> P::Response {
    until_ended(ports, id, span).await;
    let answer = ask(ports, id.shard, call).await;
    if matches!(ports.status(&answer), 404 | 410) {
        // There was nothing to wait for.
        return answer;
    }
    let applied = joined(ports, &answer, APPLIED, &waited(span));
    ports.amend(answer, &[(APPLIED, Some(applied))], None)
}

/// The field that says which preferences were honoured (RFC 7240 section 3).
const APPLIED: &str = "preference-applied";

/// The preference `wait`, as far as it was honoured: within the limit.
fn waited(span: Millis) -> String {
    format!("wait={}", span.0 / 1000)
}

/// The value of a list-valued field with one more member.
fn joined<P: Front>(ports: &P, answer: &P::Response, name: &str, ours: &str) -> String {
    match ports.field(answer, name) {
        Some(theirs) => format!("{theirs}, {ours}"),
        None => ours.to_owned(),
    }
}

async fn until_ended<P: Watching>(ports: &P, id: &JobId, span: Millis) {
    let watch = Call::Watch(JobCall { id: id.to_string() });
    if let Ok(header) = Envelope::header_of(id.shard, &watch) {
        ports.until_ended(id.shard, header, span).await;
    }
}

/// Takes a request in and holds it: the response is the origin's if it comes within the plan's time,
/// else the receipt (RFC 7240 sections 4.1 and 4.3). The job is durable before the wait begins.
pub async fn accept_and_hold<P: Front + Watching>(
    ports: &P,
    mut plan: AcceptPlan,
    body: Option<P::Body>,
) -> P::Response {
    let (hold, base) = (plan.hold, plan.call.base.clone());
    let mut honoured = Vec::new();
    if plan.call.preferred {
        honoured.push("respond-async".to_owned());
    }
    if plan.hold_preferred {
        honoured.push(waited(hold));
    }
    let honoured = honoured.join(", ");
    plan.call.held = true;
    let receipt = accept(ports, plan, body).await;
    let Some(id) = ports
        .field(&receipt, HELD_HEADER)
        .and_then(|text| JobId::parse(&text))
    else {
        return receipt;
    };
    until_ended(ports, &id, hold).await;
    let Some(answer) = held_answer(ports, &id, base.clone()).await else {
        let mut fields = vec![(HELD_HEADER, None)];
        if !honoured.is_empty() {
            fields.push((APPLIED, Some(honoured)));
        }
        return ports.amend(receipt, &fields, None);
    };
    let vary = joined(ports, &answer, "vary", "Prefer");
    // The only way to learn the job's name, for whoever wants to read the result again.
    let name = format!("<{base}/{id}>; rel=\"status\"");
    let link = joined(ports, &answer, "link", &name);
    let mut fields = vec![
        (HELD_HEADER, None),
        ("vary", Some(vary)),
        ("link", Some(link)),
    ];
    if !honoured.is_empty() {
        let applied = joined(ports, &answer, APPLIED, &honoured);
        fields.push((APPLIED, Some(applied)));
    }
    ports.amend(answer, &fields, None)
}

/// The job's response, if it has one by now and it can be read: whatever goes wrong after the receipt, the
/// receipt stands.
async fn held_answer<P: Front>(ports: &P, id: &JobId, base: String) -> Option<P::Response> {
    let view = Call::View(ViewCall {
        held: true,
        ..ViewCall::of(id, base, View::Result)
    });
    let answer = call_shard(ports, id.shard, &view, CallBody::Empty)
        .await
        .ok()?;
    // A result never has 202 as its status: the job goes on.
    if ports.status(&answer) == 202 || ports.field(&answer, HELD_HEADER).is_none() {
        return None;
    }
    try_with_object(ports, answer).await.ok()
}
