//! All flags.

use super::spec::FlagSpec;
use super::{no_effect, not_yet, table};

/// Every flag: those with a field in [`ServerArgs`], then those that are only known by name.
pub fn flags() -> impl Iterator<Item = &'static FlagSpec> {
    table::FLAGS.iter().chain(not_yet::FLAGS).chain(no_effect::FLAGS)
}
