//! The interface describes itself completely, and its description does not change unnoticed.

use std::{env, fs};

use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/hemostat.json");

fn described() -> Value {
    serde_json::to_value(hemostat_query::describe()).unwrap()
}

#[test]
fn the_description_is_the_golden_one() {
    let written = format!("{:#}\n", described());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &written).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        golden == written,
        "the interface is not as openapi/hemostat.json says; if that is meant, run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_operation_says_what_it_takes_and_how_it_fails() {
    let described = described();
    assert_eq!(described["openapi"], "3.1.0");
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let of = format!("{method} {path}");
            assert!(method == "get" || path.starts_with("/parked/"), "{of}: nothing else changes anything");
            for text in ["summary", "operationId"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{of} has no {text}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described && !parameter["example"].is_null(), "{of}: {parameter}");
            }
            assert!(operation["responses"]["200"]["content"]["application/json"].is_object(), "{of}");
            for status in ["400", "503"] {
                let problem = &operation["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{of} when {status}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let described = described();
    let mut found = vec![];
    references(&described, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(described.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
