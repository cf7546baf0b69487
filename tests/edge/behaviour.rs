//! What the origin can be told to do, in the path and the query of a request.
//!
//! | last segment | behaviour |
//! | --- | --- |
//! | `echo` or any other | `status` (200), `type`, `h=Name:Value`…, and `bytes` of a pattern with `seed`, or else the request as JSON |
//! | `broken` | `when=before\|after\|head\|half`: before or after reading the request, after the response's head, half-way in its body; `how=reset\|close\|hang` |
//! | `long` | more bytes than its Content-Length says |
//! | `interim` | `code=103`, then the response, or nothing more with `then=close` |
//! | `odd` | `kind=huge\|lengths\|nul\|gzip\|status` (with `code=999` and `h`): a response that HTTP does not allow; `kind=latin1`: one whose field `X-Name` is no UTF-8 |
//! | `gzip` | a compressed body |
//! | `redirect` | 302 to itself, forever |
//! | `stream` | `bytes` with `framing=length\|chunked\|close` |
//! | `slow` | `bytes` in `pieces`, `gap` milliseconds apart |
//! | `slow-read` | reads the request with `gap` milliseconds after each piece, then responds |
//! | `sequence` | `steps=503,reset,200`, one per attempt of a job, the last repeats forever; `503:2` adds `Retry-After: 2` |
//! | `sse` | `events` server-sent events, `gap` apart |
//! | `ws` | a WebSocket that echoes, with `h` in its handshake |
//!
//! All wait `ms` milliseconds before they begin to respond.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::origin::{Conversation, End};
use crate::pattern::Pattern;
use crate::wire;

/// A gzip stream with these 132 bytes of text in it, three lines.
pub const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xce\xcf\x2d\x28\x4a\x2d\
    \x2e\x4e\x4d\x51\x48\xaa\x54\x28\xc9\x48\x55\xc8\x2f\xca\x4c\xcf\xcc\xd3\x51\x28\x2e\xc9\x2f\
    \x02\x8a\x26\x16\x2b\x64\x96\x28\x24\x27\xe6\xa6\x72\x25\xd3\x48\x2d\x00\x01\xaa\xde\x46\x84\
    \x00\x00\x00";

/// The parts of a request that control the origin.
pub struct Call {
    method: String,
    target: String,
    name: String,
    query: Vec<(String, String)>,
    /// The test case it belongs to.
    pub case: String,
}

impl Call {
    /// Reads a target.
    pub fn new(method: &str, target: &str, case: Option<String>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let mut call = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            name,
            query,
            case: String::new(),
        };
        call.case = case.unwrap_or_else(|| call.text("case").to_owned());
        call
    }

    fn text(&self, name: &str) -> &str {
        wire::field(&self.query, name).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn pause(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    fn head(&self, status: &str, fields: &str) -> String {
        let kind = match self.text("type") {
            "" => "application/octet-stream",
            kind => kind,
        };
        let mut head = format!("HTTP/1.1 {status}\r\n{fields}Content-Type: {kind}\r\n");
        head.push_str(&self.extra());
        head + "\r\n"
    }

    /// The fields that the request asks for.
    fn extra(&self) -> String {
        let fields = self.query.iter().filter(|(name, _)| name == "h");
        fields
            .flat_map(|(_, field)| [field.as_str(), "\r\n"])
            .collect()
    }
}

/// Responds to a request.
pub async fn perform(to: &mut Conversation, call: &Call) -> io::Result<End> {
    match call.name.as_str() {
        "broken" => broken(to, call, call.text("when"), call.text("how")).await,
        "slow-read" => {
            to.read_body(call.pause("gap")).await?;
            answer(to, call, 200, "").await
        }
        "sequence" => sequence(to, call).await,
        "ws" => web_socket(to, call).await,
        name => {
            to.read_body(Duration::ZERO).await?;
            tokio::time::sleep(call.pause("ms")).await;
            match name {
                "long" => long(to, call).await,
                "interim" => interim(to, call).await,
                "odd" => odd(to, call).await,
                "gzip" => {
                    let fields = format!(
                        "Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                        GZIP.len()
                    );
                    to.send(call.head("200 OK", &fields)).await?;
                    to.send(GZIP).await?;
                    Ok(End::KeepAlive)
                }
                "redirect" => {
                    let fields = format!("Location: {}\r\nContent-Length: 0\r\n", call.target);
                    to.send(call.head("302 Found", &fields)).await?;
                    Ok(End::KeepAlive)
                }
                "stream" => stream(to, call).await,
                "slow" => slow(to, call).await,
                "sse" => events(to, call).await,
                _ => {
                    let status = u16::try_from(call.number("status")).unwrap_or_default();
                    answer(to, call, if status == 0 { 200 } else { status }, "").await
                }
            }
        }
    }
}

/// The usual response: a pattern, or the request as JSON.
async fn answer(to: &mut Conversation, call: &Call, status: u16, fields: &str) -> io::Result<End> {
    let body = if call.text("bytes").is_empty() {
        let seen = to.seen();
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        let document = json!({
            "method": seen.method, "target": seen.target, "fields": seen.fields,
            "length": seen.length, "sha256": seen.sha256, "body": text,
        });
        document.to_string().into_bytes()
    } else {
        crate::pattern::bytes(call.number("seed"), call.number("bytes"))
    };
    let bodiless = status == 204 || status == 304;
    let length = if bodiless {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    to.send(call.head(&format!("{status} Answer"), &format!("{length}{fields}")))
        .await?;
    if call.method != "HEAD" && !bodiless {
        to.send(body).await?;
    }
    Ok(End::KeepAlive)
}

/// Cuts off the connection.
async fn broken(to: &mut Conversation, call: &Call, when: &str, how: &str) -> io::Result<End> {
    let end = match how {
        "reset" => End::Reset,
        "hang" => End::Hang,
        _ => End::Close,
    };
    if when == "before" {
        return Ok(end);
    }
    to.read_body(Duration::ZERO).await?;
    tokio::time::sleep(call.pause("ms")).await;
    if when == "head" || when == "half" {
        let bytes = call.number("bytes").max(2);
        let chunked = call.text("framing") == "chunked";
        let framing = if chunked {
            "Transfer-Encoding: chunked\r\n".to_owned()
        } else {
            format!("Content-Length: {bytes}\r\n")
        };
        to.send(call.head("200 OK", &framing)).await?;
        if when == "half" {
            let half = crate::pattern::bytes(call.number("seed"), bytes / 2);
            if chunked {
                to.send(format!("{:x}\r\n", half.len())).await?;
            }
            to.send(half).await?;
            if chunked {
                to.send("\r\n").await?;
            }
        }
        // Lets the bytes arrive before the reset, which would overtake them.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(end)
}

/// Sends ten bytes more than it said.
async fn long(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let bytes = call.number("bytes");
    to.send(call.head("200 OK", &format!("Content-Length: {bytes}\r\n")))
        .await?;
    to.send(crate::pattern::bytes(call.number("seed"), bytes + 10))
        .await?;
    Ok(End::Close)
}

/// Sends an interim response first, or only that.
async fn interim(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let code = call.number("code").max(100);
    to.send(format!(
        "HTTP/1.1 {code} Interim\r\nLink: </style>; rel=preload\r\n\r\n"
    ))
    .await?;
    if call.text("then") == "close" {
        return Ok(End::Close);
    }
    answer(to, call, 200, "").await
}

/// Sends what HTTP does not allow, with `Connection: close`: a request on a connection that is being closed
/// would be lost.
async fn odd(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let (status, fields) = match call.text("kind") {
        "huge" => {
            let value = "x".repeat(usize::try_from(call.number("bytes")).unwrap_or_default());
            ("200 OK".to_owned(), format!("X-Huge: {value}\r\n"))
        }
        "lengths" => ("200 OK".to_owned(), "Content-Length: 4\r\n".to_owned()),
        "nul" => ("200 OK".to_owned(), "X-Nul: a\0b\r\n".to_owned()),
        "gzip" => ("200 OK".to_owned(), "Content-Encoding: gzip\r\n".to_owned()),
        "latin1" => (
            "200 OK".to_owned(),
            format!("X-Name: caf\u{e9}\r\n{}", call.extra()),
        ),
        _ => (format!("{} Odd", call.number("code")), call.extra()),
    };
    let framing = "Connection: close\r\nContent-Length: 2\r\n";
    let body = if call.text("kind") == "lengths" {
        "okok"
    } else {
        "ok"
    };
    let response = format!("HTTP/1.1 {status}\r\n{framing}{fields}\r\n{body}");
    // One byte for each character, so é is not UTF-8.
    let bytes = response.chars().map(|it| u8::try_from(it).unwrap_or(b'?'));
    to.send(bytes.collect::<Vec<u8>>()).await?;
    Ok(End::Close)
}

/// Streams a body of any size without holding it in memory.
async fn stream(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let bytes = call.number("bytes");
    let framing = call.text("framing");
    let fields = match framing {
        "chunked" => "Transfer-Encoding: chunked\r\n".to_owned(),
        "close" => "Connection: close\r\n".to_owned(),
        _ => format!("Content-Length: {bytes}\r\n"),
    };
    to.send(call.head("200 OK", &fields)).await?;
    let mut pattern = Pattern::new(call.number("seed"), bytes);
    while let Some(block) = pattern.next_block() {
        if framing == "chunked" {
            to.send(format!("{:x}\r\n", block.len())).await?;
        }
        to.send(block).await?;
        if framing == "chunked" {
            to.send("\r\n").await?;
        }
    }
    match framing {
        "chunked" => to.send("0\r\n\r\n").await.map(|()| End::KeepAlive),
        "close" => Ok(End::Close),
        _ => Ok(End::KeepAlive),
    }
}

/// Sends a body slowly.
async fn slow(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let body = crate::pattern::bytes(call.number("seed"), call.number("bytes"));
    to.send(call.head("200 OK", &format!("Content-Length: {}\r\n", body.len())))
        .await?;
    let pieces = usize::try_from(call.number("pieces").max(1)).unwrap_or(1);
    for piece in body.chunks(body.len().div_ceil(pieces).max(1)) {
        to.send(piece).await?;
        tokio::time::sleep(call.pause("gap")).await;
    }
    Ok(End::KeepAlive)
}

/// Does what its list says for this attempt of the job.
async fn sequence(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let before = to.attempts_before();
    let steps: Vec<&str> = call.text("steps").split(',').collect();
    let step = steps.get(before).or(steps.last()).copied().unwrap_or("200");
    if matches!(step, "reset" | "close" | "hang") {
        return broken(to, call, "after", step).await;
    }
    if let Some((status, how)) = step.split_once('-') {
        to.read_body(Duration::ZERO).await?;
        let fields = "Content-Length: 100\r\n";
        to.send(call.head(&format!("{status} Answer"), fields))
            .await?;
        to.send("abc").await?;
        return Ok(if how == "hang" { End::Hang } else { End::Close });
    }
    to.read_body(Duration::ZERO).await?;
    tokio::time::sleep(call.pause("ms")).await;
    let (status, after) = step.split_once(':').unwrap_or((step, ""));
    let fields = match after {
        "" => String::new(),
        after => format!("Retry-After: {after}\r\n"),
    };
    answer(to, call, status.parse().unwrap_or(500), &fields).await
}

/// Sends events, each as soon as it happens.
async fn events(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    to.send(head).await?;
    for number in 0..call.number("events") {
        let event = format!("id: {number}\ndata: event {number}\n\n");
        to.send(format!("{:x}\r\n{event}\r\n", event.len())).await?;
        tokio::time::sleep(call.pause("gap")).await;
    }
    to.send("0\r\n\r\n").await?;
    Ok(End::KeepAlive)
}

/// Echoes the messages of a WebSocket until it closes.
async fn web_socket(to: &mut Conversation, call: &Call) -> io::Result<End> {
    let seen = to.seen();
    let Some(key) = seen.field("sec-websocket-key") else {
        to.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
            .await?;
        return Ok(End::Close);
    };
    let accept = derive_accept_key(key.as_bytes());
    to.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
        call.extra()
    ))
    .await?;
    let mut socket = WebSocketStream::from_raw_socket(&mut to.stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
    Ok(End::Close)
}
