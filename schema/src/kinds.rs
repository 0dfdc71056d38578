//! How a family's enum is made: one list of variants gives the enum, the wire names, the versions and the decoder, so
//! that a kind cannot exist in one of them and be missing in another.

/// Declares one family of events.
///
/// Each variant wraps a struct of the same name that is in scope; `"name" @ version` is its wire name within the family
/// and the version of its data that this program writes.
macro_rules! family {
    (
        $(#[$meta:meta])*
        $family:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $name:literal @ $version:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        #[allow(clippy::large_enum_variant, reason = "events are handled one at a time; a box would cost more than it saves")]
        pub enum $family {
            $( $(#[$variant_meta])* $variant($variant) ),+
        }

        impl $family {
            /// Every kind of this family: wire name, current version, JSON Schema of the data.
            pub(crate) const KINDS: &'static [$crate::KindInfo] = &[
                $( $crate::KindInfo {
                    family: $crate::Family::$family,
                    name: $name,
                    version: $version,
                    schema: || schemars::schema_for!($variant),
                } ),+
            ];

            /// The wire name within the family, such as `sampled`.
            pub fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name ),+ }
            }

            /// The version of the data that this program writes.
            pub fn version(&self) -> u16 {
                match self { $( Self::$variant(_) => $version ),+ }
            }

            pub(crate) fn decode<'de, D: serde::Deserializer<'de>>(name: &str, data: D) -> Option<Result<Self, D::Error>> {
                match name {
                    $( $name => Some(<$variant as serde::Deserialize>::deserialize(data).map(Self::$variant)), )+
                    _ => None,
                }
            }
        }

        $(
            impl From<$variant> for $crate::Event {
                fn from(data: $variant) -> Self {
                    Self::$family($family::$variant(data))
                }
            }
        )+
    };
}

pub(crate) use family;
