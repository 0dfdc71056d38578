//! The JSON Schema of an answer, as it is sent: servers make a model write the fields in the order in which they stand.
//!
//! A model that writes its verdict first finds reasons for it afterwards; one that writes the evidence first may still be
//! led by it. So the properties stand in the order of `required`, which is ours to choose, and not of the alphabet.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

/// A list in an answer has so many items at most: a small model repeats one for ever.
const ITEMS: u32 = 8;

/// A sentence in an answer has so many characters at most.
const CHARACTERS: u32 = 300;

/// A JSON Schema whose properties stand in the order of its `required`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schema(Value);

impl Schema {
    /// As it is.
    pub fn of(schema: &Value) -> Self {
        Self(schema.clone())
    }

    /// With an end to every list and sentence, which not every server knows how to say.
    pub fn bounded(schema: &Value) -> Self {
        let mut schema = schema.clone();
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
        for (_, property) in properties {
            match property["type"].as_str() {
                Some("array") => property["maxItems"] = ITEMS.into(),
                Some("string") if property.get("enum").is_none() => property["maxLength"] = CHARACTERS.into(),
                _ => {}
            }
        }
        Self(schema)
    }
}

impl Serialize for Schema {
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

/// Properties in this order, and then the others.
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
    fn properties_stand_in_the_order_in_which_they_are_required() {
        let schema = json!({
            "type": "object", "required": ["why", "answer"],
            "properties": { "answer": { "type": "number" }, "more": {}, "why": { "type": "string" } },
        });
        let text = serde_json::to_string(&Schema::of(&schema)).unwrap();
        let at = |name: &str| text.find(&format!("\"{name}\":{{")).unwrap();
        assert!(at("why") < at("answer") && at("answer") < at("more"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), schema);
    }

    #[test]
    fn every_list_and_sentence_of_a_bounded_schema_has_an_end() {
        let schema = json!({ "properties": {
            "list": { "type": "array", "items": { "type": "string" } },
            "sentence": { "type": "string" },
            "choice": { "type": "string", "enum": ["a"] },
            "number": { "type": "number" },
        }});
        let bounded = serde_json::to_value(Schema::bounded(&schema)).unwrap();
        let mut expected = schema.clone();
        expected["properties"]["list"]["maxItems"] = 8.into();
        expected["properties"]["sentence"]["maxLength"] = 300.into();
        assert_eq!(bounded, expected);
        assert_eq!(serde_json::to_value(Schema::bounded(&json!("odd"))).unwrap(), json!("odd"));
    }
}
