//! What the events of a commit add to the figures: each is counted where, and only when, it comes to stand on the log.
//!
//! So no service counts for itself, nothing is counted for a decision that was made again, and a replay counts nothing.

use hemostat_schema::{
    Action, Alert, Diagnosis, Event, NewEvent, Observation, Span, action::Outcome, diagnosis::Method,
};

use crate::Metric;

/// Counts what was committed.
pub(crate) fn tally(events: &[NewEvent]) {
    for event in events {
        match &event.event {
            Event::Observation(seen) => observation(event, seen),
            Event::Diagnosis(said) => diagnosis(said),
            Event::Action(done) => action(done),
            Event::Alert(told) => alert(told),
        }
    }
}

fn observation(event: &NewEvent, seen: &Observation) {
    if let Observation::SymptomRaised(raised) = seen {
        Metric::SymptomsRaised.counter(&[("symptom", raised.symptom.name())]).increment(1);
        let took = Span::between(raised.since, event.at);
        Metric::TimeToDetection.histogram(&[]).record(took.as_secs_f64());
    }
}

fn diagnosis(said: &Diagnosis) {
    if let Diagnosis::Reached(reached) = said {
        let method = match reached.method {
            Method::Rule { .. } => "rule",
            Method::Model { .. } => "model",
        };
        let verdict = reached.verdict.name();
        Metric::Diagnoses.counter(&[("method", method), ("verdict", verdict)]).increment(1);
    }
}

fn action(done: &Action) {
    match done {
        Action::Succeeded(done) => {
            let remedy = done.remedy.name();
            Metric::Actions.counter(&[("remedy", remedy), ("result", "succeeded")]).increment(1);
            Metric::ActionDuration.histogram(&[("remedy", remedy)]).record(done.took.as_secs_f64());
        }
        Action::Failed(failed) => {
            Metric::Actions.counter(&[("remedy", failed.remedy.name()), ("result", "failed")]).increment(1);
        }
        Action::Refused(refused) => {
            Metric::Refusals.counter(&[("reason", refused.refusal.name())]).increment(1);
        }
        Action::Verified(verdict) if verdict.outcome == Outcome::Recovered => {
            Metric::TimeToRecovery.histogram(&[]).record(verdict.took.as_secs_f64());
        }
        Action::Proposed(_)
        | Action::Approved(_)
        | Action::Denied(_)
        | Action::Expired(_)
        | Action::Authorised(_)
        | Action::Verified(_)
        | Action::GaveUp(_)
        | Action::BreakerReset(_)
        | Action::Paused(_)
        | Action::Resumed(_) => {}
    }
}

fn alert(told: &Alert) {
    let (channel, result) = match told {
        Alert::Delivered(delivered) => (&delivered.channel, "delivered"),
        Alert::Undelivered(undelivered) => (&undelivered.channel, "undelivered"),
        Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Suppressed(_) | Alert::Tested(_) => return,
    };
    Metric::Alerts.counter(&[("channel", channel), ("result", result)]).increment(1);
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{Timestamp, action::Refused, alert::Delivered};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_is_committed_is_counted() {
        let at = Timestamp::UNIX_EPOCH;
        let id = "0.1-1".parse().unwrap();
        let refusal = hemostat_schema::action::Refusal::InHand;
        let refused = Refused { remedy: hemostat_schema::action::Remedy::Restart, diagnosis: id, refusal };
        let delivered = Delivered { alert: id, channel: "slack".into(), attempts: 1, took: Span::ZERO };
        let subject = || "host/api".parse().unwrap();
        let events = [NewEvent::new(subject(), at, refused), NewEvent::new(subject(), at, delivered)];

        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            tally(&events);
            tally(&events[..1]);
        });
        let shown = handle.render();
        assert!(shown.contains(r#"hemostat_refusals_total{reason="in_hand"} 2"#), "{shown}");
        assert!(shown.contains(r#"hemostat_alerts_total{channel="slack",result="delivered"} 1"#), "{shown}");
    }
}
