//! What a browser tells or does with the URL of a job, which gives access to the job.

use crate::client::Request;
use crate::job::{Case, Job, assert_problem, send};

#[tokio::test]
async fn the_origin_never_sees_the_url_of_a_job_in_referer() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    for (referer, hidden) in [
        (format!("https://api.example{}", job.result_path()), true),
        (format!("http://h.example//x/..//%6Aobs/{}", job.id), true),
        ("https://api.example/jobsite?of=/jobs/x".to_owned(), false),
    ] {
        let (deferred, passed) = (Case::new(), Case::new());
        let request = deferred.post("/always/echo").field("Referer", &referer);
        Job::accepted(request).await.succeeded().await;
        // No rule matches this one.
        let reply = send(passed.post("/passed/echo").field("Referer", &referer)).await;
        assert_eq!(reply.status, 200, "{reply}");
        for case in [deferred, passed] {
            let seen = case.seen_once();
            let expected = (!hidden).then_some(referer.as_str());
            assert_eq!(seen.field("referer"), expected, "{seen:#?}");
        }
    }
}

#[tokio::test]
async fn no_page_can_load_a_job_as_a_script_a_worker_or_a_style_sheet() {
    let job = Job::accepted(Case::new().post("/always/echo")).await;
    job.succeeded().await;
    let paths = [job.path(), job.result_path()];
    for path in &paths {
        let load = |name: &str, value: &str| send(Request::get(path).field(name, value));
        for kind in ["script", "sharedworker", "style", "worker"] {
            let refused = load("Sec-Fetch-Dest", kind).await;
            assert_problem(&refused, 403, "subresource_refused");
        }
        for (name, value) in [
            ("Sec-Fetch-Dest", "serviceworker"),
            ("Service-Worker", "script"),
        ] {
            let refused = load(name, value).await;
            assert_problem(&refused, 403, "service_worker_refused");
        }
        for kind in ["document", "empty", "image"] {
            let read = load("Sec-Fetch-Dest", kind).await;
            assert_eq!(read.status, 200, "{kind}: {read}");
        }
    }
    // The origin's own pages may use all of these.
    let passed = Case::new();
    let request = passed.get("/passed/echo").field("Sec-Fetch-Dest", "script");
    assert_eq!(send(request).await.status, 200);
    assert_eq!(passed.seen_once().field("sec-fetch-dest"), Some("script"));
}
