//! Decisions from a request's head: pass through, defer, or respond directly.

use super::world::World;

#[test]
fn requests_that_match_no_rule_pass_through() {
    let world = World::new().rule("");
    for target in ["/", "/slower", "/slow/", "/other?x=1", "/job", "/jobsx/1"] {
        let answer = world.get(target);
        assert_eq!((answer.status, answer.field("passed-to")), (299, target));
    }
}

#[test]
fn a_rule_that_defers_on_demand_reads_the_preference() {
    let world = World::new().rule("defer = \"preferred\"");
    let cases = [
        (None, 299),
        (Some("wait=10"), 299),
        (Some("respond-sync"), 299),
        (Some("respond-async"), 202),
        (Some("handling=lenient, Respond-Async"), 202),
    ];
    for (prefer, status) in cases {
        let mut request = world.request("POST", "/slow");
        if let Some(prefer) = prefer {
            request = request.field("prefer", prefer);
        }
        let answer = request.send();
        assert_eq!(answer.status, status, "{prefer:?}");
        if status == 202 {
            assert_eq!(answer.field("preference-applied"), "respond-async");
            assert_eq!(answer.field("vary"), "Prefer");
        }
    }
}

#[test]
fn a_websocket_handshake_is_never_deferred() {
    let world = World::new().rule("");
    let answer = world
        .request("GET", "/slow")
        .field("upgrade", "WebSocket")
        .send();
    assert_eq!(answer.status, 299);
}

/// A preflight from a page that may not call the gateway must not create a job.
#[test]
fn a_preflight_never_becomes_a_job() {
    let world = World::new()
        .rule("")
        .config("cors_origins = [\"https://app.example\"]");
    for (origin, status) in [("https://app.example", 204), ("https://evil.example", 299)] {
        let request = world
            .request("OPTIONS", "/slow")
            .field("origin", origin)
            .field("access-control-request-method", "POST");
        assert_eq!(request.send().status, status, "{origin}");
    }
    assert_eq!(world.count("jobs"), 0);
}

/// It is sent before the request that has them.
#[test]
fn a_preflight_for_a_rule_with_conditions_on_fields_is_answered() {
    for condition in [
        "content_types = [\"application/json\"]",
        "headers = [{ name = \"x-slow\" }]",
    ] {
        let world = World::new()
            .rule(condition)
            .config("cors_origins = [\"https://app.example\"]");
        let request = world
            .request("OPTIONS", "/slow")
            .field("origin", "https://app.example")
            .field("access-control-request-method", "POST");
        assert_eq!(request.send().status, 204, "{condition}");
    }
}

#[test]
fn upgrade_is_ignored_on_methods_other_than_get() {
    let world = World::new().rule("");
    let request = world.request("POST", "/slow").field("upgrade", "websocket");
    assert_eq!(request.send().status, 202);
}

#[test]
fn a_length_of_zero_is_no_body() {
    let world = World::new().rule("");
    for (body, status) in [("", 202), ("x", 400)] {
        let answer = world.request("GET", "/slow").body(body).send();
        assert_eq!(answer.status, status, "{body:?}");
    }
}

#[test]
fn an_id_of_an_impossible_shard_is_unknown_without_a_call() {
    use raincheck::policy::limits::MAX_SHARDS;
    let world = World::new().rule("");
    let mut id = world.post("x").job();
    world.calls.borrow_mut().clear();
    id.shard = MAX_SHARDS;
    for path in [format!("/jobs/{id}"), format!("/jobs/{id}/result")] {
        assert_eq!(world.get(&path).problem(), "not_found");
    }
    assert_eq!(*world.calls.borrow(), []);
    id.shard = MAX_SHARDS - 1;
    assert_eq!(world.get(&format!("/jobs/{id}")).problem(), "not_found");
    assert_eq!(*world.calls.borrow(), [(MAX_SHARDS - 1, "view")]);
}

#[test]
fn a_request_that_came_through_this_gateway_is_a_loop() {
    let world = World::new().rule("");
    for (via, target) in [
        ("1.1 raincheck", "/slow"),
        ("1.0 fred, 1.1 Raincheck (x)", "/other"),
        ("1.1 raincheck", "/jobs/x"),
    ] {
        let answer = world.request("POST", target).field("via", via).send();
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (508, "loop_detected"),
            "{via}"
        );
        let of_rule = target == "/slow";
        assert_eq!(
            answer.field("vary"),
            if of_rule { "Prefer" } else { "" },
            "{target}"
        );
    }
    let other = world
        .request("POST", "/other")
        .field("via", "1.1 raincheckers")
        .send();
    assert_eq!(other.status, 299);
    assert_eq!(world.count("jobs"), 0);
}

/// A client that guesses the origin's name and sends it as `Host` must not learn from the response that it is
/// right. A request that comes back is recognized by its `Via`.
#[test]
fn a_request_with_the_origins_host_is_treated_like_any_other() {
    let world = World::new()
        .rule("")
        .config("origin = \"http://localhost:8787\"");
    let answer = |host: &str, target: &str| {
        let answer = world.request("GET", target).host(host).send();
        (answer.status, answer.headers.get("retry-after").is_some())
    };
    for target in ["/slow", "/other", "/jobs/x"] {
        let other = answer("gate.example", target);
        for host in ["localhost:8787", "127.0.0.1:8787", "[::1]:8787"] {
            assert_eq!(answer(host, target), other, "{host} {target}");
        }
    }
}

#[test]
fn urls_begin_with_the_public_origin_or_the_requests_scheme_and_host() {
    let base = |world: &World| {
        let receipt = world
            .request("POST", "/slow")
            .field("x-forwarded-proto", "http")
            .field("x-forwarded-host", "evil.example, other")
            .send();
        let id = receipt.job().to_string();
        receipt
            .field("location")
            .replace(&format!("/{id}/result"), "")
    };
    let world = World::new().rule("");
    assert_eq!(
        base(&world),
        "https://gate.example/jobs",
        "no forwarded header is trusted"
    );
    let world = World::new()
        .rule("")
        .config("public_origin = \"https://public.example\"");
    assert_eq!(base(&world), "https://public.example/jobs");
    let world = World::new()
        .rule("")
        .config("trusted_forwarded_host = true");
    assert_eq!(
        base(&world),
        "http://evil.example/jobs",
        "but for one that is configured"
    );
    let world = World::new().rule("").config("mount = \"/v1/tasks\"");
    assert_eq!(base(&world), "https://gate.example/v1/tasks");
}

#[test]
fn an_invalid_forwarded_host_is_never_trusted() {
    let world = World::new()
        .rule("")
        .config("trusted_forwarded_host = true");
    for host in ["", "a/b", "a b", "a\"b", "<x>", "a@b"] {
        let request = world
            .request("POST", "/slow")
            .field("x-forwarded-host", host);
        let receipt = request.field("x-forwarded-proto", "javascript").send();
        assert!(
            receipt
                .field("location")
                .starts_with("https://gate.example/"),
            "{host}"
        );
    }
}

#[test]
fn unknown_forged_and_malformed_ids_get_identical_responses() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    let guess = raincheck::job::JobId {
        secret: raincheck::job::Secret::from_bytes([3; 16]),
        ..id
    };
    let far = raincheck::job::JobId {
        shard: 65_535,
        ..id
    };
    let beside = raincheck::job::JobId {
        key: raincheck::job::RowKey(id.key.0 + 1),
        ..id
    };
    // At the result URL, a field shows that the 404 is not the origin's.
    for resource in ["", "/result"] {
        let mut responses = Vec::new();
        for text in [
            guess.to_string(),
            far.to_string(),
            beside.to_string(),
            "nope".to_owned(),
        ] {
            let response = world.get(&format!("/jobs/{text}{resource}"));
            assert_eq!(response.status, 404, "{text}{resource}");
            responses.push((response.headers, response.body.bytes));
        }
        assert!(responses.iter().all(|it| *it == responses[0]), "{resource}");
    }
}

#[test]
fn a_guessed_id_cancels_and_purges_nothing() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    let guess = raincheck::job::JobId {
        secret: raincheck::job::Secret::from_bytes([3; 16]),
        ..id
    };
    assert_eq!(
        world
            .request("DELETE", &format!("/jobs/{guess}"))
            .send()
            .status,
        404
    );
    assert_eq!(
        world
            .request("DELETE", &format!("/jobs/{guess}?purge=true"))
            .send()
            .status,
        404
    );
    assert_eq!(
        world
            .request("POST", &format!("/jobs/{guess}/cancel"))
            .send()
            .status,
        404
    );
    assert_eq!(world.status_of(&id), "queued");
}

#[test]
fn an_unsupported_method_gets_405_with_allow() {
    let world = World::new().rule("");
    let id = world.post("x").job();
    let cases = [
        ("PUT", "", "GET, HEAD, DELETE"),
        ("POST", "/result", "GET, HEAD"),
        ("GET", "/cancel", "POST"),
        ("GET", "/redrive", "POST"),
        ("get", "", "GET, HEAD, DELETE"),
    ];
    for (method, end, allow) in cases {
        let answer = world.request(method, &format!("/jobs/{id}{end}")).send();
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, allow),
            "{method} {end}"
        );
        assert_eq!(answer.problem(), "method_not_allowed");
    }
}

#[test]
fn nothing_below_the_mount_reaches_the_origin() {
    let world = World::new().rule("");
    for path in [
        "/jobs",
        "/jobs/",
        "/jobs/x/y",
        "/jobs//",
        "/jobs/x/result/",
        "/jobs/%00",
    ] {
        let answer = world.get(path);
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
}

#[test]
fn an_expired_job_is_410_until_its_tombstone_ends_and_then_404() {
    let world = World::new()
        .rule("retention = \"1h\"")
        .config("tombstone = \"10m\"");
    let id = world.post("x").job();
    world.run();
    let at = |minutes: u64| super::world::START.plus(raincheck::job::Millis(minutes * 60_000));
    // A sixteenth of an hour is 3:45 minutes.
    for (minutes, status, code) in [(64, 410, "job_expired"), (74, 404, "not_found")] {
        world.advance_to(at(minutes));
        for end in ["", "/result"] {
            let answer = world.get(&format!("/jobs/{id}{end}"));
            assert_eq!((answer.status, answer.problem().as_str()), (status, code));
        }
    }
    world.advance_to(at(90));
    assert_eq!([world.count("jobs"), world.count("partitions")], [0; 2]);
}

#[test]
fn browsers_get_cors_on_jobs_and_on_deferred_routes_of_configured_origins_only() {
    let world = World::new()
        .rule("")
        .config("cors_origins = [\"https://app.example\"]");
    let preflight = |path: &str, origin: &str| {
        let request = world.request("OPTIONS", path).field("origin", origin);
        request
            .field("access-control-request-method", "POST")
            .send()
    };
    for path in ["/slow", "/jobs/anything"] {
        let answer = preflight(path, "https://app.example");
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(
            answer.field("access-control-allow-origin"),
            "https://app.example"
        );
        assert!(
            answer
                .field("access-control-allow-headers")
                .contains("Idempotency-Key")
        );
    }
    assert_eq!(preflight("/other", "https://app.example").status, 299);
    let other = preflight("/slow", "https://evil.example");
    assert_eq!(
        other.status, 299,
        "the origin decides about it, and it is no job"
    );
    let receipt = world
        .request("POST", "/slow")
        .field("origin", "https://app.example")
        .send();
    assert_eq!(
        receipt.field("access-control-allow-origin"),
        "https://app.example"
    );
    for name in [
        "Location",
        "Operation-Location",
        "Retry-After",
        "ETag",
        "Link",
    ] {
        let exposed = receipt.field("access-control-expose-headers");
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let refused = world
        .request("GET", "/jobs/x")
        .field("origin", "https://app.example")
        .send();
    assert_eq!(
        refused.field("access-control-allow-origin"),
        "https://app.example"
    );
    let receipt = world
        .request("POST", "/slow")
        .field("origin", "https://evil.example")
        .send();
    assert_eq!(receipt.field("access-control-allow-origin"), "");
}

/// The fields that a preflight from `https://app.example` is allowed of those that it asks for, in addition to
/// the usual ones.
fn mirrored(config: &str, path: &str, requested: &str) -> String {
    let world = World::new().rule("").config(&format!(
        "cors_origins = [\"https://app.example\"]\n{config}"
    ));
    let answer = world
        .request("OPTIONS", path)
        .field("origin", "https://app.example")
        .field("access-control-request-method", "POST")
        .field("access-control-request-headers", requested)
        .send();
    assert_eq!(answer.status, 204, "{path}");
    assert_eq!(
        answer.field("vary"),
        "Origin, Access-Control-Request-Headers"
    );
    let allowed = answer.field("access-control-allow-headers");
    let (_, more) = allowed.split_once("Raincheck-Deadline").unwrap();
    more.trim_start_matches(", ").to_owned()
}

#[test]
fn a_page_may_send_fields_of_its_own_to_rules_and_jobs() {
    for path in ["/slow", "/jobs/anything", "/jobs/anything/result"] {
        assert_eq!(
            mirrored("", path, "prefer,x-request-id,x-tenant"),
            "x-request-id, x-tenant"
        );
        assert_eq!(
            mirrored("cors_headers = [\"X-Tenant\"]", path, "x-request-id"),
            "x-tenant, x-request-id"
        );
    }
}

/// The gateway removes these, so allowing a page to send them would be misleading.
#[test]
fn a_preflight_allows_no_field_that_never_reaches_an_origin() {
    let dropped = "cf-ray,connection,content-length,cookie,expect,forwarded,host,proxy-authorization,\
                   raincheck-call,raincheck-job,te,x-forwarded-for,x-real-ip,x_real_ip";
    assert_eq!(mirrored("", "/slow", dropped), "");
    let trusted = mirrored("trusted_forwarded_host = true", "/slow", dropped);
    assert_eq!(trusted, "forwarded, x-forwarded-for");
}

/// Otherwise two callers that differ only in such a field would share their keys.
#[test]
fn a_preflight_allows_an_api_key_only_where_it_tells_callers_apart() {
    let asked = "private-token,x-api-key,x-mode";
    assert_eq!(
        mirrored("", "/slow", asked),
        "private-token, x-api-key, x-mode"
    );
    let own = "owner_headers = [\"X-Api-Key\"]";
    assert_eq!(mirrored(own, "/slow", asked), "x-api-key, x-mode");
    assert_eq!(mirrored("owner_headers = []", "/slow", asked), "x-mode");
    let named = format!("{own}\ncors_headers = [\"private-token\"]");
    assert_eq!(
        mirrored(&named, "/slow", asked),
        "private-token, x-api-key, x-mode"
    );
}

#[test]
fn misleading_targets_are_rejected_or_passed_through_unchanged() {
    let world = World::new().rule("");
    let long = format!("/{}", "a".repeat(70_000));
    for target in ["", "slow", "*", "/a\0b", "/a b", "/a\nb", long.as_str()] {
        let answer = world.request("POST", target).send();
        assert!(
            (400..500).contains(&answer.status),
            "{:?}: {}",
            &target[..target.len().min(9)],
            answer.status
        );
    }
    assert_eq!(world.count("jobs"), 0);
    for target in ["//slow", "/x/%2e%2e/slow", "/%73low", "/x/../slow"] {
        let answer = world.request("POST", target).send();
        assert_eq!(
            answer.status, 202,
            "{target} is the rule's path for an origin too"
        );
    }
    world.run();
    assert_eq!(
        world.sent.borrow()[0].target,
        "//slow",
        "and is passed on unchanged"
    );
}

#[test]
fn jobs_and_passed_through_requests_go_to_the_origin_of_their_rule() {
    let world = World::new()
        .config("origins = { reports = \"https://reports.example\" }")
        .rule("origin = \"reports\"");
    let job = world.request("POST", "/slow").send().job();
    assert_eq!(world.record(&job).unwrap().spec.origin, "reports");
    world.run();
    let sent = world.sent.borrow();
    assert_eq!(sent[0].origin, "reports");
}
