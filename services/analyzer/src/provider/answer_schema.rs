//! The JSON Schema of an answer, as it is sent: servers make a model write the fields in the order of the schema.
//!
//! A model that writes its verdict first looks for reasons afterwards; one that writes the evidence first may be guided
//! by it. So the properties are sent in the order of `required`, which HemoStat chooses, and not in alphabetical order.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

/// Maximum items of a list: a small model may repeat one endlessly.
const MAX_ITEMS: u32 = 8;

/// Maximum characters of a sentence.
const MAX_CHARACTERS: u32 = 300;

/// A JSON Schema whose properties are written in the order of its `required`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AnswerSchema(Value);

impl AnswerSchema {
    /// Unchanged except for the order.
    pub fn of(schema: &Value) -> Self {
        Self(schema.clone())
    }

    /// With a maximum length for every list and sentence, which not every server supports.
    pub fn bounded(schema: &Value) -> Self {
        let mut schema = schema.clone();
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
        for (_, property) in properties {
            match property["type"].as_str() {
                Some("array") => property["maxItems"] = MAX_ITEMS.into(),
                Some("string") if property.get("enum").is_none() => property["maxLength"] = MAX_CHARACTERS.into(),
                _ => {}
            }
        }
        Self(schema)
    }
}

impl Serialize for AnswerSchema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Value::Object(schema) = &self.0 else { return self.0.serialize(to) };
        let mut map = to.serialize_map(Some(schema.len()))?;
        for (key, value) in schema {
            match (key.as_str(), value, schema.get("required")) {
                ("properties", Value::Object(properties), Some(Value::Array(order))) => {
                    map.serialize_entry(key, &Ordered { properties, order })?;
                }
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// Properties in this order, then the rest.
struct Ordered<'a> {
    properties: &'a Map<String, Value>,
    order: &'a [Value],
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let first = || self.order.iter().filter_map(|name| self.properties.get_key_value(name.as_str()?));
        let others = self.properties.iter().filter(|(name, _)| !self.order.iter().any(|first| first == *name));
        to.collect_map(first().chain(others))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn properties_are_written_in_the_order_of_required() {
        let schema = json!({
            "type": "object", "required": ["why", "answer"],
            "properties": { "answer": { "type": "number" }, "more": {}, "why": { "type": "string" } },
        });
        let text = serde_json::to_string(&AnswerSchema::of(&schema)).unwrap();
        let at = |name: &str| text.find(&format!("\"{name}\":{{")).unwrap();
        assert!(at("why") < at("answer") && at("answer") < at("more"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), schema);
    }

    #[test]
    fn a_bounded_schema_limits_every_list_and_sentence() {
        let schema = json!({ "properties": {
            "list": { "type": "array", "items": { "type": "string" } },
            "sentence": { "type": "string" },
            "choice": { "type": "string", "enum": ["a"] },
            "number": { "type": "number" },
        }});
        let bounded = serde_json::to_value(AnswerSchema::bounded(&schema)).unwrap();
        let mut expected = schema.clone();
        expected["properties"]["list"]["maxItems"] = 8.into();
        expected["properties"]["sentence"]["maxLength"] = 300.into();
        assert_eq!(bounded, expected);
        assert_eq!(serde_json::to_value(AnswerSchema::bounded(&json!("odd"))).unwrap(), json!("odd"));
    }
}
