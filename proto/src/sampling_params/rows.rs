//! Generates the message, the request and the list of parameters from the rows of the table.

macro_rules! sampling_params {
    (
        $($field:ident : $ty:ty = $default:expr, [$($dialect:ident $($alias:literal)?),*], $help:literal
            $(, must $rule:literal if $fits:expr)?;)*

        @server
        $($(#[$doc:meta])* $internal:ident : $internal_ty:ty = $internal_default:expr;)*
    ) => {
        positional! {
            /// How to choose tokens, and when to stop.
            #[derive(Clone, Debug, PartialEq)]
            pub struct SamplingParams {
                $( #[doc = $help] pub $field : $ty = $default, )*
                $( $(#[$doc])* pub $internal : $internal_ty = $internal_default, )*
            }
        }

        /// Sampling parameters as given by a request, before any default.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct SamplingRequest {
            $( #[doc = $help] pub $field : Given<<$ty as ParameterType>::Written>, )*
            /// The error of the first parameter that could not be read.
            pub misfit: Option<String>,
        }

        /// The rows, in the order of the fields.
        pub const PARAMETERS: &[Parameter] = &[$( Parameter {
            name: stringify!($field),
            kind: <$ty as ParameterType>::KIND,
            aliases: &[$( (Dialect::$dialect, {
                let name = stringify!($field);
                let _ = name;
                $( let name = $alias; )?
                name
            }) ),*],
            help: $help,
            must: { let must = ""; let _ = must; $( let must = $rule; )? must },
            fits: |params| {
                let _ = params;
                $( let fits: fn(&$ty) -> bool = $fits; return fits(&params.$field); )?
                #[allow(unreachable_code)]
                true
            },
            quote: |params, request| params.$field.quote(request.$field.value()),
            json: |params| serde_json::to_value(&params.$field).unwrap_or_default(),
            set: |request, given| {
                request.$field = match given {
                    Given::Absent => Given::Absent,
                    Given::Null => Given::Null,
                    Given::Value(value) => Given::Value(<$ty as ParameterType>::written(value)?),
                };
                Some(())
            },
        } ),*];

        impl SamplingRequest {
            /// Replaces the values that `other` sets, even if it sets them to null.
            pub fn overlay(&mut self, other: Self) {
                $( if !other.$field.is_absent() { self.$field = other.$field; } )*
                self.misfit = self.misfit.take().or(other.misfit);
            }

            /// Takes the value of `defaults`, if there is one, for every parameter that is absent or null here.
            pub fn fill(&mut self, defaults: &Self) {
                $( if self.$field.value().is_none() && defaults.$field.value().is_some() {
                    self.$field = defaults.$field.clone();
                } )*
            }

            /// The parameters, with the built-in default for each absent one.
            pub fn to_params(&self) -> SamplingParams {
                let mut params = SamplingParams::default();
                $( apply(&mut params.$field, &self.$field); )*
                params
            }
        }
    };
}

pub(super) use sampling_params;
