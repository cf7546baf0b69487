//! Which shard gets a job without a key.

use raincheck::http::Headers;
use raincheck::ingress::{Action, Head, Isolate, decide};
use raincheck::job::{Millis, UnixMillis};
use raincheck::policy::Policy;

use super::configuration;
use super::world::START;

const SHARDS: usize = 8;

/// The turn's length; it divides [`START`], so a turn begins there.
const TURN: u64 = 50;

/// The shard of a job that an isolate accepts so many milliseconds after the start.
fn shard(policy: &Policy, isolate: u64, millis: u64) -> usize {
    let head = Head {
        method: "POST".to_owned(),
        scheme: "https".to_owned(),
        host: "h".to_owned(),
        target: "/slow".to_owned(),
        headers: Headers::default(),
        has_body: false,
    };
    let now: UnixMillis = START.plus(Millis(millis));
    match decide(policy, head, now, Isolate(isolate)) {
        Action::Accept(plan) => usize::from(plan.shard),
        other => panic!("not accepted: {other:?}"),
    }
}

fn policy() -> Policy {
    let rule = "[[rules]]\nname = \"slow\"\nmethods = [\"POST\"]\npath = \"/slow\"\n";
    configuration::parse(&format!(
        "origin = \"https://api.example.com\"\nshards = {SHARDS}\n{rule}"
    ))
    .unwrap()
}

/// The shards of an isolate's first turns.
fn turns(isolate: u64, count: u64) -> Vec<usize> {
    let policy = policy();
    (0..count)
        .map(|turn| shard(&policy, isolate, turn * TURN))
        .collect()
}

#[test]
fn requests_that_an_isolate_accepts_together_go_to_one_shard() {
    let policy = policy();
    for turn in 0..20 {
        let first = shard(&policy, 1, turn * TURN);
        for later in 1..TURN {
            assert_eq!(shard(&policy, 1, turn * TURN + later), first);
        }
    }
}

#[test]
fn over_time_every_shard_gets_the_same_share() {
    let mut seen = [0; SHARDS];
    for turn in turns(1, 8_000) {
        seen[turn] += 1;
    }
    assert!(
        seen.iter().all(|count| (850..1150).contains(count)),
        "{seen:?}"
    );
}

#[test]
fn isolates_do_not_pick_the_same_shards_in_step() {
    let (one, other) = (turns(1, 8_000), turns(2, 8_000));
    let together = one.iter().zip(&other).filter(|(a, b)| a == b).count();
    assert!((850..1150).contains(&together), "{together}");
    let after = one.iter().skip(1).zip(&other).filter(|(a, b)| a == b);
    assert!((850..1150).contains(&after.count()));
}
