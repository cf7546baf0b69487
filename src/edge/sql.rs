//! The shard's database port over a Durable Object's storage.

use js_sys::{Array, ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::shard::{Param, Sql, SqlError, Value};

use super::glue;

/// A handle to the object's database.
#[derive(Clone, Debug)]
pub(super) struct ObjectSql {
    storage: JsValue,
    sql: JsValue,
}

impl ObjectSql {
    pub(super) fn new(storage: JsValue) -> Self {
        let sql = Reflect::get(&storage, &JsValue::from_str("sql")).unwrap_or(JsValue::UNDEFINED);
        Self { storage, sql }
    }
}

impl Sql for ObjectSql {
    fn run(&self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Value>>, SqlError> {
        let bound = Array::new();
        for param in params {
            bound.push(&bind(*param));
        }
        let error = |error: JsValue| SqlError(glue::message_of(&error));
        if !statement.starts_with("SELECT") {
            glue::execute(&self.sql, statement, &bound).map_err(error)?;
            return Ok(Vec::new());
        }
        let rows = glue::query(&self.sql, statement, &bound).map_err(error)?;
        Ok(rows
            .iter()
            .map(|row| Array::from(&row).iter().map(value).collect())
            .collect())
    }

    fn atomically(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError> {
        let mut failure = None;
        let outcome = glue::atomically(&self.storage, &mut || match body() {
            Ok(()) => true,
            Err(error) => {
                failure = Some(error);
                false
            }
        });
        match (outcome, failure) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(SqlError(glue::message_of(&error))),
            (Ok(()), None) => Ok(()),
        }
    }
}

/// Integers are below 2⁵³, so a JavaScript number carries them exactly.
#[expect(clippy::cast_precision_loss, reason = "see the port: at most 53 bits")]
fn bind(param: Param<'_>) -> JsValue {
    match param {
        Param::Null => JsValue::NULL,
        Param::Int(n) => JsValue::from_f64(n as f64),
        Param::Text(text) => JsValue::from_str(text),
        Param::Blob(bytes) => Uint8Array::from(bytes).into(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and nothing negative or fractional is ever stored"
)]
fn value(value: JsValue) -> Value {
    if let Some(n) = value.as_f64() {
        return Value::Int(n as u64);
    }
    if let Some(text) = value.as_string() {
        return Value::Text(text);
    }
    match value.dyn_into::<ArrayBuffer>() {
        Ok(buffer) => Value::Blob(Uint8Array::new(&buffer).to_vec()),
        Err(_) => Value::Null,
    }
}
