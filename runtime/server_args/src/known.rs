//! The rows of flags that are known by name: those of [`super::not_yet`] and of [`super::no_effect`].

/// Makes a table of flags with the same [`Support`]. A row is `field, "long" | "alias", kind, default, help`.
macro_rules! known_flags {
    ($support:ident; $($group:ident {
        $($field:ident, $long:literal $(| $alias:literal)*, $kind:ident, $default:expr, $help:expr;)*
    })*) => {
        /// The rows.
        pub(super) const FLAGS: &[FlagSpec] = &[$($( FlagSpec {
            field: stringify!($field),
            long: $long,
            aliases: &[$($alias),*],
            group: Group::$group,
            kind: Kind::$kind,
            default: $default,
            choices: &[],
            choices_not_yet: &[],
            range: Range::Any,
            secret: false,
            support: Support::$support,
            help: $help,
        }, )*)*];
    };
}

pub(super) use known_flags;
