//! Calls between the Worker and a shard, which may be of different builds during a deploy.

use raincheck::http::Headers;
use raincheck::job::{JobSpec, Millis, Outcome, Priority, RowKey};
use raincheck::rpc::call::{
    AcceptCall, CALL_VERSION, Call, Envelope, FinishAnswer, FinishCall, Held, JobCall, KeyCall,
    PayloadCall, RedriveCall, RenewAnswer, View, ViewCall, Work,
};
use raincheck::rpc::frame::{Frame, decode, encode};
use raincheck::rpc::head::{HEAD_VERSION, RequestHead, ResponseHead};
use raincheck::shard::Claim;
use serde_json::value::RawValue;

use super::support::jobs::{object_body, spec};

const SHA: &str = super::support::jobs::EMPTY_SHA256;

/// The request head as it is stored with the job.
pub const REQUEST_HEAD: &str = r#"{"v":1,"method":"POST","target":"/slow?a=1","headers":[["accept","*/*"],["x-own","ü"]],"key":"\"k\""}"#;

/// The response head as it is stored with the result.
pub const RESPONSE_HEAD: &str =
    r#"{"v":1,"status":200,"headers":[["etag","\"1\""]],"length_unverified":true,"to_head":true}"#;

pub fn request_head() -> RequestHead {
    RequestHead {
        v: HEAD_VERSION,
        method: "POST".to_owned(),
        target: "/slow?a=1".to_owned(),
        headers: Headers::from_iter([("accept", "*/*"), ("x-own", "ü")]),
        key: Some("\"k\"".to_owned()),
    }
}

pub fn response_head() -> ResponseHead {
    ResponseHead {
        v: HEAD_VERSION,
        status: 200,
        headers: Headers::from_iter([("etag", "\"1\"")]),
        length_unverified: true,
        to_head: true,
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn view(view: View) -> ViewCall {
    ViewCall {
        id: "jid".to_owned(),
        base: "https://h/jobs".to_owned(),
        view,
        head: false,
        if_match: None,
        if_none_match: None,
        if_modified_since: None,
        if_unmodified_since: None,
        range: None,
        if_range: None,
        held: None,
        include_attempts: false,
    }
}

fn full_view() -> ViewCall {
    ViewCall {
        head: true,
        if_match: Some("\"0\"".to_owned()),
        if_none_match: Some("\"1\"".to_owned()),
        if_modified_since: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        if_unmodified_since: Some("Sun, 06 Nov 1994 08:49:38 GMT".to_owned()),
        range: Some("bytes=0-1".to_owned()),
        if_range: Some("\"2\"".to_owned()),
        held: Some(Held::Repeated),
        include_attempts: true,
        ..view(View::Result)
    }
}

fn accept(payload: PayloadCall) -> AcceptCall {
    AcceptCall {
        base: "https://h/jobs".to_owned(),
        spec: JobSpec {
            rule: "slow".to_owned(),
            priority: Priority::Low,
            deadline: Millis(100),
            retention: Millis(200),
            ..spec()
        },
        key: None,
        lookup: false,
        preferred: false,
        held: false,
        method: "POST".to_owned(),
        target: "/slow".to_owned(),
        request: raw("{\"v\":1}"),
        payload,
    }
}

fn full_accept() -> AcceptCall {
    let plain = accept(PayloadCall::Object(object_body("requests/3/x", 9)));
    AcceptCall {
        spec: JobSpec {
            origin: "eu".to_owned(),
            delay: Millis(5),
            owner: "0a".to_owned(),
            ..plain.spec
        },
        key: Some(KeyCall {
            hash: "0c".to_owned(),
            window: Millis(150),
        }),
        lookup: true,
        preferred: true,
        held: true,
        ..plain
    }
}

const PLAN: &str = r#""plan":{"attempts":3,"backoff":{"initial":1000,"factor_permille":2000,"max":5000,"jitter_permille":0},"attempt_timeout":8000,"repeatable":false}"#;

const CLAIM: Claim = Claim {
    key: RowKey(7),
    token: u64::MAX,
    lease: Millis(60_000),
    unsent: Vec::new(),
};

fn claim_again() -> Claim {
    Claim {
        unsent: vec![1, 2],
        ..CLAIM
    }
}

fn accept_calls() -> Vec<(Call, String)> {
    let plain = |payload: &str| {
        format!(
            r#"{{"accept":{{"base":"https://h/jobs","spec":{{"rule":"slow","priority":"low",{PLAN},"deadline":100,"retention":200}},"method":"POST","target":"/slow","request":{{"v":1}},"payload":{payload}}}}}"#
        )
    };
    let full = format!(
        r#"{{"accept":{{"base":"https://h/jobs","spec":{{"rule":"slow","origin":"eu","priority":"low",{PLAN},"deadline":100,"retention":200,"delay":5,"owner":"0a"}},"key":{{"hash":"0c","window":150}},"lookup":true,"preferred":true,"held":true,"method":"POST","target":"/slow","request":{{"v":1}},"payload":{{"object":{{"len":9,"sha256":"{SHA}","object":"requests/3/x"}}}}}}}}"#
    );
    let accept = |payload| Call::Accept(Box::new(accept(payload)));
    vec![
        (accept(PayloadCall::Absent), plain("\"absent\"")),
        (
            accept(PayloadCall::Inline(Some(4))),
            plain("{\"inline\":4}"),
        ),
        (
            accept(PayloadCall::Inline(None)),
            plain("{\"inline\":null}"),
        ),
        (Call::Accept(Box::new(full_accept())), full),
    ]
}

fn job_calls() -> Vec<(Call, String)> {
    let status = r#"{"id":"jid","base":"https://h/jobs","view":"status"}"#;
    let full = r#"{"id":"jid","base":"https://h/jobs","view":"result","head":true,"if_match":"\"0\"","if_none_match":"\"1\"","if_modified_since":"Sun, 06 Nov 1994 08:49:37 GMT","if_unmodified_since":"Sun, 06 Nov 1994 08:49:38 GMT","range":"bytes=0-1","if_range":"\"2\"","held":"repeated","include_attempts":true}"#;
    let copied = RedriveCall {
        view: view(View::Status),
        object: Some(object_body("requests/3/y", 9)),
    };
    let plain = RedriveCall {
        view: view(View::Status),
        object: None,
    };
    vec![
        (
            Call::View(view(View::Status)),
            format!(r#"{{"view":{status}}}"#),
        ),
        (Call::View(full_view()), format!(r#"{{"view":{full}}}"#)),
        (
            Call::Watch(JobCall {
                id: "jid".to_owned(),
            }),
            r#"{"watch":{"id":"jid"}}"#.to_owned(),
        ),
        (
            Call::Cancel(view(View::Status)),
            format!(r#"{{"cancel":{status}}}"#),
        ),
        (
            Call::Purge(view(View::Status)),
            format!(r#"{{"purge":{status}}}"#),
        ),
        (
            Call::Redrive(plain),
            format!(r#"{{"redrive":{{"view":{status}}}}}"#),
        ),
        (
            Call::Redrive(copied),
            format!(
                r#"{{"redrive":{{"view":{status},"object":{{"len":9,"sha256":"{SHA}","object":"requests/3/y"}}}}}}"#
            ),
        ),
    ]
}

fn attempt_calls() -> Vec<(Call, String)> {
    let claim = r#"{"key":7,"token":18446744073709551615,"lease":60000}"#;
    let intend = |job| Call::Intend {
        object: "results/3/x".to_owned(),
        job,
    };
    vec![
        (
            Call::Claim(vec![CLAIM]),
            format!(r#"{{"claim":[{claim}]}}"#),
        ),
        (
            Call::Claim(vec![claim_again()]),
            format!(
                r#"{{"claim":[{}]}}"#,
                claim.replace('}', ",\"unsent\":[1,2]}")
            ),
        ),
        (Call::Renew(CLAIM), format!(r#"{{"renew":{claim}}}"#)),
        (Call::Finish, r#""finish""#.to_owned()),
        (
            intend(None),
            r#"{"intend":{"object":"results/3/x"}}"#.to_owned(),
        ),
        (
            intend(Some(RowKey(7))),
            r#"{"intend":{"object":"results/3/x","job":7}}"#.to_owned(),
        ),
        (
            Call::DeadLetter(vec![RowKey(7), RowKey(8)]),
            r#"{"dead_letter":[7,8]}"#.to_owned(),
        ),
    ]
}

/// Every call, and how it is written.
pub fn calls() -> Vec<(Call, String)> {
    let mut calls = accept_calls();
    calls.extend(job_calls());
    calls.extend(attempt_calls());
    calls
}

#[test]
fn every_call_is_written_like_this_and_read_back_as_the_same() {
    for (call, text) in calls() {
        let expected = format!("{{\"v\":{CALL_VERSION},\"shard\":3,\"call\":{text}}}");
        let header = Envelope::header_of(3, &call).unwrap();
        assert_eq!(header, expected);
        let read = Envelope::from_header(&header).unwrap();
        assert_eq!((read.v, read.shard), (CALL_VERSION, 3));
        assert_eq!(Envelope::header_of(3, &read.call).unwrap(), header);
    }
}

#[test]
fn a_report_is_written_like_this_and_read_back_as_the_same() {
    let finish = FinishCall {
        key: RowKey(7),
        token: 5,
        outcome: Outcome::Unknown,
        response: None,
        object: None,
    };
    let full = FinishCall {
        key: RowKey(7),
        token: 5,
        outcome: Outcome::Responded {
            status: 200,
            retry_after: None,
        },
        response: Some(raw(RESPONSE_HEAD)),
        object: Some(object_body("results/3/x", 9)),
    };
    let written = [
        r#"{"key":7,"token":5,"outcome":{"kind":"unknown"}}"#.to_owned(),
        format!(
            r#"{{"key":7,"token":5,"outcome":{{"kind":"responded","status":200}},"response":{RESPONSE_HEAD},"object":{{"len":9,"sha256":"{SHA}","object":"results/3/x"}}}}"#
        ),
    ];
    for (report, text) in [finish, full].iter().zip(written) {
        let frame = report.frame(b"ab".to_vec()).unwrap();
        assert_eq!((frame.json.as_str(), &frame.body[..]), (&*text, &b"ab"[..]));
        let read: FinishCall = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}

#[test]
fn a_call_is_always_written_in_ascii() {
    let mut call = accept(PayloadCall::Absent);
    call.target = "/é\u{1f600}\"\\".to_owned();
    call.request = raw(r#"{"é":"ü"}"#);
    let header = Envelope::header_of(3, &Call::Accept(Box::new(call))).unwrap();
    assert!(header.is_ascii());
    assert!(header.contains(r#""target":"/\u00e9\ud83d\ude00\"\\","request":{"\u00e9":"\u00fc"}"#));
    let Call::Accept(read) = Envelope::from_header(&header).unwrap().call else {
        panic!("another call came back");
    };
    assert_eq!(read.target, "/é\u{1f600}\"\\");
}

#[test]
fn the_heads_are_stored_like_this_and_read_back() {
    assert_eq!(
        serde_json::to_string(&request_head()).unwrap(),
        REQUEST_HEAD
    );
    assert_eq!(
        serde_json::from_str::<RequestHead>(REQUEST_HEAD).unwrap(),
        request_head()
    );
    assert_eq!(
        serde_json::to_string(&response_head()).unwrap(),
        RESPONSE_HEAD
    );
    assert_eq!(
        serde_json::from_str::<ResponseHead>(RESPONSE_HEAD).unwrap(),
        response_head()
    );
}

#[test]
fn the_answers_to_a_consumer_are_written_like_this() {
    let finish = |kept| serde_json::to_string(&FinishAnswer { kept }).unwrap();
    let renew = |renewed| serde_json::to_string(&RenewAnswer { renewed }).unwrap();
    assert_eq!(
        (finish(true), finish(false)),
        (r#"{"kept":true}"#.into(), r#"{"kept":false}"#.into())
    );
    assert_eq!(renew(true), r#"{"renewed":true}"#);
    assert_eq!(renew(false), r#"{"renewed":false}"#);
}

#[test]
fn work_is_written_like_this() {
    let work = Work {
        id: "jid".to_owned(),
        key: RowKey(7),
        token: u64::MAX,
        attempt: 2,
        timeout: Millis(8_000),
        origin: String::new(),
        request: request_head(),
        payload: Some(object_body("requests/3/x", 9)),
    };
    let expected = format!(
        r#"{{"id":"jid","key":7,"token":18446744073709551615,"attempt":2,"timeout":8000,"request":{REQUEST_HEAD},"payload":{{"len":9,"sha256":"{SHA}","object":"requests/3/x"}}}}"#
    );
    let text = serde_json::to_string(&work).unwrap();
    assert_eq!(text, expected);
    let read: Work = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn frames_are_written_like_this() {
    let frames = vec![
        Frame {
            json: "{}".to_owned(),
            body: vec![0xff, 0],
        },
        Frame {
            json: "[1]".to_owned(),
            body: Vec::new(),
        },
    ];
    let bytes = [
        2, 0, 0, 0, b'{', b'}', 2, 0, 0, 0, 0xff, 0, 3, 0, 0, 0, b'[', b'1', b']', 0, 0, 0, 0,
    ];
    assert_eq!(encode(&frames), bytes);
    assert_eq!(decode(&bytes), Some(frames));
    assert_eq!(decode(&[]), Some(Vec::new()));
}
