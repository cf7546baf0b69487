//! What `check` reports about a wrangler.toml.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail loudly"
)]

#[path = "support/deployment.rs"]
mod deployment;

use raincheck::policy::Key;
use raincheck::policy::deployment::{Scope, answer};
use serde_json::{Value, json};

use deployment::{
    ALL, OWN, changed, mistakes, read, report, warnings, with_configuration, with_production,
};

const SMALL: &str = "origin = 'https://h'\n[[rules]]\nname = 'never'\nmethods = ['*']\n\
    path = '/health'\ndefer = 'never'\n[[rules]]\nname = 'slow'\npath = '/{*rest}'\n";

/// The scope of the check before a deploy of an environment.
const fn deploying(environment: &str) -> Scope<'_> {
    Scope {
        environment: Some(environment),
        deploy: true,
        declared: &[],
    }
}

#[test]
fn the_projects_own_configuration_is_valid() {
    assert_eq!(mistakes(&read(OWN), ALL), "");
}

#[test]
fn a_valid_file_prints_one_line_per_rule() {
    let report = report(&with_configuration(SMALL), ALL);
    assert_eq!(report.mistakes, []);
    assert_eq!(
        report.lines,
        [
            "2 rules, to https://h, jobs under /jobs",
            "never: * /health: passed through",
            "slow: POST /{*rest}: always, priority normal, at most 5 attempts of 10m, deadline 1h, kept for 1d",
        ]
    );
}

#[test]
fn every_mistake_is_reported_with_its_path() {
    let text = SMALL.replace("name = 'slow'", "name = 'slow'\nattempts = 0\ndefer = 1");
    let file = with_configuration(&text);
    assert_eq!(
        mistakes(&file, ALL),
        "vars.RAINCHECK.rules[slow].defer: found 1; allowed: \"always\", \"preferred\", \"never\"\n\
         vars.RAINCHECK.rules[slow].attempts: found 0; allowed: a whole number from 1 to 100",
    );
    let path = &report(&file, ALL).mistakes[1].path;
    let names = |path: &[&str]| path.iter().copied().map(Key::from).collect::<Vec<Key>>();
    let expected = [
        names(&["vars", "RAINCHECK", "rules"]),
        vec![Key::Index(1)],
        names(&["attempts"]),
    ];
    assert_eq!(*path, expected.concat());
}

#[test]
fn a_missing_configuration_and_one_that_is_not_a_table_are_reported() {
    const NEEDED: &str = "allowed: tables, as under [vars.RAINCHECK] and [[vars.RAINCHECK.rules]]";
    let mut file = read(OWN);
    file["vars"] = json!({});
    assert_eq!(
        mistakes(&file, ALL),
        format!("vars.RAINCHECK: found nothing; {NEEDED}")
    );
    file["vars"] = json!({ "RAINCHECK": "origin = 'https://h'" });
    let found = mistakes(&file, ALL);
    let first = format!("vars.RAINCHECK: found a string (not shown); {NEEDED}");
    assert!(found.starts_with(&first), "{found}");
    file["vars"] = json!({ "RAINCHECK": { "origin": "https://h" }, "RAINCHECK_TOKEN": 1 });
    assert_eq!(
        mistakes(&file, ALL),
        format!("vars.RAINCHECK_TOKEN: found no table; {NEEDED}")
    );
}

#[test]
fn mistakes_in_further_variables_name_the_variable() {
    let mut file = with_configuration(SMALL);
    file["vars"]["RAINCHECK_MORE"] =
        json!({ "origin": "https://other", "rules": [{ "name": "x" }] });
    assert_eq!(
        mistakes(&file, ALL),
        "vars.RAINCHECK_MORE.origin: found it in both RAINCHECK and RAINCHECK_MORE; allowed: one of them\n\
         vars.RAINCHECK_MORE.rules[x].path: found nothing; allowed: a path such as \"/reports/{id}\"",
    );
    let path = &report(&file, ALL).mistakes[1].path;
    assert_eq!(
        path[1..4],
        ["RAINCHECK_MORE".into(), "rules".into(), Key::Index(0)]
    );
}

#[test]
fn a_configuration_that_cloudflare_would_reject_is_rejected() {
    let of_length = |length: usize| {
        let configuration = |mount: &str| json!({ "origin": "https://h", "cors_origins": [mount] });
        let bare = configuration("https://").to_string().len();
        let mut file = read(OWN);
        let site = format!("https://{}", "x".repeat(length - bare));
        file["vars"] = json!({ "RAINCHECK": configuration(&site) });
        file
    };
    assert_eq!(mistakes(&of_length(5120), ALL), "");
    assert_eq!(
        mistakes(&of_length(5121), ALL),
        "vars.RAINCHECK: found 5121 bytes as JSON; allowed: 5120 bytes, the most that Cloudflare accepts; \
         further variables, such as RAINCHECK_MORE, may hold more rules",
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
    for (file, expected) in &cases {
        assert_eq!(mistakes(file, ALL), *expected);
    }
}

#[test]
fn a_queue_without_a_dead_letter_queue_is_rejected() {
    const NEEDED: &str = "a dead_letter_queue whose name ends with \"-dead\"";
    let lines = ["high", "normal", "low"].map(|name| {
        format!("queues.consumers: found \"raincheck-{name}\" with dead_letter_queue = \"\"; allowed: {NEEDED}")
    });
    let file = changed("dead_letter_queue = \"raincheck-dead\"\n", "");
    assert_eq!(mistakes(&file, ALL), lines.join("\n"));
}

#[test]
fn the_dead_letter_queue_may_have_any_name_with_the_suffix() {
    let file = changed("raincheck-dead", "staging-dead");
    assert_eq!(mistakes(&file, ALL), "");
}

#[test]
fn a_service_origin_needs_its_binding() {
    let service = SMALL.replace("'https://h'", "{ service = 'ORIGIN' }");
    let mut file = with_configuration(&service);
    assert_eq!(
        mistakes(&file, ALL),
        "services: found none bound as \"ORIGIN\"; allowed: one with binding = \"ORIGIN\", because an origin is that service",
    );
    file["services"] = json!([{ "binding": "ORIGIN", "service": "api" }]);
    let report = report(&file, ALL);
    assert_eq!(report.mistakes, []);
    assert!(report.lines[0].starts_with("2 rules, to the service binding ORIGIN"));
}

#[test]
fn every_environment_must_be_complete_but_inherits_migrations() {
    let mut file = with_configuration(SMALL);
    file["env"] =
        json!({ "staging": { "vars": { "RAINCHECK": { "origin": "https://h", "shards": 0 } } } });
    let found = mistakes(&file, ALL);
    let fields: Vec<&str> = found
        .lines()
        .map(|line| line.strip_prefix("env.staging.").unwrap())
        .map(|line| line.split(": found").next().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "vars.RAINCHECK.shards",
            "durable_objects.bindings",
            "r2_buckets",
            "queues.producers",
            "queues.producers",
            "queues.producers",
        ]
    );
}

#[test]
fn the_environment_that_is_deployed_is_the_one_whose_origin_counts() {
    let file = with_production("origin = 'https://h'");
    let good = report(&file, deploying("production"));
    assert_eq!(good.mistakes, []);
    assert_eq!(
        good.lines,
        ["env.production.no rules, everything passes through, to https://h, jobs under /jobs"]
    );
    assert_eq!(
        mistakes(&file, deploying("")),
        "vars.RAINCHECK.origin: found \"http://127.0.0.1:8788\"; allowed: the address of \
         your API; a deployed Worker cannot reach this machine"
    );
    for origin in [
        "'http://127.0.0.1:8788'",
        "'http://localhost/base'",
        "'https://api.localhost:1'",
        "'http://[::1]:8788'",
        "{ url = 'http://127.3.2.1' } # the API",
    ] {
        let file = with_production(&format!("origin = {origin}"));
        let found = mistakes(&file, deploying("production"));
        let start = "env.production.vars.RAINCHECK.origin: found \"http";
        assert!(found.starts_with(start), "{origin}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn only_the_requested_environment_is_checked() {
    let mut file = with_production("origin = 'https://h'");
    file["env"]["production"]["vars"] = json!({});
    let of = |environment| {
        mistakes(
            &file,
            Scope {
                environment: Some(environment),
                deploy: false,
                declared: &[],
            },
        )
    };
    assert_eq!(of(""), "");
    assert!(of("production").starts_with("env.production.vars.RAINCHECK: "));
}

#[test]
fn an_unknown_environment_is_reported_with_the_known_ones() {
    let file = with_production("origin = 'https://h'");
    assert_eq!(
        mistakes(&file, deploying("prodution")),
        "env: found no \"prodution\"; allowed: \"production\""
    );
    assert_eq!(
        mistakes(&read(OWN), deploying("production")),
        "env: found no \"production\"; allowed: none, the file has no environment"
    );
}

#[test]
fn the_consumer_for_local_runs_is_refused_in_a_deployment() {
    let mut file = read(OWN);
    file["vars"]["LOCAL_CONSUMER"] = json!("detached");
    assert_eq!(
        mistakes(&file, ALL),
        "vars.LOCAL_CONSUMER: found \"detached\"; allowed: nothing; it is for local runs, and `start` sets it there",
    );
}

fn asked(question: &Value) -> Value {
    serde_json::from_str(&answer(&question.to_string())).unwrap()
}

#[test]
fn the_npm_commands_ask_in_json() {
    let answer = asked(
        &json!({ "ask": "check", "file": with_configuration("origin = 'https://h'\nshards = 0") }),
    );
    assert_eq!(
        answer,
        json!({
            "lines": [],
            "mistakes": [{
                "path": ["vars", "RAINCHECK", "shards"],
                "text": "vars.RAINCHECK.shards: found 0; allowed: a whole number from 1 to 1024",
            }],
            "warnings": [],
        })
    );
    assert!(asked(&json!({ "ask": "x" }))["unanswerable"].is_string());
}

fn with_rules(rules: &str) -> Value {
    with_configuration(&format!("origin = 'https://h'\n{rules}"))
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_refused() {
    let rule = |name: &str, path: &str, more: &str| {
        format!("[[rules]]\nname = '{name}'\npath = '{path}'\n{more}\n")
    };
    let of = |first: (&str, &str), second: (&str, &str)| {
        let rules = rule("a", first.0, first.1) + &rule("b", second.0, second.1);
        mistakes(&with_rules(&rules), ALL)
    };
    assert_eq!(
        of(("/r/{*rest}", ""), ("/r/{id}", "")),
        "vars.RAINCHECK.rules[b].path: found \"/r/{id}\", but the earlier rule \"a\" matches all of these requests; \
         allowed: a position before that rule, or other conditions"
    );
    let any = "methods = ['*']";
    for (first, second) in [
        (("/r", ""), ("/r", "")),
        (("/{a}", ""), ("/{b}", "")),
        (("/{a}", ""), ("/r", "headers = [{ name = 'x' }]")),
        (("/r", any), ("/r", "methods = ['GET', 'POST']")),
        (("/{*rest}", ""), ("/a/b", "content_types = ['text/csv']")),
    ] {
        assert!(
            of(first, second).contains("matches all of these"),
            "{first:?} {second:?}"
        );
    }
    for (first, second) in [
        (("/r/{id}", ""), ("/r/{*rest}", "")),
        (("/r", ""), ("/r", "methods = ['GET']")),
        (("/r", ""), ("/r", any)),
        (("/r", any), ("/r", "methods = ['OPTIONS']")),
        (("/r", "headers = [{ name = 'x' }]"), ("/r", "")),
        (("/r", "content_types = ['text/csv']"), ("/r", "")),
        (("/r/zq0", ""), ("/r", "")),
    ] {
        assert_eq!(of(first, second), "", "{first:?} {second:?}");
    }
}

#[test]
fn the_wildcards_of_other_routers_get_a_warning_with_a_suggestion() {
    for (path, meant) in [
        ("/r/*", "/r/{*rest}"),
        ("/r/**", "/r/{*rest}"),
        ("/r/:id/x", "/r/{id}/x"),
    ] {
        let file = with_rules(&format!("[[rules]]\nname = 'r'\npath = '{path}'\n"));
        assert_eq!(mistakes(&file, ALL), "");
        assert_eq!(
            warnings(&file, ALL),
            format!(
                "vars.RAINCHECK.rules[r].path: found {path:?}, in which every character is literal; \
                 allowed: parameters in braces: {meant:?}"
            )
        );
    }
}

#[test]
fn our_rules_under_wranglers_own_rules_are_rejected() {
    let mut file = with_rules("");
    let own = file["rules"].as_array_mut().unwrap();
    own.push(json!({ "name": "reports", "path": "/reports" }));
    assert_eq!(
        mistakes(&file, ALL),
        "rules[#2].path: found a field of Raincheck; allowed: rules of Raincheck belong under \
         [[vars.RAINCHECK.rules]]; these are wrangler's"
    );
}

#[test]
fn our_tables_outside_vars_are_rejected() {
    let mut file = with_rules("");
    file["RAINCHECK"] = json!({ "rules": [{ "name": "reports", "path": "/reports" }] });
    assert_eq!(
        mistakes(&file, ALL),
        "RAINCHECK: found it outside vars; allowed: [vars.RAINCHECK] and [[vars.RAINCHECK.rules]]: \
         a Worker sees only what is below vars"
    );
    assert_eq!(
        report(&file, ALL).mistakes[0].path,
        [Key::from("RAINCHECK")]
    );
    let mut file = with_production("origin = 'https://h'");
    file["env"]["production"]["RAINCHECK_MORE"] = json!({ "shards": 2 });
    assert_eq!(
        mistakes(&file, ALL),
        "env.production.RAINCHECK_MORE: found it outside vars; allowed: [env.production.vars.RAINCHECK_MORE] and \
         [[env.production.vars.RAINCHECK_MORE.rules]]: a Worker sees only what is below vars"
    );
}

#[test]
fn empty_owner_headers_get_a_warning_where_keys_are_accepted() {
    let of = |idempotency: &str| {
        let lines = format!(
            "origin = 'https://h'\nowner_headers = []\n[[rules]]\nname = 'r'\npath = '/r'\n\
             idempotency = '{idempotency}'"
        );
        warnings(&with_configuration(&lines), ALL)
    };
    assert!(of("optional").starts_with("vars.RAINCHECK.owner_headers: found an empty array"));
    assert_eq!(of("off"), "");
}

#[test]
fn cors_fields_without_cors_origins_get_a_warning() {
    let of = |lines: &str| {
        warnings(
            &with_configuration(&format!("origin = 'https://h'\n{lines}")),
            ALL,
        )
    };
    let found = of("cors_headers = ['x-tenant']\ncors_expose = ['x-total']");
    for key in ["cors_headers", "cors_expose"] {
        assert!(found.contains(&format!(
            "vars.RAINCHECK.{key}: found a list without effect"
        )));
    }
    assert_eq!(of("cors_origins = ['*']\ncors_headers = ['x-tenant']"), "");
}

#[test]
fn a_secret_that_nothing_declares_gets_a_warning() {
    let mut file = with_configuration(
        "origin = { url = 'https://h', headers = { A = '${ONE} ${TWO} ${ONE}' } }\n\
         [origins.b]\nurl = 'https://b'\nheaders = { a = '${ONE}' }",
    );
    let line = |place: &str, name: &str| {
        format!(
            "vars.RAINCHECK.{place}: found {name:?}, a secret that nothing declares; for local runs, put \
             {name} = \"…\" into .dev.vars; before a deploy, run `npx wrangler secret put {name}` and list it: \
             secrets = {{ required = [{name:?}] }}"
        )
    };
    let expected = [
        line("origin.headers.A", "ONE"),
        line("origin.headers.A", "TWO"),
        line("origins.b.headers.a", "ONE"),
    ];
    assert_eq!(warnings(&file, ALL), expected.join("\n"));
    let path = &report(&file, ALL).warnings[0].path;
    assert_eq!(
        *path,
        ["vars", "RAINCHECK", "origin", "headers", "A"].map(Key::from)
    );
    file["secrets"] = json!({ "required": ["ONE"] });
    let declared = ["TWO".to_owned()];
    let scope = Scope {
        declared: &declared,
        ..ALL
    };
    assert_eq!(warnings(&file, scope), "");
}
