//! The fields that tell the next hop about the client's connection.

/// Which forwarding fields are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarding {
    /// None is added.
    None,
    /// `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both forms.
    Both,
}

impl Forwarding {
    /// Whether the `X-Forwarded-*` fields are sent.
    #[must_use]
    pub const fn sends_x_forwarded(self) -> bool {
        matches!(self, Self::XForwarded | Self::Both)
    }

    /// Whether `Forwarded` is sent.
    #[must_use]
    pub const fn sends_forwarded(self) -> bool {
        matches!(self, Self::Forwarded | Self::Both)
    }
}
