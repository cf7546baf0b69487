//! What a client may choose if the rule allows it: the earliest start and the deadline.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::gateway::Gateway;
use crate::job::{Case, Job, assert_problem, send};

fn at(document: &Value, member: &str) -> DateTime<Utc> {
    let text = document[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member}: {document:#}"));
    text.parse().unwrap()
}

/// Far enough ahead that the job can be seen waiting on a busy machine.
const SOON: TimeDelta = TimeDelta::seconds(4);

#[tokio::test]
async fn the_first_attempt_begins_no_earlier_than_the_client_wants() {
    for form in ["seconds", "RFC 3339", "HTTP-date"] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let later = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::from_std(now).unwrap() + SOON;
        let moment = match form {
            "seconds" => SOON.num_seconds().to_string(),
            "RFC 3339" => later.to_rfc3339(),
            _ => later.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        };
        let case = Case::new();
        let request = case
            .post("/choosy/echo")
            .field("Raincheck-Not-Before", &moment);
        let receipt = send(request).await;
        let job = Job::of(Gateway::shared().address, &receipt);
        let waiting = receipt.json();
        let due = at(&waiting, "next_attempt");
        assert_eq!(job.succeeded().await.status, 200);
        let document = job.document().await;
        assert!(at(&document, "started") >= due, "{moment}: {document:#}");
        // An HTTP-date has whole seconds only.
        assert!(due > later - TimeDelta::seconds(1), "{moment}: {waiting:#}");
        assert_eq!(case.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_clients_earlier_deadline_replaces_the_rules() {
    let case = Case::new();
    let request = case
        .request("PUT", "/choosy/broken?when=after&how=hang")
        .body("");
    let job = Job::accepted(request.field("Raincheck-Deadline", "2")).await;
    assert_eq!(job.failed().await, "deadline_exceeded");
    let document = job.document().await;
    assert_eq!(
        at(&document, "deadline") - at(&document, "created"),
        TimeDelta::seconds(2)
    );
}

#[tokio::test]
async fn disallowed_or_malformed_client_options_are_rejected() {
    for (target, name, value) in [
        ("/always/echo", "Raincheck-Not-Before", "2"),
        ("/always/echo", "Raincheck-Deadline", "2"),
        ("/choosy/echo", "Raincheck-Not-Before", "soon"),
        ("/choosy/echo", "Raincheck-Not-Before", "100000"),
        ("/choosy/echo", "Raincheck-Deadline", "0"),
        ("/choosy/echo", "Raincheck-Deadline", "100000"),
        ("/choosy/echo", "Raincheck-Deadline", "-1"),
    ] {
        let case = Case::new();
        let reply = send(case.post(target).field(name, value)).await;
        assert_problem(&reply, 400, "bad_request");
        let field = reply.json()["field"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        assert_eq!(field, name.to_ascii_lowercase(), "{reply}");
        assert!(case.seen().is_empty());
    }
}

#[tokio::test]
async fn a_delayed_job_can_be_canceled_before_it_begins() {
    let case = Case::new();
    let request = case.post("/choosy/echo").field("Raincheck-Not-Before", "2");
    let job = Job::of(Gateway::shared().address, &send(request).await);
    let reply = job
        .send(crate::client::Request::new("DELETE", &job.path()))
        .await;
    assert_eq!(reply.json()["status"], "canceled");
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(case.seen().is_empty());
}
