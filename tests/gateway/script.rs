//! What the tests' origin does, request by request.

use raincheck::http::Headers;
use raincheck::job::Millis;

/// What the origin does with one request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Responds.
    Respond(Response),
    /// No connection can be made.
    Refuse,
    /// The connection is lost after the request was sent.
    Lose,
    /// Never responds.
    Hang,
    /// Waits, then does this.
    After(Millis, Box<Reaction>),
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub broken: bool,
    /// Its body stalls after these bytes.
    pub hangs: bool,
}

pub fn respond(status: u16) -> Response {
    Response {
        status,
        headers: Headers::new(),
        body: Vec::new(),
        broken: false,
        hangs: false,
    }
}

impl Response {
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a body whose length is announced.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let len = self.body.len().to_string();
        self.field("content-length", &len)
    }

    /// With a body in chunks, of unknown length.
    pub fn chunked(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.field("transfer-encoding", "chunked")
    }

    /// The body is cut off after these bytes.
    pub fn cut(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.broken = true;
        self
    }

    /// The body stalls after these bytes.
    pub fn hang(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.hangs = true;
        self
    }
}

impl From<Response> for Reaction {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// The origin waits, then does this.
pub fn after(millis: u64, then: impl Into<Reaction>) -> Reaction {
    Reaction::After(Millis(millis), Box::new(then.into()))
}
