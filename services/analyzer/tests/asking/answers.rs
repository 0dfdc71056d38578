//! What is asked over the wire, and what is made of answers.

use hemostat_analyzer::budget::Prices;
use hemostat_schema::{
    Confidence, Span,
    action::Remedy,
    diagnosis::{Method, Reached, Trouble, Usage, Verdict},
};

use super::*;

#[tokio::test]
async fn a_good_answer_becomes_a_diagnosis_that_says_what_it_cost() {
    for api in BOTH {
        let model = FakeModel::saying(good()).await;
        let prices = Prices { question: Some(1_000_000), answer: Some(2_000_000) };
        let counsel = counsel(api, &model, Terms { prices, ..terms() });
        let opinion = ask(&counsel, &api.sought(), 1).await;
        let (rules, took) = (api.sought().fallback, opinion.usage.took);
        let usage = Usage { tokens_in: 900, tokens_out: 80, cost_micros: Some(1060), requests: 1, took, cached: false };
        let expected = Reached {
            verdict: Verdict::Sick,
            root_cause: "its pool of connections is exhausted".into(),
            remedy: Some(Remedy::Restart),
            confidence: Confidence::clamped(0.9),
            method: Method::Model { provider: api.name().into(), model: api.model().into() },
            why: "the output says so".into(),
            cites: vec!["output.1".into()],
            usage: Some(usage),
            ..rules
        };
        assert_eq!(opinion, Opinion { outcome: Ok(expected), usage }, "{api:?}");
        assert!(took < Span::from_secs(5));
    }
}

#[tokio::test]
async fn openai_is_asked_for_a_strict_schema_in_the_trace_of_the_event() {
    let model = FakeModel::saying(good()).await;
    ask(&counsel(Api::OpenAi, &model, terms()), &Api::OpenAi.sought(), 1).await.outcome.unwrap();
    let asked = &model.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {}", model.key()).as_str()));
    assert!(asked.header("traceparent").unwrap().starts_with(&TRACE[..35]), "{asked:?}");
    let body = &asked.body;
    assert_eq!(
        (&body["model"], &body["max_tokens"], &body["temperature"]),
        (&json!("gpt-4o-mini"), &json!(600), &json!(0))
    );
    let format = &body["response_format"];
    assert_eq!((&format["type"], &format["json_schema"]["strict"]), (&json!("json_schema"), &json!(true)));
    let remedies = &format["json_schema"]["schema"]["properties"]["remedy"]["enum"];
    assert_eq!(remedies, &json!(["restart", "start", "none"]));
    assert!(asked.words().contains("| pool exhausted\n"), "{}", asked.words());
}

#[tokio::test]
async fn claude_is_made_to_use_the_tool_that_takes_the_answer() {
    let model = FakeModel::saying(good()).await;
    ask(&counsel(Api::Anthropic, &model, terms()), &Api::Anthropic.sought(), 1).await.outcome.unwrap();
    let asked = &model.asked()[0];
    assert_eq!((asked.path.as_str(), asked.header("x-api-key")), ("/v1/messages", Some(model.key())));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert!(asked.header("traceparent").unwrap().starts_with(&TRACE[..35]), "{asked:?}");
    let body = &asked.body;
    assert_eq!(body["tool_choice"], json!({ "type": "tool", "name": "diagnosis" }));
    let remedies = &body["tools"][0]["input_schema"]["properties"]["remedy"]["enum"];
    assert_eq!((remedies, &body["max_tokens"]), (&json!(["restart", "start", "none"]), &json!(600)));
    assert!(asked.words().contains("| pool exhausted\n"), "{}", asked.words());
}

/// What models say instead of an answer.
fn nonsense() -> Vec<(String, &'static str)> {
    let without = |field: &str| {
        let mut answer = answer();
        answer.as_object_mut().unwrap().remove(field);
        answer
    };
    [
        (json!("I think you should restart it."), "no JSON object"),
        (answer_with("remedy", json!("rm -rf /")), "must be one of"),
        (answer_with("remedy", json!("restart|scale_up|cleanup|none")), "must be one of"),
        (answer_with("remedy", json!("stop")), "must be one of"),
        (answer_with("confidence", json!("high")), "a number"),
        (answer_with("confidence", json!(95)), "between 0 and 1"),
        (answer_with("evidence", json!(["output.9"])), "was not shown"),
        (answer_with("evidence", json!([])), "names no exhibit"),
        (answer_with("verdict", json!("false_alarm")), "must then be \"none\""),
        (without("root_cause"), "is missing"),
    ]
    .into_iter()
    .map(|(said, fault)| (said.as_str().map_or_else(|| said.to_string(), str::to_owned), fault))
    .collect()
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_asked_for_once_more_with_what_is_wrong() {
    for api in BOTH {
        for (said, fault) in nonsense() {
            let model = FakeModel::saying(good()).await;
            model.will_answer([Reply::Says(said.clone(), 900, 80)]);
            let opinion = ask(&counsel(api, &model, terms()), &api.sought(), 1).await;
            assert_eq!(opinion.outcome.unwrap().remedy, Some(Remedy::Restart), "{api:?} {said}");
            assert_eq!((opinion.usage.requests, opinion.usage.tokens_in), (2, 1800));
            let asked = model.asked();
            let turns = asked[1].body["messages"].as_array().unwrap().clone();
            assert!(turns.last().unwrap()["content"].as_str().unwrap().contains(fault), "{fault}: {turns:?}");
        }
    }
}

#[tokio::test]
async fn who_does_not_mend_his_answer_is_believed_nothing() {
    for api in BOTH {
        for (said, fault) in nonsense() {
            let model = FakeModel::saying(Reply::Says(said.clone(), 900, 80)).await;
            let opinion = ask(&counsel(api, &model, terms()), &api.sought(), 1).await;
            let snag = opinion.outcome.unwrap_err();
            assert_eq!((snag.trouble, opinion.usage.requests), (Trouble::Invalid, 2), "{api:?} {said}");
            assert!(snag.error.contains(fault), "{}", snag.error);
        }
    }
}

#[tokio::test]
async fn text_around_the_json_does_no_harm() {
    for api in BOTH {
        for said in [
            format!("Sure! Here is the answer:\n```json\n{}\n```\nStay safe.", answer()),
            format!("<think>it may be {{\"remedy\": \"stop\"}}</think>{}", answer()),
            json!({ "diagnosis": answer() }).to_string(),
        ] {
            let model = FakeModel::saying(Reply::Says(said.clone(), 1, 1)).await;
            let opinion = ask(&counsel(api, &model, terms()), &api.sought(), 1).await;
            assert!(opinion.outcome.is_ok() && opinion.usage.requests == 1, "{api:?} {said}: {opinion:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_no_schema_is_asked_without_one_and_not_told_again() {
    /// Knows neither schemas nor objects, and wants the limit by its newer name.
    fn picky(asked: &hemostat_tests::Request) -> Reply {
        let format = &asked.body["response_format"]["type"];
        if !asked.body["max_tokens"].is_null() {
            return Reply::Status(400, vec![], "use 'max_completion_tokens' instead of 'max_tokens'".into());
        }
        if format.is_string() {
            return Reply::Status(400, vec![], json!({ "detail": format!("response_format {format}?") }).to_string());
        }
        Reply::json(&answer())
    }
    let model = FakeModel::start(picky).await;
    let counsel = counsel(Api::OpenAi, &model, terms());
    let first = ask(&counsel, &Api::OpenAi.sought(), 1).await;
    assert!(first.outcome.is_ok(), "{first:?}");
    assert_eq!(model.asked().len(), 5, "as it is best, with the other name, without ends, with an object, as text");
    let other = OpinionSought { fingerprint: "f2".into(), ..Api::OpenAi.sought() };
    ask(&counsel, &other, 2).await.outcome.unwrap();
    assert_eq!(model.asked().len(), 6, "it was remembered what the server takes");
}

#[tokio::test]
async fn a_server_that_only_imitates_claude_is_asked_without_its_tool() {
    for (refuses, requests) in [("tool_choice", 2), ("tools", 2)] {
        let model = FakeModel::start(move |asked| {
            if asked.body[refuses].is_null() {
                return Reply::Says(format!("Well: {}", answer()), 1, 1);
            }
            Reply::error(400, "invalid_request_error")
        })
        .await;
        model.will_answer([Reply::Status(400, vec![], format!("{refuses} is not supported"))]);
        let opinion = ask(&counsel(Api::Anthropic, &model, terms()), &Api::Anthropic.sought(), 1).await;
        assert!(opinion.outcome.is_ok(), "{opinion:?}");
        assert_eq!(model.asked().len(), requests, "{refuses}");
    }
}

#[tokio::test]
async fn a_server_of_ones_own_needs_no_key() {
    let model = FakeModel::saying(good()).await;
    let provider = OpenAi::new(&Wire::new().unwrap(), Some(&model.openai()), None, "gpt-4o-mini".into()).unwrap();
    let counsel = Counsel::new(Box::new(provider), terms(), Arc::new(SystemClock));
    ask(&counsel, &Api::OpenAi.sought(), 1).await.outcome.unwrap();
    assert_eq!(model.asked()[0].header("authorization"), None);
}
