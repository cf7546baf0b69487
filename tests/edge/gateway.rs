//! A gateway for tests: `wrangler dev` on a free port, with its own state, its own configuration
//! and nothing left behind.
//!
//! Node and workerd run in one process group under `leader.mjs`, which waits for the end of its
//! input. That input is a pipe from this process, so the group dies with the test run in every case,
//! be it a panic, Ctrl-C or SIGKILL: an orphaned workerd would continue to fire alarms.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Reply, Request};
use crate::origin::Origin;
use crate::rules;

/// The file that takes the output of node and workerd.
const LOG: &str = "wrangler.log";

/// The name of the additional Worker, for bindings.
pub const BESIDE: &str = "beside";

/// Its configuration.
const BESIDE_CONFIGURATION: &str = "beside.json";

/// Longest time until the gateway responds. It takes about four seconds on an idle machine.
const READY_MAX: Duration = Duration::from_mins(2);

/// How much of the log a failing test shows.
const LOG_LINES_SHOWN: usize = 60;

/// Keeps wrangler from talking to the internet and to a terminal, and from keeping a trace of every
/// request, which costs more than the requests.
const QUIET: [(&str, &str); 6] = [
    ("WRANGLER_SEND_METRICS", "false"),
    ("WRANGLER_SEND_ERROR_REPORTS", "false"),
    ("CLOUDFLARE_CF_FETCH_ENABLED", "false"),
    ("CI", "1"),
    ("NO_COLOR", "1"),
    ("X_LOCAL_OBSERVABILITY", "false"),
];

/// How a gateway differs from the usual one.
#[derive(Default)]
pub struct Setup {
    /// Changes the Worker's configuration.
    pub change: Option<fn(&mut Value)>,
    /// The module of an additional Worker, which is called [`BESIDE`].
    pub beside: Option<&'static str>,
    /// The command that runs node, with its first arguments.
    pub under: Vec<String>,
}

/// A running gateway.
pub struct Gateway {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    directory: PathBuf,
    leader: Option<Child>,
    under: Vec<String>,
}

impl Gateway {
    /// Starts a gateway with `configuration`, the lines below `[vars.RAINCHECK]`, and waits
    /// until it responds.
    pub fn start(configuration: &str) -> Self {
        Self::start_as(configuration, Setup::default())
    }

    /// As [`start`](Self::start), but set up differently.
    pub fn start_as(configuration: &str, setup: Setup) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("raincheck-edge-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let mut wrangler = wrangler_configuration(configuration);
        if let Some(change) = setup.change {
            change(&mut wrangler);
        }
        fs::write(directory.join("wrangler.json"), wrangler.to_string()).unwrap();
        if let Some(module) = setup.beside {
            let beside = json!({
                "name": BESIDE,
                "main": repository().join(module),
                "compatibility_date": wrangler["compatibility_date"],
                // wrangler's wrapper would turn an exception into a response.
                "no_bundle": true,
            });
            fs::write(directory.join(BESIDE_CONFIGURATION), beside.to_string()).unwrap();
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        show_log_on_panic(directory.join(LOG));
        let mut gateway = Self {
            address,
            directory,
            leader: None,
            under: setup.under,
        };
        gateway.restart_on_same_state();
        gateway
    }

    /// The gateway that the tests of one run share, in front of the shared origin.
    pub fn shared() -> &'static Self {
        static GATEWAY: OnceLock<Gateway> = OnceLock::new();
        GATEWAY.get_or_init(|| Self::start(&rules::shared(Origin::shared())))
    }

    /// A gateway that pages of another web origin may call, in front of the shared origin.
    pub fn for_pages() -> &'static Self {
        static GATEWAY: OnceLock<Gateway> = OnceLock::new();
        GATEWAY.get_or_init(|| Self::start(&rules::for_pages(Origin::shared())))
    }

    /// Starts the processes again with the state on disk, on the same port.
    pub fn restart_on_same_state(&mut self) {
        if self.address.port() == 0 {
            self.address = TcpListener::bind(self.address)
                .unwrap()
                .local_addr()
                .unwrap();
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let wrangler = program(
            "RAINCHECK_WRANGLER",
            "node_modules/wrangler/bin/wrangler.js",
        );
        let mut command = Command::new(node());
        command.arg(repository().join("tests/edge/leader.mjs"));
        command.arg(&self.directory).args(&self.under);
        command.arg(node()).arg(wrangler);
        command.args(["dev", "--config", "wrangler.json", "--persist-to", "state"]);
        if self.directory.join(BESIDE_CONFIGURATION).exists() {
            command.args(["--config", BESIDE_CONFIGURATION]);
        }
        command.args(["--ip", "127.0.0.1", "--port"]);
        command.arg(self.address.port().to_string());
        command.args(["--inspector-port", "0"]);
        command.arg("--show-interactive-dev-session=false");
        command.envs(QUIET).current_dir(&self.directory);
        command.stdin(Stdio::piped());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command.process_group(0);
        self.leader = Some(command.spawn().unwrap());
        self.await_ready();
    }

    /// Kills the processes and starts them again with another configuration, on the same state.
    pub fn restart_configured(&mut self, configuration: &str) {
        self.kill_hard();
        let path = self.directory.join("wrangler.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut wrangler: Value = serde_json::from_str(&text).unwrap();
        wrangler["vars"]["RAINCHECK"] = configured(configuration);
        fs::write(path, wrangler.to_string()).unwrap();
        self.restart_on_same_state();
    }

    /// Waits until something responds on the port.
    fn await_ready(&mut self) {
        let start = Instant::now();
        let address = self.address;
        // In a separate thread, because the caller may be inside a runtime.
        let answered = || {
            let ask = move || block_on(Request::get("/jobs/ready").try_send(address));
            std::thread::spawn(ask).join().unwrap().is_ok()
        };
        while !answered() {
            let ended = self
                .leader
                .as_mut()
                .is_none_or(|it| it.try_wait().unwrap().is_some());
            assert!(!ended, "the gateway ended:\n{}", self.log());
            assert!(
                start.elapsed() < READY_MAX,
                "the gateway did not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: Request) -> Reply {
        request.send(self.address).await
    }

    /// Kills node and workerd at once (SIGKILL), as a machine does that loses power.
    pub fn kill_hard(&mut self) {
        if let Some(mut leader) = self.leader.take() {
            // The leader is killed first, because it would delete the state.
            let group = self.group();
            signal(&leader.id().to_string(), "KILL");
            signal(&format!("-{group}"), "KILL");
            let _ = leader.wait();
        }
    }

    /// Sends a signal (`STOP`, `CONT`) to node and workerd.
    pub fn signal(&self, name: &str) {
        signal(&format!("-{}", self.group()), name);
    }

    /// What node and workerd have printed since the first start.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The directory of its state.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join(LOG)
    }

    /// The process group of the latest start, which the leader notes in the log.
    fn group(&self) -> u32 {
        let log = self.log();
        let last = log
            .rsplit("leader: group ")
            .next()
            .and_then(|rest| rest.lines().next());
        last.and_then(|number| number.trim().parse().ok())
            .expect("the leader has started")
    }

    /// The ids of node's and workerd's processes.
    pub fn processes(&self) -> Vec<u32> {
        let group = self.group();
        let listed = Command::new("ps")
            .args(["-A", "-o", "pid=,pgid="])
            .output()
            .unwrap();
        String::from_utf8_lossy(&listed.stdout)
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .filter(|(_, of)| of.trim().parse() == Ok(group))
            .filter_map(|(process, _)| process.parse().ok())
            .collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill_hard();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Lets every failing test of this process print the end of the log.
fn show_log_on_panic(log: PathBuf) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        let text = fs::read_to_string(&log).unwrap_or_default();
        // A line for every request would hide what matters.
        let telling = |line: &&str| !line.starts_with("[wrangler:info]");
        let lines: Vec<&str> = text.lines().filter(telling).collect();
        let shown = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
        eprintln!("--- end of {} ---\n{shown}", log.display());
    }));
}

/// Runs a future on a new runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Sends a signal to a process or, with a minus before its id, to a group.
pub fn signal(process: &str, name: &str) {
    let _ = Command::new("kill")
        .args(["-s", name, "--", process])
        .stderr(Stdio::null())
        .status();
}

/// The root of the project.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Node that is new enough for wrangler.
pub fn node() -> PathBuf {
    program("RAINCHECK_NODE", "node_modules/.bin/node")
}

/// A program named by the environment, or else the repository's own.
fn program(variable: &str, path: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| repository().join(path), PathBuf::from)
}

/// Puts `faulty.mjs` between the Worker and the platform.
pub fn with_faulty_platform(wrangler: &mut Value) {
    with_main(wrangler, "tests/edge/faulty.mjs");
}

/// Runs another Worker.
pub fn with_main(wrangler: &mut Value, main: &str) {
    wrangler["main"] = json!(repository().join(main));
    // The built Worker is already one module; these may import it.
    if let Some(table) = wrangler.as_object_mut() {
        table.remove("no_bundle");
        table.remove("rules");
    }
}

/// The value of the variable `RAINCHECK`: these lines of TOML as tables or, for tests of invalid
/// configurations, as plain text.
fn configured(lines: &str) -> Value {
    toml::from_str(lines).unwrap_or_else(|_| json!(lines))
}

/// The project's wrangler.toml as JSON, with the test's rules and no build step.
fn wrangler_configuration(configuration: &str) -> Value {
    let text = fs::read_to_string(repository().join("wrangler.toml")).unwrap();
    let mut wrangler: Value = toml::from_str(&text).unwrap();
    let main = repository().join(wrangler["main"].as_str().unwrap());
    assert!(
        main.exists(),
        "{} is missing: npm run build makes it",
        main.display()
    );
    wrangler["main"] = json!(main);
    wrangler["vars"]["RAINCHECK"] = configured(configuration);
    wrangler["vars"]["LOCAL_CONSUMER"] = json!("detached");
    if let Some(table) = wrangler.as_object_mut() {
        table.remove("build");
    }
    wrangler
}
