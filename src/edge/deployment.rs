//! What the npm commands ask the built bundle, under Node; the runtime never does.

use wasm_bindgen::prelude::*;

use crate::policy::deployment;

/// Answers a question about wrangler.toml; both are JSON, see [`deployment::answer`].
#[wasm_bindgen(js_name = aboutDeployment)]
#[must_use]
pub fn about_deployment(question: &str) -> String {
    deployment::answer(question)
}
