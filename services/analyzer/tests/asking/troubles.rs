//! Every way in which a provider can fail: each has its name, and its end within the time that there is.

use std::time::Instant;

use hemostat_schema::diagnosis::Trouble;
use tokio::net::TcpListener;

use super::*;

/// A limit of time that a test can wait for.
const SHORT: Duration = Duration::from_millis(700);

/// What a busy machine may add to it.
const MARGIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn each_trouble_has_its_name_and_is_tried_again_only_where_that_may_help() {
    use Trouble::{Invalid, RateLimited, Refused, TimedOut, Unreachable};
    for api in BOTH {
        for (reply, trouble, requests, says) in [
            (Reply::error(500, "server_error"), Unreachable, 3, "500 Internal Server Error (server_error)"),
            (Reply::error(529, "overloaded_error"), Unreachable, 3, "529"),
            (Reply::Status(503, vec![], "<html>down</html>".into()), Unreachable, 3, "503"),
            (Reply::error(429, "rate_limit_exceeded"), RateLimited, 3, "429"),
            (Reply::later("0"), RateLimited, 3, "429"),
            (Reply::later("soon"), RateLimited, 3, "429"),
            (Reply::later("86400"), RateLimited, 1, "left alone for 24 h"),
            (Reply::error(429, "insufficient_quota"), RateLimited, 1, "insufficient_quota"),
            (Reply::error(401, "invalid_api_key"), Refused, 1, "401 Unauthorized (invalid_api_key)"),
            (Reply::error(404, "model_not_found"), Refused, 1, "model_not_found"),
            (
                Reply::Status(307, vec![("location".into(), "http://127.0.0.1:9/".into())], String::new()),
                Refused,
                1,
                "a redirect",
            ),
            (Reply::Silence, TimedOut, 1, "it did not answer within 700 ms"),
            (Reply::Endless, TimedOut, 1, "it did not answer within 700 ms"),
            (Reply::Huge(3 << 20), Invalid, 1, "longer than 1.0 MiB"),
            (Reply::Half, Unreachable, 3, "broke off"),
            (Reply::Gibberish, Unreachable, 3, "could not be reached"),
            (Reply::Body("certainly!".into()), Invalid, 1, "it did not answer as"),
            (Reply::Body("[]".into()), Invalid, 1, "it did not answer as"),
            (Reply::Cut("{\"verdict\": \"re".into()), Invalid, 2, "cut off"),
        ] {
            let model = FakeModel::saying(reply.clone()).await;
            let counsel = counsel(api, &model, Terms { timeout: SHORT, ..terms() });
            let begun = Instant::now();
            let opinion = ask(&counsel, &api.sought(), 1).await;
            let snag = opinion.outcome.unwrap_err();
            assert!(begun.elapsed() < SHORT + MARGIN, "{api:?} {reply:?} took {:?}", begun.elapsed());
            let got = (snag.trouble, opinion.usage.requests);
            assert_eq!(got, (trouble, requests), "{api:?} {reply:?}: {}", snag.error);
            assert!(snag.error.contains(says), "{says:?} is not in {:?}", snag.error);
            assert_eq!(model.asked().len(), usize::try_from(requests).unwrap());
        }
    }
}

#[tokio::test]
async fn an_answer_without_choices_is_none() {
    let model = FakeModel::saying(Reply::Body(json!({ "error": { "message": "no" } }).to_string())).await;
    let opinion = ask(&counsel(Api::OpenAi, &model, terms()), &Api::OpenAi.sought(), 1).await;
    let snag = opinion.outcome.unwrap_err();
    assert_eq!(
        (snag.trouble, snag.error.as_str()),
        (Trouble::Invalid, "it answered with an error, and as if it were none")
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let wire = Wire::new().unwrap();
    let provider = OpenAi::new(&wire, Some(&format!("http://{address}/v1")), None, "gpt-4o-mini".into()).unwrap();
    let counsel = Counsel::new(Box::new(provider), terms(), Arc::new(SystemClock));
    let opinion = ask(&counsel, &Api::OpenAi.sought(), 1).await;
    assert_eq!((opinion.outcome.unwrap_err().trouble, opinion.usage.requests), (Trouble::Unreachable, 3));
}

#[tokio::test]
async fn a_passing_failure_is_over_when_it_is_over() {
    for api in BOTH {
        for failure in [Reply::error(500, "server_error"), Reply::later("0"), Reply::Half] {
            let model = FakeModel::saying(good()).await;
            model.will_answer([failure.clone(), failure]);
            let opinion = ask(&counsel(api, &model, terms()), &api.sought(), 1).await;
            assert!(opinion.outcome.is_ok() && opinion.usage.requests == 3, "{opinion:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_says_when_to_come_again_is_left_alone_until_then() {
    for api in BOTH {
        let model = FakeModel::saying(good()).await;
        model.will_answer([Reply::later("1")]);
        let begun = Instant::now();
        let opinion = ask(&counsel(api, &model, terms()), &api.sought(), 1).await;
        assert!(opinion.outcome.is_ok() && begun.elapsed() >= Duration::from_secs(1), "{opinion:?}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_sent_is_refused_before_anything_is_asked() {
    let key = SecretString::from("sk-SECRET\n");
    let wire = Wire::new().unwrap();
    let openai = OpenAi::new(&wire, None, Some(&key), "gpt-4o".into()).unwrap_err().to_string();
    assert!(openai.contains("analyzer.openai_api_key") && !openai.contains("SECRET"), "{openai}");
    let claude = Anthropic::new(&wire, None, Some(&key), "claude".into()).unwrap_err().to_string();
    assert!(claude.contains("analyzer.anthropic_api_key") && !claude.contains("SECRET"), "{claude}");
}

#[tokio::test]
async fn a_model_without_what_it_needs_is_refused_at_the_start() {
    for (model, says) in
        [(None, "AI_MODEL"), (Some("gpt-4o"), "OPENAI_BASE_URL"), (Some("claude-3"), "ANTHROPIC_API_KEY")]
    {
        let mut config = Config::default();
        config.analyzer.mode = DiagnosisBy::Model;
        config.analyzer.model = model.map(str::to_owned);
        let refused = hemostat_analyzer::counsel(&config, Arc::new(SystemClock)).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}
