//! Which parts a health check that answers in JSON says are not well.
//!
//! Frameworks differ in the shape (`components` of Spring, `entries` of .NET, `checks` of MicroProfile, `details` of
//! NestJS, or a part and a word) and agree that a part has a name and a word for how it is. So every name in the answer
//! that has such a word is a part, wherever it stands.

use serde_json::Value;

/// How a part is that is not well: what its word begins with.
const NOT_WELL: [&str; 14] = [
    "critical",
    "dead",
    "degraded",
    "disconnected",
    "down",
    "err",
    "fail",
    "offline",
    "out_of_service",
    "timeout",
    "timed",
    "unavailable",
    "unhealthy",
    "unreachable",
];
/// An answer of HTTP that a part may give for a word: it began with this.
const ANSWERS: [&str; 4] = ["429", "502", "503", "504"];
/// Where the word stands.
const STATUS: [&str; 4] = ["status", "state", "health", "result"];
/// What names no part.
const NO_PART: [&str; 8] = ["code", "description", "detail", "error", "message", "msg", "output", "reason"];
/// Parts that are the program's own: what is wrong with them a new run may mend. Their names begin with this.
const ITS_OWN: [&str; 20] = [
    "application",
    "consumer",
    "cpu",
    "deadlock",
    "disk",
    "event loop",
    "event_loop",
    "eventloop",
    "heap",
    "jobs",
    "liveness",
    "memory",
    "ping",
    "process",
    "queue",
    "readiness",
    "scheduler",
    "self",
    "thread",
    "worker",
];

/// The parts that are not well, where the answer names such and all of them are others' (a database, a store).
pub(super) fn others(answer: &str) -> Vec<String> {
    let Some(report) = answer
        .find('{')
        .and_then(|begin| serde_json::Deserializer::from_str(&answer[begin..]).into_iter::<Value>().next()?.ok())
    else {
        return vec![];
    };
    let mut parts = vec![];
    collect(&report, &mut parts);
    let is_own = |part: &String| ITS_OWN.iter().any(|own| part.starts_with(own));
    if parts.iter().any(is_own) { vec![] } else { parts }
}

fn collect(value: &Value, parts: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let is_part = !STATUS.contains(&name.as_str()) && !NO_PART.contains(&name.as_str());
                let ails = match value {
                    Value::String(word) => is_part && not_well(word),
                    Value::Number(answer) => is_part && ANSWERS.contains(&answer.to_string().as_str()),
                    Value::Object(inner) => is_part && says(inner),
                    _ => false,
                };
                let before = parts.len();
                collect(value, parts);
                // Of a part in a part, the inner one is what ails.
                if ails && parts.len() == before {
                    parts.push(name.to_lowercase());
                }
            }
        }
        Value::Array(all) => {
            for one in all {
                match one.get("name").and_then(Value::as_str).zip(one.as_object()) {
                    Some((name, inner)) if says(inner) => parts.push(name.to_lowercase()),
                    _ => collect(one, parts),
                }
            }
        }
        _ => {}
    }
}

fn says(part: &serde_json::Map<String, Value>) -> bool {
    STATUS.iter().filter_map(|status| part.get(*status)?.as_str()).any(not_well)
}

fn not_well(word: &str) -> bool {
    let word = word.trim().to_lowercase();
    NOT_WELL.iter().chain(&ANSWERS).any(|bad| word.starts_with(bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_others_that_are_not_well_are_named_whatever_the_shape() {
        let check = |answer: &str, expected: &[&str]| assert_eq!(others(answer), expected, "{answer}");
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
