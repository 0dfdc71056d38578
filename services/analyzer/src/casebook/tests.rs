use hemostat_core::testing::{at, id, reached, run, subject};
use hemostat_schema::{
    Cause, NewEvent,
    diagnosis::{Exhibit, Opined, Part},
};

use super::*;

const PRICES: Prices = Prices { question: Some(1_000_000), answer: Some(2_000_000) };
const HOUR_S: i64 = 3600;

/// A log of questions and what came of them.
struct Told(Casebook, u64);

impl Told {
    fn new() -> Self {
        Self(Casebook::new(PRICES, 100, HOUR), 0)
    }

    fn event(&mut self, second: i64, cause: Option<EventId>, event: impl Into<Event>) -> EventId {
        self.1 += 1;
        let mut new = NewEvent::new(subject(), at(second), event);
        new.cause = cause.map(Cause::Event);
        self.0.evolve(&new.recorded(id(self.1), &[]));
        id(self.1)
    }

    fn asked(&mut self, second: i64, fingerprint: &str) -> EventId {
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
fn what_was_spent_is_what_the_log_says_of_the_last_hour() {
    let mut told = Told::new();
    let first = told.asked(0, "a");
    told.reached(1, first, used(1000, 100, 1));
    let second = told.asked(1000, "b");
    let opined = Opined { opinion: by_model(used(500, 50, 2)), rules: reached(run(0)), agrees: true };
    told.event(1001, Some(second), opined);
    let third = told.asked(2000, "c");
    told.failed(2001, third, Trouble::Invalid, used(300, 20, 2));
    for (now, tokens, micros) in
        [(2002, 1970, 1200 + 600 + 340), (HOUR_S + 2, 870, 600 + 340), (HOUR_S + 1002, 320, 340), (HOUR_S + 2002, 0, 0)]
    {
        assert_eq!(told.0.spent(at(now)), Spent { tokens, micros }, "at {now}");
    }
    told.0.forget(at(HOUR_S + 2002));
    assert!(told.0.cases.is_empty());
}

#[test]
fn what_a_provider_does_not_say_counts_as_the_most_that_it_can_be() {
    let most = PRICES.at_most(3000 + prompt::AROUND, 100);
    for (trouble, requests, times) in [
        (None, 1, 1),
        (Some(Trouble::TimedOut), 2, 2),
        (Some(Trouble::Invalid), 2, 2),
        (Some(Trouble::TimedOut), 0, 0),
        // Who does not answer does not charge.
        (Some(Trouble::Unreachable), 3, 0),
        (Some(Trouble::RateLimited), 3, 0),
        (Some(Trouble::OverBudget), 0, 0),
    ] {
        let mut told = Told::new();
        let question = told.asked(0, "a");
        match trouble {
            None => told.reached(1, question, used(0, 0, requests)),
            Some(trouble) => told.failed(1, question, trouble, used(0, 0, requests)),
        }
        assert_eq!(told.0.spent(at(2)), most.times(times), "{trouble:?}");
    }
}

#[test]
fn what_is_on_its_way_counts_until_the_log_says_what_it_was() {
    let mut told = Told::new();
    let question = told.asked(0, "a");
    told.0.reserve(question, Spent { tokens: 5000, micros: 7 }, at(0));
    assert_eq!(told.0.spent(at(1)).tokens, 5000);
    told.0.settle(question, Spent { tokens: 1100, micros: 1200 });
    told.0.answered(question, true, at(1));
    told.reached(1, question, used(1000, 100, 1));
    // And again, as after a restart.
    told.reached(1, question, used(1000, 100, 1));
    assert_eq!(told.0.spent(at(2)), Spent { tokens: 1100, micros: 1200 });
}

#[test]
fn failures_are_counted_since_the_last_answer_and_only_those_of_the_provider() {
    let mut told = Told::new();
    let fail = |told: &mut Told, second: i64, trouble, requests| {
        let question = told.asked(second, "a");
        told.failed(second, question, trouble, used(0, 0, requests));
    };
    assert_eq!(told.0.failures(), Failures::default());
    fail(&mut told, 1, Trouble::Unreachable, 1);
    fail(&mut told, 2, Trouble::TimedOut, 1);
    fail(&mut told, 3, Trouble::RateLimited, 3);
    fail(&mut told, 4, Trouble::Refused, 1);
    assert_eq!(told.0.failures(), Failures { count: 4, last: Some(at(4)) });
    fail(&mut told, 5, Trouble::OverBudget, 0);
    fail(&mut told, 6, Trouble::BreakerOpen, 0);
    fail(&mut told, 7, Trouble::TimedOut, 0);
    assert_eq!(told.0.failures(), Failures { count: 4, last: Some(at(4)) }, "nobody was asked");
    fail(&mut told, 8, Trouble::Invalid, 2);
    assert_eq!(told.0.failures(), Failures::default(), "nonsense is an answer, too");
}

#[test]
fn an_answer_stands_for_the_same_evidence_and_the_same_model_for_a_while() {
    let mut told = Told::new();
    let question = told.asked(0, "a");
    told.reached(10, question, used(1000, 100, 1));
    let found = |told: &Told, sought: &OpinionSought, now| told.0.answer(sought, HOUR, at(now)).is_some();
    assert!(found(&told, &sought("a"), HOUR_S));
    assert!(!found(&told, &sought("a"), HOUR_S + 10), "it is too old");
    assert!(!found(&told, &sought("b"), 11));
    assert!(!found(&told, &OpinionSought { model: "other".into(), ..sought("a") }, 11));
    assert!(told.0.answer(&sought("a"), Span::ZERO, at(11)).is_none(), "the cache is off");
    // An answer that was given again makes nothing newer.
    let again = told.asked(HOUR_S - 1, "a");
    told.reached(HOUR_S - 1, again, Usage { cached: true, ..Usage::default() });
    assert!(!found(&told, &sought("a"), HOUR_S + 10));
    let nameless = told.asked(20, "");
    told.reached(20, nameless, used(1, 1, 1));
    assert!(!found(&told, &sought(""), 21), "a question of version 1 has no fingerprint");
}
