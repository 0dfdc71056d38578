//! Reads the unhealthy components from a health check that answers in JSON.
//!
//! Frameworks differ in the shape (`components` in Spring, `entries` in .NET, `checks` in MicroProfile, `details` in
//! NestJS, or just a name and a status) but agree that a component has a name and a status. So every name in the answer
//! with such a status is a component, at any depth.

use serde_json::Value;

use crate::vocabulary::VOCABULARY;

/// HTTP status codes that mean unhealthy.
const UNHEALTHY_HTTP: [&str; 4] = ["429", "502", "503", "504"];
/// Fields that hold a status.
const STATUS: [&str; 4] = ["status", "state", "health", "result"];
/// Fields that are no components.
const NO_COMPONENT: [&str; 8] = ["code", "description", "detail", "error", "message", "msg", "output", "reason"];

/// The unhealthy components, if the answer names some and all of them are external (a database, a store).
pub(super) fn unhealthy_external_components(answer: &str) -> Vec<String> {
    let Some(report) = answer
        .find('{')
        .and_then(|begin| serde_json::Deserializer::from_str(&answer[begin..]).into_iter::<Value>().next()?.ok())
    else {
        return vec![];
    };
    let mut components = vec![];
    collect(&report, &mut components);
    let is_internal = |name: &String| VOCABULARY.internal_components.any(|internal| name.starts_with(internal));
    if components.iter().any(is_internal) { vec![] } else { components }
}

fn collect(value: &Value, components: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let is_component = !STATUS.contains(&name.as_str()) && !NO_COMPONENT.contains(&name.as_str());
                let unhealthy = match value {
                    Value::String(status) => is_component && is_unhealthy(status),
                    Value::Number(status) => is_component && UNHEALTHY_HTTP.contains(&status.to_string().as_str()),
                    Value::Object(inner) => is_component && says_unhealthy(inner),
                    _ => false,
                };
                let before = components.len();
                collect(value, components);
                // In a component within a component, the inner one is the cause.
                if unhealthy && components.len() == before {
                    components.push(name.to_lowercase());
                }
            }
        }
        Value::Array(all) => {
            for one in all {
                match one.get("name").and_then(Value::as_str).zip(one.as_object()) {
                    Some((name, inner)) if says_unhealthy(inner) => components.push(name.to_lowercase()),
                    _ => collect(one, components),
                }
            }
        }
        _ => {}
    }
}

fn says_unhealthy(component: &serde_json::Map<String, Value>) -> bool {
    STATUS.iter().filter_map(|status| component.get(*status)?.as_str()).any(is_unhealthy)
}

fn is_unhealthy(status: &str) -> bool {
    let status = status.trim().to_lowercase();
    let begins = |bad: &str| status.starts_with(bad);
    VOCABULARY.unhealthy_statuses.any(begins) || UNHEALTHY_HTTP.iter().copied().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unhealthy_external_components_are_found_in_every_shape() {
        let check =
            |answer: &str, expected: &[&str]| assert_eq!(unhealthy_external_components(answer), expected, "{answer}");
        check(
            r#"{"status":"DOWN","components":{"db":{"status":"UP"},"mail":{"status":"DOWN","details":{"error":"x"}}}}"#,
            &["mail"],
        );
        check(
            r#"{"status":"DOWN","components":{"redis":{"components":{"cache":{"status":"DOWN"}},"status":"DOWN"}}}"#,
            &["cache"],
        );
        check(
            r#"{"status":"Unhealthy","entries":{"sqlserver":{"data":{},"status":"Unhealthy","tags":[]}}}"#,
            &["sqlserver"],
        );
        check(
            r#"{"status":"DOWN","checks":[{"name":"Database connection","status":"DOWN"},{"name":"x","status":"UP"}]}"#,
            &["database connection"],
        );
        check(r#"{"status":"error","info":{},"error":{"redis":{"status":"down","message":"m"}}}"#, &["redis"]);
        check(r#"503 {"ok":false,"db":"ok","payments":"503 Service Unavailable"}"#, &["payments"]);
        check(r#"{"status":"DOWN","components":{"diskSpace":{"status":"DOWN"}}}"#, &[]);
        check(r#"{"status":"DOWN","components":{"db":{"status":"DOWN"},"workers":{"status":"DOWN"}}}"#, &[]);
        check(r#"{"status":"degraded","upstream":429,"waiting":4110}"#, &["upstream"]);
        check(r#"{"status":"DOWN"}"#, &[]);
        check(r#"{"error":"timeout","message":"failed"}"#, &[]);
        check(r#"{"db":"#, &[]);
        check("", &[]);
        check("curl: (22) The requested URL returned error: 503", &[]);
    }
}
