//! The words of the enums: one list gives an enum its values, their wire names and, where people read it, their phrases.
//! Code that shows or parses one of them takes the word from here.

/// Declares an enum without data; `= "name"` is the wire name of a value, and `=> "phrase"` what the method that is
/// declared after the enum returns for it.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $of:ident { $( $(#[$doc:meta])* $variant:ident = $name:literal => $phrase:literal, )+ }
        $(#[$phrase_doc:meta])*
        pub const fn $method:ident(self);
    ) => {
        $crate::words::words! { $(#[$meta])* pub enum $of { $( $(#[$doc])* $variant = $name, )+ } }

        impl $of {
            $(#[$phrase_doc])*
            pub const fn $method(self) -> &'static str {
                match self { $( Self::$variant => $phrase ),+ }
            }
        }
    };
    ($(#[$meta:meta])* pub enum $of:ident { $( $(#[$doc:meta])* $variant:ident = $name:literal, )+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(strum::IntoStaticStr, strum::VariantArray)]
        #[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum $of {
            $( $(#[$doc])* $variant, )+
        }

        impl $of {
            /// Every value, in the order of declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The wire name, as events, the API and the configuration write it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name ),+ }
            }

            /// The value with this wire name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::{
        EventId, Partition, Span, Timestamp,
        action::{Mode, Outcome, Passage, Proof, Refusal, Remedy, RemedyKind, Removable},
        alert::{Resolution, Suppression},
        container::{ExitBy, Health, State},
        diagnosis::{Part, Trouble, Verdict},
        examination::{Relation, Stream},
        observation::{Cleared, Resource, Severity, Symptom, Trend},
        unit::Confidence,
    };

    /// For each type: the name of every value is its serde form, and is read back as that value.
    macro_rules! check {
        ($($of:ident),+) => {$(
            for value in $of::ALL {
                assert_eq!(serde_json::to_value(value).unwrap(), value.name(), "{value:?}");
                assert_eq!($of::from_name(value.name()), Some(value));
            }
            assert_eq!($of::from_name("nonsense"), None);
        )+};
    }

    #[test]
    fn the_name_of_a_value_is_its_wire_form() {
        check!(Symptom, Severity, Trend, Cleared, Resource, State, Health, ExitBy, Outcome, Mode, Passage, Proof);
        check!(Verdict, Part, Trouble, Relation, Stream, Resolution, Suppression, RemedyKind, Removable);
    }

    #[test]
    fn the_name_of_a_remedy_is_its_wire_form() {
        for kind in RemedyKind::ALL {
            let remedy = kind.plain().unwrap_or_else(|| Remedy::Exec { argv: vec!["sync".into()] });
            let wire = serde_json::to_value(&remedy).unwrap();
            let wire = wire.as_str().or_else(|| Some(wire.as_object()?.keys().next()?.as_str()));
            assert_eq!((wire, remedy.kind()), (Some(remedy.name()), kind));
            assert_eq!(remedy.name(), kind.name());
        }
    }

    #[test]
    fn the_name_of_a_refusal_is_its_wire_form() {
        let (until, why) = (Timestamp::UNIX_EPOCH, String::new());
        let (age, confidence) = (Span::ZERO, Confidence::clamped(1.0));
        let refusals = [
            Refusal::Paused,
            Refusal::Stale { age, limit: age },
            Refusal::Protected { why: why.clone() },
            Refusal::Observing,
            Refusal::OperatorStopped,
            Refusal::Maintenance { until: None },
            Refusal::Unsure { confidence, threshold: confidence },
            Refusal::NotPermitted,
            Refusal::Storm { sick: 0, limit: 0 },
            Refusal::InHand,
            Refusal::Moot,
            Refusal::BackingOff { until },
            Refusal::CoolingDown { until },
            Refusal::Tripped { until },
            Refusal::Unsupported { why: why.clone() },
            Refusal::NotDurable { action: EventId::start(Partition(0)), wanted: why, replicas: 0 },
        ];
        let names: Vec<_> = refusals.iter().map(Refusal::name).collect();
        assert_eq!(names, Refusal::NAMES, "every reason, in the order of declaration");
        for refusal in refusals {
            assert_eq!(serde_json::to_value(&refusal).unwrap()["reason"], refusal.name());
        }
    }
}
