//! The check of wrangler.toml, for the npm commands. They run it under Node; the Worker never does, so it is a
//! WebAssembly module of its own, built with the feature `commands`.

use wasm_bindgen::prelude::*;

use crate::policy::deployment;

/// Answers a question about wrangler.toml; both are JSON, see [`deployment::answer`].
#[wasm_bindgen(js_name = aboutDeployment)]
#[must_use]
pub fn about_deployment(question: &str) -> String {
    deployment::answer(question)
}
