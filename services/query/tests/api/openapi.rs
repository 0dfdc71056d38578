//! The OpenAPI description is complete, and does not change unnoticed.

use std::{env, fs};

use hemostat_schema::{Family, container::State, observation::Symptom};
use serde_json::Value;

use crate::server::Server;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/hemostat.json");

fn described() -> Value {
    serde_json::to_value(hemostat_query::describe()).unwrap()
}

#[test]
fn the_description_is_the_golden() {
    let written = format!("{:#}\n", described());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(GOLDEN, &written).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        golden == written,
        "the API differs from openapi/hemostat.json; if the change is intended, run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_operation_describes_its_parameters_and_errors() {
    let described = described();
    assert_eq!(described["openapi"], "3.1.0");
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let of = format!("{method} {path}");
            let is_command = operation["responses"]["422"].is_object();
            assert_eq!(method == "post", is_command, "{of}: a command can be sent again");
            for text in ["summary", "operationId"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{of} has no {text}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described && !parameter["example"].is_null(), "{of}: {parameter}");
            }
            let answer = if path == "/events/stream" { "text/event-stream" } else { "application/json" };
            assert!(operation["responses"]["200"]["content"][answer].is_object(), "{of}");
            for status in ["400", "503"] {
                let problem = &operation["responses"][status]["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem, "#/components/schemas/Problem", "{of} when {status}");
            }
        }
    }
}

#[test]
fn every_reference_resolves() {
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
        assert!(described.pointer(pointer).is_some(), "{reference} does not resolve");
    }
}

#[tokio::test]
async fn every_value_of_an_enum_parameter_is_described_and_accepted() {
    let (described, server) = (described(), Server::after([]).await);
    let (families, states, symptoms) =
        (Family::ALL.map(Family::name), State::ALL.map(State::name), Symptom::ALL.map(Symptom::name));
    for (path, parameter, names) in [
        ("/events", "family", families.as_slice()),
        ("/events", "order", &["newest", "oldest"]),
        ("/containers", "state", &states),
        ("/containers", "symptom", &symptoms),
        ("/incidents", "state", &["open", "ended"]),
    ] {
        let parameters = described["paths"][path]["get"]["parameters"].as_array().unwrap();
        let found = parameters.iter().find(|described| described["name"] == parameter).unwrap();
        // An optional parameter is described as one of null and the enum.
        let text = found["schema"].to_string();
        for name in names {
            assert!(text.contains(&format!("\"{name}\"")), "{path} {parameter} lacks {name}: {found:#}");
            server.read(&format!("{path}?{parameter}={name}")).await;
        }
        let refused = server.get(&format!("{path}?{parameter}=nonsense")).await;
        assert_eq!(refused.status, 400, "{path} {parameter}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail, format!("{parameter}: \"nonsense\" is not one of {}", names.join(", ")));
    }
}
