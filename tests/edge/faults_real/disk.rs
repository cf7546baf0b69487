//! A full disk: a small file system in memory, in its own mount namespace, so that it disappears with
//! the gateway's processes.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::client::{Reply, Request};
use crate::gateway::{Gateway, Setup};
use crate::job::{Case, Job, assert_problem};
use crate::origin::Origin;

use super::{SHORT, accepted, request, start, succeeds};

/// Room for the runtime's own files and a few hundred jobs.
const SIZE: &str = "size=32m";

/// How many requests meet the full disk.
const REQUESTS: usize = 20;

/// Mounts, then becomes the command that follows.
const MOUNT: &str = "mkdir -p state && mount -t tmpfs -o \"$0\" none state && exec \"$@\"";

/// What runs node with its state on the small disk.
fn under() -> Vec<String> {
    let words = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        MOUNT,
        SIZE,
    ];
    words.map(str::to_owned).to_vec()
}

/// Whether this machine lets us mount; containers often do not, and macOS has no such thing.
fn can_mount() -> bool {
    let directory = std::env::temp_dir().join(format!("raincheck-mount-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let under = under();
    let tried = Command::new(&under[0])
        .args(&under[1..])
        .arg("true")
        .current_dir(&directory)
        .stderr(Stdio::null())
        .status();
    let _ = std::fs::remove_dir_all(&directory);
    tried.is_ok_and(|status| status.success())
}

/// The file that takes all room, seen through a process inside the namespace.
fn filler(gateway: &Gateway) -> PathBuf {
    let process = gateway.processes()[0];
    let state = gateway.state();
    let inside = state.strip_prefix("/").unwrap().join("filler");
    PathBuf::from(format!("/proc/{process}/root")).join(inside)
}

fn fill(path: &PathBuf) {
    let mut file = File::create(path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

fn keyed(case: &Case, bytes: u64, body: usize) -> Request {
    request(case, "/honours/echo?", bytes)
        .body(vec![b'x'; body])
        .field("Idempotency-Key", &format!("\"{}\"", case.0))
}

/// A job, or a 503 that says when to come again.
fn promised(gateway: &Gateway, reply: &Reply) -> Option<Job> {
    if reply.status == 202 {
        return Some(Job::of(gateway.address, reply));
    }
    assert_problem(reply, 503, "storage_unavailable");
    let after = reply.must("retry-after");
    assert!(after.parse::<u32>().is_ok(), "{reply}");
    None
}

#[tokio::test]
async fn a_full_disk_is_a_503_and_loses_no_accepted_job() {
    if !can_mount() {
        println!("no file system can be mounted here, so no disk can be filled");
        return;
    }
    let setup = Setup {
        under: under(),
        ..Setup::default()
    };
    let gateway = start(Origin::shared().address, "1s", SHORT, setup);
    let mut promises = Vec::new();
    // These are under way when the disk fills, and end while it is full.
    for number in 0..6 {
        let bytes = if number < 2 { 100_000 } else { 100 };
        let job = accepted(&gateway, &Case::new(), "/honours/echo?ms=1000&", bytes).await;
        promises.push((job, bytes));
    }
    let filler = filler(&gateway);
    fill(&filler);
    let mut refused = Vec::new();
    for number in 0..REQUESTS {
        let case = Case::new();
        let large = number % 4 == 0;
        let (bytes, body) = if large { (200, 100_000) } else { (300, 3000) };
        match promised(&gateway, &gateway.send(keyed(&case, bytes, body)).await) {
            Some(job) => promises.push((job, bytes)),
            None => refused.push((case, bytes, body)),
        }
    }
    assert!(!refused.is_empty(), "the disk was not full");
    std::fs::remove_file(&filler).unwrap();

    for (case, bytes, body) in refused {
        let mut job = None;
        while job.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            job = promised(&gateway, &gateway.send(keyed(&case, bytes, body)).await);
        }
        promises.extend(job.map(|job| (job, bytes)));
    }
    for (job, bytes) in &promises {
        succeeds(job, *bytes).await;
    }
}
