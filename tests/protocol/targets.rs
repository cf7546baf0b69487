//! Request targets, and what paths below the mount mean.

use raincheck::http::target::{Target, TargetError, join};
use raincheck::protocol::problem::ProblemCode;
use raincheck::protocol::route::{self, Endpoint, JobPath};

#[test]
fn paths_below_the_mount_are_jobs_or_nothing() {
    let job = |endpoint| Some(JobPath::Job { id: "jA", endpoint });
    let table = [
        ("/jobs/jA", job(Endpoint::Status)),
        ("/jobs/jA/result", job(Endpoint::Result)),
        ("/jobs/jA/cancel", job(Endpoint::Cancel)),
        ("/jobs/jA/events", job(Endpoint::Events)),
        ("/jobs/jA/redrive", job(Endpoint::Redrive)),
        ("/jobs", Some(JobPath::Unknown)),
        ("/jobs/", Some(JobPath::Unknown)),
        ("/jobs/jA/", Some(JobPath::Unknown)),
        ("/jobs//result", Some(JobPath::Unknown)),
        ("/jobs/jA/result/", Some(JobPath::Unknown)),
        ("/jobs/jA/result/x", Some(JobPath::Unknown)),
        ("/jobs/jA/Result", Some(JobPath::Unknown)),
        ("/jobs/../secret", Some(JobPath::Unknown)),
        ("/jobsite", None),
        ("/Jobs/jA", None),
        ("/%6aobs/jA", None),
        ("//jobs/jA", None),
        ("/", None),
        ("", None),
    ];
    for (path, expected) in table {
        assert_eq!(route::parse("/jobs", path), expected, "{path}");
    }
    assert_eq!(Endpoint::Status.allowed_methods(), "GET, HEAD, DELETE");
    assert!(Endpoint::Cancel.allows("POST") && !Endpoint::Cancel.allows("post"));
    assert!(!Endpoint::Result.allows("DELETE") && !Endpoint::Events.allows("HEAD"));
}

#[test]
fn targets_stay_unchanged_and_on_the_origin() {
    let joined = |base: &str, target: &str| join(base, &Target::parse(target).unwrap());
    let table = [
        ("https://api", "/a?b=c?d", "https://api/a?b=c?d"),
        (
            "https://api/",
            "//evil.example/x",
            "https://api//evil.example/x",
        ),
        (
            "https://api",
            "/\\evil.example",
            "https://api/\\evil.example",
        ),
        ("https://api", "/@evil.example", "https://api/@evil.example"),
        ("https://api", "/%2e%2e/a", "https://api/%2e%2e/a"),
        ("https://api/v1/", "/%2E%2e/admin", "https://api/v1/admin"),
        (
            "https://api/v1",
            "/a/../..\\admin?x=../..",
            "https://api/v1/admin?x=../..",
        ),
        ("https://api/v1", "/a/..", "https://api/v1/"),
        ("https://api/v1?q#f", "/a", "https://api/v1/a"),
    ];
    for (base, target, url) in table {
        assert_eq!(joined(base, target), url);
    }
    let target = Target::parse("/a/b?x=1?y").unwrap();
    assert_eq!((target.path(), target.query()), ("/a/b", Some("x=1?y")));
}

#[test]
fn targets_that_cannot_be_sent_are_refused() {
    let long = format!("/{}", "a".repeat(64 * 1024));
    let table = [
        (long.as_str(), TargetError::TooLong, 414),
        ("", TargetError::NotAPath, 400),
        ("*", TargetError::NotAPath, 400),
        ("https://h/", TargetError::NotAPath, 400),
        ("/a\0", TargetError::Character, 400),
        ("/a\r\nhost: b", TargetError::Character, 400),
        ("/a b", TargetError::Character, 400),
        ("/a\t", TargetError::Character, 400),
        ("/é", TargetError::Character, 400),
        ("/a#b", TargetError::Character, 400),
        ("/\u{7f}", TargetError::Character, 400),
    ];
    for (target, error, status) in table {
        assert_eq!(Target::parse(target), Err(error));
        assert_eq!(ProblemCode::from(error).status(), status);
        assert!(error.to_string().starts_with("the request target"));
    }
}
