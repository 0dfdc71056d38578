//! The macro that declares a family of events. One list of variants generates the enum, the wire names, the versions,
//! the metadata and the decoder, so that a kind cannot be in one of them and missing in another.

/// Declares one family of events.
///
/// Each variant wraps a struct of the same name that is in scope; `"name" @ version` is its wire name within the family
/// and the version of its data that this program writes. `measurement` marks a kind that does not advance the version of
/// its subject ([`KindInfo::advances_version`](crate::KindInfo::advances_version)).
macro_rules! family {
    (
        $(#[$meta:meta])*
        $family:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $name:literal @ $version:literal $($measurement:ident)? ),+ $(,)?
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
            /// The metadata of every kind of this family.
            pub(crate) const KINDS: &'static [$crate::KindInfo] = &[$( $variant::KIND ),+];

            /// The metadata of this event's kind.
            pub(crate) fn info(&self) -> &'static $crate::KindInfo {
                match self { $( Self::$variant(_) => &$variant::KIND ),+ }
            }

            /// The wire name within the family, such as `container`.
            pub fn name(&self) -> &'static str {
                self.info().name
            }

            pub(crate) fn decode<'de, D: serde::Deserializer<'de>>(name: &str, data: D) -> Option<Result<Self, D::Error>> {
                match name {
                    $( $name => Some(<$variant as serde::Deserialize>::deserialize(data).map(Self::$variant)), )+
                    _ => None,
                }
            }
        }

        $(
            impl $variant {
                const KIND: $crate::KindInfo = $crate::KindInfo {
                    family: $crate::Family::$family,
                    name: $name,
                    version: $version,
                    advances_version: $crate::kinds::advances_version!($($measurement)?),
                    #[cfg(feature = "json-schema")]
                    schema: || schemars::schema_for!($variant),
                };
            }

            impl From<$variant> for $crate::Event {
                fn from(data: $variant) -> Self {
                    Self::$family($family::$variant(data))
                }
            }
        )+
    };
}

macro_rules! advances_version {
    () => {
        true
    };
    (measurement) => {
        false
    };
}

pub(crate) use {advances_version, family};
