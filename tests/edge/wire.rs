//! HTTP/1.1 as bytes on a connection: heads and body framing, for the origin and for the client.
//!
//! Both write and read raw bytes on purpose. A library would refuse to send most of what these
//! tests need, and would hide what arrived.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};

/// Longest head that is read; more means that the peer never ends it.
const HEAD_MAX: usize = 4 * 1024 * 1024;

/// Longest wait for any single read. Nothing here is silent for so long unless it hangs.
pub const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// The start line and the fields of a message, as they were on the wire (Latin-1).
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Request line or status line.
    pub start: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }
}

/// The first field of that name in a list.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Reads a head, or `None` when the peer closed before sending anything.
pub async fn read_head<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Option<Head>> {
    let mut head = Head::default();
    let mut total = 0;
    loop {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).await?;
        total += read;
        if read == 0 {
            return if total == 0 {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        if total > HEAD_MAX {
            return Err(io::Error::other("endless head"));
        }
        while matches!(line.last(), Some(b'\r' | b'\n')) {
            line.pop();
        }
        let line: String = line.into_iter().map(char::from).collect();
        if line.is_empty() && head.start.is_empty() {
            continue;
        }
        if line.is_empty() {
            return Ok(Some(head));
        }
        if head.start.is_empty() {
            head.start = line;
        } else if let Some((name, value)) = line.split_once(':') {
            head.fields
                .push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// That many bytes are left.
    Length(u64),
    /// Chunked; `left` of the chunk at hand.
    Chunked { left: u64, started: bool },
    /// Until the peer closes.
    Close,
    /// Ended.
    Done,
}

impl Framing {
    /// The framing of a request's body.
    pub fn of_request(head: &Head) -> Self {
        Self::declared(head).unwrap_or(Self::Done)
    }

    /// The framing of the body of a response with `status` to a request with `method`.
    pub fn of_response(head: &Head, method: &str, status: u16) -> Self {
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Self::Done;
        }
        Self::declared(head).unwrap_or(Self::Close)
    }

    fn declared(head: &Head) -> Option<Self> {
        let chunked = head
            .field("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        if chunked {
            return Some(Self::Chunked {
                left: 0,
                started: false,
            });
        }
        head.field("content-length")
            .and_then(|length| length.parse().ok())
            .map(Self::Length)
    }
}

/// Reads the next piece of a body; `None` at its proper end, an error when it is cut short.
pub async fn read_piece<R>(reader: &mut R, framing: &mut Framing) -> io::Result<Option<Vec<u8>>>
where
    R: AsyncBufRead + AsyncRead + Unpin,
{
    if let Framing::Chunked { left: 0, started } = *framing {
        let left = next_chunk(reader, started).await?;
        *framing = if left == 0 {
            Framing::Done
        } else {
            Framing::Chunked {
                left,
                started: true,
            }
        };
    }
    let most = match *framing {
        Framing::Done | Framing::Length(0) => return Ok(None),
        Framing::Length(left) | Framing::Chunked { left, .. } => left,
        Framing::Close => u64::MAX,
    };
    let mut piece = vec![0; usize::try_from(most.min(64 * 1024)).unwrap()];
    let read = reader.read(&mut piece).await?;
    piece.truncate(read);
    match framing {
        Framing::Close if read == 0 => {
            *framing = Framing::Done;
            return Ok(None);
        }
        _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        Framing::Length(left) | Framing::Chunked { left, .. } => *left -= read as u64,
        Framing::Close | Framing::Done => {}
    }
    Ok(Some(piece))
}

/// Reads the size line of the next chunk, and the trailers after the last.
async fn next_chunk<R: AsyncBufRead + Unpin>(reader: &mut R, started: bool) -> io::Result<u64> {
    let mut line = String::new();
    if started {
        reader.read_line(&mut line).await?;
        line.clear();
    }
    if reader.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let size = line.trim().split(';').next().unwrap_or_default();
    let size = u64::from_str_radix(size, 16)
        .map_err(|_| io::Error::other(format!("chunk size {size:?}")))?;
    if size == 0 {
        loop {
            line.clear();
            if reader.read_line(&mut line).await? == 0 || line.trim().is_empty() {
                break;
            }
        }
    }
    Ok(size)
}

/// Runs a read with a limit, so that a hanging peer is a failed test and not a hanging one.
pub async fn in_time<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(READ_TIMEOUT, what)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came")))
}
