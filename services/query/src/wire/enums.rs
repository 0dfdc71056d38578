//! The API's enums. Each is written in responses, read in query parameters and described in OpenAPI by the same names.
//!
//! Those of the schema take their values and names from there, so the API has a new value as soon as the schema has it.
//! Those of core's read models are mapped by exhaustive matches, so a new variant does not compile until it is named here.

use std::borrow::Cow;

use hemostat_core::{remedy::breaker, views};
use hemostat_schema::{action, container, diagnosis, observation};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use strum::VariantNames as _;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// The schema of a string that is one of `names`.
fn string_enum(description: &str, names: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(names)).into()
}

/// Implements serialization, parsing and OpenAPI for a type with `ALL` and `name`.
macro_rules! by_name {
    ($type:ident: $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(from)?;
                let found = Self::ALL.iter().find(|value| value.name() == text);
                found.copied().ok_or_else(|| {
                    let text: String = text.chars().take(120).collect();
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    D::Error::custom(format_args!("{text:?} is not one of {}", names.join(", ")))
                })
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                string_enum($description, Self::ALL.iter().map(|value| value.name()))
            }
        }

        impl ToSchema for $type {}
    };
}

/// Enums of the schema.
macro_rules! schema_enums {
    ($($type:ident($of:ty): $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $type(pub $of);

        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &{
                let mut all = [Self(<$of>::ALL[0]); <$of>::ALL.len()];
                let mut n = 0;
                while n < all.len() {
                    all[n] = Self(<$of>::ALL[n]);
                    n += 1;
                }
                all
            };

            fn name(self) -> &'static str {
                self.0.name()
            }
        }

        by_name!($type: $description);
    )+};
}

/// Enums of the API itself.
macro_rules! api_enums {
    ($($type:ident { $($variant:ident = $name:literal),+ $(,)? }: $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum $type { $($variant),+ }

        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        by_name!($type: $description);
    )+};
}

/// Declares a type that shows which variant a value of another enum is.
macro_rules! reasons {
    ($($type:ident($of:ty): $description:literal;)+) => {$(
        #[doc = $description]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $type(&'static str);

        impl From<&$of> for $type {
            fn from(of: &$of) -> Self {
                Self(of.into())
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                string_enum($description, <$of>::VARIANTS.iter().copied())
            }
        }

        impl ToSchema for $type {}
    )+};
}

schema_enums! {
    FamilyName(hemostat_schema::Family): "The family of an event.";
    ContainerState(container::State): "The life cycle state of a container, as Docker names it.";
    Health(container::Health): "The result of a container's health check.";
    ExitBy(container::ExitBy): "What ended a run.";
    Symptom(observation::Symptom): "A symptom.";
    Severity(observation::Severity): "How severe a symptom is.";
    Verdict(diagnosis::Verdict): "The verdict of a diagnosis.";
    Mode(action::Mode): "What HemoStat may do: only observe, act after approval, or act on its own.";
    Remedy(action::RemedyKind): "A remedy.";
}

api_enums! {
    EventOrder { Newest = "newest", Oldest = "oldest" }: "Which events come first.";
    IncidentFilter { Open = "open", Ended = "ended" }: "Open or ended incidents.";
    ActionOutcome {
        Authorised = "authorised",
        Done = "done",
        Failed = "failed",
        Withheld = "withheld",
        Recovered = "recovered",
        Relapsed = "relapsed",
        Inconclusive = "inconclusive",
    }: "How far a remedy has come: authorised; done, failed or withheld (not executed); or, once verified, recovered, \
        relapsed or inconclusive.";
}

impl From<action::Outcome> for ActionOutcome {
    fn from(outcome: action::Outcome) -> Self {
        match outcome {
            action::Outcome::Recovered => Self::Recovered,
            action::Outcome::Relapsed => Self::Relapsed,
            action::Outcome::Inconclusive => Self::Inconclusive,
        }
    }
}

reasons! {
    IncidentState(views::incidents::State): "How an incident ended, or that it is open.";
    CooldownReason(views::cooldown::Why): "How the last incident ended: healed or given up.";
    BreakerPosition(breaker::Breaker):
        "The state of the circuit breaker: passing, tripped (HemoStat gave up) or probing (one attempt after the hold).";
    AttentionReason(views::Attention): "Why HemoStat heals a container, or does not.";
    RefusalReason(action::Refusal): "Why a remedy was refused.";
}

#[cfg(test)]
mod tests {
    use hemostat_core::testing;

    use super::*;

    #[test]
    fn a_name_is_read_as_the_value_that_is_written_with_it() {
        for state in ContainerState::ALL {
            let json = serde_json::to_value(state).unwrap();
            assert_eq!(json, state.0.name());
            assert_eq!(serde_json::from_value::<ContainerState>(json).unwrap(), *state);
        }
        let error = serde_json::from_value::<EventOrder>("up".into()).unwrap_err().to_string();
        assert_eq!(error, "\"up\" is not one of newest, oldest");
    }

    #[test]
    fn names_of_the_read_models_are_their_own() {
        for (attention, name) in [
            (views::Attention::Healthy, "healthy"),
            (views::Attention::GivenUp { until: testing::at(0) }, "given_up"),
            (views::Attention::NotApproved, "not_approved"),
        ] {
            assert_eq!((AttentionReason::from(&attention).0, attention.name()), (name, name));
        }
    }
}
