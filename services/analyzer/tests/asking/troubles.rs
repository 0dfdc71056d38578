//! Every way in which a provider can fail: each has its own kind and ends within the timeout.

use std::time::Instant;

use hemostat_schema::diagnosis::Trouble;
use tokio::net::TcpListener;

use super::*;

/// A timeout that a test can wait for.
const SHORT: Duration = Duration::from_millis(700);

/// Tolerance for a busy machine.
const MARGIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn each_failure_has_its_kind_and_is_retried_only_if_it_is_transient() {
    use Trouble::{Invalid, RateLimited, Refused, TimedOut, Unreachable};
    for api in BOTH {
        for (reply, trouble, requests, says) in [
            (ModelResponse::error(500, "server_error"), Unreachable, 3, "500 Internal Server Error (server_error)"),
            (ModelResponse::error(529, "overloaded_error"), Unreachable, 3, "529"),
            (ModelResponse::Status(503, vec![], "<html>down</html>".into()), Unreachable, 3, "503"),
            (ModelResponse::error(429, "rate_limit_exceeded"), RateLimited, 3, "429"),
            (ModelResponse::rate_limited("0"), RateLimited, 3, "429"),
            (ModelResponse::rate_limited("soon"), RateLimited, 3, "429"),
            (ModelResponse::rate_limited("86400"), RateLimited, 1, "asks for a pause of 24 h"),
            (ModelResponse::error(429, "insufficient_quota"), RateLimited, 1, "insufficient_quota"),
            (ModelResponse::error(401, "invalid_api_key"), Refused, 1, "401 Unauthorized (invalid_api_key)"),
            (ModelResponse::error(404, "model_not_found"), Refused, 1, "model_not_found"),
            (
                ModelResponse::Status(307, vec![("location".into(), "http://127.0.0.1:9/".into())], String::new()),
                Refused,
                1,
                "a redirect",
            ),
            (ModelResponse::NoResponse, TimedOut, 1, "it did not answer within 700 ms"),
            (ModelResponse::EndlessBody, TimedOut, 1, "it did not answer within 700 ms"),
            (ModelResponse::OversizedBody(3 << 20), Invalid, 1, "longer than 1.0 MiB"),
            (ModelResponse::IncompleteBody, Unreachable, 3, "broke off"),
            (ModelResponse::NotHttp, Unreachable, 3, "could not be reached"),
            (ModelResponse::Body("certainly!".into()), Invalid, 1, "its answer does not have the format of"),
            (ModelResponse::Body("[]".into()), Invalid, 1, "its answer does not have the format of"),
            (ModelResponse::Truncated("{\"verdict\": \"re".into()), Invalid, 2, "cut off"),
        ] {
            let model = FakeModel::always(reply.clone()).await;
            let client = client(api, &model, ClientConfig { timeout: SHORT, ..config() });
            let begun = Instant::now();
            let opinion = ask(&client, &api.sought(), 1).await;
            let error = opinion.outcome.unwrap_err();
            assert!(begun.elapsed() < SHORT + MARGIN, "{api:?} {reply:?} took {:?}", begun.elapsed());
            let got = (error.trouble, opinion.usage.requests);
            assert_eq!(got, (trouble, requests), "{api:?} {reply:?}: {}", error.error);
            assert!(error.error.contains(says), "{says:?} is not in {:?}", error.error);
            assert_eq!(model.requests().len(), usize::try_from(requests).unwrap());
        }
    }
}

#[tokio::test]
async fn an_answer_without_choices_is_invalid() {
    let model = FakeModel::always(ModelResponse::Body(json!({ "error": { "message": "no" } }).to_string())).await;
    let opinion = ask(&client(Api::OpenAi, &model, config()), &Api::OpenAi.sought(), 1).await;
    let error = opinion.outcome.unwrap_err();
    assert_eq!((error.trouble, error.error.as_str()), (Trouble::Invalid, "it sent an error with a success status"));
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let http = HttpClient::new().unwrap();
    let provider = OpenAi::new(&http, Some(&format!("http://{address}/v1")), None, "gpt-4o-mini".into()).unwrap();
    let client = ModelClient::new(Box::new(provider), config(), Arc::new(SystemClock));
    let opinion = ask(&client, &Api::OpenAi.sought(), 1).await;
    assert_eq!((opinion.outcome.unwrap_err().trouble, opinion.usage.requests), (Trouble::Unreachable, 3));
}

#[tokio::test]
async fn a_transient_failure_is_retried() {
    for api in BOTH {
        for failure in
            [ModelResponse::error(500, "server_error"), ModelResponse::rate_limited("0"), ModelResponse::IncompleteBody]
        {
            let model = FakeModel::always(valid_answer()).await;
            model.enqueue([failure.clone(), failure]);
            let opinion = ask(&client(api, &model, config()), &api.sought(), 1).await;
            assert!(opinion.outcome.is_ok() && opinion.usage.requests == 3, "{opinion:?}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_respected() {
    for api in BOTH {
        let model = FakeModel::always(valid_answer()).await;
        model.enqueue([ModelResponse::rate_limited("1")]);
        let begun = Instant::now();
        let opinion = ask(&client(api, &model, config()), &api.sought(), 1).await;
        assert!(opinion.outcome.is_ok() && begun.elapsed() >= Duration::from_secs(1), "{opinion:?}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_refused_before_any_request() {
    let key = Secret::from("sk-SECRET\n");
    let http = HttpClient::new().unwrap();
    let openai = OpenAi::new(&http, None, Some(&key), "gpt-4o".into()).unwrap_err().to_string();
    assert!(openai.contains("analyzer.openai_api_key") && !openai.contains("SECRET"), "{openai}");
    let claude = Anthropic::new(&http, None, Some(&key), "claude".into()).unwrap_err().to_string();
    assert!(claude.contains("analyzer.anthropic_api_key") && !claude.contains("SECRET"), "{claude}");
}

#[tokio::test]
async fn a_rotated_key_is_used_without_a_restart() {
    for api in BOTH {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        std::fs::write(&file, "sk-of-yesterday\n").unwrap();
        let model = FakeModel::always(ModelResponse::json(&answer())).await;
        let provider = api.provider_with_key(&model, Secret::from_file(file.clone()).unwrap());
        let client = ModelClient::new(provider, config(), Arc::new(SystemClock));
        let refused = ask(&client, &api.sought(), 1).await.outcome.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Refused, "{api:?}: {}", refused.error);
        std::fs::write(&file, model.key()).unwrap();
        let opinion = ask(&client, &api.sought(), 2).await;
        assert!(opinion.outcome.is_ok(), "{api:?}: {opinion:?}");
    }
}

#[tokio::test]
async fn a_model_of_hugging_face_is_asked_with_its_token_and_under_its_name() {
    let model = FakeModel::always(ModelResponse::json(&answer())).await;
    let (http, key) = (HttpClient::new().unwrap(), Secret::from(model.key()));
    let provider = OpenAi::hugging_face(&http, &model.openai(), Some(&key), "org/model".into()).unwrap();
    assert_eq!((provider.name(), provider.model()), ("huggingface", "org/model"));
    let client = ModelClient::new(Box::new(provider), config(), Arc::new(SystemClock));
    let sought = OpinionSought { provider: "huggingface".into(), model: "org/model".into(), ..Api::OpenAi.sought() };
    assert!(ask(&client, &sought, 1).await.outcome.is_ok());
    assert_eq!(model.requests()[0].header("authorization"), Some(format!("Bearer {}", model.key()).as_str()));
}

#[tokio::test]
async fn an_incomplete_model_configuration_is_refused_at_start() {
    for (model, says) in [
        (None, "AI_MODEL"),
        (Some("gpt-4o"), "OPENAI_BASE_URL"),
        (Some("claude-3"), "ANTHROPIC_API_KEY"),
        (Some("org/model"), "HF_TOKEN"),
    ] {
        let mut config = Config::default();
        config.analyzer.mode = DiagnosisBy::Model;
        config.analyzer.model = model.map(str::to_owned);
        let refused = hemostat_analyzer::model_client(&config.analyzer, Arc::new(SystemClock)).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
