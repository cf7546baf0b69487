//! The origin: every outcome that HTTP allows, and some that it does not.

use std::cell::Cell;
use std::rc::Rc;

use raincheck::http::Headers;
use raincheck::protocol::forwarding::{ATTEMPT, JOB};
use raincheck::rpc::ports::{OriginError, OriginRequest, OriginResponse};

use super::body::{Blob, Body};
use super::client::LARGE;
use super::executor::Pid;
use super::fault::Fault;
use super::history::{Call, Event, job_of};
use super::world::World;

/// Statuses by which the origin says that it did not act. The list follows the
/// standards and is independent of the code under test.
const NOT_ACTED: [u16; 5] = [408, 425, 429, 503, 521];

struct Answer {
    status: u16,
    headers: Headers,
    blob: Blob,
    broken: bool,
    /// The origin certainly did not act.
    idle: bool,
    wait: u64,
    /// What happens instead of a response, after the wait.
    error: Option<OriginError>,
    hangs: bool,
    /// How long the body takes after the head.
    slow: u64,
}

/// One request to the origin.
pub async fn send(
    world: &Rc<World>,
    pid: Pid,
    request: OriginRequest<Body>,
) -> Result<OriginResponse<Body>, OriginError> {
    use Fault::{
        OriginBusy, OriginDenies, OriginFails, OriginHangs, OriginHuge, OriginLost,
        OriginMalformed, OriginRefuses, OriginSlow, OriginStalls, OriginTorn,
    };
    world.gate(pid).await;
    let fault = world.strike(&[
        OriginRefuses,
        OriginBusy,
        OriginFails,
        OriginDenies,
        OriginSlow,
        OriginHangs,
        OriginLost,
        OriginMalformed,
        OriginTorn,
        OriginStalls,
        OriginHuge,
    ]);
    world.tell(pid, &(fault.map(Fault::name), world.responses.get()));
    let name = request.headers.get(JOB).unwrap_or_default().to_owned();
    if let Some(id) = world.named.borrow().get(&name).copied() {
        world.log(Event::Tried { job: job_of(&id) });
    }
    if fault == Some(OriginRefuses) {
        return Err(OriginError::Unreachable);
    }
    let answer = answer(world, fault);
    let call = note(world, &request, &answer);
    world.latency().await;
    world.sleep(answer.wait).await;
    if request.body.as_ref().is_some_and(|(body, _)| body.broken) {
        return Err(OriginError::Lost);
    }
    if let Some(error) = answer.error {
        return Err(error);
    }
    if answer.hangs {
        world.sleep(1 << 40).await;
    }
    if let Some(call) = call {
        call.head_came.set(true);
    }
    Ok(OriginResponse {
        status: answer.status,
        headers: answer.headers,
        body: Some(Body {
            broken: answer.broken,
            slow: answer.slow,
            ..Body::whole(answer.blob)
        }),
    })
}

/// The origin's response to this request.
fn answer(world: &World, fault: Option<Fault>) -> Answer {
    let number = world.responses.get() + 1;
    world.responses.set(number);
    let dice = &world.dice;
    let large = dice.chance(80);
    let blob = if large {
        Blob::large(LARGE, u8::try_from(dice.below(3)).unwrap_or(0))
    } else {
        Blob::new(format!("{{\"answer\":{number}}}").into_bytes())
    };
    let mut answer = Answer {
        status: *dice.pick(&[200, 200, 200, 201, 204, 303]),
        headers: Headers::new(),
        blob,
        broken: false,
        idle: false,
        wait: dice.below(2_000),
        error: None,
        hangs: false,
        slow: 0,
    };
    answer.headers.push("content-type", "application/json");
    match fault {
        Some(Fault::OriginBusy) => {
            answer.status = *dice.pick(&NOT_ACTED);
            answer.idle = true;
            answer
                .headers
                .push("retry-after", *dice.pick(&["0", "2", "9", "900"]));
        }
        Some(Fault::OriginFails) => answer.status = *dice.pick(&[500, 502, 504, 520, 501]),
        Some(Fault::OriginDenies) => answer.status = *dice.pick(&[400, 403, 404, 409, 422]),
        Some(Fault::OriginSlow) => answer.wait = dice.range(10_000, 45_000),
        Some(Fault::OriginHangs) => answer.hangs = true,
        Some(Fault::OriginLost) => answer.error = Some(OriginError::Lost),
        Some(Fault::OriginMalformed) => match dice.below(3) {
            0 => answer.status = 600,
            1 => answer.status = 103,
            _ => answer.status = 999,
        },
        Some(Fault::OriginTorn) => {
            answer.broken = true;
            perhaps_busy(world, &mut answer);
        }
        Some(Fault::OriginStalls) => {
            answer.slow = 1 << 40;
            perhaps_busy(world, &mut answer);
        }
        Some(Fault::OriginHuge) => {
            answer.blob = Blob::large(super::plan::RESULT_LIMIT + 1, 0);
            perhaps_busy(world, &mut answer);
        }
        _ => {}
    }
    if answer.status == 204 {
        answer.blob = Blob::new(Vec::new());
        answer.broken = false;
    }
    frame(world, &mut answer);
    answer
}

/// In half of the cases, changes the response to one that says "not acted on".
fn perhaps_busy(world: &World, answer: &mut Answer) {
    if world.dice.below(2) == 0 {
        answer.status = *world.dice.pick(&NOT_ACTED);
        answer.idle = true;
    }
}

/// Chooses how the response marks its end: with a length, with chunks, or not at all.
fn frame(world: &World, answer: &mut Answer) {
    let len = answer.blob.len();
    match world.dice.below(4) {
        0 => answer.headers.push("transfer-encoding", "chunked"),
        // Not with a broken body, which could then not be detected.
        1 if !answer.broken => {}
        _ => {
            let announced = if answer.broken { len + 7 } else { len };
            answer.headers.push("content-length", announced.to_string());
        }
    }
}

fn note(world: &World, request: &OriginRequest<Body>, answer: &Answer) -> Option<Rc<Call>> {
    let field = |name: &str| request.headers.get(name).unwrap_or_default().to_owned();
    let id = world.named.borrow().get(&field(JOB)).copied()?;
    let body = request.body.as_ref().map(|(body, _)| body);
    let broken = body.is_some_and(|body| body.broken);
    let call = Rc::new(Call {
        job: job_of(&id),
        attempt: field(ATTEMPT).parse().unwrap_or(0),
        method: request.method.clone(),
        target: request.target.clone(),
        key: field("idempotency-key"),
        body: body
            .map(|body| body.blob.sha256().to_owned())
            .unwrap_or_default(),
        broken,
        status: if answer.error.is_some() {
            0
        } else {
            answer.status
        },
        acted: !answer.idle,
        answer: answer.blob.sha256().to_owned(),
        complete: answer.error.is_none()
            && !answer.broken
            && !answer.hangs
            && answer.slow == 0
            && !broken,
        head_came: Cell::new(false),
    });
    world.log(Event::Origin(Rc::clone(&call)));
    Some(call)
}
