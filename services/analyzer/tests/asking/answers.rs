//! The requests sent to a model, and how its answers are handled.

use hemostat_analyzer::budget::Prices;
use hemostat_schema::{
    Confidence, Span,
    action::Remedy,
    diagnosis::{Method, Reached, Trouble, Usage, Verdict},
};

use super::*;

#[tokio::test]
async fn a_valid_answer_becomes_a_diagnosis_with_its_usage() {
    for api in BOTH {
        let model = FakeModel::always(valid_answer()).await;
        let prices = Prices { input: Some(1_000_000), output: Some(2_000_000) };
        let client = client(api, &model, ClientConfig { prices, ..config() });
        let opinion = ask(&client, &api.sought(), 1).await;
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
async fn openai_gets_a_strict_schema_and_the_trace_of_the_event() {
    let model = FakeModel::always(valid_answer()).await;
    ask(&client(Api::OpenAi, &model, config()), &Api::OpenAi.sought(), 1).await.outcome.unwrap();
    let asked = &model.requests()[0];
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
    assert!(asked.prompt().contains("| pool exhausted\n"), "{}", asked.prompt());
}

#[tokio::test]
async fn claude_gets_a_forced_tool_for_the_answer() {
    let model = FakeModel::always(valid_answer()).await;
    ask(&client(Api::Anthropic, &model, config()), &Api::Anthropic.sought(), 1).await.outcome.unwrap();
    let asked = &model.requests()[0];
    assert_eq!((asked.path.as_str(), asked.header("x-api-key")), ("/v1/messages", Some(model.key())));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert!(asked.header("traceparent").unwrap().starts_with(&TRACE[..35]), "{asked:?}");
    let body = &asked.body;
    assert_eq!(body["tool_choice"], json!({ "type": "tool", "name": "diagnosis" }));
    let remedies = &body["tools"][0]["input_schema"]["properties"]["remedy"]["enum"];
    assert_eq!((remedies, &body["max_tokens"]), (&json!(["restart", "start", "none"]), &json!(600)));
    assert!(asked.prompt().contains("| pool exhausted\n"), "{}", asked.prompt());
}

/// Invalid answers, each with what is wrong with it.
fn invalid_answers() -> Vec<(String, &'static str)> {
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
async fn an_invalid_answer_is_sent_back_once_with_what_is_wrong() {
    for api in BOTH {
        for (said, fault) in invalid_answers() {
            let model = FakeModel::always(valid_answer()).await;
            model.enqueue([ModelResponse::Text(said.clone(), 900, 80)]);
            let opinion = ask(&client(api, &model, config()), &api.sought(), 1).await;
            assert_eq!(opinion.outcome.unwrap().remedy, Some(Remedy::Restart), "{api:?} {said}");
            assert_eq!((opinion.usage.requests, opinion.usage.tokens_in), (2, 1800));
            let asked = model.requests();
            let turns = asked[1].body["messages"].as_array().unwrap().clone();
            assert!(turns.last().unwrap()["content"].as_str().unwrap().contains(fault), "{fault}: {turns:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_stays_invalid_is_discarded() {
    for api in BOTH {
        for (said, fault) in invalid_answers() {
            let model = FakeModel::always(ModelResponse::Text(said.clone(), 900, 80)).await;
            let opinion = ask(&client(api, &model, config()), &api.sought(), 1).await;
            let error = opinion.outcome.unwrap_err();
            assert_eq!((error.trouble, opinion.usage.requests), (Trouble::Invalid, 2), "{api:?} {said}");
            assert!(error.error.contains(fault), "{}", error.error);
        }
    }
}

#[tokio::test]
async fn text_around_the_json_is_ignored() {
    for api in BOTH {
        for said in [
            format!("Sure! Here is the answer:\n```json\n{}\n```\nStay safe.", answer()),
            format!("<think>it may be {{\"remedy\": \"stop\"}}</think>{}", answer()),
            json!({ "diagnosis": answer() }).to_string(),
        ] {
            let model = FakeModel::always(ModelResponse::Text(said.clone(), 1, 1)).await;
            let opinion = ask(&client(api, &model, config()), &api.sought(), 1).await;
            assert!(opinion.outcome.is_ok() && opinion.usage.requests == 1, "{api:?} {said}: {opinion:?}");
        }
    }
}

#[tokio::test]
async fn a_server_without_schema_support_gets_simpler_requests_and_this_is_remembered() {
    /// Supports neither schemas nor JSON objects, and requires the newer name of the token limit.
    fn picky(asked: &hemostat_tests::Request) -> ModelResponse {
        let format = &asked.body["response_format"]["type"];
        if !asked.body["max_tokens"].is_null() {
            return ModelResponse::Status(400, vec![], "use 'max_completion_tokens' instead of 'max_tokens'".into());
        }
        if format.is_string() {
            return ModelResponse::Status(
                400,
                vec![],
                json!({ "detail": format!("response_format {format}?") }).to_string(),
            );
        }
        ModelResponse::json(&answer())
    }
    let model = FakeModel::start(picky).await;
    let client = client(Api::OpenAi, &model, config());
    let first = ask(&client, &Api::OpenAi.sought(), 1).await;
    assert!(first.outcome.is_ok(), "{first:?}");
    assert_eq!(model.requests().len(), 5, "preferred form, other limit name, unbounded schema, JSON object, text");
    let other = OpinionSought { fingerprint: "f2".into(), ..Api::OpenAi.sought() };
    ask(&client, &other, 2).await.outcome.unwrap();
    assert_eq!(model.requests().len(), 6, "the accepted form is remembered");
}

#[tokio::test]
async fn a_server_that_imitates_claude_is_asked_without_its_tool() {
    for (refuses, requests) in [("tool_choice", 2), ("tools", 2)] {
        let model = FakeModel::start(move |asked| {
            if asked.body[refuses].is_null() {
                return ModelResponse::Text(format!("Well: {}", answer()), 1, 1);
            }
            ModelResponse::error(400, "invalid_request_error")
        })
        .await;
        model.enqueue([ModelResponse::Status(400, vec![], format!("{refuses} is not supported"))]);
        let opinion = ask(&client(Api::Anthropic, &model, config()), &Api::Anthropic.sought(), 1).await;
        assert!(opinion.outcome.is_ok(), "{opinion:?}");
        assert_eq!(model.requests().len(), requests, "{refuses}");
    }
}

#[tokio::test]
async fn a_self_hosted_server_needs_no_key() {
    let model = FakeModel::always(valid_answer()).await;
    let provider = OpenAi::new(&HttpClient::new().unwrap(), Some(&model.openai()), None, "gpt-4o-mini".into()).unwrap();
    let client = ModelClient::new(Box::new(provider), config(), Arc::new(SystemClock));
    ask(&client, &Api::OpenAi.sought(), 1).await.outcome.unwrap();
    assert_eq!(model.requests()[0].header("authorization"), None);
}
