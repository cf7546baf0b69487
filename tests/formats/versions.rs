//! What each build reads: text of an older build with missing fields and text of the same version with
//! additional fields are read; text of a later version is rejected.

use raincheck::job::{JobSpec, Millis, RECORD_VERSION, Record};
use raincheck::rpc::call::{CALL_VERSION, Call, Envelope, FinishAnswer};
use raincheck::rpc::head::{HEAD_VERSION, RequestHead, ResponseHead};
use raincheck::rpc::message::{MESSAGE_VERSION, Message};
use raincheck::shard::{Accepted, Found, NewJob, Param, Shard, Sql as _};

use super::calls::{RESPONSE_HEAD, calls};
use super::rows::{FULLEST, SMALLEST};
use super::support::jobs::{ID_KEY, SETTINGS, START, spec};
use super::support::sqlite::Sqlite;

/// Whether a shard reads a record.
fn shard_reads(state: &str) -> bool {
    let sql = Sqlite::in_memory();
    let mut shard = Shard::open(sql.clone(), Some(3), SETTINGS, ID_KEY).unwrap();
    let job = NewJob {
        nonce: [9; 8],
        spec: spec(),
        key: None,
        request: "{}".to_owned(),
        payload: None,
        redrive_of: None,
    };
    let accepted = shard.accept(&[job], START).unwrap();
    let [Accepted::Created(id, ..)] = accepted.as_slice() else {
        panic!("it is accepted");
    };
    let update = "UPDATE jobs_1 SET state = ?";
    sql.run(update, &[Param::Text(state)]).unwrap();
    matches!(shard.read(id, START), Ok(Found::Job(_)))
}

fn message_reads(text: &str) -> bool {
    Message::read(text).is_ok()
}

fn request_head_reads(text: &str) -> bool {
    RequestHead::parse(text).is_some()
}

fn response_head_reads(text: &str) -> bool {
    ResponseHead::parse(text).is_some()
}

/// Reads the envelope and rejects a later version, as the shard object does.
fn call_reads(text: &str) -> bool {
    Envelope::from_header(text).is_ok_and(|envelope| envelope.v <= CALL_VERSION)
}

type Reader = fn(&str) -> bool;

/// A format: its reader, and the shortest valid text.
const FORMATS: [(&str, Reader, &str); 5] = [
    ("record", shard_reads, SMALLEST),
    ("message", message_reads, r#"{"v":1,"shard":3,"jobs":[1]}"#),
    (
        "request head",
        request_head_reads,
        r#"{"v":1,"method":"POST","target":"/","headers":[]}"#,
    ),
    (
        "response head",
        response_head_reads,
        r#"{"v":1,"status":200,"headers":[]}"#,
    ),
    (
        "call",
        call_reads,
        r#"{"v":1,"shard":3,"call":{"dead_letter":[1]}}"#,
    ),
];

#[test]
fn every_version_starts_at_one() {
    let versions = [RECORD_VERSION, MESSAGE_VERSION, HEAD_VERSION, CALL_VERSION];
    assert_eq!(
        versions, [1; 4],
        "with a new version, add texts of the old one to these tests"
    );
}

#[test]
fn the_smallest_record_of_an_older_build_is_read() {
    for (name, reads, text) in FORMATS {
        assert!(reads(text), "{name}");
    }
}

#[test]
fn a_field_added_by_a_later_build_of_the_same_version_is_ignored() {
    for (name, reads, text) in FORMATS {
        let more = text.replacen('{', r#"{"later":{"a":[1]},"#, 1);
        assert!(reads(&more), "{name}");
    }
}

#[test]
fn a_later_version_is_refused() {
    for (name, reads, text) in FORMATS {
        for version in [2, 255] {
            let later = text.replacen("\"v\":1", &format!("\"v\":{version}"), 1);
            assert_ne!(later, text);
            assert!(!reads(&later), "{name} {version}");
        }
    }
}

#[test]
fn a_text_without_required_fields_is_rejected() {
    for (name, reads, text) in FORMATS {
        assert!(!reads("{}") && !reads("") && !reads("null"), "{name}");
        assert!(
            !reads(&text.replacen("\"v\":1,", "", 1)),
            "{name}: no version"
        );
        assert!(!reads(&text[..text.len() - 1]), "{name}: cut");
    }
}

#[test]
fn a_record_of_the_first_build_gets_the_defaults() {
    let record: Record = serde_json::from_str(SMALLEST).unwrap();
    assert_eq!(record, super::rows::smallest());
    let fullest: Record = serde_json::from_str(FULLEST).unwrap();
    assert_eq!(fullest, super::rows::fullest());
    assert!(shard_reads(FULLEST));
}

#[test]
fn an_accept_omits_default_values_and_reads_them_back() {
    let (_, text) = calls().swap_remove(0);
    for name in [
        "origin",
        "delay",
        "owner",
        "key",
        "lookup",
        "preferred",
        "held",
    ] {
        assert!(!text.contains(&format!("\"{name}\":")), "{name}: {text}");
    }
    let header = format!("{{\"v\":1,\"shard\":3,\"call\":{text}}}");
    let Call::Accept(call) = Envelope::from_header(&header).unwrap().call else {
        panic!("another call came back");
    };
    let JobSpec {
        origin,
        delay,
        owner,
        ..
    } = call.spec;
    assert_eq!(
        (origin.as_str(), delay, owner.as_str()),
        ("", Millis(0), "")
    );
    assert_eq!(
        (call.key.is_some(), call.lookup, call.preferred, call.held),
        (false, false, false, false)
    );
}

#[test]
fn a_response_head_of_the_first_build_was_verified() {
    let older = RESPONSE_HEAD.replace(r#","length_unverified":true"#, "");
    assert!(!ResponseHead::parse(&older).unwrap().length_unverified);
}

#[test]
fn an_unknown_call_is_rejected() {
    assert!(!call_reads(r#"{"v":1,"shard":3,"call":{"later":{}}}"#));
    assert!(!call_reads(r#"{"v":1,"shard":3,"call":"later"}"#));
}

#[test]
fn a_response_with_unknown_fields_can_be_read() {
    let answer: FinishAnswer = serde_json::from_str(r#"{"kept":true,"later":1}"#).unwrap();
    assert!(answer.kept);
}
