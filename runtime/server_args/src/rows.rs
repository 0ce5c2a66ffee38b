//! The macro that turns the rows of the table into the struct, the list of flags, the reader and the rules.

macro_rules! server_args {
    ($($group:ident {
        $($field:ident : $ty:ty = $default:expr, $long:literal $(| $alias:literal)*, $support:ident, $help:literal
            $(, one_of $choices:expr)? $(, not_yet $later:expr)?
            $(, range $range:expr)? $(, secret $secret:literal)? $(, check $check:expr)? ;)*
    })*) => {
        /// The checked arguments of a server, from the command line and `--config`. Field names are the reference's.
        /// `None` means that the value is chosen at start-up.
        #[derive(Debug, Clone, PartialEq)]
        pub struct ServerArgs {
            $($( #[doc = $help] pub $field: $ty, )*)*
            /// The given flags that have no effect, by field name, with their values.
            pub without_effect: JsonObject,
        }

        /// The rows behind [`ServerArgs`], in the order of its fields.
        pub const FLAGS: &[FlagSpec] = &[$($( FlagSpec {
            field: stringify!($field),
            long: $long,
            aliases: &[$($alias),*],
            group: Group::$group,
            kind: <$ty as FlagValue>::KIND,
            default: $default,
            choices: { let none: &[&str] = &[]; let _ = none; $(let none: &[&str] = $choices;)? none },
            choices_not_yet: { let none: &[&str] = &[]; let _ = none; $(let none: &[&str] = $later;)? none },
            range: { let range = <$ty as FlagValue>::RANGE; let _ = range; $(let range = $range;)? range },
            secret: { let secret = false; let _ = secret; $(let secret = $secret;)? secret },
            support: Support::$support,
            help: $help,
        }, )*)*];

        /// The rules of the rows about other flags, in the order of [`FLAGS`].
        const RULES: &[Option<fn(&ServerArgs) -> Result<(), String>>] = &[$($({
            let rule: Option<fn(&ServerArgs) -> Result<(), String>> = None;
            let _ = rule;
            $(let rule: Option<fn(&ServerArgs) -> Result<(), String>> = Some($check);)?
            rule
        }, )*)*];

        impl ServerArgs {
            /// Reads every field's value with `texts`, which gives what was typed for a field, or its default. `fail` makes
            /// the error of a field from what was typed and why it cannot be read.
            pub(super) fn build<E>(
                texts: impl Fn(&'static str) -> Option<Vec<String>>,
                fail: impl Fn(&'static str, &[String], String) -> E,
            ) -> Result<Self, E> {
                Ok(ServerArgs {
                    $($( $field: {
                        let typed = texts(stringify!($field));
                        <$ty as FlagValue>::read(typed.as_deref())
                            .map_err(|why| fail(stringify!($field), typed.as_deref().unwrap_or_default(), why))?
                    }, )*)*
                    without_effect: JsonObject::new(),
                })
            }

            /// Applies the rules of the rows. `fail` makes the error of a flag from its reason.
            pub(super) fn check_rules<E>(&self, fail: impl Fn(&'static FlagSpec, String) -> E) -> Result<(), E> {
                for (flag, rule) in FLAGS.iter().zip(RULES) {
                    if let Some(rule) = rule {
                        rule(self).map_err(|why| fail(flag, why))?;
                    }
                }
                Ok(())
            }

            /// The fields of this struct by name, as JSON values.
            pub(super) fn fields_json(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut map = serde_json::Map::new();
                $($( map.insert(stringify!($field).to_owned(), self.$field.json()); )*)*
                map
            }
        }
    };
}

pub(crate) use server_args;
