//! Arbitrary and malformed heads, messages, frames and envelopes.

use proptest::prelude::*;
use raincheck::http::Headers;
use raincheck::ingress::{Action, Head, Isolate, decide};
use raincheck::job::{Millis, Priority, RowKey};
use raincheck::rpc::call::{Call, Envelope};
use raincheck::rpc::frame::{Frame, decode, encode};
use raincheck::rpc::message::{JOBS_PER_MESSAGE, Message, pack};
use raincheck::shard::JobMessage;

use super::world::{START, World};

thread_local! {
    /// A configuration that uses every kind of decision about a head. One world serves all heads of a
    /// property, as one gateway does.
    static WORLD: World = World::new()
        .rule("client_priority = true\nclient_deadline = true\nclient_delay = true\nhold = \"5s\"")
        .config(
            "cors_origins = [\"*\"]\ntrusted_forwarded_host = true\nforwarding = \"both\"\n\
             previous_shards = 3",
        );
}

fn names() -> impl Strategy<Value = String> {
    let known = [
        "authorization",
        "access-control-request-method",
        "connection",
        "content-length",
        "content-type",
        "forwarded",
        "idempotency-key",
        "if-none-match",
        "if-range",
        "origin",
        "prefer",
        "priority",
        "raincheck-deadline",
        "raincheck-not-before",
        "range",
        "te",
        "traceparent",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "cf-connecting-ip",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        "[a-z-]{1,12}"
    ]
}

fn values() -> impl Strategy<Value = String> {
    let likely = [
        "",
        "0",
        "1",
        "wait=5",
        "respond-async",
        "\"k\"",
        "bytes=0-",
        "*",
        "u=1",
        "websocket",
        "1.1 raincheck",
        "https://app.example",
        "99999999999999999999",
        "-1",
        "close",
    ];
    prop_oneof![
        prop::sample::select(likely.to_vec()).prop_map(str::to_owned),
        "\\PC{0,30}",
        ".{0,30}"
    ]
}

fn targets() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/slow".to_owned()),
        "/slow[?&=a-z]{0,8}",
        "/jobs/[A-Za-z0-9_-]{0,40}(/[a-z]{0,8})?[?a-z=]{0,12}",
        "/\\PC{0,40}",
        ".{0,40}",
    ]
}

fn heads() -> impl Strategy<Value = Head> {
    let method = prop_oneof![
        "(GET|HEAD|POST|PUT|DELETE|OPTIONS)",
        "[A-Za-z]{0,9}",
        ".{0,5}"
    ];
    let fields = prop::collection::vec((names(), values()), 0..8);
    (method, targets(), fields, any::<bool>(), ".{0,20}").prop_map(
        |(method, target, fields, has_body, host)| Head {
            method,
            scheme: "https".to_owned(),
            host,
            target,
            headers: Headers::from(fields),
            has_body,
        },
    )
}

/// The statuses of responses that need only the head.
const PLANNED: [u16; 10] = [204, 400, 401, 403, 404, 405, 413, 414, 431, 508];

/// Whether a decision keeps what every decision promises.
fn is_planned(world: &World, action: Action) -> Result<(), TestCaseError> {
    match action {
        Action::Reply(reply) => {
            prop_assert!(PLANNED.contains(&reply.status), "{}", reply.status);
        }
        Action::Accept(plan) => {
            prop_assert!(plan.shard < world.policy.shards);
            prop_assert!(plan.call.spec.delay < plan.call.spec.deadline);
            prop_assert!(plan.call.spec.deadline <= plan.call.spec.retention);
            prop_assert!(plan.hold <= world.policy.wait_limit);
            let call = Call::Accept(Box::new(plan.call));
            let header = Envelope::header_of(plan.shard, &call).unwrap();
            prop_assert!(header.is_ascii() && !header.contains(['\r', '\n', '\0']));
            prop_assert!(Envelope::from_header(&header).is_ok());
        }
        Action::PassThrough(pass) => prop_assert!(pass.target.as_str().starts_with('/')),
        Action::Ask { .. } | Action::Redrive { .. } => {}
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_head_gets_a_documented_response(head in heads()) {
        WORLD.with(|world| {
            is_planned(world, decide(&world.policy, head, START, Isolate(7)))
        })?;
    }

    #[test]
    fn every_rejection_is_below_500_and_has_a_code(head in heads()) {
        let answer = WORLD.with(|world| world.serve(head, None));
        prop_assert!(answer.status < 500 || answer.status == 508, "{}", answer.status);
        if answer.status >= 400 {
            let problem = answer.json();
            prop_assert!(problem["error"]["code"].as_str().is_some_and(|code| !code.is_empty()));
        }
    }

    #[test]
    fn frames_come_back_as_they_went(
        frames in prop::collection::vec((".{0,20}", prop::collection::vec(any::<u8>(), 0..20)), 0..5)
    ) {
        let frames: Vec<Frame> =
            frames.into_iter().map(|(json, body)| Frame { json, body }).collect();
        prop_assert_eq!(decode(&encode(&frames)), Some(frames));
    }

    #[test]
    fn malformed_frames_are_rejected_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..60)
    ) {
        if let Some(frames) = decode(&bytes) {
            prop_assert_eq!(encode(&frames), bytes);
        }
    }

    #[test]
    fn frames_that_were_cut_are_refused(json in ".{1,20}", cut in 1_usize..8) {
        let bytes = encode(&[Frame { json, body: b"body".to_vec() }]);
        prop_assert_eq!(decode(&bytes[..bytes.len() - cut]), None);
    }

    #[test]
    fn malformed_messages_are_rejected_without_panic(text in ".{0,80}") {
        prop_assert!(Message::read(&text).is_err());
    }

    #[test]
    fn every_message_that_is_packed_is_read_and_no_job_is_lost_or_doubled(
        sends in prop::collection::vec((0_u64..40, 0_usize..3, 0_u64..100_000_000), 0..40),
        shard in any::<u16>(),
    ) {
        let sends: Vec<JobMessage> = sends
            .into_iter()
            .map(|(key, priority, delay)| JobMessage {
                priority: Priority::ALL[priority],
                delay: Millis(delay),
                key: RowKey(key),
            })
            .collect();
        let mut carried = Vec::new();
        for outgoing in pack(shard, &sends) {
            let message = Message::read(&outgoing.text).unwrap();
            prop_assert_eq!(message.shard, shard);
            prop_assert!(message.jobs.len() <= JOBS_PER_MESSAGE && !message.jobs.is_empty());
            prop_assert!(outgoing.delay_secs <= 43_200);
            carried.extend(message.jobs.iter().map(|key| (*key, outgoing.priority)));
        }
        for send in &sends {
            prop_assert!(carried.contains(&(send.key, send.priority)));
        }
        prop_assert!(carried.len() <= sends.len());
    }

    #[test]
    fn malformed_calls_are_rejected_without_panic(text in ".{0,80}") {
        prop_assert!(Envelope::from_header(&text).is_err());
    }

    #[test]
    fn a_damaged_call_never_panics(place in 0_usize..300, to in ".") {
        let call = Call::DeadLetter(vec![RowKey(1), RowKey(2)]);
        let mut text = Envelope::header_of(3, &call).unwrap();
        let place = place % text.len();
        text.replace_range(place..=place, &to);
        let _ = Envelope::from_header(&text);
    }
}
