//! Watches a job over a WebSocket to its shard.

use futures_util::StreamExt as _;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::Response;
use worker::{WebSocket, WebsocketEvent};

use crate::rpc::ports::Watching;

use super::glue;
use super::ports::Platform;
use crate::policy::bindings::SHARDS;

impl Watching for Platform {
    async fn until_ended(&self, shard: u16, call: String) -> bool {
        let name = format!("shard-{shard}");
        self.watch(&name, &call).await.unwrap_or_else(|error| {
            worker::console_warn!("{name}: {}", glue::message_of(&error));
            false
        })
    }
}

/// A socket that is closed on drop.
struct Closing(WebSocket);

impl Drop for Closing {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.0.close(Some(1000), None::<&str>);
    }
}

impl Platform {
    /// Waits until a shard says that a job has ended; false if the connection breaks first. The wait costs
    /// the shard nothing, because its end of the WebSocket hibernates.
    async fn watch(&self, name: &str, call: &str) -> Result<bool, JsValue> {
        let opening = glue::open_watch(&self.bindings.get(SHARDS), name, call)?;
        let response: Response = JsFuture::from(opening).await?.unchecked_into();
        let status = response.status();
        let Some(socket) = worker::Response::from(response).websocket() else {
            // Nothing to wait for (204), or the shard failed.
            return Ok(status == 204);
        };
        let socket = Closing(socket);
        let mut events = socket.0.events().map_err(JsValue::from)?;
        socket.0.accept().map_err(JsValue::from)?;
        let event = events.next().await;
        Ok(matches!(event, Some(Ok(WebsocketEvent::Message(_)))))
    }
}
