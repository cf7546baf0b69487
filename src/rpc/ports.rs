//! Ports: what the gateway needs of the platform. `edge` implements them for the platform, the tests in
//! memory; a test can make each call fail before or after its effect, or lose its response.
//!
//! The futures are not `Send`: a Worker runs on one thread.
#![expect(async_fn_in_trait, reason = "no port is ever used across threads")]

use crate::http::Headers;
use crate::job::{BodyRef, Millis, UnixMillis};

use crate::rpc::Reply;

/// Time and randomness.
pub trait Host {
    /// The time.
    fn now(&self) -> UnixMillis;
    /// Fills a slice with cryptographically secure random bytes.
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

    /// Reads a body of at most `limit` bytes into memory. Only a client's body has a time limit.
    async fn collect(&self, body: Self::Body, limit: u64) -> Collected<Self::Body>;

    /// A body with these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;
}

/// What [`Streams::collect`] found.
#[derive(Debug)]
pub enum Collected<B> {
    /// The whole body.
    All(Vec<u8>),
    /// It is longer than the limit; this is the whole body, still streaming.
    More(B),
    /// It could not be read.
    Failed(BodyFault),
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It broke off, or had another length than announced.
    Incomplete,
    /// Its client sends too slowly or has stopped; see [`UPLOAD_TIMEOUT`](super::bounds::UPLOAD_TIMEOUT).
    Stalled,
    /// The bodies in this isolate are at the memory limit; see [`HELD_MAX`](super::bounds::HELD_MAX).
    Full,
}

/// The body of a shard call.
#[derive(Debug)]
pub enum CallBody<B> {
    /// Nothing.
    Empty,
    /// A stream, passed on untouched.
    Stream(B),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// No response came, or not in time. It is not known whether the call took effect.
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

    /// Reads the whole content of a small response. `None` if it broke off.
    async fn read(&self, response: Self::Response) -> Option<Vec<u8>>;

    /// Creates a response.
    fn respond(&self, reply: Reply) -> Self::Response;

    /// The response with these fields set (`Some`) or removed (`None`), and another body if given.
    fn amend(
        &self,
        response: Self::Response,
        fields: &[(&str, Option<String>)],
        body: Option<Self::Body>,
    ) -> Self::Response;
}

/// Waiting for a job without polling.
pub trait Watching {
    /// Waits until the shard says that the job has ended. `call` is a watch as header text. False if the
    /// call failed or the connection broke. There is no time-out: drop the future to end the wait.
    async fn until_ended(&self, shard: u16, call: String) -> bool;
}

/// Where large bodies are kept.
pub trait Bucket: Streams {
    /// Stores a body under a key, and counts and hashes it on the way. `announced` is its length, if known:
    /// any other length is [`BodyFault::Incomplete`].
    async fn put(
        &self,
        key: &str,
        body: Self::Body,
        announced: Option<u64>,
        limit: u64,
    ) -> Result<BodyRef, PutError>;

    /// Opens a stored body, or `count` bytes of it from `first` (`slice`). `None` if there is no such object.
    async fn get(
        &self,
        key: &str,
        slice: Option<(u64, u64)>,
    ) -> Result<Option<Self::Body>, Unavailable>;

    /// Deletes objects; one that does not exist counts as deleted.
    async fn delete(&self, keys: &[String]) -> Result<(), Unavailable>;
}

/// Why a body was not stored. No part of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutError {
    /// It has more bytes than the limit.
    TooLarge,
    /// It could not be read.
    Body(BodyFault),
    /// The bucket failed.
    Storage,
}

/// The API behind the gateway.
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
    /// The name of the origin; empty for the default one. The platform adds the header fields configured
    /// for it, and fails with [`OriginError::Unreachable`] if no origin has that name.
    pub origin: String,
    /// The target; the platform prefixes it with the address of the origin.
    pub target: String,
    /// The header fields.
    pub headers: Headers,
    /// The body, with its length.
    pub body: Option<(B, u64)>,
}

/// The head of the origin's response, and its unread body.
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
    /// No connection was made, so the origin has seen nothing.
    Unreachable,
    /// The connection was lost, or what came was not HTTP. The origin may have acted.
    Lost,
}
