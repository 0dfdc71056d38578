//! The laws of every view, over random histories: a view is a fold of the log and of nothing else.

use std::collections::BTreeMap;

use hemostat_schema::{
    Action, Body, Diagnosis, Event, EventId, Family, NewEvent, Recorded, Span,
    action::{
        Approved, Authorised, BreakerReset, Denied, Failed, GaveUp, Limits, Outcome, Paused, Proof, Proposed, Refusal,
        Refused, Remedy, Succeeded, Verified,
    },
    alert::{Delivered, Escalated, Raised, Resolution, Resolved, Suppressed, Suppression},
    container::{ExitBy, Health, Run},
    diagnosis,
    observation::{Cleared, Removed, Severity, Symptom, SymptomCleared},
    sample,
};
use proptest::prelude::*;

use super::{Breaker, Calibration, Containers, Cooldown, Dedup, IncidentSamples, Incidents, Metrics, Timeline};
use crate::{projection::Projection, testing};

/// One event of each kind that a view reads.
fn samples() -> Vec<Event> {
    let (run, restart, long) = (testing::run(0), Remedy::Restart, Span::from_secs(1));
    let (two, until) = (testing::id(2), testing::at(600));
    let cleared = |symptom, why| SymptomCleared { symptom, why, stood: long };
    let judged = |outcome| Verified {
        action: two,
        remedy: Remedy::Restart,
        outcome,
        why: "so".into(),
        took: long,
        policy: None,
        trigger: None,
    };
    let refused = |refusal| Refused { remedy: Remedy::Restart, diagnosis: two, refusal, policy: None, trigger: None };
    let resolved = Resolved { alert: two, how: Resolution::Healed, title: "t".into(), text: "x".into(), took: long };
    vec![
        testing::seen(0, testing::facts()).event,
        testing::seen(0, testing::facts()).event,
        testing::started(9).event,
        testing::exited(9, run.clone(), ExitBy::Crash).event,
        testing::exited(9, run.clone(), ExitBy::Operator).event,
        testing::health(9, run.clone(), Health::Unhealthy).event,
        testing::raised(9, Symptom::Unhealthy, run.clone()).event,
        testing::raised(9, Symptom::Unhealthy, run.clone()).event,
        testing::raised(9, Symptom::CpuHigh, run.clone()).event,
        cleared(Symptom::Unhealthy, Cleared::Well).into(),
        cleared(Symptom::CpuHigh, Cleared::Stopped).into(),
        Removed { target: run.clone() }.into(),
        sample::Container { vitals: testing::vitals(5.0, 5.0, 1), holds: Span::from_secs(60) }.into(),
        sample::Container { vitals: testing::vitals(9.0, 5.0, 1), holds: Span::from_secs(7200) }.into(),
        sample::Unmeasured { since: testing::at(9) }.into(),
        testing::reached(run.clone()).into(),
        diagnosis::Opined { opinion: opinion(&run), rules: testing::reached(run.clone()), agrees: true }.into(),
        diagnosis::Failed {
            provider: "openai".into(),
            model: "gpt".into(),
            trouble: diagnosis::Trouble::TimedOut,
            error: "no".into(),
            took: long,
            usage: None,
        }
        .into(),
        Authorised {
            remedy: restart.clone(),
            target: run.clone().into(),
            arguments: None,
            diagnosis: two,
            limits: Limits::of_attempt(1, 3),
            stop_timeout: None,
            dry_run: false,
            policy: None,
            trigger: None,
        }
        .into(),
        Proposed {
            remedy: restart.clone(),
            target: run.into(),
            arguments: None,
            diagnosis: two,
            expires: until,
            policy: None,
            trigger: None,
        }
        .into(),
        Approved { proposal: two, by: "ann".into() }.into(),
        Denied { proposal: two, by: "ann".into() }.into(),
        Succeeded {
            action: two,
            remedy: restart.clone(),
            target: None,
            called_at: None,
            took: long,
            proof: Proof::Answered,
        }
        .into(),
        Failed { action: two, remedy: restart, error: "no".into(), took: long }.into(),
        judged(Outcome::Recovered).into(),
        judged(Outcome::Relapsed).into(),
        refused(Refusal::CoolingDown { until }).into(),
        refused(Refusal::Observing).into(),
        GaveUp { attempts: 3, until, policy: None, trigger: None }.into(),
        BreakerReset { by: "ann".into() }.into(),
        Paused { by: "ann".into(), reason: "works".into() }.into(),
        Raised { severity: Severity::High, title: "t".into(), text: "x".into() }.into(),
        Escalated { alert: two, title: "t".into(), text: "x".into() }.into(),
        resolved.into(),
        Suppressed { why: Suppression::Duplicate, title: "t".into() }.into(),
        Delivered { alert: two, channel: "slack".into(), attempts: 1, took: long }.into(),
    ]
}

fn opinion(run: &Run) -> diagnosis::Reached {
    let method = diagnosis::Method::Model { provider: "openai".into(), model: "gpt".into() };
    diagnosis::Reached { method, ..testing::reached(run.clone()) }
}

/// A history of two containers and two incidents. The result of an attempt belongs to the last one authorised, which
/// was for the last diagnosis.
fn histories() -> impl Strategy<Value = Vec<Recorded>> {
    let step = (any::<prop::sample::Index>(), any::<bool>(), prop::option::weighted(0.8, any::<bool>()));
    prop::collection::vec(step, 0..80).prop_map(|steps| {
        let (samples, mut last_attempt, mut last_diagnosis) = (samples(), testing::id(2), testing::id(2));
        let mut history = vec![];
        for (n, (sample, second, incident)) in (1_u32..).zip(steps) {
            let id = testing::id(u64::from(n));
            let mut event = samples[sample.index(samples.len())].clone();
            if let Event::Diagnosis(Diagnosis::Reached(_)) = &event {
                last_diagnosis = id;
            }
            if let Event::Action(action) = &mut event {
                match action {
                    Action::Authorised(intent) => {
                        intent.diagnosis = last_diagnosis;
                        last_attempt = id;
                    }
                    Action::Succeeded(Succeeded { action, .. })
                    | Action::Failed(Failed { action, .. })
                    | Action::Verified(Verified { action, .. }) => *action = last_attempt,
                    _ => {}
                }
            }
            let subject = testing::container(if second { "api" } else { "db" });
            let incident = incident.map(|first| testing::incident(if first { 10 } else { 20 }));
            history
                .push(NewEvent::new(subject, testing::at(i64::from(n)), event).in_incident(incident).recorded(id, &[]));
        }
        history
    })
}

type Rows<P> = BTreeMap<String, <P as Projection>::Row>;

fn apply<P: Projection>(rows: &mut Rows<P>, event: &Recorded) {
    if P::READS.contains(&event.family()) {
        for key in P::keys(event) {
            if let Some(row) = P::evolve(rows.remove(&key), &key, event) {
                rows.insert(key, row);
            }
        }
    }
}

fn folded<P: Projection>(history: &[Recorded]) -> Rows<P> {
    let mut rows = Rows::<P>::new();
    history.iter().for_each(|event| apply::<P>(&mut rows, event));
    rows
}

/// Checks the laws of one view.
fn obeys_the_laws<P: Projection>(history: &[Recorded], cut: usize) {
    let whole = folded::<P>(history);

    // A fold that is interrupted, with its rows written and read again, continues unchanged.
    let cut = cut.min(history.len());
    let kept = rmp_serde::to_vec_named(&folded::<P>(&history[..cut])).expect("rows can be written");
    let mut rows: Rows<P> = rmp_serde::from_slice(&kept).expect("rows can be read");
    history[cut..].iter().for_each(|event| apply::<P>(&mut rows, event));
    assert_eq!(rows, whole, "{} cut at {cut}", P::NAME);

    // An event that is delivered again changes nothing, and no earlier event changes an existing row.
    let mut rows = Rows::<P>::new();
    for event in history {
        apply::<P>(&mut rows, event);
        let before = rows.clone();
        apply::<P>(&mut rows, event);
        assert_eq!(rows, before, "{} applied {} twice", P::NAME, event.kind());
    }
    for event in history {
        for key in P::keys(event).iter().filter(|key| whole.contains_key(*key)) {
            let row = whole.get(key).cloned();
            assert_eq!(P::evolve(row.clone(), key, event), row, "{} applied {} late", P::NAME, event.kind());
        }
    }

    // An event of a later program is skipped.
    let mut rows = whole.clone();
    for (n, family) in (900..).zip(Family::ALL) {
        let kind = format!("{family}.smelled");
        let body = Body::Unknown { family, kind, version: 1, data: serde_json::json!({ "odour": "burnt" }) };
        let event = NewEvent::new(testing::subject(), testing::at(900), samples().remove(0));
        let event = event.in_incident(Some(testing::incident(10)));
        apply::<P>(&mut rows, &Recorded { body, ..event.recorded(testing::id(n), &[]) });
    }
    assert_eq!(rows, whole, "{} applied an unknown kind", P::NAME);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_obeys_the_laws(history in histories(), cut in 0..80_usize) {
        obeys_the_laws::<Containers>(&history, cut);
        obeys_the_laws::<Incidents>(&history, cut);
        obeys_the_laws::<Timeline>(&history, cut);
        obeys_the_laws::<Cooldown>(&history, cut);
        obeys_the_laws::<Breaker>(&history, cut);
        obeys_the_laws::<Dedup>(&history, cut);
        obeys_the_laws::<Calibration>(&history, cut);
        obeys_the_laws::<Metrics>(&history, cut);
        obeys_the_laws::<IncidentSamples>(&history, cut);
    }

    #[test]
    fn every_row_knows_the_last_event_that_touched_it(history in histories()) {
        let last: BTreeMap<String, EventId> =
            history.iter().flat_map(|event| Timeline::keys(event).into_iter().map(|key| (key, event.id))).collect();
        let rows = folded::<Timeline>(&history).into_iter().map(|(key, row)| (key, row.last)).collect();
        prop_assert_eq!(last, rows);
    }
}
