//! What a model may cost, how often it may fail, how many may be asked at once.

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
async fn what_could_break_the_budget_is_not_sent_and_after_an_hour_it_is() {
    let prices = Prices { question: Some(1_000_000), answer: Some(1_000_000) };
    for (budget, says) in [
        (Budget { tokens: Some(4_000), micros: None }, "980 tokens were spent"),
        (Budget { tokens: None, micros: Some(4_000) }, "$0.0009 were spent"),
    ] {
        let model = FakeModel::saying(good()).await;
        let clock = Arc::new(ManualClock::at(testing::at(0)));
        let terms = Terms { budget, prices, ..terms() };
        let counsel = timed(Api::OpenAi, &model, terms, clock.clone());
        ask(&counsel, &other(1), 1).await.outcome.unwrap();
        let mut spent = 1;
        // Each question is weighed at more than it then costs, so fewer fit than there is room for.
        let snag = loop {
            match ask(&counsel, &other(spent + 1), spent + 1).await.outcome {
                Ok(_) => spent += 1,
                Err(snag) => break snag,
            }
            assert!(spent < 5, "the budget holds nothing back");
        };
        assert_eq!(snag.trouble, Trouble::OverBudget);
        let per = u64::try_from(model.asked().len()).unwrap();
        assert_eq!(per, spent, "what is over budget is not sent");
        if spent == 1 {
            assert!(snag.error.contains(says), "{}", snag.error);
        }
        clock.advance(Span::from_secs(3600));
        ask(&counsel, &other(9), 9).await.outcome.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_and_then_probed_once() {
    let model = FakeModel::saying(Reply::error(401, "invalid_api_key")).await;
    let clock = Arc::new(ManualClock::at(testing::at(0)));
    let counsel = timed(Api::OpenAi, &model, terms(), clock.clone());
    for n in 1..=5 {
        assert_eq!(ask(&counsel, &other(n), n).await.outcome.unwrap_err().trouble, Trouble::Refused);
    }
    let snag = ask(&counsel, &other(6), 6).await.outcome.unwrap_err();
    assert_eq!((snag.trouble, model.asked().len()), (Trouble::BreakerOpen, 5));
    assert!(snag.error.contains("left alone for another 1 min"), "{}", snag.error);

    clock.advance(Span::from_secs(60));
    let probed = join_all([ask(&counsel, &other(7), 7), ask(&counsel, &other(8), 8)]).await;
    let troubles: Vec<Trouble> = probed.into_iter().map(|opinion| opinion.outcome.unwrap_err().trouble).collect();
    assert_eq!((troubles, model.asked().len()), (vec![Trouble::Refused, Trouble::BreakerOpen], 6));

    clock.advance(Span::from_secs(120));
    model.will_answer([good()]);
    ask(&counsel, &other(9), 9).await.outcome.unwrap();
    model.will_answer([good(), good()]);
    let well = join_all([ask(&counsel, &other(10), 10), ask(&counsel, &other(11), 11)]).await;
    assert!(well.iter().all(|opinion| opinion.outcome.is_ok()), "{well:?}");
}

#[tokio::test]
async fn who_gets_no_turn_in_time_is_answered_in_time_all_the_same() {
    let model = FakeModel::saying(Reply::Silence).await;
    let timeout = Duration::from_millis(500);
    let counsel = counsel(Api::OpenAi, &model, Terms { timeout, concurrency: 2, ..terms() });
    let begun = Instant::now();
    let questions: Vec<OpinionSought> = (1..=6).map(other).collect();
    let asked = questions.iter().zip(1..).map(|(sought, n)| ask(&counsel, sought, n));
    let opinions = join_all(asked).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let requests: u32 = opinions.iter().map(|opinion| opinion.usage.requests).sum();
    assert_eq!((requests, model.asked().len()), (2, 2), "nothing is sent when the time is over");
    for opinion in opinions {
        assert_eq!(opinion.outcome.unwrap_err().trouble, Trouble::TimedOut);
    }
}
