//! Answers of a model, and how they are validated.

use hemostat_schema::{
    action::Remedy,
    diagnosis::{Exhibit, Method, OpinionSought, Part, Reached, Verdict},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    answer::{Answer, schema},
    *,
};
use hemostat_core::testing;

/// A question with two exhibits, to which restart is the only remedy.
fn sought() -> OpinionSought {
    let exhibit = |id: &str| Exhibit { id: id.into(), kind: "output".into(), text: "it says so".into() };
    OpinionSought {
        provider: "openai".into(),
        model: "gpt".into(),
        part: Part::Decides,
        fallback: testing::reached(testing::run(0)),
        evidence: vec![exhibit("facts"), exhibit("output.1")],
        remedies: vec![Remedy::Restart],
        fingerprint: "00".into(),
    }
}

fn good() -> Value {
    json!({
        "verdict": "real", "root_cause": "it is stuck", "remedy": "restart", "confidence": 0.9,
        "evidence": ["output.1"], "why": "it answers nobody",
    })
}

fn with(field: &str, value: Value) -> String {
    let mut answer = good();
    answer[field] = value;
    answer.to_string()
}

fn accepted() -> Reached {
    Reached {
        root_cause: "it is stuck".into(),
        why: "it answers nobody".into(),
        method: Method::Model { provider: "openai".into(), model: "gpt".into() },
        cites: vec!["output.1".into()],
        ..sought().fallback
    }
}

#[test]
fn an_answer_is_found_in_any_surrounding_text() {
    let check = |text: String| assert_eq!(validate(&text, &sought()), Ok(accepted()), "{text}");
    let answer = good().to_string();
    check(answer.clone());
    check(format!("```json\n{answer}\n```"));
    check(format!("Sure! Here is my {{diagnosis}}:\n\n{answer}\n\nI hope that this helps."));
    check(format!("<think>perhaps {}?</think>{answer}", with("remedy", json!("start"))));
    check(format!("{{\"diagnosis\": {answer}}}"));
    check(format!("[{answer}]"));
    check(format!("{answer}\n{answer}"));
    check(with("evidence", json!(["output.1", " output.1 "])));
    check(with("root_cause", json!("it\u{200b} is\n\u{1b}stuck\u{202e}")));
    check(with("mood", json!("cheerful")));
    check(serde_json::to_string_pretty(&good()).unwrap());
}

#[test]
fn a_model_may_answer_that_no_remedy_would_help() {
    let verdict = |verdict: &str, remedy: &str, evidence: Value| {
        let mut answer = good();
        answer["verdict"] = json!(verdict);
        answer["remedy"] = json!(remedy);
        answer["evidence"] = evidence;
        validate(&answer.to_string(), &sought()).map(|reached| (reached.verdict, reached.remedy, reached.cites.len()))
    };
    assert_eq!(verdict("real", "none", json!(["facts"])), Ok((Verdict::Sick, None, 1)));
    assert_eq!(verdict("false_alarm", "none", json!([])), Ok((Verdict::FalseAlarm, None, 0)));
    assert_eq!(verdict("unclear", "none", json!(["facts", "output.1"])), Ok((Verdict::Unclear, None, 2)));
}

#[test]
fn each_fault_is_a_sentence() {
    let check = |text: String, expected: &[&str]| {
        let faults = validate(&text, &sought()).unwrap_err();
        let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(sentences, expected, "{text}");
        expected.iter().for_each(|fault| assert!(repair(&faults).contains(fault)));
    };
    let none = "there is no JSON object with the fields of a diagnosis in it";
    check(String::new(), &[none]);
    check("It should be restarted.".into(), &[none]);
    check("{\"verdict\": \"real\"".into(), &[none]);
    check("{}".into(), &[none]);
    check("x".repeat(70_000), &["it is longer than 65536 bytes"]);
    let two = format!("{} {}", good(), with("remedy", json!("none")));
    check(two, &["it holds 2 answers that differ, and exactly one is wanted"]);
    let missing = ["root_cause", "remedy", "confidence", "evidence", "why"];
    let missing = missing.map(|field| format!("the field \"{field}\" is missing"));
    check("{\"verdict\": \"unclear\"}".into(), &missing.each_ref().map(String::as_str));
    let verdict = "\"verdict\" is \"sick\", and must be one of \"real\", \"false_alarm\", \"unclear\"";
    check(with("verdict", json!("sick")), &[verdict]);
    check(with("verdict", json!(true)), &["\"verdict\" must be a string"]);
    let remedy = "\"remedy\" is \"rm -rf /\", and must be one of \"restart\", \"none\"";
    check(with("remedy", json!("rm -rf /")), &[remedy]);
    check(with("remedy", json!("start")), &["\"remedy\" is \"start\", and must be one of \"restart\", \"none\""]);
    check(with("remedy", json!("exec")), &["\"remedy\" is \"exec\", and must be one of \"restart\", \"none\""]);
    check(with("confidence", json!("0.9")), &["\"confidence\" must be a number, not a string"]);
    check(with("confidence", json!(90)), &["\"confidence\" is 90, and must be between 0 and 1"]);
    check(with("confidence", json!(-0.1)), &["\"confidence\" is -0.1, and must be between 0 and 1"]);
    let invented = "\"evidence\" names \"e7\", which was not shown; the exhibits are facts to output.1";
    check(with("evidence", json!(["output.1", "e7"])), &[invented]);
    check(with("evidence", json!("output.1")), &["\"evidence\" must be a list of strings"]);
    check(with("evidence", json!([1])), &["\"evidence\" must be a list of strings"]);
    let no_evidence = "\"verdict\" is \"real\", and \"evidence\" names no exhibit that it rests on";
    check(with("evidence", json!([])), &[no_evidence]);
    check(with("root_cause", json!(" \n\u{200b}")), &["\"root_cause\" is empty, and a sentence is wanted"]);
    let no_remedy = "\"remedy\" is \"restart\" though \"verdict\" is not \"real\"; it must then be \"none\"";
    check(with("verdict", json!("false_alarm")), &[no_remedy]);
    let several = format!("{{\"verdict\": \"unclear\", \"remedy\": 1, \"confidence\": 2, {}", &good().to_string()[1..]);
    assert_eq!(validate(&several, &sought()), Ok(accepted()), "the last of two fields of one name counts");
}

#[test]
fn long_sentences_are_cut_off() {
    let reached = validate(&with("why", json!("why ".repeat(1000))), &sought()).unwrap();
    assert_eq!((reached.why.chars().count(), reached.why.chars().last()), (SENTENCE, Some('…')));
}

#[test]
fn the_schema_is_flat_and_closed_and_lists_the_choices() {
    let schema = schema(&sought());
    let properties = schema["properties"].as_object().unwrap();
    let required: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert!(required.iter().all(|field| properties.contains_key(*field)) && required.len() == properties.len());
    assert!(properties.values().all(|property| property["type"] != "object"));
    assert_eq!(properties["remedy"]["enum"], json!(["restart", "none"]));
    assert_eq!(properties["verdict"]["enum"], json!(["real", "false_alarm", "unclear"]));
    assert_eq!(properties["evidence"]["items"]["enum"], json!(["facts", "output.1"]));
    let shown_nothing = OpinionSought { evidence: vec![], ..sought() };
    assert_eq!(super::schema(&shown_nothing)["properties"]["evidence"]["items"], json!({ "type": "string" }));
    let answer = Answer {
        verdict: "real".into(),
        root_cause: "it is stuck".into(),
        remedy: "restart".into(),
        confidence: 0.9,
        evidence: vec!["output.1".into()],
        why: "it answers nobody".into(),
    };
    assert_eq!(serde_json::to_value(answer).unwrap(), good());
}

/// Pieces of answers in any order.
fn broken_answer() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "```json\n",
            "```",
            "</think>",
            "\"verdict\"",
            "\"real\"",
            "\"remedy\"",
            "\"exec\"",
            "\"stop\"",
            "\"restart\"",
            "\"confidence\"",
            "0.9",
            "1e999",
            "-1",
            "null",
            "\"evidence\"",
            "[\"facts\"]",
            "\"why\"",
            "\"root_cause\"",
            "{\"argv\":[\"sh\"]}",
            "\\u0000",
        ])
        .prop_map(str::to_owned),
        Just(good().to_string()),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Answers with arbitrary values in their fields.
fn odd_answer() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        prop::sample::select(vec!["real", "unclear", "restart", "start", "stop", "exec", "none", "facts"])
            .prop_map(Value::from),
        prop::collection::vec(prop::sample::select(vec!["facts", "output.1", "x"]), 0..4).prop_map(|ids| json!(ids)),
    ];
    let fields = ["verdict", "root_cause", "remedy", "confidence", "evidence", "why"];
    prop::collection::vec((prop::sample::select(fields.to_vec()), leaf), 0..8).prop_map(|changes| {
        let mut answer = good();
        for (field, value) in changes {
            answer[field] = value;
        }
        answer.to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_leads_to_a_remedy_that_was_not_offered(
        text in prop_oneof![broken_answer(), odd_answer(), any::<String>()],
        offered in prop::sample::subsequence(vec![Remedy::Restart, Remedy::Start, Remedy::Scale], 0..=3),
    ) {
        let sought = OpinionSought { remedies: offered, ..sought() };
        match validate(&text, &sought) {
            Ok(reached) => {
                prop_assert!(reached.remedy.as_ref().is_none_or(|remedy| sought.remedies.contains(remedy)));
                prop_assert!(reached.remedy.is_none() || reached.verdict == Verdict::Sick);
                prop_assert!(reached.verdict != Verdict::Sick || !reached.cites.is_empty());
                prop_assert!(reached.cites.iter().all(|id| sought.evidence.iter().any(|shown| shown.id == *id)));
                prop_assert_eq!(&reached.target, &sought.fallback.target);
                prop_assert!(!reached.root_cause.chars().chain(reached.why.chars()).any(char::is_control));
                prop_assert!(reached.root_cause.chars().count() <= SENTENCE && reached.why.chars().count() <= SENTENCE);
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(repair(&faults).len() < 4096);
            }
        }
    }
}
