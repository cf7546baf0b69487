//! Clients: they submit, repeat, read, cancel, erase and redrive, each request in a Worker
//! separate invocation that may be killed at any await.

use std::rc::Rc;

use futures_channel::oneshot;
use futures_util::future::{Either, join_all, select};
use raincheck::http::Headers;
use raincheck::ingress::execute;
use raincheck::ingress::{Action, Head, Isolate, decide};
use raincheck::job::JobId;
use raincheck::rpc::ports::{Host as _, Shards as _};

use super::body::{Blob, Body};
use super::fault::Fault;
use super::history::{Ask, Event, Wish, job_of};
use super::plan::TOKEN;
use super::ports::{Ports, Response};
use super::rng::Rng;
use super::world::World;

/// Length of the large bodies: just above the limit of a row.
pub const LARGE: usize = 64 * 1024 + 1;

/// The length of a request body that the rules reject.
const TOO_LARGE: usize = 80 * 1024 + 1;

/// A request of a client.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub headers: Headers,
    pub body: Option<Body>,
}

/// Runs a request through the gateway, as the Worker does. Returns `None` if the Worker died.
pub async fn send(world: &Rc<World>, request: Request) -> Option<Response> {
    let pid = world.process(Fault::WorkerCrash, None);
    let ports = Ports::new(world, pid);
    let (done, answered) = oneshot::channel();
    world.executor.spawn(pid, async move {
        let _ = done.send(serve_request(&ports, request).await);
    });
    if world.strike(&[Fault::ClientGone]).is_none() {
        return answered.await.ok();
    }
    // A client that gives up gets no response, even if there was one. The platform may or may not stop
    // its Worker in time.
    let patience = world.sleep(world.dice.range(0, 2_000));
    match select(answered, std::pin::pin!(patience)).await {
        Either::Left(_) => world.count("answer not taken"),
        Either::Right(_) if world.dice.chance(500) => world.executor.kill(pid),
        Either::Right(_) => {}
    }
    None
}

async fn serve_request(ports: &Ports, request: Request) -> Response {
    let world = &ports.world;
    let head = Head {
        method: request.method.to_owned(),
        scheme: "https".to_owned(),
        host: "gate.example".to_owned(),
        target: request.target,
        headers: request.headers,
        has_body: request.body.is_some(),
    };
    // Each request may reach a different isolate.
    let mut drawn = [0; 8];
    world.secrets.fill(&mut drawn);
    let isolate = Isolate(u64::from_le_bytes(drawn));
    match decide(&world.policy, head, ports.now(), isolate) {
        Action::Reply(reply) => ports.respond(reply),
        Action::PassThrough(_) => unreachable!("every request of these clients is the gateway's"),
        Action::Ask { shard, call, .. } => execute::ask(ports, shard, &call).await,
        Action::Redrive { id, call } => execute::redrive(ports, id, *call).await,
        Action::Accept(plan) => execute::accept(ports, *plan, request.body).await,
    }
}

/// The life of one client.
pub async fn live(world: Rc<World>, number: u32, operations: u32, dice: Rng) {
    let calm = dice.chance(300);
    for _ in 0..operations {
        let pause = if calm {
            dice.range(5_000, 60_000)
        } else {
            dice.below(4_000)
        };
        world.sleep(pause).await;
        let known = world.known.borrow().len();
        if known == 0 || dice.chance(400) {
            submit(&world, number, &dice).await;
            continue;
        }
        let id = {
            let known = world.known.borrow();
            *dice.pick(&known)
        };
        let what = match dice.below(100) {
            0..45 => Ask::Status,
            45..68 => Ask::Result,
            68..82 => Ask::Cancel,
            82..90 => Ask::Purge,
            _ => Ask::Redrive,
        };
        ask(&world, id, what, &dice).await;
    }
}

/// Submits a request. With a key, sometimes several times concurrently, and again if no receipt arrived.
async fn submit(world: &Rc<World>, number: u32, dice: &Rng) {
    let owner = if dice.chance(500) {
        "shared".to_owned()
    } else {
        format!("client-{number}")
    };
    let key = dice.chance(550).then(|| format!("key-{}", dice.below(4)));
    let (wish, request) = make(world, dice, owner, key);
    let together = if wish.key.is_some() && dice.chance(250) {
        dice.range(2, 4)
    } else {
        1
    };
    let tries = if wish.key.is_some() { 3 } else { 1 };
    for _ in 0..tries {
        let sent = (0..together).map(|_| submit_once(world, &wish, request.clone()));
        let received = join_all(sent).await;
        if received.iter().any(|settled| *settled) {
            return;
        }
        world.sleep(dice.range(500, 3_000)).await;
    }
}

/// Sends one request. Returns whether it is settled, so that there is no reason to repeat it.
pub async fn submit_once(world: &Rc<World>, wish: &Rc<Wish>, request: Request) -> bool {
    let op = world.op();
    world.log(Event::Sent {
        op,
        wish: Rc::clone(wish),
    });
    let Some(response) = send(world, request).await else {
        return false;
    };
    let location = response
        .headers
        .get("location")
        .unwrap_or_default()
        .to_owned();
    let id = receipt(&response);
    if let Some(id) = id {
        let mut known = world.known.borrow_mut();
        if !known.contains(&id) {
            known.push(id);
        }
    }
    world.log(Event::Answered {
        op,
        status: response.status,
        job: id.as_ref().map(job_of),
        location,
        alarm: id
            .and_then(|id| world.shard(id.shard))
            .and_then(|shard| shard.stored_alarm()),
    });
    response.status != 503
}

fn receipt(response: &Response) -> Option<JobId> {
    if response.status != 202 {
        return None;
    }
    let place = response.headers.get("operation-location")?;
    JobId::parse(place.rsplit('/').next()?)
}

fn make(world: &World, dice: &Rng, owner: String, key: Option<String>) -> (Rc<Wish>, Request) {
    let (method, target, repeatable) = match dice.below(4) {
        0 | 1 => ("POST", "/orders".to_owned(), false),
        2 => ("PUT", format!("/things/{}", dice.below(2)), true),
        _ => ("POST", "/honoured?mode=1".to_owned(), true),
    };
    let mut hopeless = false;
    let blob = match dice.below(20) {
        0 | 1 => None,
        2..17 => Some(Blob::new(
            format!("{{\"body\":{}}}", dice.below(2)).into_bytes(),
        )),
        17 | 18 => Some(Blob::large(LARGE, u8::try_from(dice.below(2)).unwrap_or(0))),
        _ => {
            hopeless = true;
            Some(Blob::large(TOO_LARGE, 0))
        }
    };
    let mut headers = Headers::new();
    headers.push("x-owner", owner.clone());
    if let Some(key) = &key {
        headers.push("idempotency-key", format!("\"{key}\""));
    }
    let mut body = blob.map(Body::whole);
    if let Some(body) = &mut body {
        if dice.chance(700) {
            headers.push("content-length", body.blob.len().to_string());
        }
        if world.strike(&[Fault::ClientSlow]).is_some() {
            body.slow = dice.range(1_000, 90_000);
        }
        if world.strike(&[Fault::UploadBreaks]).is_some() {
            hopeless = true;
            body.broken = true;
        }
    }
    let wish = Wish {
        owner,
        key,
        method,
        target: target.clone(),
        body: body
            .as_ref()
            .map(|body| body.blob.sha256().to_owned())
            .unwrap_or_default(),
        repeatable,
        hopeless,
    };
    (
        Rc::new(wish),
        Request {
            method,
            target,
            headers,
            body,
        },
    )
}

/// Requests a job's documents, sometimes with an id that is almost right.
pub async fn ask(world: &Rc<World>, id: JobId, what: Ask, dice: &Rng) {
    let op = world.op();
    let genuine = !dice.chance(50);
    let mut named = id;
    if !genuine {
        let mut bytes = [0; 16];
        dice.fill(&mut bytes);
        named.secret = raincheck::job::Secret::from_bytes(bytes);
    }
    let path = format!("/jobs/{named}");
    let (method, target) = match what {
        Ask::Status => ("GET", path),
        Ask::Result => ("GET", format!("{path}/result")),
        Ask::Cancel if dice.chance(500) => ("POST", format!("{path}/cancel")),
        Ask::Cancel => ("DELETE", path),
        Ask::Purge => ("DELETE", format!("{path}?purge=true")),
        Ask::Redrive => ("POST", format!("{path}/redrive")),
    };
    let mut headers = Headers::new();
    let mut genuine = genuine;
    if what == Ask::Redrive {
        if dice.chance(100) {
            genuine = false;
        } else {
            headers.push("authorization", format!("Bearer {TOKEN}"));
        }
    }
    world.log(Event::Asked {
        op,
        ask: what,
        job: job_of(&id),
        genuine,
    });
    let Some(response) = send(
        world,
        Request {
            method,
            target,
            headers,
            body: None,
        },
    )
    .await
    else {
        return;
    };
    tell(world, op, what, &response);
}

fn tell(world: &World, op: u32, what: Ask, response: &Response) {
    let document = (what != Ask::Result || response.status == 202)
        .then(|| serde_json::from_slice::<serde_json::Value>(response.body.blob.bytes()).ok())
        .flatten();
    let state = document
        .as_ref()
        .and_then(|document| document.get("status"))
        .and_then(|status| status.as_str())
        .map(str::to_owned);
    let version = response
        .headers
        .get("etag")
        .filter(|_| what != Ask::Result)
        .and_then(|tag| tag.trim_matches('"').strip_prefix('v')?.parse().ok());
    let made = if what == Ask::Redrive {
        receipt(response)
    } else {
        None
    };
    if let Some(id) = made {
        world.known.borrow_mut().push(id);
        world.count("redriven");
    }
    let body = if response.body.broken {
        "broken".to_owned()
    } else {
        response.body.blob.sha256().to_owned()
    };
    world.log(Event::Told {
        op,
        status: response.status,
        version,
        state,
        body,
        job: made.as_ref().map(job_of),
    });
}
