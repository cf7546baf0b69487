//! The port to the database. It is synchronous, as a Durable Object's SQLite is. Tests run the same
//! statements on rusqlite.

/// A value bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// An integer of at most 53 bits, because it passes through JavaScript.
    Int(u64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value read from a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// NULL.
    Null,
    /// A non-negative integer; no other is ever stored.
    Int(u64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The database refused a statement: it is full, broken or unreachable. The text is for the log only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError(pub String);

/// A SQLite database with one user at a time. Clones are handles to the same database.
pub trait Sql: Clone {
    /// Runs one statement and returns its rows, values in column order.
    fn run(&self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Value>>, SqlError>;

    /// Runs `body` in a transaction: if it fails, none of its writes remain.
    fn atomically(&self, body: &mut dyn FnMut() -> Result<(), SqlError>) -> Result<(), SqlError>;
}

impl<'a> Param<'a> {
    /// The bytes, or NULL.
    #[must_use]
    pub fn blob_or_null(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Null, Self::Blob)
    }
}

impl Value {
    /// The integer, if it is one.
    #[must_use]
    pub const fn int(&self) -> Option<u64> {
        if let Self::Int(n) = self {
            Some(*n)
        } else {
            None
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The bytes, if it is a blob.
    #[must_use]
    pub fn blob(&self) -> Option<&[u8]> {
        if let Self::Blob(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// The bytes without a copy, if it is a blob.
    #[must_use]
    pub fn into_blob(self) -> Option<Vec<u8>> {
        if let Self::Blob(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }
}
