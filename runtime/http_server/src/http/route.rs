//! Who may call a route.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthTier {
    /// Whoever has the API key, if there is one.
    Normal,
    /// Whoever has the admin key; the API key when there is no admin key.
    AdminOptional,
    /// Everybody.
    Open,
}
