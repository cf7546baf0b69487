//! What the gateway needs of the world. The platform implements these in `edge`, the tests in
//! memory; a test world makes each of them fail before, after, or with the answer lost.
//!
//! None of the futures is `Send`: a Worker is one thread, and its values belong to it.
#![expect(async_fn_in_trait, reason = "no port is ever used across threads")]

use crate::http::Headers;
use crate::job::{BodyRef, Millis, UnixMillis};

use crate::rpc::Reply;

/// Time and randomness.
pub trait Host {
    /// The time.
    fn now(&self) -> UnixMillis;
    /// Fills a slice with random bytes that nobody can guess.
    fn random(&self, bytes: &mut [u8]);
    /// Waits.
    async fn sleep(&self, span: Millis);
    /// Writes a line to the log. It must hold no secret: no header value, body or job id.
    fn log(&self, line: &str);
}

/// Bodies that stream.
pub trait Streams {
    /// A body that has not been read.
    type Body;

    /// Reads a body as long as it has at most `limit` bytes.
    async fn collect(&self, body: Self::Body, limit: u64) -> Collected<Self::Body>;

    /// A body of these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;
}

/// What [`Streams::collect`] found.
#[derive(Debug)]
pub enum Collected<B> {
    /// The whole body.
    All(Vec<u8>),
    /// It has more bytes than the limit; this is all of it, still streaming.
    More(B),
    /// It broke off.
    Broken,
}

/// What a shard call carries.
#[derive(Debug)]
pub enum CallBody<B> {
    /// Nothing.
    Empty,
    /// A stream, handed on untouched.
    Stream(B),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Something did not answer, or not in time. Whether it acted is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// The shards.
pub trait Shards: Streams {
    /// A response on its way to a client: the platform's own, so that it passes through untouched.
    type Response;

    /// Calls a shard. `call` is an envelope as header text.
    async fn call(
        &self,
        shard: u16,
        call: String,
        body: CallBody<Self::Body>,
    ) -> Result<Self::Response, Unavailable>;

    /// The status of a response.
    fn status(&self, response: &Self::Response) -> u16;

    /// A header field of a response.
    fn field(&self, response: &Self::Response, name: &str) -> Option<String>;

    /// Reads the content of a small response whole. `None` when it broke off.
    async fn read(&self, response: Self::Response) -> Option<Vec<u8>>;

    /// Makes a response.
    fn respond(&self, reply: Reply) -> Self::Response;

    /// The response with these fields set (`Some`) or removed (`None`), and another body if given.
    fn amend(
        &self,
        response: Self::Response,
        fields: &[(&str, Option<String>)],
        body: Option<Self::Body>,
    ) -> Self::Response;
}

/// Waiting for a job without asking again and again.
pub trait Watching {
    /// Waits until the shard says that the job has ended. `call` is a watch as header text. False when
    /// the shard could not be asked or the connection broke. Dropping the future ends the wait; without
    /// that it may never end.
    async fn until_ended(&self, shard: u16, call: String) -> bool;
}

/// Where large bodies are kept.
pub trait Bucket: Streams {
    /// Stores a body under a key, while counting and hashing it. `announced` is its length if known:
    /// another length is [`PutError::Incomplete`].
    async fn put(
        &self,
        key: &str,
        body: Self::Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<BodyRef, PutError>;

    /// Opens a stored body, or `count` bytes of it from `first`. `None` when there is none.
    async fn get(
        &self,
        key: &str,
        slice: Option<(u64, u64)>,
    ) -> Result<Option<Self::Body>, Unavailable>;

    /// Deletes objects; one that does not exist counts as deleted.
    async fn delete(&self, keys: &[String]) -> Result<(), Unavailable>;
}

/// Why a body was not stored. Nothing is kept of it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutError {
    /// It has more bytes than the limit.
    TooLarge,
    /// It broke off, or had another length than announced.
    Incomplete,
    /// The bucket failed.
    Storage,
}

/// The API behind.
pub trait OriginPort: Streams {
    /// Sends a request and waits for the head of the response. Dropping the future aborts the
    /// request, and so does dropping the body.
    async fn send(
        &self,
        request: OriginRequest<Self::Body>,
    ) -> Result<OriginResponse<Self::Body>, OriginError>;
}

/// A request to the origin.
#[derive(Debug)]
pub struct OriginRequest<B> {
    /// The method.
    pub method: String,
    /// The name of the origin; empty for the default one. The platform adds the header fields that the
    /// configuration has for it, and fails as [`OriginError::Unreachable`] where there is none by that name.
    pub origin: String,
    /// The target; the platform puts the address of the origin before it.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, with its length.
    pub body: Option<(B, u64)>,
}

/// The head of a response of the origin, and its body still to be read.
#[derive(Debug)]
pub struct OriginResponse<B> {
    /// The status, as it came.
    pub status: u16,
    /// The header fields, as they came.
    pub headers: Headers,
    /// The body.
    pub body: Option<B>,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// No connection was made: the origin has seen nothing.
    Unreachable,
    /// The connection was lost, or what came was no HTTP; the origin may have acted.
    Lost,
    /// An answer came that is no valid response.
    Malformed,
}
