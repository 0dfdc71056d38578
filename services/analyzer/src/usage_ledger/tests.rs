use hemostat_core::testing::{at, id, reached, run, subject};
use hemostat_schema::{
    Cause, NewEvent,
    diagnosis::{Exhibit, Opined, Part},
};

use super::*;

const PRICES: Prices = Prices { input: Some(1_000_000), output: Some(2_000_000) };
const HOUR_S: i64 = 3600;

/// A ledger of recorded questions and outcomes.
struct RecordedCalls(UsageLedger, u64);

impl RecordedCalls {
    fn new() -> Self {
        Self(UsageLedger::new(PRICES, 100, HOUR), 0)
    }

    fn event(&mut self, second: i64, cause: Option<EventId>, event: impl Into<Event>) -> EventId {
        self.1 += 1;
        let mut new = NewEvent::new(subject(), at(second), event);
        new.cause = cause.map(Cause::Event);
        self.0.apply(&new.recorded(id(self.1), &[]));
        id(self.1)
    }

    fn ask(&mut self, second: i64, fingerprint: &str) -> EventId {
        self.event(second, None, sought(fingerprint))
    }

    fn reached(&mut self, second: i64, cause: EventId, usage: Usage) {
        self.event(second, Some(cause), by_model(usage));
    }

    fn failed(&mut self, second: i64, cause: EventId, trouble: Trouble, usage: Usage) {
        let (provider, model) = ("openai".to_owned(), "gpt".to_owned());
        let failed = Failed { provider, model, trouble, error: "oh".into(), took: Span::ZERO, usage: Some(usage) };
        self.event(second, Some(cause), failed);
        self.event(second, Some(cause), reached(run(0)));
    }
}

fn sought(fingerprint: &str) -> OpinionSought {
    OpinionSought {
        provider: "openai".into(),
        model: "gpt".into(),
        part: Part::Decides,
        fallback: reached(run(0)),
        evidence: vec![Exhibit { id: "e".into(), kind: "output".into(), text: "x".repeat(3000) }],
        remedies: vec![],
        fingerprint: fingerprint.into(),
    }
}

fn by_model(usage: Usage) -> Reached {
    let method = Method::Model { provider: "openai".into(), model: "gpt".into() };
    Reached { method, usage: Some(usage), ..reached(run(0)) }
}

fn used(tokens_in: u64, tokens_out: u64, requests: u32) -> Usage {
    let cost_micros = PRICES.cost(tokens_in, tokens_out);
    Usage { tokens_in, tokens_out, cost_micros, requests, ..Usage::default() }
}

#[test]
fn spending_is_what_the_log_recorded_in_the_last_hour() {
    let mut log = RecordedCalls::new();
    let first = log.ask(0, "a");
    log.reached(1, first, used(1000, 100, 1));
    let second = log.ask(1000, "b");
    let opined = Opined { opinion: by_model(used(500, 50, 2)), rules: reached(run(0)), agrees: true };
    log.event(1001, Some(second), opined);
    let third = log.ask(2000, "c");
    log.failed(2001, third, Trouble::Invalid, used(300, 20, 2));
    for (now, tokens, micros) in
        [(2002, 1970, 1200 + 600 + 340), (HOUR_S + 2, 870, 600 + 340), (HOUR_S + 1002, 320, 340), (HOUR_S + 2002, 0, 0)]
    {
        assert_eq!(log.0.spent(at(now)), Spending { tokens, micros }, "at {now}");
    }
    log.0.evict(at(HOUR_S + 2002));
    assert!(log.0.calls.is_empty());
}

#[test]
fn unreported_usage_counts_with_its_upper_bound() {
    let upper_bound = PRICES.upper_bound(3000 + prompt::OVERHEAD_BYTES, 100);
    for (trouble, requests, times) in [
        (None, 1, 1),
        (Some(Trouble::TimedOut), 2, 2),
        (Some(Trouble::Invalid), 2, 2),
        (Some(Trouble::TimedOut), 0, 0),
        // A provider that does not answer does not bill.
        (Some(Trouble::Unreachable), 3, 0),
        (Some(Trouble::RateLimited), 3, 0),
        (Some(Trouble::OverBudget), 0, 0),
    ] {
        let mut log = RecordedCalls::new();
        let question = log.ask(0, "a");
        match trouble {
            None => log.reached(1, question, used(0, 0, requests)),
            Some(trouble) => log.failed(1, question, trouble, used(0, 0, requests)),
        }
        assert_eq!(log.0.spent(at(2)), upper_bound.times(times), "{trouble:?}");
    }
}

#[test]
fn a_call_in_flight_counts_until_its_outcome_is_recorded() {
    let mut log = RecordedCalls::new();
    let question = log.ask(0, "a");
    log.0.reserve(question, Spending { tokens: 5000, micros: 7 }, at(0));
    assert_eq!(log.0.spent(at(1)).tokens, 5000);
    log.0.settle(question, Spending { tokens: 1100, micros: 1200 });
    log.0.finish(question, true, at(1));
    log.reached(1, question, used(1000, 100, 1));
    // Redelivered, as after a restart.
    log.reached(1, question, used(1000, 100, 1));
    assert_eq!(log.0.spent(at(2)), Spending { tokens: 1100, micros: 1200 });
}

#[test]
fn only_failures_of_the_provider_since_its_last_answer_are_counted() {
    let mut log = RecordedCalls::new();
    let fail = |log: &mut RecordedCalls, second: i64, trouble, requests| {
        let question = log.ask(second, "a");
        log.failed(second, question, trouble, used(0, 0, requests));
    };
    assert_eq!(log.0.failures(), Failures::default());
    fail(&mut log, 1, Trouble::Unreachable, 1);
    fail(&mut log, 2, Trouble::TimedOut, 1);
    fail(&mut log, 3, Trouble::RateLimited, 3);
    fail(&mut log, 4, Trouble::Refused, 1);
    assert_eq!(log.0.failures(), Failures { count: 4, last: Some(at(4)) });
    fail(&mut log, 5, Trouble::OverBudget, 0);
    fail(&mut log, 6, Trouble::BreakerOpen, 0);
    fail(&mut log, 7, Trouble::TimedOut, 0);
    assert_eq!(log.0.failures(), Failures { count: 4, last: Some(at(4)) }, "no request was sent");
    fail(&mut log, 8, Trouble::Invalid, 2);
    assert_eq!(log.0.failures(), Failures::default(), "an invalid answer shows that the provider works");
}

#[test]
fn an_answer_is_cached_for_the_same_evidence_and_model_for_a_limited_time() {
    let mut log = RecordedCalls::new();
    let question = log.ask(0, "a");
    log.reached(10, question, used(1000, 100, 1));
    let found = |log: &RecordedCalls, sought: &OpinionSought, now| log.0.cached(sought, HOUR, at(now)).is_some();
    assert!(found(&log, &sought("a"), HOUR_S));
    assert!(!found(&log, &sought("a"), HOUR_S + 10), "it is too old");
    assert!(!found(&log, &sought("b"), 11));
    assert!(!found(&log, &OpinionSought { model: "other".into(), ..sought("a") }, 11));
    assert!(log.0.cached(&sought("a"), Span::ZERO, at(11)).is_none(), "the cache is off");
    // An answer from the cache does not extend its lifetime.
    let again = log.ask(HOUR_S - 1, "a");
    log.reached(HOUR_S - 1, again, Usage { cached: true, ..Usage::default() });
    assert!(!found(&log, &sought("a"), HOUR_S + 10));
    let nameless = log.ask(20, "");
    log.reached(20, nameless, used(1, 1, 1));
    assert!(!found(&log, &sought(""), 21), "a question of version 1 has no fingerprint");
}
