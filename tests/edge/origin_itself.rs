//! The test origin behaves on the wire as the other tests expect, checked with a third-party client and byte
//! by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Exchange, Request};
use crate::origin::{Origin, new_case};
use crate::{behaviour, pattern};

/// Everything that the origin sends in response to a GET, until it closes.
async fn raw(target: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(Origin::shared().address).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

fn url(target: &str) -> String {
    format!("{}{target}", Origin::shared().url())
}

#[tokio::test]
async fn it_echoes_and_remembers_what_it_was_sent() {
    let case = new_case();
    let target = format!("/any/echo?case={case}&status=201&h=X-Kept:yes");
    let client = reqwest::Client::new();
    let response = client
        .post(url(&target))
        .header("X-Word", "a b")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-kept"], "yes");
    let echo: serde_json::Value = response.json().await.unwrap();
    assert_eq!(echo["body"], "hello");
    let seen = Origin::shared().seen(&case);
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].target.as_str()),
        ("POST", target.as_str())
    );
    assert_eq!(seen[0].field("x-word"), Some("a b"));
    assert_eq!(seen[0].sha256, Some(pattern::sha256(b"hello")));
}

#[tokio::test]
async fn it_streams_the_same_pattern_in_every_framing() {
    for framing in ["length", "chunked", "close"] {
        let target = format!("/any/stream?bytes=200001&seed=7&framing={framing}");
        let body = reqwest::get(url(&target))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert_eq!(
            pattern::sha256(&body),
            pattern::hash(7, 200_001),
            "{framing}"
        );
    }
}

#[tokio::test]
async fn it_hashes_a_chunked_request_of_unknown_length() {
    let case = new_case();
    let body = pattern::bytes(3, 300_000);
    let target = format!("/any/echo?case={case}");
    let reply = Request::new("PUT", &target)
        .body(body)
        .chunked()
        .send(Origin::shared().address)
        .await;
    assert_eq!(reply.json()["sha256"], pattern::hash(3, 300_000));
    assert_eq!(Origin::shared().seen(&case)[0].length, 300_000);
}

#[tokio::test]
async fn it_aborts_at_the_requested_byte() {
    for (target, wanted) in [
        ("/any/broken?when=before&how=reset", "connect"),
        ("/any/broken?when=after&how=reset", "connect"),
        ("/any/broken?when=after&how=close", "connect"),
        ("/any/broken?when=head&how=reset&bytes=10", "body"),
        ("/any/broken?when=half&how=close&bytes=10", "body"),
        ("/any/broken?when=half&how=reset&bytes=10", "body"),
        (
            "/any/broken?when=half&how=close&bytes=10&framing=chunked",
            "body",
        ),
        ("/any/interim?code=100&then=close", "connect"),
    ] {
        let client = reqwest::Client::new();
        let got = match client.post(url(target)).body("x").send().await {
            Err(_) => "connect",
            Ok(response) => response.bytes().await.map_or("body", |_| "whole"),
        };
        assert_eq!(got, wanted, "{target}");
    }
}

#[tokio::test]
async fn it_hangs_until_its_peer_gives_up() {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    for when in ["before", "after", "head", "half"] {
        let case = new_case();
        let target = format!("/any/broken?when={when}&how=hang&bytes=10&case={case}");
        let error = match client.get(url(&target)).send().await {
            Err(error) => error,
            Ok(response) => response.bytes().await.unwrap_err(),
        };
        assert!(error.is_timeout(), "{when}: {error:?}");
        while Origin::shared().seen(&case)[0].left.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn it_sends_what_http_does_not_allow() {
    for (target, wanted) in [
        ("/any/odd?kind=status&code=999", "HTTP/1.1 999 "),
        (
            "/any/odd?kind=lengths",
            "Content-Length: 2\r\nContent-Length: 4",
        ),
        ("/any/odd?kind=nul", "a\0b"),
        ("/any/odd?kind=gzip", "Content-Encoding: gzip"),
        ("/any/long?bytes=5", "Content-Length: 5\r\n"),
    ] {
        let response = String::from_utf8_lossy(&raw(target).await).into_owned();
        assert!(response.contains(wanted), "{target}: {response}");
    }
    assert!(raw("/any/odd?kind=huge&bytes=131072").await.len() > 131_072);
    let long = raw("/any/long?bytes=5").await;
    let start = long
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    assert_eq!(long[start..].len(), 15);
}

#[tokio::test]
async fn it_sends_early_hints_before_the_answer() {
    let mut stream = TcpStream::connect(Origin::shared().address).await.unwrap();
    stream
        .write_all(b"GET /any/interim?code=103 HTTP/1.1\r\nHost: o\r\n\r\n")
        .await
        .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 103");
    let response = reqwest::get(url("/any/interim?code=103")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn it_walks_through_a_sequence_per_job() {
    let case = new_case();
    let target = format!("/any/sequence?case={case}&steps=503:2,reset,200");
    let send = |job: &str| Request::post(&target).field("Raincheck-Job", job);
    let first = send("a").send(Origin::shared().address).await;
    assert_eq!((first.status, first.field("retry-after")), (503, Some("2")));
    assert!(send("a").try_send(Origin::shared().address).await.is_err());
    assert_eq!(send("b").send(Origin::shared().address).await.status, 503);
    for _ in 0..2 {
        assert_eq!(send("a").send(Origin::shared().address).await.status, 200);
    }
    assert_eq!(Origin::shared().seen(&case).len(), 5);
}

#[tokio::test]
async fn it_sends_events_and_slow_bodies_bit_by_bit() {
    for target in [
        "/any/sse?events=3&gap=200",
        "/any/slow?bytes=30&pieces=3&gap=200",
    ] {
        let mut exchange = Exchange::open(&Request::get(target), Origin::shared().address)
            .await
            .unwrap();
        exchange.read_head().await.unwrap();
        let mut pieces = 0;
        while exchange.read_piece().await.unwrap().is_some() {
            pieces += 1;
        }
        assert_eq!(pieces, 3, "{target}");
    }
}

#[tokio::test]
async fn it_redirects_to_itself_and_compresses() {
    let error = reqwest::get(url("/any/redirect")).await.unwrap_err();
    assert!(error.is_redirect());
    let body = reqwest::get(url("/any/gzip"))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(&body[..], behaviour::GZIP);
}

#[tokio::test]
async fn it_echoes_over_a_web_socket() {
    use futures_util::{SinkExt, StreamExt};
    let stream = TcpStream::connect(Origin::shared().address).await.unwrap();
    let request = format!("ws://{}/any/ws", Origin::shared().address);
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    socket.send("hello".into()).await.unwrap();
    let message = socket.next().await.unwrap().unwrap();
    assert_eq!(message.to_text().unwrap(), "hello");
}
