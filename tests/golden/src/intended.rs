//! What differs on purpose.

/// Places of an exchange where our answer differs on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Intended {
    /// `SET/NAME` of the exchange.
    pub exchange: &'static str,
    /// Beginnings of the lines that the comparison makes: `status`, `header NAME`, `$.PLACE`.
    pub places: &'static [&'static str],
    /// What our answer must contain instead.
    pub says: &'static str,
    /// First column of the row of docs/api.md, "Differences", that says why.
    pub row: &'static str,
}

const fn different(
    exchange: &'static str,
    places: &'static [&'static str],
    says: &'static str,
    row: &'static str,
) -> Intended {
    Intended { exchange, places, says, row }
}

/// Every intended difference.
pub const INTENDED: &[Intended] = &[];

/// Exchanges that are not replayed, and why.
pub const NOT_REPLAYED: &[(&str, &str)] = &[];

/// The entries of an exchange.
pub fn intended(set: &str, name: &str) -> impl Iterator<Item = &'static Intended> {
    INTENDED.iter().filter(move |entry| entry.exchange.split_once('/') == Some((set, name)))
}
