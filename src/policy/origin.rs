//! Origins: the APIs behind the gateway, and the header fields that it adds to their requests.

use std::fmt;

/// An API behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its address.
    pub at: OriginAt,
    /// Header fields that are set in each of its requests, in place of the client's.
    pub headers: Vec<OriginHeader>,
}

/// Where an origin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginAt {
    /// `scheme://host[:port][/base]`, without a trailing slash.
    Url(String),
    /// The Worker behind the service binding of this name.
    Service(String),
}

impl From<OriginAt> for Origin {
    fn from(at: OriginAt) -> Self {
        let headers = Vec::new();
        Self { at, headers }
    }
}

/// A header field for an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginHeader {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: Template,
}

/// A string in which `${NAME}` stands for a secret or variable of the Worker. It is filled in for each
/// request and never stored. The debug form shows nothing, because the string itself may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(..)")
    }
}

impl Template {
    /// Parses a string. `None` if a `${` is not closed, or does not contain a variable's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            if !is_variable_name(name) {
                return None;
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Name(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Some(Self(pieces))
    }

    /// The names of the secrets and variables in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The string with all names filled in. Fails with the name of a variable that is missing, or whose value
    /// is not valid in a header field.
    pub fn fill(&self, value_of: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => {
                    let value = value_of(name).filter(|value| is_sendable(value));
                    filled.push_str(&value.ok_or_else(|| name.clone())?);
                }
            }
        }
        Ok(filled)
    }
}

impl Origin {
    /// The names of its header fields, in lower case.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| header.name.as_str())
    }

    /// Its header fields with all names filled in. Fails like [`Template::fill`].
    pub fn filled_headers(
        &self,
        value_of: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(&str, String)>, String> {
        let filled = self.headers.iter().map(|header| {
            let value = header.value.fill(&value_of)?;
            Ok((header.name.as_str(), value))
        });
        filled.collect()
    }
}

fn is_variable_name(name: &str) -> bool {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(proper)
        && name
            .bytes()
            .next()
            .is_some_and(|first| !first.is_ascii_digit())
}

/// Whether a value is printable ASCII, which is valid in a header field in every encoding.
fn is_sendable(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
}
