//! Rows of the shard's database.

use raincheck::job::{
    AttemptNote, BodyLoss, Failure, FailureCode, JobSpec, KeyRef, Lease, Outcome, Priority, Record,
    State, Status, StoredBody,
};
use raincheck::shard::{KeyClaim, NewJob, Shard, Sql as _, Value};

use super::support::jobs::{
    EMPTY_SHA256, FIRST, ID_KEY, SETTINGS, START, at, inline_body, object_body, plan, queued, spec,
};
use super::support::sqlite::Sqlite;
use raincheck::job::Millis;

/// A record right after it was accepted, without key, owner and body.
pub const SMALLEST: &str = r#"{"v":1,"version":1,"spec":{"rule":"reports","priority":"normal","plan":{"attempts":3,"backoff":{"initial":1000,"factor_permille":2000,"max":5000,"jitter_permille":0},"attempt_timeout":8000,"repeatable":false},"deadline":100000,"retention":1000000},"created":1800000000000,"updated":1800000000000,"expires":1800001000000,"attempt":0,"state":{"status":"queued","due":1800000000000}}"#;

/// A record with every field that a record can have.
pub const FULLEST: &str = r#"{"v":1,"version":7,"spec":{"rule":"reports","origin":"eu","priority":"high","plan":{"attempts":3,"backoff":{"initial":1000,"factor_permille":2000,"max":5000,"jitter_permille":0},"retry_statuses":[409,503],"attempt_timeout":8000,"repeatable":true},"deadline":100000,"retention":1000000,"delay":5,"owner":"0a0b"},"created":1800000000000,"updated":1800000000009,"started":1800000000001,"expires":1800001000000,"attempt":2,"key":{"hash":"0c0d","ends":1800000500000},"payload":{"len":4,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"state":{"status":"failed","finished":1800000000009,"failure":{"code":"origin_error","status":500},"result":{"len":100000,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","object":"results/3/x"}},"history":[{"attempt":1,"began":1800000000001,"ended":1800000000004,"code":"origin_unreachable"},{"attempt":2,"began":1800000000006,"ended":1800000000009,"status":500,"code":"origin_error"}],"dead_letters":1,"redrive_of":"jold"}"#;

const QUEUED: &str = r#"{"status":"queued","due":1800000000005}"#;
const RUNNING: &str = r#"{"status":"running","lease":{"token":18446744073709551615,"began":1800000000006,"ends":1800000000008}}"#;
const SUCCEEDED: &str = r#"{"status":"succeeded","finished":1800000000009,"result":{"len":2,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#;
const FAILED: &str =
    r#"{"status":"failed","finished":1800000000009,"failure":{"code":"origin_unreachable"}}"#;
const CANCELED: &str = r#"{"status":"canceled","finished":1800000000009}"#;

pub fn smallest() -> Record {
    Record {
        payload: None,
        ..queued()
    }
}

fn note(
    attempt: u32,
    began: u64,
    ended: u64,
    status: Option<u16>,
    code: FailureCode,
) -> AttemptNote {
    AttemptNote {
        attempt,
        began: at(began),
        ended: at(ended),
        status,
        code: Some(code),
    }
}

pub fn fullest() -> Record {
    let mut plan = plan();
    plan.retry_statuses = Some(vec![409, 503]);
    plan.repeatable = true;
    Record {
        version: 7,
        spec: JobSpec {
            origin: "eu".to_owned(),
            priority: Priority::High,
            plan,
            delay: Millis(5),
            owner: "0a0b".to_owned(),
            ..spec()
        },
        updated: at(9),
        started: Some(at(1)),
        attempt: 2,
        key: Some(KeyRef {
            hash: "0c0d".to_owned(),
            ends: at(500_000),
        }),
        payload: Some(inline_body(4)),
        state: State::Failed {
            finished: at(9),
            failure: Failure {
                code: FailureCode::OriginError,
                status: Some(500),
            },
            result: Some(object_body("results/3/x", 100_000)),
        },
        history: vec![
            note(1, 1, 4, None, FailureCode::OriginUnreachable),
            note(2, 6, 9, Some(500), FailureCode::OriginError),
        ],
        dead_letters: 1,
        redrive_of: Some("jold".to_owned()),
        ..queued()
    }
}

#[test]
fn the_records_are_written_like_this_and_read_back() {
    for (record, text) in [(smallest(), SMALLEST), (fullest(), FULLEST)] {
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record);
    }
}

#[test]
fn the_states_are_written_like_this_and_read_back() {
    let lease = Lease {
        token: u64::MAX,
        began: at(6),
        ends: at(8),
    };
    let finished = at(9);
    let table = [
        (State::Queued { due: at(5) }, QUEUED),
        (State::Running { lease }, RUNNING),
        (
            State::Succeeded {
                finished,
                result: inline_body(2),
            },
            SUCCEEDED,
        ),
        (
            State::Failed {
                finished,
                failure: Failure {
                    code: FailureCode::OriginUnreachable,
                    status: None,
                },
                result: None,
            },
            FAILED,
        ),
        (State::Canceled { finished }, CANCELED),
    ];
    for (state, text) in table {
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(serde_json::from_str::<State>(text).unwrap(), state);
    }
}

#[test]
fn the_words_in_records_are_these() {
    let text = |value: &dyn erased::Json| value.json();
    let statuses: Vec<String> = Status::ALL.iter().map(|status| text(status)).collect();
    assert_eq!(
        statuses.join(","),
        r#""queued","running","succeeded","failed","canceled""#
    );
    let priorities: Vec<String> = Priority::ALL
        .iter()
        .map(|priority| text(priority))
        .collect();
    assert_eq!(priorities.join(","), r#""high","normal","low""#);
    let codes: Vec<String> = FailureCode::ALL.iter().map(|code| text(code)).collect();
    assert_eq!(
        codes.join(","),
        r#""origin_error","origin_unreachable","origin_protocol_error","outcome_unknown","deadline_exceeded","result_too_large","result_not_stored","payload_unavailable""#
    );
}

/// Values of different types as one list of JSON.
mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

#[test]
fn outcomes_are_written_like_this() {
    let responded = |retry_after| Outcome::Responded {
        status: 503,
        retry_after,
    };
    let head_only = |why, retry_after| Outcome::HeadOnly {
        status: 503,
        retry_after,
        why,
    };
    let table = [
        (responded(None), r#"{"kind":"responded","status":503}"#),
        (
            responded(Some(Millis(7))),
            r#"{"kind":"responded","status":503,"retry_after":7}"#,
        ),
        (
            head_only(BodyLoss::Broken, None),
            r#"{"kind":"head_only","status":503,"why":"broken"}"#,
        ),
        (
            head_only(BodyLoss::TooLarge, Some(Millis(7))),
            r#"{"kind":"head_only","status":503,"retry_after":7,"why":"too_large"}"#,
        ),
        (
            head_only(BodyLoss::NotStored, None),
            r#"{"kind":"head_only","status":503,"why":"not_stored"}"#,
        ),
        (Outcome::Unreachable, r#"{"kind":"unreachable"}"#),
        (Outcome::Unknown, r#"{"kind":"unknown"}"#),
        (Outcome::Malformed, r#"{"kind":"malformed"}"#),
        (Outcome::TooLarge, r#"{"kind":"too_large"}"#),
        (Outcome::NotStored, r#"{"kind":"not_stored"}"#),
        (
            Outcome::PayloadUnavailable,
            r#"{"kind":"payload_unavailable"}"#,
        ),
    ];
    for (outcome, text) in table {
        assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
        assert_eq!(serde_json::from_str::<Outcome>(text).unwrap(), outcome);
    }
}

fn accept() -> NewJob {
    NewJob {
        nonce: [9; 8],
        spec: spec(),
        key: None,
        request: "{}".to_owned(),
        payload: None,
        redrive_of: None,
    }
}

/// Keys of half a million milliseconds: 2¹⁹ are a little more, and so many spans have passed.
const KEYS: &str = "keys_19_3433227";

fn filled() -> Sqlite {
    let sql = Sqlite::in_memory();
    let mut shard = Shard::open(sql.clone(), Some(3), SETTINGS, ID_KEY).unwrap();
    let key = KeyClaim {
        hash: "0c0d".to_owned(),
        fingerprint: "0e0f".to_owned(),
        window: Millis(500_000),
    };
    let bytes = b"body".to_vec();
    let payload = Some(StoredBody::Inline {
        bytes,
        sha256: EMPTY_SHA256.to_owned(),
    });
    let group = [
        accept(),
        NewJob {
            key: Some(key),
            payload,
            ..accept()
        },
    ];
    shard.accept(&group, START).unwrap();
    shard.intend("requests/3/x", None, START).unwrap();
    shard
        .intend(
            "results/3/x",
            Some(raincheck::job::RowKey(FIRST + 1)),
            START,
        )
        .unwrap();
    sql
}

fn rows(sql: &Sqlite, statement: &str) -> Vec<Vec<Value>> {
    sql.run(statement, &[]).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn the_tables_have_these_columns_and_no_index_that_costs_a_row() {
    let sql = filled();
    let columns = |table: &str| {
        rows(
            &sql,
            &format!("SELECT name FROM pragma_table_info('{table}')"),
        )
        .iter()
        .map(|row| row[0].text().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join(" ")
    };
    assert_eq!(
        columns("jobs_1"),
        "key active secret state request response payload body"
    );
    assert_eq!(columns(KEYS), "hash job fingerprint ends");
    assert_eq!(
        columns("partitions"),
        "number retention expires phase objects"
    );
    assert_eq!(columns("sweeps"), "object due job");
    assert_eq!(columns("meta"), "name value");
    assert!(
        rows(
            &sql,
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        )
        .is_empty()
    );
}

#[test]
fn a_job_is_stored_like_this() {
    let rows = rows(&filled(), "SELECT * FROM jobs_1 WHERE key = 4194305");
    let secret = [9, 9, 9, 9, 9, 9, 137, 9, 131, 151, 1, 215, 81, 14, 94, 45];
    // It expires with its partition.
    let state = SMALLEST.replace("1800001000000", "1800001062500");
    assert_ne!(state, SMALLEST);
    let expected = [
        Value::Int(4_194_305),
        Value::Int(1),
        Value::Blob(secret.to_vec()),
        text(&state),
        text("{}"),
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    assert_eq!(rows, [expected]);
}

#[test]
fn a_key_is_stored_like_this() {
    let expected = [
        text("0c0d"),
        Value::Int(4_194_306),
        text("0e0f"),
        Value::Int(1_800_000_500_000),
    ];
    assert_eq!(
        rows(&filled(), &format!("SELECT * FROM {KEYS}")),
        [expected]
    );
}

#[test]
fn a_note_about_an_object_is_stored_like_this() {
    let due = Value::Int(1_800_007_200_000);
    let expected = [
        [text("requests/3/x"), due.clone(), Value::Null],
        [text("results/3/x"), due, Value::Int(4_194_306)],
    ];
    assert_eq!(rows(&filled(), "SELECT * FROM sweeps"), expected);
}

#[test]
fn a_partition_is_stored_like_this() {
    let expected = [1, 1_000_000, 1_800_001_062_500, 0, 0].map(Value::Int);
    assert_eq!(rows(&filled(), "SELECT * FROM partitions"), [expected]);
}

#[test]
fn the_shards_notes_are_stored_like_this() {
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let notes = format!(r#"{{"v":1,"shard":3,"id_key":"{key}","next_partition":1}}"#);
    assert_eq!(
        rows(&filled(), "SELECT * FROM meta"),
        [[text("shard"), text(&notes)]]
    );
}
