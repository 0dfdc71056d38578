//! Finds the JSON answer in a model's text and reads its fields, collecting all faults.

use serde_json::{Deserializer, Map, Value};

use super::fault::Fault;
use crate::plain_text::plain;

/// Maximum length of a text, in bytes; an answer has a few hundred.
const LONGEST: usize = 64 * 1024;
/// Fields by which a JSON object is recognised as an answer.
const ANSWER_FIELDS: [&str; 3] = ["verdict", "remedy", "root_cause"];
/// The end of a reasoning model's reasoning, which may contain drafts of the answer.
const END_OF_REASONING: &str = "</think>";

/// The one answer in `text`.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    if text.len() > LONGEST {
        return Err(Fault::TooLong { limit: LONGEST });
    }
    let answer = text.rsplit_once(END_OF_REASONING).map_or(text, |(_, answer)| answer);
    let mut found: Vec<Map<String, Value>> = vec![];
    let mut rest = answer;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                rest = &rest[values.byte_offset()..];
                collect(value, &mut found);
            }
            Some(Err(_)) | None => rest = &rest[1..],
        }
    }
    found.dedup();
    let count = found.len();
    match found.pop() {
        Some(answer) if count == 1 => Ok(answer),
        Some(_) => Err(Fault::Several { count }),
        None => Err(Fault::NoAnswer),
    }
}

/// The answers in `value`, which may be nested: `{"diagnosis": {…}}`.
fn collect(value: Value, found: &mut Vec<Map<String, Value>>) {
    match value {
        Value::Object(object) if ANSWER_FIELDS.iter().any(|field| object.contains_key(*field)) => found.push(object),
        Value::Object(object) => object.into_iter().for_each(|(_, inner)| collect(inner, found)),
        Value::Array(items) => items.into_iter().for_each(|inner| collect(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The fields of an answer, and the faults found so far.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, faults: vec![] }
    }

    /// The value, or a fault.
    pub(super) fn or_fault<T>(&mut self, value: Result<T, Fault>) -> Option<T> {
        value.map_err(|fault| self.faults.push(fault)).ok()
    }

    fn get(&mut self, field: &'static str) -> Option<&'a Value> {
        let value = self.object.get(field).ok_or(Fault::Missing { field });
        self.or_fault(value)
    }

    /// A word.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        let word = self.get(field)?.as_str().map(|text| text.trim().to_owned());
        self.or_fault(word.ok_or(Fault::WrongType { field, expected: "a string" }))
    }

    /// A sentence of at most `longest` characters, on one line.
    pub(super) fn sentence(&mut self, field: &'static str, longest: usize) -> Option<String> {
        let sentence = plain(&self.text(field)?, longest);
        self.or_fault(if sentence.is_empty() { Err(Fault::Empty { field }) } else { Ok(sentence) })
    }

    /// A number.
    pub(super) fn number(&mut self, field: &'static str) -> Option<f64> {
        let number = self.get(field)?.as_f64();
        self.or_fault(number.ok_or(Fault::WrongType { field, expected: "a number, not a string" }))
    }

    /// A list of words.
    pub(super) fn texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        let word = |item: &Value| item.as_str().map(|text| text.trim().to_owned());
        let words = self.get(field)?.as_array().and_then(|items| items.iter().map(word).collect());
        self.or_fault(words.ok_or(Fault::WrongType { field, expected: "a list of strings" }))
    }
}
