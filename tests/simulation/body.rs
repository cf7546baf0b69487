//! Bodies that are shared instead of copied, and hashed once.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use raincheck::rpc::hash::sha256_hex;

/// Bytes with their hash.
#[derive(Clone, Debug)]
pub struct Blob(Rc<(Vec<u8>, OnceCell<String>)>);

impl Blob {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Rc::new((bytes, OnceCell::new())))
    }

    /// One of a few large bodies of this length, made once.
    pub fn large(len: usize, variant: u8) -> Self {
        thread_local! {
            static MADE: RefCell<Vec<(usize, u8, Blob)>> = const { RefCell::new(Vec::new()) };
        }
        MADE.with_borrow_mut(|made| {
            let known = made
                .iter()
                .find(|entry| entry.0 == len && entry.1 == variant);
            if let Some((_, _, blob)) = known {
                return blob.clone();
            }
            let blob = Self::new(vec![b'a' + variant; len]);
            made.push((len, variant, blob.clone()));
            blob
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0.0
    }

    pub fn len(&self) -> u64 {
        self.0.0.len() as u64
    }

    pub fn sha256(&self) -> &str {
        self.0.1.get_or_init(|| sha256_hex(&self.0.0))
    }
}

/// A body in transit.
#[derive(Clone, Debug)]
pub struct Body {
    pub blob: Blob,
    /// It breaks off at the end of the blob instead of ending there.
    pub broken: bool,
    /// How long it takes to arrive, in milliseconds.
    pub slow: u64,
}

impl Body {
    pub fn whole(blob: Blob) -> Self {
        Self {
            blob,
            broken: false,
            slow: 0,
        }
    }
}
