//! `raincheck`: what the npm commands ask about wrangler.toml.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to the person who runs it"
)]

mod behind;
mod check;
mod local;
mod resources;

use std::process::ExitCode;

use toml::Table;

use check::{Report, Scope, check};
use local::local;
use resources::resources;

const HELP: &str = "\
Usage: raincheck check [--env NAME] [--deploy] [FILE]
       raincheck local --origin URL [FILE]
       raincheck resources [FILE]

check looks at FILE (wrangler.toml by default): the configuration in the variable RAINCHECK and the
bindings that the Worker needs, at the top level and in every environment. It prints one line per
rule and ends with 0, or prints every mistake and ends with 1.

  --env NAME    only this environment; \"\" is the top level
  --deploy      refuse an origin that a deployed Worker cannot reach

local prints what `npm start` needs, as JSON: the mount, and the configuration of the top level with
another origin in it, or null when the origin is this one already.

resources prints the names of the queues and buckets that FILE mentions, as JSON.

docs/configuration.md describes every field of the configuration.
";
const DEFAULT_FILE: &str = "wrangler.toml";
/// The status for arguments that make no sense.
const USAGE: u8 = 2;

enum Command<'a> {
    Help,
    Check(Scope<'a>, &'a str),
    Local { origin: &'a str, file: &'a str },
    Resources(&'a str),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (file, done) = match command(&args) {
        None => {
            eprint!("{HELP}");
            return ExitCode::from(USAGE);
        }
        Some(Command::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(Command::Check(scope, file)) => (file, run_check(file, scope)),
        Some(Command::Local { origin, file }) => (file, run_local(file, origin)),
        Some(Command::Resources(file)) => {
            (file, read(file).map(|wrangler| vec![resources(&wrangler)]))
        }
    };
    match done {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("{file}: {mistake}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Understands the arguments, or does not.
fn command<'a>(args: &[&'a str]) -> Option<Command<'a>> {
    let mut rest = args.iter().copied();
    let name = rest.next()?;
    let (mut environment, mut deploy, mut origin, mut file) = (None, false, None, None);
    while let Some(arg) = rest.next() {
        match (name, arg) {
            (_, "-h" | "--help") => return Some(Command::Help),
            ("check", "--env") if environment.is_none() => environment = Some(rest.next()?),
            ("check", "--deploy") => deploy = true,
            ("local", "--origin") if origin.is_none() => origin = Some(rest.next()?),
            (_, path) if file.is_none() && !path.starts_with('-') => file = Some(path),
            _ => return None,
        }
    }
    let path = file.unwrap_or(DEFAULT_FILE);
    match name {
        "-h" | "--help" | "help" => Some(Command::Help),
        "check" => {
            let scope = Scope {
                environment,
                deploy,
            };
            Some(Command::Check(scope, path))
        }
        "local" => Some(Command::Local {
            origin: origin?,
            file: path,
        }),
        "resources" => Some(Command::Resources(path)),
        _ => None,
    }
}

fn run_check(file: &str, scope: Scope<'_>) -> Result<Vec<String>, Vec<String>> {
    let report = check(&read(file)?, scope);
    if report.mistakes.is_empty() {
        let lines = report.lines.iter();
        Ok(lines.map(|line| format!("{file}: {line}")).collect())
    } else {
        Err(mistakes(&report))
    }
}

fn run_local(file: &str, origin: &str) -> Result<Vec<String>, Vec<String>> {
    let answer = local(&read(file)?, origin);
    answer
        .map(|line| vec![line])
        .map_err(|report| mistakes(&report))
}

fn read(file: &str) -> Result<Table, Vec<String>> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| vec![format!("cannot be read: {error}")])?;
    text.parse::<Table>()
        .map_err(|error| vec![error.to_string()])
}

fn mistakes(report: &Report) -> Vec<String> {
    report.mistakes.iter().map(ToString::to_string).collect()
}
