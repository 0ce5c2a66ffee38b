//! The wire form: MessagePack arrays, positional, as the reference's `msgspec` structs encode themselves
//! (`array_like=True`; messages carry their class name first). Missing trailing fields take their default, unknown
//! trailing elements are ignored. What we add to the reference's fields is in one [`extension`] behind them.

pub mod extension;
mod frame;
mod int_array;
mod string_list;

pub use extension::{Origin, Role};
pub use frame::{FrameError, class_of, decode, encode};
pub use int_array::TokenIds;
pub use string_list::StringList;

/// A message with a class name, as one process sends it to another.
pub trait Message: serde::Serialize + serde::de::DeserializeOwned {
    /// The reference's class name, first element of the array.
    const CLASS: &'static str;
    /// Number of the reference's fields, without the class name.
    const FIELDS: usize;

    /// Writes the fields that are our own.
    ///
    /// # Errors
    /// What the serializer says.
    fn write_own(&self, _to: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
        Ok(())
    }

    /// Takes the fields that are our own out of what [`Message::write_own`] wrote, maybe with fewer or more fields.
    ///
    /// # Errors
    /// What the deserializer says.
    fn read_own(&mut self, _from: &[u8]) -> Result<(), rmp_serde::decode::Error> {
        Ok(())
    }
}

/// Reads the class name of a message, which must be `class`.
pub(crate) fn read_class<'de, A: serde::de::SeqAccess<'de>>(
    seq: &mut A,
    class: &str,
) -> Result<(), A::Error> {
    let found: Option<std::borrow::Cow<'_, str>> = seq.next_element()?;
    if found.as_deref() == Some(class) {
        return Ok(());
    }
    Err(serde::de::Error::custom(format!("expected class {class}, found {found:?}")))
}

/// Declares a struct that is a positional array on the wire. A field with `= value` may be absent at the end of the
/// array; a field without one must be there. When every field has a value, `Default` is implemented.
macro_rules! positional {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[$fmeta:meta])* pub $field:ident : $ty:ty = $default:expr ),* $(,)? }
    ) => {
        $crate::wire::wire_struct! { @class none; $(#[$meta])* pub struct $name {
            $( $(#[$fmeta])* pub $field : $ty = (Some($default)) ),*
            ; own {}
        } }
        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default ),* }
            }
        }
    };
}
pub(crate) use positional;

/// Declares a message: a positional struct whose class name comes first. Fields without a default are required. Those
/// after `own` are not the reference's: they travel in the extension, and only to a peer that reads it.
macro_rules! message {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$rmeta:meta])* pub $rfield:ident : $rty:ty ),* $(,)?
            ;
            $( $(#[$fmeta:meta])* pub $field:ident : $ty:ty = $default:expr ),* $(,)?
            $(; own { $( $(#[$ometa:meta])* pub $ofield:ident : $oty:ty = $odefault:expr ),* $(,)? })?
        }
    ) => {
        $crate::wire::wire_struct! { @class named; $(#[$meta])* pub struct $name {
            $( $(#[$rmeta])* pub $rfield : $rty = (None::<$rty>), )*
            $( $(#[$fmeta])* pub $field : $ty = (Some($default)) ),*
            ; own { $( $( $(#[$ometa])* pub $ofield : $oty = $odefault ),* )? }
        } }
        impl Default for $name {
            /// Optional fields have the default of the declaration, required ones that of their type.
            fn default() -> Self {
                Self {
                    $( $rfield: Default::default(), )*
                    $( $field: $default, )*
                    $( $( $ofield: $odefault, )* )?
                }
            }
        }
        impl $crate::wire::Message for $name {
            const CLASS: &'static str = stringify!($name);
            const FIELDS: usize = [$( stringify!($rfield), )* $( stringify!($field) ),*].len();
            $(
                fn write_own(&self, to: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
                    const LEN: usize = [$( stringify!($ofield) ),*].len();
                    rmp::encode::write_array_len(to, LEN as u32)
                        .map_err(|e| rmp_serde::encode::Error::InvalidValueWrite(e))?;
                    $( rmp_serde::encode::write(to, &self.$ofield)?; )*
                    Ok(())
                }

                fn read_own(&mut self, from: &[u8]) -> Result<(), rmp_serde::decode::Error> {
                    let mut fields = $crate::wire::extension::OwnFields::new(from)?;
                    $( fields.read(&mut self.$ofield)?; )*
                    Ok(())
                }
            )?
        }
    };
}
pub(crate) use message;

/// Shared part of [`positional!`] and [`message!`].
macro_rules! wire_struct {
    (@count named) => { 1 };
    (@count none) => { 0 };
    (
        @class $class:ident;
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$fmeta:meta])* pub $field:ident : $ty:ty = ($default:expr) ),* $(,)?
            ; own { $( $(#[$ometa:meta])* pub $ofield:ident : $oty:ty = $odefault:expr ),* $(,)? }
        }
    ) => {
        $(#[$meta])*
        pub struct $name {
            $( $(#[$fmeta])* pub $field : $ty, )*
            $( $(#[$ometa])* pub $ofield : $oty ),*
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                const NAMED: usize = $crate::wire::wire_struct!(@count $class);
                const LEN: usize = [$( stringify!($field) ),*].len() + NAMED;
                let mut tuple = serializer.serialize_tuple(LEN)?;
                if NAMED == 1 {
                    tuple.serialize_element(stringify!($name))?;
                }
                $( tuple.serialize_element(&self.$field)?; )*
                tuple.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the fields of ", stringify!($name), " in declared order"))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        use serde::de::Error;
                        const NAMED: usize = $crate::wire::wire_struct!(@count $class);
                        if NAMED == 1 {
                            $crate::wire::read_class(&mut seq, stringify!($name))?;
                        }
                        $( let $field: $ty = match seq.next_element()? {
                            Some(value) => value,
                            None => {
                                let default: Option<$ty> = $default;
                                default.ok_or_else(|| A::Error::missing_field(stringify!($field)))?
                            }
                        }; )*
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok($name { $( $field, )* $( $ofield: $odefault ),* })
                    }
                }
                deserializer.deserialize_seq(Visitor)
            }
        }
    };
}
pub(crate) use wire_struct;
