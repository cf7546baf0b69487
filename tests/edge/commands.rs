//! `npm start` and `npm run deploy -- --dry-run` as a user runs them.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::client::{Reply, Request};
use crate::gateway::{node, repository, signal};
use crate::job::Job;

/// Longest wait for a line: on a fresh clone the start builds first.
const LINE_MAX: Duration = Duration::from_mins(10);

/// How long nothing follows the last line.
const SILENCE: Duration = Duration::from_secs(1);

/// Longest wait for the end after Ctrl-C.
const END_MAX: Duration = Duration::from_mins(1);

/// The largest deployment, gzipped.
const BUNDLE_MAX: u64 = 416 * 1024;

/// A running `npm start`. It is stopped when the value is dropped or the test run ends.
struct Started {
    leader: Child,
    lines: Receiver<String>,
    address: SocketAddr,
    directory: PathBuf,
}

impl Started {
    /// Starts it on a free port, with its own copy of wrangler.toml and its own state.
    fn new(test: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let name = format!("raincheck-start-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let configuration = directory.join("wrangler.toml");
        std::fs::copy(repository().join("wrangler.toml"), &configuration).unwrap();
        let mut command = Command::new(node());
        command.arg(repository().join("tests/edge/leader.mjs"));
        command.arg("--gently").arg(&directory);
        command.args(["npm", "start", "--", "--port"]);
        command.arg(address.port().to_string());
        command.arg("--state").arg(directory.join("state"));
        command.arg("--config").arg(configuration);
        command.current_dir(repository()).process_group(0);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leader = command.spawn().unwrap();
        let (sender, lines) = channel();
        hand_on(leader.stdout.take().unwrap(), sender.clone());
        hand_on(leader.stderr.take().unwrap(), sender);
        Self {
            leader,
            lines,
            address,
            directory,
        }
    }

    /// Waits until it is ready. Returns its process group, and where the demo origin is.
    fn ready(&self) -> (String, SocketAddr) {
        let group = self.line(|line| line.starts_with("leader: group "));
        let place = format!("Raincheck is at http://{}, ", self.address);
        let place = self.line(|line| line.starts_with(&place));
        let demo = place.split("http://").nth(2).unwrap();
        let demo = demo.split(". ").next().unwrap().parse().unwrap();
        (group.rsplit(' ').next().unwrap().to_owned(), demo)
    }

    /// Posts a report that takes this many seconds, and waits until the demo origin works on it.
    async fn report(&self, seconds: u32) {
        let target = format!("/reports?seconds={seconds}");
        let reply = Request::post(&target).send(self.address).await;
        let job = Job::of(self.address, &reply);
        job.until_status("running").await;
    }

    /// Reads lines up to the first that satisfies `wanted`, and returns it.
    fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(LINE_MAX) else {
                panic!("it ended or hangs after\n{}", seen.join("\n"));
            };
            if wanted(&line) {
                return line;
            }
            seen.push(line);
        }
    }

    /// Everything that it prints before it stops printing, without empty lines.
    fn rest(&self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.lines.recv_timeout(SILENCE).ok());
        lines.filter(|line| !line.is_empty()).collect()
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.leader.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < END_MAX, "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.leader.stdin.take());
        let _ = self.leader.wait();
    }
}

/// Sends each line of an output.
fn hand_on(output: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Output after the test must be read, too.
            let _ = sender.send(line);
        }
    });
}

/// A process as `ps` lists it.
struct Process {
    id: u32,
    parent: u32,
    state: String,
    program: String,
}

fn processes() -> Vec<Process> {
    let listed = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid=,stat=,comm="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&listed.stdout);
    let process = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Process {
            id: words.next()?.parse().ok()?,
            parent: words.next()?.parse().ok()?,
            state: words.next()?.to_owned(),
            program: words.collect::<Vec<_>>().join(" "),
        })
    };
    text.lines().filter_map(process).collect()
}

/// All descendants of `ancestor`.
fn started_by(ancestor: u32) -> Vec<Process> {
    let mut family = vec![ancestor];
    let mut others = processes();
    let mut found = Vec::new();
    loop {
        let (children, rest): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|process| family.contains(&process.parent));
        if children.is_empty() {
            return found;
        }
        family.extend(children.iter().map(|child| child.id));
        found.extend(children);
        others = rest;
    }
}

/// Runs a line of the shell and reads what `curl -i` printed.
fn receipt(line: &str) -> Reply {
    let output = Command::new("sh")
        .args(["-c", line.trim()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{line}: {text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Reply {
        status: status.parse().unwrap(),
        fields: lines.map(field).collect(),
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_start_ends_with_a_command_that_works_and_ctrl_c_leaves_nothing_behind() {
    let mut started = Started::new("ends");
    let (group, demo) = started.ready();
    let curl = started.line(|line| line.trim_start().starts_with("curl "));
    assert_eq!(started.rest(), [""; 0], "the command is not the last line");
    let job = Job::of(started.address, &receipt(&curl));
    job.until_status("succeeded").await;

    let family = started_by(started.leader.id());
    for program in ["node", "workerd"] {
        let runs = |process: &Process| process.program.contains(program);
        assert!(family.iter().any(runs), "{program} does not run");
    }
    for address in [started.address, demo] {
        assert!(TcpStream::connect(address).is_ok(), "{address} is closed");
    }
    // As a terminal does: to the whole foreground group.
    signal(&format!("-{group}"), "INT");
    let status = started.end();
    assert!(status.success(), "Ctrl-C is not a failure: {status}");
    for address in [started.address, demo] {
        assert!(TcpStream::connect(address).is_err(), "{address} is open");
    }
    let left: Vec<_> = processes()
        .into_iter()
        .filter(|process| family.iter().any(|member| member.id == process.id))
        // A zombie has ended.
        .filter(|process| !process.state.starts_with('Z'))
        .map(|process| format!("{} {}", process.id, process.program))
        .collect();
    assert_eq!(left, [""; 0], "processes that are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_lets_running_attempts_end() {
    let mut started = Started::new("gently");
    let (group, _) = started.ready();
    started.report(7).await;
    signal(&format!("-{group}"), "INT");
    started.line(|line| line.contains("Waiting up to 10 s for 1 attempt to end"));
    // The demo origin logs a cut-off request as "client gone".
    started.line(|line| line.contains("/reports?seconds=7 -> 200"));
    assert!(started.end().success());
    let said = started.rest();
    assert!(!said.iter().any(|line| line.contains("Cut")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_does_not_wait_and_reports_what_it_cut() {
    let mut started = Started::new("at-once");
    let (group, _) = started.ready();
    started.report(600).await;
    signal(&format!("-{group}"), "INT");
    started.line(|line| line.contains("Waiting up to 10 s for 1 attempt to end"));
    // A signal that follows immediately counts as npm's duplicate of the first.
    tokio::time::sleep(SILENCE).await;
    signal(&format!("-{group}"), "INT");
    started.line(|line| line.contains("Cut 1 attempt:"));
    assert!(started.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_start_keeps_its_state_and_its_last_valid_configuration() {
    let started = Started::new("keeps");
    started.ready();
    let second = Command::new("npm")
        .args(["start", "--", "--port", "1", "--state"])
        .arg(started.directory.join("state"))
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("uses the state in"), "{second:?}");

    let file = started.directory.join("wrangler.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("attempts = 5", "attempts = 0")).unwrap();
    started.line(|line| line.contains("rules[flaky].attempts: found 0"));
    let send = async |target| Request::post(target).send(started.address).await.status;
    assert_eq!(send("/reports").await, 202);

    let other = good.replace("\"/reports\"", "\"/papers\"");
    std::fs::write(&file, other).unwrap();
    started.line(|line| line.contains("wrangler.toml was saved"));
    let start = Instant::now();
    // The runtime is not available for a moment.
    while Request::post("/papers")
        .try_send(started.address)
        .await
        .is_ok_and(|reply| reply.status != 202)
    {
        assert!(start.elapsed() < END_MAX, "the new rule is not used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The total size of these files, each gzipped.
fn gzipped(files: &[PathBuf]) -> u64 {
    const WEIGH: &str = "process.argv.slice(1).reduce((sum, file) => \
        sum + zlib.gzipSync(fs.readFileSync(file)).length, 0)";
    let output = Command::new(node())
        .args(["-p", WEIGH])
        .args(files)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn a_dry_run_of_deploy_writes_a_bundle_within_the_size_limit() {
    let name = format!("raincheck-deploy-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let text = std::fs::read_to_string(repository().join("wrangler.toml")).unwrap();
    // A deployed Worker cannot reach the demo origin; and the bundle is built before.
    let text = text.replace("http://127.0.0.1:8788", "https://api.example.com");
    let (before, build) = text.split_once("[build]\n").unwrap();
    let (_, after) = build.split_once("\n\n").unwrap();
    let file = directory.join("wrangler.toml");
    std::fs::write(&file, format!("{before}{after}")).unwrap();
    let bundle = directory.join("dist");
    let output = Command::new("npm")
        .args(["run", "deploy", "--", "--dry-run", "--config"])
        .arg(&file)
        .current_dir(repository())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("--dry-run: exiting now."), "{said}");
    let files = ["index.js", "index_bg.wasm"].map(|name| bundle.join(name));
    for file in &files {
        assert!(file.is_file(), "{} is missing", file.display());
    }
    let weight = gzipped(&files);
    assert!((1..=BUNDLE_MAX).contains(&weight), "{weight} bytes gzipped");
    assert!(imports_only(&files[0], "./index_bg.wasm"));
    std::fs::remove_dir_all(directory).unwrap();
}

/// Whether a module imports only that file and modules of the runtime.
fn imports_only(module: &Path, file: &str) -> bool {
    let text = std::fs::read_to_string(module).unwrap();
    let imports = text
        .split("from\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let imports: Vec<_> = imports
        .filter(|name| !name.starts_with("cloudflare:"))
        .collect();
    imports == [file]
}
