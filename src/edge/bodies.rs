//! Bodies, and their limits as objects for the JavaScript side, which are created once.

use js_sys::{Object, Reflect};
use wasm_bindgen::JsValue;
use worker::web_sys::AbortController;

use crate::job::Millis;
use crate::rpc::bounds::{
    BUCKET_TIMEOUT, CLEAN_UP_TIMEOUT, DISCARD_TIMEOUT, HELD_MAX, HELD_TIMEOUT, UPLOAD_MAX,
    UPLOAD_STEP, UPLOAD_TIMEOUT,
};
use crate::rpc::ports::BodyFault;

/// A body: a stream or bytes, on the JavaScript side.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) stream: JsValue,
    /// Its length, if one was announced.
    pub(super) announced: Option<u64>,
    /// Aborts the body's request if the body is dropped before its end.
    pub(super) guard: Option<AbortGuard>,
    /// Who sends it.
    pub(super) sender: Sender,
}

impl Body {
    pub(super) const fn of(sender: Sender, stream: JsValue) -> Self {
        Self {
            stream,
            announced: None,
            guard: None,
            sender,
        }
    }

    /// It was read to its end.
    pub(super) fn ended(self) {
        if let Some(guard) = self.guard {
            guard.ended();
        }
    }
}

/// Aborts the request to the origin unless it has ended.
#[derive(Debug)]
pub(super) struct AbortGuard(pub(super) Option<AbortController>);

impl AbortGuard {
    /// The request has ended. An abort now would only cause an unused exception, which is expensive.
    pub(super) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// Who sends a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender {
    /// A client, which may stall.
    Client,
    /// The origin. The attempt's time-out applies. Its bytes count as held, but are never rejected, because the
    /// origin has acted; a consumer reads only a few responses at a time.
    Origin,
    /// The bucket.
    Bucket,
    /// This Worker: bytes in memory.
    Us,
}

impl Sender {
    /// The limits of its bodies.
    pub(super) fn limits(self) -> JsValue {
        match self {
            Self::Client => &CLIENT,
            Self::Bucket => &BUCKET,
            Self::Origin | Self::Us => &UNLIMITED,
        }
        .with(Clone::clone)
    }
}

thread_local! {
    static CLIENT: JsValue = Limits {
        read: UPLOAD_TIMEOUT,
        whole: UPLOAD_MAX,
        held: HELD_MAX,
    }
    .object();

    static BUCKET: JsValue = Limits {
        read: BUCKET_TIMEOUT,
        whole: UPLOAD_MAX,
        held: HELD_MAX,
    }
    .object();

    static UNLIMITED: JsValue = Limits {
        read: Millis(0),
        whole: Millis(0),
        held: 0,
    }
    .object();

    static DISCARDED: JsValue = Limits {
        read: DISCARD_TIMEOUT,
        whole: DISCARD_TIMEOUT,
        held: HELD_MAX,
    }
    .object();
}

/// The limits that differ by sender; 0 means none.
struct Limits {
    /// For [`UPLOAD_STEP`] bytes, or the rest.
    read: Millis,
    /// For the whole body.
    whole: Millis,
    /// Most bytes in the buffers of this isolate.
    held: u64,
}

impl Limits {
    fn object(&self) -> JsValue {
        let object = Object::new();
        for (name, value) in [
            ("readBytes", UPLOAD_STEP),
            ("readMillis", self.read.0),
            ("wholeMillis", self.whole.0),
            ("heldBytes", self.held),
            ("heldMillis", HELD_TIMEOUT.0),
            ("bucketMillis", BUCKET_TIMEOUT.0),
            ("cleanUpMillis", CLEAN_UP_TIMEOUT.0),
        ] {
            // Setting a property of a plain object cannot fail.
            let _ = Reflect::set(&object, &name.into(), &number(value).into());
        }
        object.into()
    }
}

/// Calls with the limits of a body that is discarded.
pub(super) fn for_discarding<T>(call: impl FnOnce(&JsValue) -> T) -> T {
    DISCARDED.with(call)
}

/// Translates the JavaScript side's word for a body that could not be read.
pub(super) fn fault(word: &str) -> Option<BodyFault> {
    match word {
        "incomplete" => Some(BodyFault::Incomplete),
        "stalled" => Some(BodyFault::Stalled),
        "full" => Some(BodyFault::Full),
        _ => None,
    }
}

/// Lengths and limits are far below 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) const fn number(n: u64) -> f64 {
    n as f64
}
