//! `raincheck check`, run as a command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "support/command.rs"]
mod command;

use std::process::Output;

use command::{GOOD, run, stderr, with_configuration, with_production};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one change between a good file and a bad one, and what is said about it.
#[track_caller]
fn refused(test: &str, content: &str, expected: &str) {
    let output = run(test, content, &["check"]);
    assert_eq!(stderr(&output), format!("{expected}\n"));
    assert_eq!(stdout(&output), "");
    assert_eq!(output.status.code(), Some(1));
}

#[track_caller]
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "wrangler.toml has changed: {from}");
    GOOD.replace(from, to)
}

const SMALL: &str = "[vars]\nRAINCHECK = '''\norigin = 'https://h'\n[[rules]]\nname = 'never'\nmethods = ['*']\n\
    path = '/health'\ndefer = 'never'\n[[rules]]\nname = 'slow'\npath = '/{*rest}'\n'''\n";

#[test]
fn the_projects_own_configuration_is_in_order() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/wrangler.toml");
    let output = run("own", "", &["check", file]);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_good_file_gets_one_line_per_rule() {
    let output = run("good", &with_configuration(SMALL), &["check"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(
        stdout(&output),
        "wrangler.toml: 2 rules, to https://h, jobs under /jobs\n\
         wrangler.toml: never: * /health: passed through\n\
         wrangler.toml: slow: POST /{*rest}: always, priority normal, at most 5 attempts of 10m, deadline 1h, kept for 1d\n"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn every_mistake_in_the_configuration_is_named() {
    let text = SMALL.replace("name = 'slow'", "name = 'slow'\nattempts = 0\ndefer = 1");
    refused(
        "configuration",
        &with_configuration(&text),
        "wrangler.toml: vars.RAINCHECK: rules[slow].defer: found 1; allowed: \"always\", \"preferred\", \"never\"\n\
         wrangler.toml: vars.RAINCHECK: rules[slow].attempts: found 0; allowed: a whole number from 1 to 100",
    );
}

#[test]
fn a_configuration_that_is_absent_or_no_text_is_named() {
    const NEEDED: &str = "the configuration as one text between '''";
    refused(
        "absent",
        &with_configuration("[vars]"),
        &format!("wrangler.toml: vars.RAINCHECK: found nothing; allowed: {NEEDED}"),
    );
    refused(
        "table",
        &with_configuration("[vars.RAINCHECK]\norigin = 'https://h'"),
        &format!("wrangler.toml: vars.RAINCHECK: found no text; allowed: {NEEDED}"),
    );
}

#[test]
fn a_configuration_that_cloudflare_would_not_take_is_refused() {
    // TOML drops the line break after the opening quotes.
    let length = SMALL.split("'''").nth(1).unwrap().len() - 1;
    let padded = |to: usize| {
        let comment = format!("#{}\n", "x".repeat(to - length - 2));
        with_configuration(&SMALL.replacen("'''\n", &format!("'''\n{comment}"), 1))
    };
    let output = run("fitting", &padded(5120), &["check"]);
    assert_eq!(stderr(&output), "");
    refused(
        "long",
        &padded(5121),
        "wrangler.toml: vars.RAINCHECK: found a text of 5121 bytes; allowed: 5120 bytes, which is all that Cloudflare takes",
    );
}

#[test]
fn missing_bindings_are_named() {
    let cases = [
        (
            changed("name = \"SHARDS\"", "name = \"SHARD\""),
            "durable_objects.bindings: found none named \"SHARDS\"; allowed: { name = \"SHARDS\", class_name = \"ShardObject\" } among them",
        ),
        (
            changed("class_name = \"ShardObject\"", "class_name = \"Shard\""),
            "durable_objects.bindings: found \"SHARDS\" of the class \"Shard\"; allowed: { name = \"SHARDS\", class_name = \"ShardObject\" } among them",
        ),
        (
            changed("new_sqlite_classes", "new_classes"),
            "migrations: found no SQLite class \"ShardObject\"; allowed: one with new_sqlite_classes = [\"ShardObject\"]",
        ),
        (
            changed("binding = \"BUCKET\"", "binding = \"BODIES\""),
            "r2_buckets: found none bound as \"BUCKET\"; allowed: one with binding = \"BUCKET\"",
        ),
        (
            changed("binding = \"QUEUE_LOW\"", "binding = \"QUEUE\""),
            "queues.producers: found none bound as \"QUEUE_LOW\"; allowed: one with binding = \"QUEUE_LOW\"",
        ),
        (
            changed("queue = \"raincheck-low\"", "queue = \"raincheck-high\""),
            "queues.producers: found \"raincheck-high\" for \"QUEUE_LOW\" and another priority; allowed: a queue for each priority",
        ),
        (
            changed(
                "binding = \"QUEUE_HIGH\"\nqueue = \"raincheck-high\"",
                "binding = \"QUEUE_HIGH\"\nqueue = \"urgent\"",
            ),
            "queues.consumers: found none for \"urgent\"; allowed: one with queue = \"urgent\"",
        ),
        (
            changed("raincheck-low\"", "raincheck-low-dead\""),
            "queues.consumers: found \"raincheck-low-dead\" for \"QUEUE_LOW\"; allowed: a name without \"-dead\", which means dead letters",
        ),
        (
            changed("\nqueue = \"raincheck-dead\"", "\nqueue = \"other\""),
            "queues.consumers: found none for \"raincheck-dead\"; allowed: one with queue = \"raincheck-dead\"",
        ),
    ];
    for (number, (text, expected)) in cases.iter().enumerate() {
        refused(
            &format!("binding-{number}"),
            text,
            &format!("wrangler.toml: {expected}"),
        );
    }
}

#[test]
fn a_queue_whose_messages_would_be_deleted_is_refused() {
    const NEEDED: &str = "a dead_letter_queue whose name ends with \"-dead\"";
    let lines = ["high", "normal", "low"].map(|name| {
        format!("wrangler.toml: queues.consumers: found \"raincheck-{name}\" with dead_letter_queue = \"\"; allowed: {NEEDED}")
    });
    refused(
        "letters",
        &changed("dead_letter_queue = \"raincheck-dead\"\n", ""),
        &lines.join("\n"),
    );
}

#[test]
fn the_dead_letter_queue_may_have_any_name_with_that_end() {
    let text = changed("raincheck-dead", "staging-dead");
    let output = run("staging", &text, &["check"]);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_service_origin_needs_its_binding() {
    let service = SMALL.replace("'https://h'", "{ service = true }");
    refused(
        "service",
        &with_configuration(&service),
        "wrangler.toml: services: found none bound as \"ORIGIN\"; allowed: one with binding = \"ORIGIN\", because the origin is a service",
    );
    let bound = format!(
        "{}\n[[services]]\nbinding = \"ORIGIN\"\nservice = \"api\"\n",
        with_configuration(&service)
    );
    let output = run("bound", &bound, &["check"]);
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains("2 rules, to the service binding"));
}

#[test]
fn every_environment_must_be_complete_but_inherits_migrations() {
    let text = format!(
        "{}\n[env.staging.vars]\nRAINCHECK = '''\norigin = 'https://h'\nshards = 0\n'''\n",
        with_configuration(SMALL)
    );
    let output = run("environment", &text, &["check"]);
    let said = stderr(&output);
    let fields: Vec<&str> = said
        .lines()
        .map(|line| {
            line.strip_prefix("wrangler.toml: env.staging.")
                .expect(line)
        })
        .map(|line| line.split(": found").next().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "vars.RAINCHECK: shards",
            "durable_objects.bindings",
            "r2_buckets",
            "queues.producers",
            "queues.producers",
            "queues.producers",
        ]
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_environment_that_is_deployed_is_the_one_whose_origin_counts() {
    let deploy = |test: &str, origin: &str, environment: &str| {
        let args = ["check", "--deploy", "--env", environment];
        run(test, &with_production(&format!("origin = {origin}")), &args)
    };
    let good = deploy("deploy-good", "'https://h'", "production");
    assert_eq!(stderr(&good), "");
    assert_eq!(
        stdout(&good),
        "wrangler.toml: env.production.no rules, everything passes through, to https://h, jobs under /jobs\n"
    );
    let top = deploy("deploy-top", "'https://h'", "");
    assert_eq!(
        stderr(&top),
        "wrangler.toml: vars.RAINCHECK: origin: found \"http://127.0.0.1:8788\"; allowed: the address of \
         your API; a deployed Worker cannot reach this machine\n"
    );
    for (number, origin) in [
        "'http://127.0.0.1:8788'",
        "'http://localhost/base'",
        "'https://api.localhost:1'",
        "'http://[::1]:8788'",
        "{ url = 'http://127.3.2.1' } # the API",
    ]
    .iter()
    .enumerate()
    {
        let output = deploy(&format!("deploy-{number}"), origin, "production");
        let said = stderr(&output);
        let start = "wrangler.toml: env.production.vars.RAINCHECK: origin: found \"http";
        assert!(said.starts_with(start), "{origin}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_check_before_a_dry_run_takes_any_origin_but_looks_at_one_environment_only() {
    let text = with_production("origin = 'http://127.0.0.1:8788'");
    let output = run("dry", &text, &["check", "--env", "production"]);
    assert_eq!(stderr(&output), "");
    let broken = text.replace(
        "[env.production.vars]\nRAINCHECK",
        "[env.production.vars]\nOTHER",
    );
    let output = run("dry-top", &broken, &["check", "--env", ""]);
    assert_eq!(stderr(&output), "");
    let output = run("dry-broken", &broken, &["check", "--env", "production"]);
    assert!(stderr(&output).starts_with("wrangler.toml: env.production.vars.RAINCHECK: "));
}

#[test]
fn an_environment_that_is_not_there_is_named_with_those_that_are() {
    let text = with_production("'https://h'");
    let output = run("unknown", &text, &["check", "--env", "prodution"]);
    assert_eq!(
        stderr(&output),
        "wrangler.toml: env: found no \"prodution\"; allowed: \"production\"\n"
    );
    let output = run("none", GOOD, &["check", "--env", "production"]);
    assert_eq!(
        stderr(&output),
        "wrangler.toml: env: found no \"production\"; allowed: none, the file has no environment\n"
    );
}

#[test]
fn the_consumer_for_local_runs_is_refused_in_a_deployment() {
    let text = changed("[vars]\n", "[vars]\nRAINCHECK_CONSUMER = \"detached\"\n");
    refused(
        "consumer",
        &text,
        "wrangler.toml: vars.RAINCHECK_CONSUMER: found \"detached\"; allowed: nothing; it is for local runs \
         and stands in .dev.vars",
    );
}

#[test]
fn the_command_looks_for_the_names_that_the_worker_uses() {
    const COMMAND: &str = concat!(
        include_str!("../src/bin/raincheck/check.rs"),
        include_str!("../src/bin/raincheck/behind.rs")
    );
    const WORKER: &str = include_str!("../src/edge/bindings.rs");
    for name in [
        "RAINCHECK",
        "RAINCHECK_CONSUMER",
        "SHARDS",
        "BUCKET",
        "ORIGIN",
        "QUEUE_HIGH",
        "QUEUE_NORMAL",
        "QUEUE_LOW",
    ] {
        let quoted = format!("\"{name}\"");
        assert!(
            COMMAND.contains(&quoted),
            "the command does not know {name}"
        );
        assert!(WORKER.contains(&quoted), "the Worker does not know {name}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let output = run("unreadable", "", &["check", "absent.toml"]);
    assert!(stderr(&output).starts_with("absent.toml: cannot be read: "));
    assert_eq!(output.status.code(), Some(1));
    let output = run("syntax", "name =", &["check"]);
    assert!(stderr(&output).starts_with("wrangler.toml: TOML parse error at line 1"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn help_is_given_when_asked_for_and_when_needed() {
    for args in [&["--help"][..], &["check", "--help"], &["local", "--help"]] {
        let output = run("help", "", args);
        assert!(stdout(&output).starts_with("Usage: raincheck check "));
        assert_eq!(output.status.code(), Some(0));
    }
    for args in [
        &[][..],
        &["chekc"],
        &["check", "--fix"],
        &["check", "a", "b"],
        &["check", "--env"],
        &["check", "--origin", "https://h"],
        &["local"],
        &["local", "--origin"],
        &["local", "--deploy", "--origin", "https://h"],
    ] {
        let output = run("usage", "", args);
        assert!(stderr(&output).starts_with("Usage: "), "{args:?}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
