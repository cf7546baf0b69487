//! An HTTP/1.1 client that sends exactly what it is told and shows exactly what came back.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::wire::{self, Framing};

/// A request whose body is in memory.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl Request {
    /// A request with any method and any target, sent as written.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: None,
            chunked: false,
        }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST with a small fixed body.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target).body("{\"report\":1}")
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body, sent with a Content-Length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the body in chunks, without its length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The head as bytes. `Host` is added unless it was given.
    fn head(&self, peer: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut line = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if wire::field(&self.fields, "host").is_none() {
            line("Host", &peer.to_string());
        }
        for (name, value) in &self.fields {
            line(name, value);
        }
        match &self.body {
            Some(_) if self.chunked => line("Transfer-Encoding", "chunked"),
            Some(body) => line("Content-Length", &body.len().to_string()),
            None => {}
        }
        head.push_str("\r\n");
        head.chars()
            .map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?'))
            .collect()
    }

    /// Sends the request on a new connection and reads the whole response.
    pub async fn send(&self, peer: SocketAddr) -> Reply {
        self.try_send(peer).await.unwrap_or_else(|error| {
            panic!(
                "{} {}: {error}",
                self.method,
                self.target.chars().take(200).collect::<String>()
            )
        })
    }

    /// As [`send`](Self::send), where the peer may break the connection.
    pub async fn try_send(&self, peer: SocketAddr) -> io::Result<Reply> {
        let mut exchange = Exchange::open(self, peer).await?;
        if let Some(body) = &self.body {
            // A peer may respond and close before it has read everything; its response counts.
            let _ = exchange.write_body(body, self.chunked).await;
        }
        let mut reply = exchange.read_head().await?;
        while let Some(piece) = exchange.read_piece().await? {
            reply.body.extend_from_slice(&piece);
        }
        Ok(reply)
    }
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Final status.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The content, without its framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        wire::field(&self.fields, name)
    }

    /// The first field of that name, which must be there.
    pub fn must(&self, name: &str) -> &str {
        self.field(name)
            .unwrap_or_else(|| panic!("no {name} in {self}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self}"))
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {}", value.chars().take(300).collect::<String>())?;
        }
        let text = self.text();
        writeln!(
            f,
            "\n{} ({} bytes)",
            text.chars().take(600).collect::<String>(),
            self.body.len()
        )
    }
}

/// One request and its response, step by step.
pub struct Exchange {
    stream: BufReader<TcpStream>,
    method: String,
    framing: Framing,
}

impl Exchange {
    /// Connects and sends the head.
    pub async fn open(request: &Request, peer: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::with_capacity(64 * 1024, stream);
        stream.write_all(&request.head(peer)).await?;
        Ok(Self {
            stream,
            method: request.method.clone(),
            framing: Framing::Done,
        })
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        wire::in_time(self.stream.write_all(bytes)).await
    }

    /// Sends a whole body, in chunks or plainly.
    async fn write_body(&mut self, body: &[u8], chunked: bool) -> io::Result<()> {
        if !chunked {
            return self.write(body).await;
        }
        for chunk in body.chunks(16 * 1024) {
            self.write_chunk(chunk).await?;
        }
        self.write_chunk(&[]).await
    }

    /// Sends one chunk; an empty one ends the body.
    pub async fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.write(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await?;
        self.write(chunk).await?;
        self.write(b"\r\n").await
    }

    /// Reads the final response's head. Skips interim responses.
    pub async fn read_head(&mut self) -> io::Result<Reply> {
        loop {
            let head = wire::in_time(wire::read_head(&mut self.stream)).await?;
            let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = head
                .start
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other(head.start.clone()))?;
            if status >= 200 || status == 101 {
                self.framing = Framing::of_response(&head, &self.method, status);
                return Ok(Reply {
                    status,
                    fields: head.fields,
                    body: Vec::new(),
                });
            }
        }
    }

    /// Reads what has arrived of the body; `None` at its end.
    pub async fn read_piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        wire::in_time(wire::read_piece(&mut self.stream, &mut self.framing)).await
    }
}
