//! Calling a shard, and storing a body in the bucket under a key that its shard knows of.

use crate::job::{BodyRef, RowKey};

use super::call::{Call, Envelope};
use super::hash::hex;
use super::ports::{Bucket, CallBody, Host, PutError, Shards, Unavailable};

/// Calls a shard.
pub async fn call_shard<P: Shards>(
    ports: &P,
    shard: u16,
    call: &Call,
    body: CallBody<P::Body>,
) -> Result<P::Response, Unavailable> {
    let header = Envelope::header_of(shard, call).map_err(|_| Unavailable)?;
    ports.call(shard, header, body).await
}

/// Stores a body in the bucket. The shard is told first, so that an object which no record comes to
/// name is deleted, whatever stops this Worker in between.
pub async fn store<P: Shards + Bucket>(
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
        // The answer may have been lost and the object stored, even after the note about it ran out.
        let _ = ports.delete(&[object.to_owned()]).await;
    }
    stored
}

/// A key for an object: what it is for, its shard, and 128 random bits.
pub fn object_key<P: Host>(ports: &P, kind: &str, shard: u16) -> String {
    let mut bytes = [0; 16];
    ports.random(&mut bytes);
    format!("{kind}/{shard}/{}", hex(&bytes))
}
