//! Backtests: the same policy changes nothing; another one changes exactly the decisions that it would have made otherwise.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]

use std::collections::BTreeMap;

use hemostat_core::{
    Policy,
    policy::{ContainerPolicy, Model, Opinion},
};
use hemostat_history::testing::{Plan, history};
use hemostat_history::{
    Filter,
    backtest::{Backtest, Change, DecisionSummary, Report},
};
use hemostat_schema::{Action, Event, Partition, Recorded, Span};

/// Two days of five containers: the first falls ill every 90 minutes, the next every three hours, and so on.
fn two_days() -> Plan {
    Plan {
        containers: 5,
        length: Span::from_secs(2 * 86_400),
        sample_every: Span::from_secs(1800),
        ill_every: Span::from_secs(5400),
    }
}

fn backtest(history: &[Recorded], reference: &Policy, proposed: &Policy, filter: &Filter) -> Report {
    let mut backtest = Backtest::new(Partition(0), reference, proposed, filter);
    for event in history {
        backtest.take(event.clone());
    }
    backtest.finish()
}

fn with_cooldown(hours: u64) -> Policy {
    let care = ContainerPolicy { cooldown: Span::from_secs(3600 * hours), ..ContainerPolicy::default() };
    Policy { container_defaults: care, ..hemostat_core::testing::policy() }
}

fn authorised(history: &[Recorded]) -> u64 {
    let is = |event: &&Recorded| matches!(event.event(), Some(Event::Action(Action::Authorised(_))));
    history.iter().filter(is).count() as u64
}

/// Each recorded decision with the one that would replace it, and how often.
fn changes(report: &Report) -> BTreeMap<(String, String), u64> {
    let mut changes = BTreeMap::new();
    let short =
        |decision: &Option<DecisionSummary>| decision.as_ref().map_or("nothing", |decision| &decision.short).to_owned();
    for Change { was, would_be, .. } in &report.changes {
        *changes.entry((short(was), short(would_be))).or_default() += 1;
    }
    changes
}

#[test]
fn the_same_policy_changes_nothing_and_explains_every_decision() {
    for (hours, max_attempts) in [(1, 3), (4, 3), (1, 1)] {
        let mut policy = with_cooldown(hours);
        policy.container_defaults.max_attempts = max_attempts;
        let history = history(two_days(), &policy);
        let report = backtest(&history, &policy, &policy, &Filter::ALL);
        assert!(report.decisions > 50, "{report:?}");
        assert_eq!((report.changes, report.unexplained), (vec![], 0), "cooldown {hours} h, {max_attempts} attempts");
        assert_eq!(report.was, report.would_be);
        assert_eq!(report.was.actions, authorised(&history));
    }
}

#[test]
fn a_policy_that_was_not_in_force_changes_nothing_when_it_is_also_the_reference() {
    let history = history(two_days(), &with_cooldown(4));
    let report = backtest(&history, &with_cooldown(1), &with_cooldown(1), &Filter::ALL);
    assert!(report.unexplained > 0, "{report:?}");
    assert_eq!((report.changes, report.was), (vec![], report.would_be));
}

#[test]
fn a_shorter_cooldown_authorises_refused_remedies() {
    let (strict, lenient) = (with_cooldown(4), with_cooldown(1));
    let history = history(two_days(), &strict);
    let report = backtest(&history, &strict, &lenient, &Filter::ALL);
    let changes = changes(&report);
    let cooling = ("refused restart (cooling_down)".to_owned(), "authorised restart".to_owned());
    assert!(changes.get(&cooling).is_some_and(|times| *times > 0), "{changes:?}");
    assert!(report.refused_that_would_run > 0, "{changes:?}");
    assert_eq!(report.unexplained, 0);
    let first = &report.changes[0];
    assert_eq!(first.was.as_ref().map(|was| &*was.short), Some("refused restart (cooling_down)"), "{first:?}");
    for change in &report.changes {
        let shorts = [&change.was, &change.would_be].map(|decision| decision.as_ref().map(|decision| &decision.short));
        assert_ne!(shorts[0], shorts[1], "{change:?}");
    }
}

#[test]
fn a_dry_run_executes_nothing() {
    let policy = with_cooldown(1);
    let history = history(two_days(), &policy);
    let dry = Policy { dry_run: true, ..policy.clone() };
    let report = backtest(&history, &policy, &dry, &Filter::ALL);
    assert_eq!(report.would_be.actions, 0, "{report:?}");
    assert!(report.was.actions > 0);
}

fn by_a_model(policy: &Policy) -> Policy {
    let opinion = Opinion::Decides(Model { provider: "openai".into(), name: "gpt-4o".into() });
    Policy { opinion, ..policy.clone() }
}

#[test]
fn the_answer_of_a_model_stands_where_both_policies_ask_it() {
    let policy = by_a_model(&with_cooldown(4));
    let history = history(two_days(), &policy);
    let report = backtest(&history, &policy, &policy, &Filter::ALL);
    assert!(report.decisions > 50, "{report:?}");
    assert_eq!((&report.changes, report.unexplained), (&vec![], 0));
    let lenient = backtest(&history, &policy, &by_a_model(&with_cooldown(1)), &Filter::ALL);
    let changes = changes(&lenient);
    let cooling = ("refused restart (cooling_down)".to_owned(), "authorised restart".to_owned());
    assert!(changes.get(&cooling).is_some_and(|times| *times > 0), "{changes:?}");
    assert_eq!(lenient.unexplained, 0);
}

#[test]
fn where_only_one_policy_asks_a_model_the_rules_answer_in_the_simulated_world() {
    let rules = with_cooldown(4);
    let history_by_rules = history(two_days(), &rules);
    let report = backtest(&history_by_rules, &rules, &by_a_model(&rules), &Filter::ALL);
    let left = ("diagnosed restart (sick)".to_owned(), "left to a model restart".to_owned());
    assert!(changes(&report).contains_key(&left), "{:?}", changes(&report));
    assert_eq!((report.was, report.unexplained), (report.would_be, 0));
    let history = history(two_days(), &by_a_model(&rules));
    let report = backtest(&history, &by_a_model(&rules), &rules, &Filter::ALL);
    // The model took some illnesses for false alarms.
    assert!(report.would_be.actions > report.was.actions, "{report:?}");
    assert_eq!(report.unexplained, 0);
}

#[test]
fn only_selected_decisions_are_reported_although_all_history_is_folded() {
    let (strict, lenient) = (with_cooldown(4), with_cooldown(1));
    let history = history(two_days(), &strict);
    let all = backtest(&history, &strict, &lenient, &Filter::ALL);
    let one = Filter { container: Some("c0".parse().unwrap()), ..Filter::ALL };
    let some = backtest(&history, &strict, &lenient, &one);
    let expected: Vec<&Change> = all.changes.iter().filter(|change| change.subject.to_string() == "host/c0").collect();
    assert!(!expected.is_empty() && expected.len() < all.changes.len());
    assert_eq!(some.changes.iter().collect::<Vec<_>>(), expected);
    assert!(some.was.refusals < all.was.refusals);
}
