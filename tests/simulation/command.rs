//! The command line of `npm run simulate`.

use std::process::ExitCode;
use std::time::Instant;

use super::campaign::{Campaign, campaign, scenario};
use super::check::unseen;
use super::exhaustive::{Scope, search};
use super::fault::Fault;
use super::run::try_run;
use super::shrink::shrink;
use super::world::Scenario;

const HELP: &str = "\
npm run simulate [-- OPTIONS]: runs seeded histories of a whole world and checks every invariant.

  --histories N   how many, from the seed on (default 10000)
  --seed S        the first seed (default 1)
  --threads T     how many at a time (default: one for each core)
  --help          this text

One history again, exactly as it was:

  --seed S --clients C --operations O --faults all|none|NAME,NAME,…
  --show          print it even if it breaks nothing

Every history of one job and two workers:

  --exhaustive F  with at most F faults (2 takes seconds, 3 minutes)
";

/// With fewer histories, nothing is reported about what was not seen.
const ENOUGH: u64 = 5_000;

#[derive(Default)]
struct Options {
    seed: Option<u64>,
    histories: Option<u64>,
    threads: Option<usize>,
    clients: Option<u32>,
    operations: Option<u32>,
    faults: Option<u64>,
    show: bool,
    exhaustive: Option<usize>,
}

/// Runs the command.
pub fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some(faults) = options.exhaustive {
        return exhaust(faults);
    }
    let seed = options.seed.unwrap_or(1);
    let single = options.clients.is_some()
        || options.operations.is_some()
        || options.faults.is_some()
        || options.show;
    if single {
        let drawn = scenario(seed);
        return one(
            &Scenario {
                seed,
                clients: options.clients.unwrap_or(drawn.clients),
                operations: options.operations.unwrap_or(drawn.operations),
                faults: options.faults.unwrap_or(drawn.faults),
            },
            options.show,
        );
    }
    many(seed, &options)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value."));
        let bad = |text: &str| format!("{word} does not take {text:?}.");
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--show" => options.show = true,
            "--exhaustive" => options.exhaustive = Some(number(&value()?, bad)?),
            "--seed" => options.seed = Some(number(&value()?, bad)?),
            "--histories" => options.histories = Some(number(&value()?, bad)?),
            "--threads" => options.threads = Some(number(&value()?, bad)?),
            "--clients" => options.clients = Some(number(&value()?, bad)?),
            "--operations" => options.operations = Some(number(&value()?, bad)?),
            "--faults" => {
                let text = value()?;
                options.faults = Some(Fault::parse(&text).ok_or_else(|| bad(&text))?);
            }
            other => return Err(format!("{other:?} is no option.")),
        }
    }
    Ok(Some(options))
}

fn number<T: std::str::FromStr>(text: &str, bad: impl Fn(&str) -> String) -> Result<T, String> {
    text.parse().map_err(|_| bad(text))
}

/// Runs both exhaustive searches concurrently: where repeating is safe, and where it is not.
fn exhaust(faults: usize) -> ExitCode {
    let start = Instant::now();
    let both = std::thread::scope(|scope| {
        let searches = [false, true].map(|repeatable| {
            let what = Scope {
                faults,
                repeatable,
                once: true,
            };
            scope.spawn(move || search(what))
        });
        searches.map(|thread| thread.join().expect("a search does not panic"))
    });
    for (what, done) in ["no repeating", "repeating is safe"].iter().zip(&both) {
        println!("{what}: {done}, {:.1} s", start.elapsed().as_secs_f64());
        let Some((history, violations)) = &done.broken else {
            continue;
        };
        for entry in history {
            println!("{entry}");
        }
        for violation in violations {
            println!("  {}: {}", violation.rule, violation.text);
        }
        return ExitCode::FAILURE;
    }
    println!("no violation");
    ExitCode::SUCCESS
}

fn many(seed: u64, options: &Options) -> ExitCode {
    let histories = options.histories.unwrap_or(10_000);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.threads.unwrap_or(cores).max(1);
    let start = Instant::now();
    let rate = |done: u64| {
        let secs = start.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second = done as f64 / secs;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_core = per_second / threads as f64;
        format!("{secs:.1} s, {per_second:.0} histories/s, {per_core:.0} per core")
    };
    let done = campaign(seed, histories, threads, |done| {
        println!("  {done} of {histories} histories, {}", rate(done));
    });
    println!(
        "{} histories from seed {seed}: {}",
        done.histories,
        rate(done.histories)
    );
    report(&done)
}

/// Prints what a campaign saw and which invariants it broke. Shrinks the first failing history.
pub fn report(done: &Campaign) -> ExitCode {
    let seen: Vec<String> = done
        .tally
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("seen: {}", seen.join(", "));
    for (scenario, violations) in &done.failures {
        println!("{}", command(scenario));
        for violation in violations.iter().take(5) {
            println!("  {}: {}", violation.rule, violation.text);
        }
    }
    if let Some((scenario, violations)) = done.failures.first() {
        let small = shrink(scenario, violations[0].rule);
        println!("\nThe first one, made smaller:\n");
        return one(&small, true);
    }
    if done.histories >= ENOUGH {
        let missing = unseen(&done.tally, Fault::every());
        if !missing.is_empty() {
            println!(
                "never happened, so nothing was proved about it: {}",
                missing.join(", ")
            );
            return ExitCode::FAILURE;
        }
    }
    println!("no violation");
    ExitCode::SUCCESS
}

/// The command that runs a scenario again.
pub fn command(scenario: &Scenario) -> String {
    format!(
        "npm run simulate -- --seed {} --clients {} --operations {} --faults {}",
        scenario.seed,
        scenario.clients,
        scenario.operations,
        if scenario.faults == Fault::every() {
            "all".to_owned()
        } else {
            Fault::names(scenario.faults)
        }
    )
}

fn one(scenario: &Scenario, show: bool) -> ExitCode {
    let outcome = try_run(scenario);
    if show || !outcome.violations.is_empty() {
        for entry in &outcome.history {
            println!("{entry}");
        }
    }
    println!("{}", command(scenario));
    for violation in &outcome.violations {
        println!("  {}: {}", violation.rule, violation.text);
    }
    if outcome.violations.is_empty() {
        println!("no violation");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
