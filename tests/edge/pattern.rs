//! Bodies of any size that need no memory: byte `i` of a body depends only on its seed and `i`, so that
//! sender and receiver can produce and check it piece by piece.

use sha2::{Digest, Sha256};

/// Length of the repeated block. Each block starts with its own number, so that a block lost,
/// doubled or out of order changes the hash.
const BLOCK: usize = 64 * 1024;

/// A body of `length` bytes, produced block by block.
pub struct Pattern {
    block: Vec<u8>,
    number: u64,
    left: u64,
}

impl Pattern {
    /// The body with this `seed` and `length`.
    pub fn new(seed: u64, length: u64) -> Self {
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        let block = (0..BLOCK)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        Self {
            block,
            number: 0,
            left: length,
        }
    }

    /// The next at most 64 KiB, or `None` at the end.
    pub fn next_block(&mut self) -> Option<&[u8]> {
        if self.left == 0 {
            return None;
        }
        let take = usize::try_from(self.left).map_or(BLOCK, |left| left.min(BLOCK));
        self.block[..8].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        self.left -= take as u64;
        Some(&self.block[..take])
    }
}

/// The whole body in memory, for sizes where that is reasonable.
pub fn bytes(seed: u64, length: u64) -> Vec<u8> {
    let mut pattern = Pattern::new(seed, length);
    let mut body = Vec::new();
    while let Some(block) = pattern.next_block() {
        body.extend_from_slice(block);
    }
    body
}

/// The SHA-256 of the body, in lower-case hexadecimal.
pub fn hash(seed: u64, length: u64) -> String {
    let mut pattern = Pattern::new(seed, length);
    let mut hasher = Sha256::new();
    while let Some(block) = pattern.next_block() {
        hasher.update(block);
    }
    hex(&hasher.finalize())
}

/// The SHA-256 of `body`, in lower-case hexadecimal.
pub fn sha256(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
