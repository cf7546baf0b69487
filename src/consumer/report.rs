//! Reports about attempts, several in one call.

use std::pin::pin;

use futures_util::future::{Either, select};
use serde_json::value::RawValue;

use crate::job::{BodyRef, Millis, Outcome, RowKey};
use crate::rpc::bounds::SHARD_TIMEOUT;
use crate::rpc::call::{Call, FinishAnswer, FinishCall};
use crate::rpc::client::ask_shard;
use crate::rpc::frame::{Frame, encode};
use crate::rpc::head::ResponseHead;
use crate::rpc::ports::CallBody;

use super::ConsumerPorts;

/// The wait before the first repetition; it doubles up to [`REPORT_WAIT_MAX`].
const REPORT_WAIT: Millis = Millis(200);

/// Longest wait before a report is repeated: short enough for a shard that recovers, long enough for one
/// that is overloaded.
const REPORT_WAIT_MAX: Millis = Millis::from_secs(5);

/// The report about an attempt.
pub(super) struct Report {
    pub(super) key: RowKey,
    pub(super) token: u64,
    pub(super) outcome: Outcome,
    pub(super) response: Option<Response>,
    /// How long it is repeated until a response comes.
    pub(super) within: Millis,
}

/// A response of the origin: its head, and where its body is.
pub(super) type Response = (ResponseHead, Received);

/// A response's body.
pub(super) enum Received {
    Inline(Vec<u8>),
    Object(BodyRef),
}

/// A report as it is sent.
struct Prepared {
    frame: Frame,
    /// The object that the response's body is in.
    object: Option<String>,
}

/// Sends reports to the shard, repeated until a response comes, and deletes the objects that it did not keep.
pub(super) async fn send_reports<P: ConsumerPorts>(ports: &P, shard: u16, reports: Vec<Report>) {
    let longest = reports.iter().map(|report| report.within).max();
    let prepared: Vec<Prepared> = reports.into_iter().filter_map(prepare).collect();
    let mut open = send(ports, shard, prepared, true).await;
    if open.is_empty() {
        return;
    }
    let repeated = async {
        let mut wait = REPORT_WAIT;
        while !open.is_empty() {
            ports.sleep(wait).await;
            wait = wait.times(2).min(REPORT_WAIT_MAX);
            open = send(ports, shard, std::mem::take(&mut open), false).await;
        }
    };
    let over = pin!(ports.sleep(longest.unwrap_or_default()));
    if let Either::Right(_) = select(pin!(repeated), over).await {
        ports.log("attempts could not be reported; their leases will lapse");
    }
}

fn prepare(report: Report) -> Option<Prepared> {
    let (head, bytes, object) = match report.response {
        None => (None, Vec::new(), None),
        Some((head, Received::Inline(bytes))) => (Some(head), bytes, None),
        Some((head, Received::Object(object))) => (Some(head), Vec::new(), Some(object)),
    };
    let response: Option<Box<RawValue>> =
        head.and_then(|head| serde_json::value::to_raw_value(&head).ok());
    let stored = object.as_ref().and_then(|body| body.object.clone());
    let call = FinishCall {
        key: report.key,
        token: report.token,
        outcome: report.outcome,
        response,
        object,
    };
    Some(Prepared {
        frame: call.frame(bytes).ok()?,
        object: stored,
    })
}

/// Sends reports once. Returns those that were not recorded.
async fn send<P: ConsumerPorts>(
    ports: &P,
    shard: u16,
    reports: Vec<Prepared>,
    is_first: bool,
) -> Vec<Prepared> {
    let body = encode(reports.iter().map(|report| &report.frame));
    let body = CallBody::Bytes(body);
    let answered = ask_shard(ports, shard, &Call::Finish, body, SHARD_TIMEOUT).await;
    let answers = answered
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Vec<Option<FinishAnswer>>>(&bytes).ok())
        .unwrap_or_default();
    let mut answers = answers.into_iter();
    let (mut open, mut unwanted) = (Vec::new(), Vec::new());
    for report in reports {
        match (answers.next().flatten(), report.object) {
            (None, object) => open.push(Prepared { object, ..report }),
            // A repeated report is rejected even if the first one counted, and the record may then name
            // the object. So only an object rejected at the first try is deleted here; the rest is left to
            // the shard's sweep.
            (Some(answer), Some(object)) if !answer.kept && is_first => unwanted.push(object),
            (Some(_), _) => {}
        }
    }
    if !unwanted.is_empty() {
        let _ = ports.delete(&unwanted).await;
    }
    open
}
