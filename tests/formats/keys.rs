//! Hashes that decide which job a key finds, and where. If one of them changed, a repeated request
//! would become a second job.

use raincheck::http::Headers;
use raincheck::http::hex;
use raincheck::ingress::{AcceptPlan, Action, Head, Isolate, decide};
use raincheck::job::UnixMillis;
use raincheck::rpc::call::{AcceptCall, Call};
use raincheck::rpc::hash::{of_parts, sha256_hex};
use raincheck::shard::{Shard, Sql as _};
use raincheck::shard_service::handle;

use super::configuration;
use super::support::jobs::{EMPTY_SHA256, ID_KEY, SETTINGS};
use super::support::sqlite::Sqlite;

const OWNER: &str = "62669982621c0e70e6eafd86ff4ca7840a4a6a9714accb2bcdfa853841d8aec2";
const KEY: &str = "324124e07339d3834b617aab0ba6bd44accbc5f3a75ff78bd856d739d5936517";
const FINGERPRINT: &str = "854023b1024d5621ee503477b1057add8d772edcabd0512d8782c4b3df89f299";

fn plan(config: &str) -> AcceptPlan {
    let rule = "[[rules]]\nname = \"slow\"\npath = \"/slow\"\n";
    let text = format!("origin = \"https://api.example.com\"\n{config}\n{rule}");
    let policy = configuration::parse(&text).unwrap();
    let headers = Headers::from_iter([
        ("authorization", "Bearer a"),
        ("idempotency-key", "\"k-1\""),
        ("content-length", "4"),
    ]);
    let head = Head {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        host: "h".to_owned(),
        target: "/slow?a=1".to_owned(),
        headers,
        has_body: true,
    };
    match decide(&policy, head, UnixMillis(0), Isolate(1)) {
        Action::Accept(plan) => *plan,
        other => panic!("not accepted: {other:?}"),
    }
}

#[test]
fn hashes_are_sha_256_in_lower_case_hexadecimal() {
    assert_eq!(sha256_hex(b""), EMPTY_SHA256);
    assert_eq!(hex::encode(&[0, 0x0f, 0xf0, 0xff]), "000ff0ff");
}

#[test]
fn different_lists_of_parts_hash_differently() {
    let lists: [&[&[u8]]; 5] = [
        &[b"ab", b"c"],
        &[b"a", b"bc"],
        &[b"abc"],
        &[b"abc", b""],
        &[],
    ];
    for (index, list) in lists.iter().enumerate() {
        for other in &lists[index + 1..] {
            assert_ne!(of_parts(list), of_parts(other));
        }
    }
}

#[test]
fn the_owner_key_and_place_of_a_request_are_pinned() {
    let plan = plan("shards = 8");
    assert_eq!(plan.call.spec.owner, OWNER);
    assert_eq!(plan.call.key.unwrap().hash, KEY);
    // The first four bytes of the key's hash, by the number of shards.
    assert_eq!((plan.shard, plan.previous), (0, None));
}

#[test]
fn the_place_before_a_change_of_the_shards_is_found_the_same_way() {
    let first = u32::from_str_radix(&KEY[..8], 16).unwrap();
    let place = |shards: u16| u16::try_from(first % u32::from(shards)).unwrap();
    for (shards, before) in [(8, 7), (1_024, 3), (5, 1_024)] {
        let plan = plan(&format!("shards = {shards}\nprevious_shards = {before}"));
        assert_eq!(plan.shard, place(shards));
        assert_eq!(plan.previous.unwrap_or(plan.shard), place(before));
    }
}

#[test]
fn the_fingerprint_of_a_request_is_its_method_target_and_body() {
    let sql = Sqlite::in_memory();
    let mut shard = Shard::open(sql.clone(), Some(1), SETTINGS, ID_KEY).unwrap();
    let call: AcceptCall = plan("").call;
    let call = AcceptCall {
        payload: raincheck::rpc::call::PayloadCall::Inline(Some(4)),
        ..call
    };
    let call = Call::Accept(Box::new(call));
    let handled = handle(
        &mut shard,
        call,
        b"body".to_vec(),
        UnixMillis(0),
        &mut |bytes| {
            bytes.fill(1);
        },
    );
    assert_eq!(handled.reply.status, 202);
    let statement = format!("SELECT hash, fingerprint FROM {}", sql.tables("keys_")[0]);
    let rows = sql.run(&statement, &[]).unwrap();
    assert_eq!(
        (rows[0][0].text(), rows[0][1].text()),
        (Some(KEY), Some(FINGERPRINT))
    );
}
