//! Every state with every event: the next state, or the refusal.

use raincheck::job::{Event, Outcome, Record, Refusal, State, Status, UnixMillis};

use super::support::jobs::{LEASE, TOKEN, at, queued, running};
use super::{claim, ended, finish, renew, responded, step};

/// One row for each state, one column for each event. The first letter is the status afterwards (queued,
/// running, succeeded, failed, canceled). A second letter is the reason why the event was refused:
/// `e` ended, `l` leased, `t` too early, `s` stale token.
const GRID: &str = "
                     claim  again  unsent renew  stolen ok   bad  busy lost stale elapsed cancel dead
queued               R      R      R      Q-s    Q-s    Q-s  Q-s  Q-s  Q-s  Q-s   Q       C      Q
waiting              Q-t    Q-t    Q-t    Q-s    Q-s    Q-s  Q-s  Q-s  Q-s  Q-s   Q       C      Q
running              R-l    R      R      R      R-s    S    F    Q    F    R-s   R       C      R
running-repeatable   R-l    R      R      R      R-s    S    F    Q    Q    R-s   R       C      R
running-last         R-l    R      R      R      R-s    S    F    Q    F    R-s   R       C      R
lapsed               F-e    F-e    F-e    F-e    F-e    F-e  F-e  F-e  F-e  F-e   F       F-e    F-e
lapsed-repeatable    Q-t    Q-t    Q-t    Q-s    Q-s    Q-s  Q-s  Q-s  Q-s  Q-s   Q       C      Q
lapsed-last          F-e    F-e    F-e    F-e    F-e    F-e  F-e  F-e  F-e  F-e   F       F-e    F-e
overdue              F-e    F-e    F-e    F-e    F-e    F-e  F-e  F-e  F-e  F-e   F       F-e    F-e
overdue-running      F-e    F-e    F-e    F-e    F-e    F-e  F-e  F-e  F-e  F-e   F       F-e    F-e
succeeded            S-e    S-e    S-e    S-e    S-e    S-e  S-e  S-e  S-e  S-e   S       S-e    S-e
failed               F-e    F-e    F-e    F-e    F-e    F-e  F-e  F-e  F-e  F-e   F       F-e    F-e
canceled             C-e    C-e    C-e    C-e    C-e    C-e  C-e  C-e  C-e  C-e   C       C-e    C-e
";

/// A record in the named state, and the time of the event.
pub fn state(name: &str) -> (Record, UnixMillis) {
    let soon = at(500);
    let lapsed = at(LEASE.0);
    let overdue = queued().deadline();
    let repeatable = |mut record: Record| {
        record.spec.plan.repeatable = true;
        record
    };
    let last = |mut record: Record| {
        record.attempt = record.spec.plan.attempts;
        repeatable(record)
    };
    match name {
        "queued" => (queued(), soon),
        "waiting" => (
            Record {
                attempt: 1,
                state: State::Queued { due: at(501) },
                ..queued()
            },
            soon,
        ),
        "running" => (running(), soon),
        "running-repeatable" => (repeatable(running()), soon),
        "running-last" => (last(running()), soon),
        "lapsed" => (running(), lapsed),
        "lapsed-repeatable" => (repeatable(running()), lapsed),
        "lapsed-last" => (last(running()), lapsed),
        "overdue" => (queued(), overdue),
        "overdue-running" => (repeatable(running()), overdue),
        "succeeded" => (ended(Status::Succeeded), overdue),
        "failed" => (ended(Status::Failed), overdue),
        "canceled" => (ended(Status::Canceled), overdue),
        other => panic!("no state is named {other}"),
    }
}

/// The named event.
pub fn event(name: &str) -> Event {
    match name {
        "claim" => claim(),
        "again" => Event::Claim {
            token: TOKEN,
            lease: LEASE,
            unsent: Vec::new(),
        },
        "unsent" => Event::Claim {
            token: TOKEN + 1,
            lease: LEASE,
            unsent: vec![TOKEN],
        },
        "renew" => renew(),
        "stolen" => Event::Renew {
            token: TOKEN + 1,
            lease: LEASE,
        },
        "ok" => finish(responded(200)),
        "bad" => finish(responded(400)),
        "busy" => finish(responded(503)),
        "lost" => finish(Outcome::Unknown),
        "stale" => Event::Finish {
            token: TOKEN + 1,
            outcome: responded(200),
            result: None,
        },
        "elapsed" => Event::Elapsed,
        "cancel" => Event::Cancel,
        "dead" => Event::DeadLettered,
        other => panic!("no event is named {other}"),
    }
}

/// The names of the states and events, and the content of each cell.
pub fn cells() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut lines = GRID.lines().filter(|line| !line.trim().is_empty());
    let events: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut cells = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let state = words.next().unwrap();
        let row: Vec<&str> = words.collect();
        assert_eq!(row.len(), events.len(), "{state} has a cell for each event");
        cells.extend(
            events
                .iter()
                .zip(row)
                .map(|(event, cell)| (state, *event, cell)),
        );
    }
    cells
}

fn letter(status: Status) -> char {
    status.as_str().to_ascii_uppercase().chars().next().unwrap()
}

fn suffix(refusal: Option<Refusal>) -> &'static str {
    match refusal {
        None => "",
        Some(Refusal::Ended) => "-e",
        Some(Refusal::Leased) => "-l",
        Some(Refusal::TooEarly(_)) => "-t",
        Some(Refusal::StaleToken) => "-s",
    }
}

#[test]
fn every_state_meets_every_event_as_the_grid_says() {
    let mut wrong = Vec::new();
    for (state_name, event_name, expected) in cells() {
        let (record, now) = state(state_name);
        let step = step(&record, &event(event_name), now);
        let found = format!("{}{}", letter(step.record.status()), suffix(step.refused));
        if found != expected {
            wrong.push(format!(
                "{state_name} + {event_name}: {found}, not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_grid_has_every_status_and_every_kind_of_event() {
    let states: Vec<Status> = cells()
        .iter()
        .map(|(name, _, _)| state(name).0.status())
        .collect();
    assert!(Status::ALL.iter().all(|status| states.contains(status)));
    let mut kinds = [false; 6];
    for (_, name, _) in cells() {
        let kind = match event(name) {
            Event::Claim { .. } => 0,
            Event::Renew { .. } => 1,
            Event::Finish { .. } => 2,
            Event::Elapsed => 3,
            Event::Cancel => 4,
            Event::DeadLettered => 5,
        };
        kinds[kind] = true;
    }
    assert_eq!(kinds, [true; 6]);
}

#[test]
fn every_step_keeps_the_record_invariants() {
    for (state_name, event_name, _) in cells() {
        let (before, now) = state(state_name);
        let step = step(&before, &event(event_name), now);
        let after = &step.record;
        let cell = format!("{state_name} + {event_name}");
        assert_eq!(
            step.changed,
            *after != before,
            "{cell}: changed tells the truth"
        );
        assert!(
            after.acted() <= after.spec.plan.attempts,
            "{cell}: attempts"
        );
        let visible = after.status() != before.status() || after.attempt != before.attempt;
        assert_eq!(after.version > before.version, visible, "{cell}: version");
        let frozen = |record: &Record| {
            let Record {
                v,
                spec,
                created,
                expires,
                key,
                payload,
                redrive_of,
                ..
            } = record.clone();
            (v, spec, created, expires, key, payload, redrive_of)
        };
        assert_eq!(
            frozen(after),
            frozen(&before),
            "{cell}: what was promised stays"
        );
    }
}

#[test]
fn no_event_changes_a_terminal_record() {
    for (state_name, event_name, _) in cells() {
        let (before, now) = state(state_name);
        if before.status().is_terminal() {
            let step = step(&before, &event(event_name), now);
            assert_eq!(step.record, before, "{state_name} + {event_name}");
            assert!(!step.changed, "{state_name} + {event_name}");
        }
    }
}

#[test]
fn only_the_published_edges_are_taken() {
    use Status::{Canceled, Failed, Queued, Running, Succeeded};
    const EDGES: [(Status, Status); 7] = [
        (Queued, Running),
        (Running, Queued),
        (Running, Succeeded),
        (Running, Failed),
        (Queued, Failed),
        (Queued, Canceled),
        (Running, Canceled),
    ];
    let mut taken = Vec::new();
    for (state_name, event_name, _) in cells() {
        let (before, now) = state(state_name);
        let step = step(&before, &event(event_name), now);
        let edge = (before.status(), step.record.status());
        let stays = before.status() == step.record.status();
        assert!(
            stays || EDGES.contains(&edge),
            "{state_name} + {event_name}: {edge:?}"
        );
        taken.push(edge);
    }
    assert!(
        EDGES.iter().all(|edge| taken.contains(edge)),
        "and every one of them is"
    );
}
