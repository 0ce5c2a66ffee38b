//! The flags of all tables.

use super::spec::FlagSpec;
use super::{no_effect, not_yet, table};

/// All flags: those with a field in [`ServerArgs`], then those that are known by name only.
pub fn flags() -> impl Iterator<Item = &'static FlagSpec> {
    table::FLAGS.iter().chain(not_yet::FLAGS).chain(no_effect::FLAGS)
}

/// The flag with this long name.
pub(super) fn find(long: &str) -> Option<&'static FlagSpec> {
    flags().find(|flag| flag.long == long)
}

/// The fields whose values no log and no answer may show: keys and passwords.
pub fn secrets() -> impl Iterator<Item = &'static str> {
    flags().filter(|flag| flag.secret).map(|flag| flag.field)
}
