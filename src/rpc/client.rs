//! Calls a shard, and stores a body in the bucket under a key that its shard has noted.

use futures_util::future::{Either, select};

use crate::http::hex;
use crate::job::{BodyRef, Millis, RowKey};

use super::bounds::{CLEAN_UP_TIMEOUT, SHARD_TIMEOUT, UPLOAD_TIMEOUT};
use super::call::{Call, Envelope};
use super::ports::{Bucket, CallBody, Host, PutError, Shards, Unavailable};

/// Longest wait for a call: [`SHARD_TIMEOUT`], plus [`UPLOAD_TIMEOUT`] if it carries a client's stream, which the
/// shard waits for.
#[must_use]
pub fn longest(carries_stream: bool) -> Millis {
    if carries_stream {
        SHARD_TIMEOUT.plus(UPLOAD_TIMEOUT)
    } else {
        SHARD_TIMEOUT
    }
}

/// Calls a shard, and waits for the head of its response, see [`longest`].
pub async fn call_shard<P: Shards + Host>(
    ports: &P,
    shard: u16,
    call: &Call,
    body: CallBody<P::Body>,
) -> Result<P::Response, Unavailable> {
    let longest = longest(matches!(body, CallBody::Stream(_)));
    let header = Envelope::header_of(shard, call).map_err(|_| Unavailable)?;
    within(ports, longest, ports.call(shard, header, body)).await?
}

/// Calls a shard and returns the content of its response, all within `longest`. Any status but 200 counts as
/// unavailable.
pub async fn ask_shard<P: Shards + Host>(
    ports: &P,
    shard: u16,
    call: &Call,
    body: CallBody<P::Body>,
    longest: Millis,
) -> Result<Vec<u8>, Unavailable> {
    let header = Envelope::header_of(shard, call).map_err(|_| Unavailable)?;
    let asked = async {
        let response = ports.call(shard, header, body).await?;
        if ports.status(&response) != 200 {
            return Err(Unavailable);
        }
        ports.read(response).await.ok_or(Unavailable)
    };
    within(ports, longest, asked).await?
}

/// Waits for a future, at most for this long, then drops it.
pub async fn within<P: Host, T>(
    ports: &P,
    longest: Millis,
    future: impl Future<Output = T>,
) -> Result<T, Unavailable> {
    let over = std::pin::pin!(ports.sleep(longest));
    match select(std::pin::pin!(future), over).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(Unavailable),
    }
}

/// Stores a body in the bucket. The shard is told first, so that it deletes the object if this Worker
/// stops before a record names it.
pub async fn store<P: Shards + Bucket + Host>(
    ports: &P,
    shard: u16,
    object: &str,
    job: Option<RowKey>,
    body: P::Body,
    announced: Option<u64>,
    limit: u64,
) -> Result<BodyRef, PutError> {
    let call = Call::Intend {
        object: object.to_owned(),
        job,
    };
    let intended = call_shard(ports, shard, &call, CallBody::Empty).await;
    if !intended.is_ok_and(|response| ports.status(&response) == 204) {
        return Err(PutError::Storage);
    }
    let stored = ports.put(object, body, announced, limit).await;
    if stored.is_err() {
        // The object may be stored although its response was lost, and the shard's note may have run out.
        clean_up(ports, object.to_owned()).await;
    }
    stored
}

/// Deletes an object that no record names. If that fails, a sweep deletes it later.
pub async fn clean_up<P: Bucket + Host>(ports: &P, object: String) {
    let _ = within(ports, CLEAN_UP_TIMEOUT, ports.delete(&[object])).await;
}

/// A key for an object: its kind, its shard, and 128 random bits.
pub fn object_key<P: Host>(ports: &P, kind: &str, shard: u16) -> String {
    let mut bytes = [0; 16];
    ports.random(&mut bytes);
    format!("{kind}/{shard}/{}", hex::encode(&bytes))
}
