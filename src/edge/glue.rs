//! The functions of `glue.js` and `bodies.js`.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use worker::web_sys::{AbortSignal, Request, Response};

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = requestHead)]
    pub(super) fn request_head(request: &Request) -> String;

    #[wasm_bindgen(js_name = responseHead)]
    pub(super) fn response_head(response: &Response) -> String;

    #[wasm_bindgen(catch)]
    pub(super) fn respond(status: u16, packed: &str, body: &JsValue) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = respondPacked)]
    pub(super) fn respond_packed(packed: &str) -> Response;

    #[wasm_bindgen(catch)]
    pub(super) fn amend(
        response: &Response,
        packed: &str,
        body: &JsValue,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = callShard, catch)]
    pub(super) fn call_shard(
        namespace: &JsValue,
        name: &str,
        call: &str,
        body: &JsValue,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_name = answerOfShard)]
    pub(super) fn answer_of_shard(
        namespace: &JsValue,
        name: &str,
        call: &str,
        body: &JsValue,
        safe_to_repeat: bool,
        longest_millis: f64,
    ) -> Promise;

    #[wasm_bindgen(js_name = openWatch, catch)]
    pub(super) fn open_watch(
        namespace: &JsValue,
        name: &str,
        call: &str,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn watch(state: &JsValue, tag: &str) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = hasWatchers)]
    pub(super) fn has_watchers(state: &JsValue) -> bool;

    #[wasm_bindgen(js_name = tellWatchers)]
    pub(super) fn tell_watchers(state: &JsValue, tag: &str);

    #[wasm_bindgen(js_name = passThrough)]
    pub(super) fn pass_through(
        fetcher: &JsValue,
        request: &Request,
        plan: &str,
        varies: bool,
        untouched: &JsValue,
        finish: &JsValue,
    ) -> Promise;

    #[wasm_bindgen(catch)]
    pub(super) fn edited(
        response: &Response,
        removed: &str,
        packed: &str,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = afterCommit)]
    pub(super) fn after_commit(storage: &JsValue, millis: u32, then: &Function);

    pub(super) fn accepts(hostname: &str, port: u16) -> Promise;

    #[wasm_bindgen(catch)]
    pub(super) fn replay(
        fetcher: &JsValue,
        url: &str,
        method: &str,
        packed: &str,
        body: &JsValue,
        signal: &AbortSignal,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_name = sendMessage, catch)]
    pub(super) fn send_message(queue: &JsValue, text: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn enqueue(queue: &JsValue, delay_seconds: f64, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(js_name = enqueueAll, catch)]
    pub(super) fn enqueue_all(queue: &JsValue, packed: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn query(sql: &JsValue, statement: &str, params: &Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn execute(sql: &JsValue, statement: &str, params: &Array) -> Result<(), JsValue>;

    #[wasm_bindgen(catch)]
    pub(super) fn atomically(
        storage: &JsValue,
        body: &mut dyn FnMut() -> bool,
    ) -> Result<(), JsValue>;
}

#[wasm_bindgen(module = "/src/edge/bodies.js")]
extern "C" {
    #[wasm_bindgen(js_name = readAll)]
    pub(super) fn read_all(source: &JsValue) -> Promise;

    pub(super) fn collect(
        stream: &JsValue,
        limit: f64,
        expected: Option<f64>,
        limits: &JsValue,
    ) -> Promise;

    pub(super) fn store(
        bucket: &JsValue,
        key: &str,
        stream: &JsValue,
        announced: Option<f64>,
        limit: f64,
        limits: &JsValue,
    ) -> Promise;

    pub(super) fn open(bucket: &JsValue, key: &str, first: f64, count: Option<f64>) -> Promise;

    #[wasm_bindgen(catch)]
    pub(super) fn remove(bucket: &JsValue, keys: Array) -> Result<Promise, JsValue>;

    pub(super) fn discard(request: &Request, most: f64, limits: &JsValue) -> Promise;
}

/// What a JavaScript exception says, for the log.
pub(super) fn message_of(error: &JsValue) -> String {
    js_sys::Reflect::get(error, &JsValue::from_str("message"))
        .ok()
        .and_then(|message| message.as_string())
        .unwrap_or_else(|| "unknown error".to_owned())
}
