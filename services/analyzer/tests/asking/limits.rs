//! Budget, circuit breaker and maximum concurrent questions.

use std::time::Instant;

use futures::future::join_all;
use hemostat_analyzer::budget::{Budget, Prices};
use hemostat_runtime::ManualClock;
use hemostat_schema::{Span, diagnosis::Trouble};

use super::*;

fn other(n: u64) -> OpinionSought {
    OpinionSought { fingerprint: format!("f{n}"), ..Api::OpenAi.sought() }
}

#[tokio::test]
async fn a_request_over_budget_is_not_sent_until_the_hour_has_passed() {
    let prices = Prices { input: Some(1_000_000), output: Some(1_000_000) };
    for (budget, says) in [
        (Budget { tokens: Some(4_000), micros: None }, "980 tokens were spent"),
        (Budget { tokens: None, micros: Some(4_000) }, "$0.0009 was spent"),
    ] {
        let model = FakeModel::always(valid_answer()).await;
        let clock = Arc::new(ManualClock::at(testing::at(0)));
        let config = ClientConfig { budget, prices, ..config() };
        let client = client_at(Api::OpenAi, &model, config, clock.clone());
        ask(&client, &other(1), 1).await.outcome.unwrap();
        let mut spent = 1;
        // The upper bound exceeds the real cost, so fewer questions fit than their cost suggests.
        let error = loop {
            match ask(&client, &other(spent + 1), spent + 1).await.outcome {
                Ok(_) => spent += 1,
                Err(error) => break error,
            }
            assert!(spent < 5, "the budget is not enforced");
        };
        assert_eq!(error.trouble, Trouble::OverBudget);
        let per = u64::try_from(model.requests().len()).unwrap();
        assert_eq!(per, spent, "no request over budget is sent");
        if spent == 1 {
            assert!(error.error.contains(says), "{}", error.error);
        }
        clock.advance(Span::from_secs(3600));
        ask(&client, &other(9), 9).await.outcome.unwrap();
    }
}

#[tokio::test]
async fn a_failing_provider_trips_the_breaker_and_is_then_probed_once() {
    let model = FakeModel::always(ModelResponse::error(401, "invalid_api_key")).await;
    let clock = Arc::new(ManualClock::at(testing::at(0)));
    let client = client_at(Api::OpenAi, &model, config(), clock.clone());
    for n in 1..=5 {
        assert_eq!(ask(&client, &other(n), n).await.outcome.unwrap_err().trouble, Trouble::Refused);
    }
    let error = ask(&client, &other(6), 6).await.outcome.unwrap_err();
    assert_eq!((error.trouble, model.requests().len()), (Trouble::BreakerOpen, 5));
    assert!(error.error.contains("does not ask it for another 1 min"), "{}", error.error);

    clock.advance(Span::from_secs(60));
    let probed = join_all([ask(&client, &other(7), 7), ask(&client, &other(8), 8)]).await;
    let troubles: Vec<Trouble> = probed.into_iter().map(|opinion| opinion.outcome.unwrap_err().trouble).collect();
    assert_eq!((troubles, model.requests().len()), (vec![Trouble::Refused, Trouble::BreakerOpen], 6));

    clock.advance(Span::from_secs(120));
    model.enqueue([valid_answer()]);
    ask(&client, &other(9), 9).await.outcome.unwrap();
    model.enqueue([valid_answer(), valid_answer()]);
    let well = join_all([ask(&client, &other(10), 10), ask(&client, &other(11), 11)]).await;
    assert!(well.iter().all(|opinion| opinion.outcome.is_ok()), "{well:?}");
}

#[tokio::test]
async fn a_question_without_a_free_slot_times_out_in_time() {
    let model = FakeModel::always(ModelResponse::NoResponse).await;
    let timeout = Duration::from_millis(500);
    let client = client(Api::OpenAi, &model, ClientConfig { timeout, concurrency: 2, ..config() });
    let begun = Instant::now();
    let questions: Vec<OpinionSought> = (1..=6).map(other).collect();
    let asked = questions.iter().zip(1..).map(|(sought, n)| ask(&client, sought, n));
    let opinions = join_all(asked).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let requests: u32 = opinions.iter().map(|opinion| opinion.usage.requests).sum();
    assert_eq!((requests, model.requests().len()), (2, 2), "nothing is sent after the deadline");
    for opinion in opinions {
        assert_eq!(opinion.outcome.unwrap_err().trouble, Trouble::TimedOut);
    }
}
