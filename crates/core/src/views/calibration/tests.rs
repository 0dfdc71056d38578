//! What the view counts: tables, and a comparison with a naive reading of the whole log.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::{
    Confidence, EventId, NewEvent, Recorded, Span,
    action::{Authorised, Limits, Outcome, Remedy, Verified},
    diagnosis::{Failed, Method, Opined, Reached, Trouble},
};
use proptest::prelude::*;

use super::{BINS, Calibration, Record, Row, name, overall};
use crate::{
    Projection,
    testing::{self, at, id, run},
};

fn rule(name: &str) -> Method {
    Method::Rule { rule: name.into() }
}

fn model() -> Method {
    Method::Model { provider: "openai".into(), model: "gpt".into() }
}

fn reached(method: Method, confidence: f64, remedy: Option<Remedy>) -> Reached {
    Reached { method, remedy, confidence: Confidence::clamped(confidence), ..testing::reached(run(0)) }
}

fn sure(confidence: f64) -> Reached {
    reached(rule("unhealthy"), confidence, Some(Remedy::Restart))
}

fn authorised(diagnosis: u64, dry_run: bool) -> Authorised {
    let limits = Limits::of_attempt(1, 3);
    let (remedy, target) = (Remedy::Restart, run(0));
    Authorised {
        remedy,
        target: target.into(),
        arguments: None,
        diagnosis: id(diagnosis),
        limits,
        stop_timeout: None,
        dry_run,
        policy: None,
        trigger: None,
    }
}

fn verified(action: u64, outcome: Outcome) -> Verified {
    Verified {
        action: id(action),
        remedy: Remedy::Restart,
        outcome,
        why: "so".into(),
        took: Span::ZERO,
        policy: None,
        trigger: None,
    }
}

fn opined(rules: Reached, opinion: Reached) -> Opined {
    let agrees = rules.remedy == opinion.remedy;
    Opined { opinion, rules, agrees }
}

fn failed() -> Failed {
    Failed {
        provider: "openai".into(),
        model: "gpt".into(),
        trouble: Trouble::TimedOut,
        error: "it did not answer".into(),
        took: Span::from_secs(20),
        usage: None,
    }
}

/// The log of one container, with ids from 1 on.
fn log(events: Vec<hemostat_schema::Event>) -> Vec<Recorded> {
    (1..).zip(events).map(|(n, event)| testing::event(0, event).recorded(id(n), &[])).collect()
}

fn folded(log: &[Recorded]) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::<String, Row>::new();
    for event in log.iter().filter(|event| Calibration::READS.contains(&event.family())) {
        for key in Calibration::keys(event) {
            if let Some(row) = Calibration::evolve(rows.remove(&key), &key, event) {
                rows.insert(key, row);
            }
        }
    }
    rows
}

fn records(events: Vec<hemostat_schema::Event>) -> BTreeMap<String, Record> {
    overall(folded(&log(events)).values())
}

/// Judged, recovered and inconclusive of `by`.
fn counts(records: &BTreeMap<String, Record>, by: &str) -> (u64, u64, u64) {
    let record = records.get(by).cloned().unwrap_or_default();
    (record.total().judged, record.total().recovered, record.inconclusive)
}

#[test]
fn a_judged_attempt_counts_once_for_the_rule_or_model_that_asked_for_it() {
    let check = |events: Vec<hemostat_schema::Event>, expected: (u64, u64, u64)| {
        assert_eq!(counts(&records(events), "rule:unhealthy"), expected);
    };
    check(vec![sure(0.8).into()], (0, 0, 0));
    check(vec![sure(0.8).into(), authorised(1, false).into()], (0, 0, 0));
    for (outcome, expected) in
        [(Outcome::Recovered, (1, 1, 0)), (Outcome::Relapsed, (1, 0, 0)), (Outcome::Inconclusive, (0, 0, 1))]
    {
        let tried = || vec![sure(0.8).into(), authorised(1, false).into(), verified(2, outcome).into()];
        check(tried(), expected);
        check([tried(), vec![verified(2, outcome).into()]].concat(), expected);
    }
    check(vec![sure(0.8).into(), authorised(1, true).into(), verified(2, Outcome::Recovered).into()], (0, 0, 0));
    check(vec![authorised(1, false).into(), verified(1, Outcome::Recovered).into()], (0, 0, 0));
    let twice = vec![
        sure(0.8).into(),
        authorised(1, false).into(),
        verified(2, Outcome::Relapsed).into(),
        authorised(1, false).into(),
        verified(4, Outcome::Recovered).into(),
    ];
    check(twice, (2, 1, 0));
}

#[test]
fn confidence_falls_into_its_bin_and_into_the_score() {
    for (confidence, outcome, bin, brier) in [
        (0.0, Outcome::Relapsed, 0, 0.0),
        (0.05, Outcome::Recovered, 0, 0.9025),
        (0.7, Outcome::Recovered, 7, 0.09),
        (0.7, Outcome::Relapsed, 7, 0.49),
        (0.99, Outcome::Recovered, 9, 0.0001),
        (1.0, Outcome::Recovered, 9, 0.0),
        (1.0, Outcome::Relapsed, 9, 1.0),
    ] {
        let all = records(vec![sure(confidence).into(), authorised(1, false).into(), verified(2, outcome).into()]);
        let record = &all["rule:unhealthy"];
        let filled: Vec<usize> =
            record.bins().enumerate().filter(|(_, (.., bin))| bin.judged > 0).map(|(n, _)| n).collect();
        assert_eq!(filled, [bin], "{confidence}");
        assert!((record.brier().unwrap() - brier).abs() < 1e-12, "{confidence} {outcome:?}: {:?}", record.brier());
        assert_eq!(record.total().stated(), Some(confidence));
    }
    let edges: Vec<(f64, f64)> = Record::default().bins().map(|(from, to, _)| (from, to)).collect();
    assert_eq!((edges.len(), edges[0], edges[7], edges[9]), (BINS, (0.0, 0.1), (0.7, 0.8), (0.9, 1.0)));
    assert_eq!((Record::default().brier(), Record::default().total().came_true()), (None, None));
}

#[test]
fn a_threshold_is_judged_by_the_attempts_that_it_would_have_allowed() {
    let mut events = vec![];
    for (confidence, outcome) in
        [(0.72, Outcome::Relapsed), (0.78, Outcome::Recovered), (0.85, Outcome::Recovered), (0.95, Outcome::Recovered)]
    {
        let n = events.len() as u64;
        events.push(sure(confidence).into());
        events.push(authorised(n + 1, false).into());
        events.push(verified(n + 2, outcome).into());
    }
    let all = records(events);
    let passed: Vec<(u64, u64)> =
        [0, 7, 8, 9].map(|n| all["rule:unhealthy"].at_least(n)).iter().map(|bin| (bin.judged, bin.recovered)).collect();
    assert_eq!(passed, [(4, 3), (4, 3), (2, 2), (1, 1)]);
}

#[test]
fn a_shadow_that_agreed_is_judged_with_the_rules() {
    let opinion = |remedy| reached(model(), 0.6, remedy);
    let shadowed = |opinion: Reached| {
        records(vec![
            sure(0.8).into(),
            opined(sure(0.8), opinion).into(),
            authorised(1, false).into(),
            verified(3, Outcome::Recovered).into(),
        ])
    };
    let by = name(&model());
    let agreed = shadowed(opinion(Some(Remedy::Restart)));
    assert_eq!((counts(&agreed, &by), counts(&agreed, "rule:unhealthy")), ((1, 1, 0), (1, 1, 0)));
    assert_eq!((agreed[&by].opinions.answered, agreed[&by].opinions.agreed, agreed[&by].reached), (1, 1, 0));
    let differed = shadowed(opinion(None));
    assert_eq!((counts(&differed, &by), counts(&differed, "rule:unhealthy")), ((0, 0, 0), (1, 1, 0)));
    assert_eq!((differed[&by].opinions.answered, differed[&by].opinions.agreed), (1, 0));
    // The answer may come while the remedy is under way.
    let late = records(vec![
        sure(0.8).into(),
        authorised(1, false).into(),
        opined(sure(0.8), opinion(Some(Remedy::Restart))).into(),
        verified(2, Outcome::Relapsed).into(),
    ]);
    assert_eq!(counts(&late, &by), (1, 0, 0));
    let failures = records(vec![failed().into(), failed().into()]);
    assert_eq!(failures[&by].opinions.failed, 2);
}

#[test]
fn the_awaited_diagnoses_are_bounded() {
    let events = (0..200).map(|_| sure(0.8).into()).collect();
    let row = folded(&log(events)).remove("host/api").unwrap();
    assert_eq!((row.awaited.len(), row.methods["rule:unhealthy"].reached), (super::MAX_AWAITED, 200));
}

/// A step in the history of a container; an index chooses among the open diagnoses or attempts.
#[derive(Debug, Clone)]
enum Step {
    Reach { model: bool, confidence: f64, remedy: bool },
    Authorise { which: prop::sample::Index, dry: bool },
    Verify { which: prop::sample::Index, outcome: Outcome },
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let outcome = prop_oneof![Just(Outcome::Recovered), Just(Outcome::Relapsed), Just(Outcome::Inconclusive)];
    let step = prop_oneof![
        3 => (any::<bool>(), 0.0..=1.0, prop::bool::weighted(0.8))
            .prop_map(|(model, confidence, remedy)| Step::Reach { model, confidence, remedy }),
        3 => (any::<prop::sample::Index>(), prop::bool::weighted(0.1))
            .prop_map(|(which, dry)| Step::Authorise { which, dry }),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(which, outcome)| Step::Verify { which, outcome }),
        1 => Just(Step::Fail),
    ];
    prop::collection::vec((any::<bool>(), step), 0..120)
}

/// The log of these steps: a diagnosis has at most one pending attempt, as the responder ensures, and only the latest
/// diagnoses are tried.
fn played(steps: Vec<(bool, Step)>) -> Vec<Recorded> {
    let mut log: Vec<Recorded> = vec![];
    let mut sides = [Side::default(), Side::default()];
    for (second, step) in steps {
        let next = log.len() as u64 + 1;
        let side = &mut sides[usize::from(second)];
        let event: hemostat_schema::Event = match step {
            Step::Reach { model: by_model, confidence, remedy } => {
                if remedy {
                    side.diagnoses.push(next);
                }
                let by = if by_model { model() } else { rule("unhealthy") };
                reached(by, confidence, remedy.then_some(Remedy::Restart)).into()
            }
            Step::Authorise { which, dry } => {
                let latest = &side.diagnoses[side.diagnoses.len().saturating_sub(super::MAX_AWAITED / 2)..];
                let free: Vec<u64> = latest.iter().copied().filter(|one| !side.under_way.contains_key(one)).collect();
                if free.is_empty() {
                    continue;
                }
                let diagnosis = *which.get(&free);
                if !dry {
                    side.under_way.insert(diagnosis, next);
                }
                authorised(diagnosis, dry).into()
            }
            Step::Verify { which, outcome } => {
                let open: Vec<(u64, u64)> = side.under_way.iter().map(|(of, action)| (*of, *action)).collect();
                if open.is_empty() {
                    continue;
                }
                let (diagnosis, action) = *which.get(&open);
                // An attempt whose diagnosis is no longer kept counts in neither.
                let kept = side.diagnoses.iter().rev().take(super::MAX_AWAITED).any(|one| *one == diagnosis);
                side.under_way.remove(&diagnosis);
                if !kept {
                    continue;
                }
                verified(action, outcome).into()
            }
            Step::Fail => failed().into(),
        };
        let subject = testing::container(if second { "api" } else { "db" });
        log.push(NewEvent::new(subject, at(0), event).recorded(id(next), &[]));
    }
    log
}

#[derive(Debug, Default)]
struct Side {
    diagnoses: Vec<u64>,
    under_way: BTreeMap<u64, u64>,
}

/// The confidence and outcome of every judged attempt and the number of inconclusive ones, by rule or model; searches
/// the whole log for each verdict.
fn naive(log: &[Recorded]) -> BTreeMap<String, (Vec<(f64, bool)>, u64)> {
    use hemostat_schema::{Action, Diagnosis, Event};
    let find = |id: EventId| log.iter().find(|event| event.id == id).and_then(Recorded::event);
    let (mut all, mut seen) = (BTreeMap::<String, (Vec<(f64, bool)>, u64)>::new(), BTreeSet::new());
    for event in log {
        let Some(Event::Action(Action::Verified(verdict))) = event.event() else { continue };
        let Some(Event::Action(Action::Authorised(intent))) = find(verdict.action) else { continue };
        let Some(Event::Diagnosis(Diagnosis::Reached(reached))) = find(intent.diagnosis) else { continue };
        if intent.dry_run || !seen.insert(verdict.action) {
            continue;
        }
        let (judged, inconclusive) = all.entry(name(&reached.method)).or_default();
        match verdict.outcome {
            Outcome::Recovered => judged.push((reached.confidence.get(), true)),
            Outcome::Relapsed => judged.push((reached.confidence.get(), false)),
            Outcome::Inconclusive => *inconclusive += 1,
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_matches_a_search_through_the_whole_log(steps in steps()) {
        let log = played(steps);
        let all = overall(folded(&log).values());
        let naive = naive(&log);
        for (by, record) in &all {
            let (judged, inconclusive) = naive.get(by).cloned().unwrap_or_default();
            prop_assert_eq!(record.inconclusive, inconclusive);
            for (from, to, bin) in record.bins() {
                let inside = |confidence: f64| confidence >= from && (confidence < to || to >= 1.0);
                let of: Vec<(f64, bool)> = judged.iter().copied().filter(|(said, _)| inside(*said)).collect();
                prop_assert_eq!(bin.judged, of.len() as u64);
                prop_assert_eq!(bin.recovered, of.iter().filter(|(_, helped)| *helped).count() as u64);
                let stated = of.iter().map(|(said, _)| said).sum::<f64>() / of.len() as f64;
                prop_assert!(of.is_empty() || (bin.stated().unwrap() - stated).abs() < 1e-9);
            }
            let far = |(said, helped): &(f64, bool)| (said - f64::from(u8::from(*helped))).powi(2);
            let brier = judged.iter().map(far).sum::<f64>() / judged.len() as f64;
            match record.brier() {
                Some(found) => prop_assert!((found - brier).abs() < 1e-9 && (0.0..=1.0).contains(&found)),
                None => prop_assert!(judged.is_empty()),
            }
        }
        prop_assert!(naive.keys().all(|by| all.contains_key(by)));
        let said = all.values().map(|record| record.reached).sum::<u64>();
        let reached = log.iter().filter(|event| event.kind() == "diagnosis.reached").count() as u64;
        prop_assert_eq!(said, reached);
    }
}
