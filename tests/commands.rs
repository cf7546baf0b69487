//! The commands of package.json, where they need no Worker: their help, the arguments that they reject,
//! and missing prerequisites. Each error is one sentence and a remedy.

#![allow(missing_docs, reason = "a test binary has no interface")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Every command that is a script, and the options that its help has to name.
const COMMANDS: [(&str, &[&str]); 13] = [
    (
        "start",
        &[
            "--port",
            "--origin",
            "--config",
            "--env",
            "--state",
            "--verbose",
        ],
    ),
    ("build", &["--quick", "--verbose"]),
    ("bench", &[]),
    ("check", &["FILE"]),
    ("test", &["--native", "--edge"]),
    ("kill", &["--kills", "--jobs"]),
    ("soak", &[]),
    ("simulate", &["--histories", "--seed"]),
    ("mutants", &["--only", "--list"]),
    ("lint", &["--quick"]),
    ("provision", &["--dry-run", "--config"]),
    ("deploy", &["--dry-run", "--env", "--config"]),
    ("release", &["--version", "--dry-run"]),
];

/// The command that compiles a program before it can respond.
const COMPILES: &str = "simulate";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Node by its path: some tests have a `PATH` without it.
fn node() -> &'static Path {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| {
        let output = Command::new("node")
            .args(["-p", "process.execPath"])
            .output()
            .expect("Node is installed");
        PathBuf::from(text(&output.stdout).trim())
    })
}

fn script(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(node());
    command
        .arg(repository().join("scripts").join(format!("{name}.mjs")))
        .args(args)
        .current_dir(repository())
        .stdin(Stdio::null());
    command
}

/// Runs a command where no program is found, so that a command that begins anyway ends at once. The
/// benchmark alone asks for the length of a clock tick when it is loaded.
fn run(name: &str, args: &[&str]) -> Output {
    let mut command = script(name, args);
    if name != "bench" {
        command.env("PATH", "");
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Asserts that the command prints exactly this, and fails.
#[track_caller]
fn refused(output: &Output, problem: &str, remedy: &str) {
    let said = text(&output.stderr);
    assert_eq!(said, format!("\n\u{2717} {problem}\n  {remedy}\n"));
    assert_eq!(text(&output.stdout), "", "it began before it checked");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn every_command_has_help_that_names_its_options() {
    for (name, options) in COMMANDS {
        if name == COMPILES {
            continue;
        }
        let output = run(name, &["--help"]);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{name}: {output:?}");
        let called = [format!("npm {name}"), format!("npm run {name}")];
        assert!(called.iter().any(|call| said.contains(call)), "{said}");
        for option in options {
            assert!(said.contains(option), "{name} {option}: {said}");
        }
    }
}

#[test]
fn every_command_of_package_json_is_tested_here() {
    let package = fs::read_to_string(repository().join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    for (name, line) in package["scripts"].as_object().unwrap() {
        let line = line.as_str().unwrap();
        let known = COMMANDS.iter().any(|(known, _)| known == name);
        assert!(known || !line.contains("scripts/"), "{name}: {line}");
    }
}

#[test]
fn an_unknown_option_is_rejected_by_name() {
    for (name, _) in COMMANDS.into_iter().filter(|(name, _)| *name != COMPILES) {
        let output = run(name, &["--no-such-option"]);
        let said = text(&output.stderr);
        assert!(said.contains("'--no-such-option'"), "{name}: {said}");
        assert!(said.contains("--help"), "{name}: {said}");
        assert_eq!(text(&output.stdout), "", "{name}");
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

#[test]
fn an_invalid_port_is_rejected() {
    for port in ["0", "65536", "http", "80.5", ""] {
        refused(
            &run("start", &["--port", port]),
            &format!("--port is {port:?}, not a port."),
            "Give a number from 1 to 65535.",
        );
    }
}

#[test]
fn a_port_that_is_in_use_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Another test or a developer may use the default one.
    let state = concat!(env!("CARGO_TARGET_TMPDIR"), "/port-in-use");
    refused(
        &run("start", &["--port", &port.to_string(), "--state", state]),
        &format!("Port {port} is in use."),
        "Stop the program that uses it, or choose another: npm start -- --port 8800",
    );
}

#[test]
fn an_origin_that_is_not_a_url_is_rejected() {
    for origin in ["api.example.com", "ftp://api.example.com", "localhost:3000"] {
        refused(
            &run("start", &["--origin", origin]),
            &format!("--origin is {origin:?}, not a URL."),
            "Give one like https://api.example.com.",
        );
    }
}

#[track_caller]
fn refused_as_a_loop(origin: &str, port: u16, args: &[&str]) {
    refused(
        &run("start", &[&["--origin", origin], args].concat()),
        &format!(
            "--origin is {origin:?}, where Raincheck itself is to listen: each request would come back to it."
        ),
        &format!(
            "Give the address of your API or, if that listens on {port}, another --port to Raincheck."
        ),
    );
}

#[test]
fn an_origin_that_is_raincheck_itself_is_refused() {
    for host in [
        "127.0.0.1",
        "127.1",
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "[::1]",
        "0.0.0.0",
    ] {
        refused_as_a_loop(&format!("http://{host}:8901"), 8901, &["--port", "8901"]);
        refused_as_a_loop(&format!("http://{host}:8787/v1"), 8787, &[]);
    }
    refused_as_a_loop("http://localhost", 80, &["--port", "80"]);
    refused_as_a_loop("https://localhost", 443, &["--port", "443"]);
}

/// A directory of programs, each given by its lines of shell.
fn path_with(test: &str, programs: &[(&str, String)]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    for (name, lines) in programs {
        let file = directory.join(name);
        fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Asserts that with exactly these programs installed, each of which prints one line, every command says what
/// is missing and begins nothing.
#[track_caller]
fn missed(test: &str, programs: &[(&'static str, &str)], problem: &str, remedy: &str) {
    let says = |(name, line): &(&'static str, &str)| (*name, format!("echo '{line}'"));
    let path = path_with(test, &programs.iter().map(says).collect::<Vec<_>>());
    for (name, args) in [
        ("build", vec![]),
        ("check", vec![]),
        ("deploy", vec!["--dry-run"]),
    ] {
        let output = script(name, &args).env("PATH", &path).output().unwrap();
        refused(&output, problem, remedy);
    }
    // A separate state, because another test or a developer may use the default one.
    let state = path.join("state");
    let mut start = script("start", &["--port", &free_port().to_string()]);
    start.arg("--state").arg(state);
    refused(&start.env("PATH", &path).output().unwrap(), problem, remedy);
}

const RUST: (&str, &str) = ("rustc", "rustc 1.999.0 (0 2026-01-01)");
const CARGO: (&str, &str) = ("cargo", "cargo 1.999.0");

#[test]
fn a_missing_rust_is_reported_with_the_place_to_get_it() {
    missed(
        "no-rust",
        &[],
        "Rust is not installed: `cargo --version` does not run.",
        "Install stable Rust from https://rustup.rs, open a new shell and run this again.",
    );
}

#[test]
fn a_rust_that_is_too_old_is_named_with_its_version() {
    missed(
        "old-rust",
        &[CARGO, ("rustc", "rustc 1.60.0 (0 2022-01-01)")],
        &format!(
            "Rust 1.60.0 is too old; {} or newer is needed.",
            env!("CARGO_PKG_RUST_VERSION")
        ),
        "Run: rustup update stable",
    );
}

#[test]
fn a_missing_linker_is_reported_with_the_way_to_install_it() {
    let remedy = if cfg!(target_os = "macos") {
        "Run: xcode-select --install"
    } else {
        "Install one, on Debian or Ubuntu: sudo apt-get install build-essential"
    };
    missed(
        "no-linker",
        &[CARGO, RUST],
        "There is no C compiler `cc`, which Rust needs for linking.",
        remedy,
    );
}

#[test]
fn a_missing_wasm_target_is_reported_if_rustup_is_missing_too() {
    missed(
        "no-target",
        &[CARGO, ("rustc", "/nowhere 1.999.0"), ("cc", "cc 1")],
        "Rust cannot compile for wasm32-unknown-unknown, and there is no rustup to add it.",
        "Install stable Rust from https://rustup.rs, open a new shell and run this again.",
    );
}

const PROVISIONED: &str = "\
npx wrangler queues create raincheck-high
npx wrangler queues create raincheck-normal
npx wrangler queues create raincheck-low
npx wrangler queues create raincheck-dead
npx wrangler r2 bucket create raincheck-bodies
";

#[test]
fn a_dry_run_of_provision_names_the_four_queues_and_the_bucket() {
    let output = script("provision", &["--dry-run"]).output().unwrap();
    assert_eq!(text(&output.stdout), PROVISIONED);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

/// Runs the simulation with a cargo that prints `said` when it builds, and whose program prints `simulated` and
/// exits with that status.
fn run_with_cargo(test: &str, said: &str, status: u8) -> Output {
    let programs = path_with(test, &[("simulation", "echo simulated".to_owned())]);
    let program = programs.join("simulation");
    let build = format!(
        "echo '{said}' >&2; echo '{{\"executable\":\"{}\"}}'; exit {status}",
        program.display()
    );
    let cargo = format!("case $1 in build) {build};; *) echo cargo 1.999.0;; esac");
    let mut path = path_with(&format!("{test}-cargo"), &[("cargo", cargo)]).into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    script("simulate", &[]).env("PATH", path).output().unwrap()
}

#[test]
fn a_command_that_has_nothing_to_build_prints_nothing_about_it() {
    let said = "    Finished `dev` profile [unoptimized + debuginfo] target(s) in 0.10s";
    let output = run_with_cargo("current", said, 0);
    assert_eq!(text(&output.stdout), "simulated\n");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_command_that_has_to_build_says_so_and_shows_progress() {
    let said = "   Compiling serde v1.0.0";
    let output = run_with_cargo("builds", said, 0);
    let printed = text(&output.stdout);
    let begins = "\u{2022} Building the simulation";
    assert!(printed.starts_with(begins), "{printed}");
    assert!(printed.ends_with("simulated\n"), "{printed}");
    assert_eq!(text(&output.stderr), format!("{said}\n"));
}

#[test]
fn a_command_that_waits_for_another_cargo_says_so() {
    let said = "    Blocking waiting for file lock on build directory";
    let output = run_with_cargo("waits", said, 0);
    let printed = text(&output.stdout);
    let begins = "\u{2022} Waiting for another cargo";
    assert!(printed.starts_with(begins), "{printed}");
    assert!(printed.ends_with("simulated\n"), "{printed}");
}

#[test]
fn a_failed_build_ends_the_command_and_shows_the_compiler_output() {
    let said = "error: expected `;`";
    let output = run_with_cargo("fails", said, 101);
    let printed = text(&output.stderr);
    let problem = "\u{2717} Building the simulation failed (101).";
    assert_eq!(
        printed,
        format!("{said}\n\n{problem}\n  See cargo's output above.\n")
    );
    assert_eq!(output.status.code(), Some(1));
}
