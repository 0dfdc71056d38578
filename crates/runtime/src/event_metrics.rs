//! Metrics of committed events. They are counted here, after the commit, and nowhere else: a decision that is repeated after
//! a conflict counts once, and a replay counts nothing.

use hemostat_schema::{
    Action, Alert, Diagnosis, Event, NewEvent, Observation, Span,
    action::Outcome,
    diagnosis::{Method, Reached, Usage},
};

use crate::metrics::Metric;

/// Counts the events of a commit.
pub(crate) fn record(events: &[NewEvent]) {
    for event in events {
        match &event.event {
            Event::Observation(observed) => observation(event, observed),
            Event::Diagnosis(concluded) => diagnosis(concluded),
            Event::Action(done) => action(done),
            Event::Alert(sent) => alert(sent),
            Event::Sample(_) => {}
        }
    }
}

fn observation(event: &NewEvent, observation: &Observation) {
    if let Observation::SymptomRaised(raised) = observation {
        Metric::SymptomsRaised.counter(&[("symptom", raised.symptom.name())]).increment(1);
        let took = Span::between(raised.since, event.at);
        Metric::TimeToDetection.histogram(&[]).record(took.as_secs_f64());
    }
}

fn diagnosis(diagnosis: &Diagnosis) {
    match diagnosis {
        Diagnosis::Reached(reached) => {
            let method = match reached.method {
                Method::Rule { .. } => "rule",
                Method::Model { .. } => "model",
            };
            let verdict = reached.verdict.name();
            Metric::Diagnoses.counter(&[("method", method), ("verdict", verdict)]).increment(1);
            opinion(reached);
        }
        Diagnosis::Opined(opined) => {
            opinion(&opined.opinion);
            if let Method::Model { provider, .. } = &opined.opinion.method {
                let agrees = if opined.agrees { "yes" } else { "no" };
                Metric::ModelOpinions.counter(&[("provider", provider), ("agrees", agrees)]).increment(1);
            }
        }
        Diagnosis::Failed(failed) => {
            let result = failed.trouble.name();
            Metric::ModelAnswers.counter(&[("provider", &failed.provider), ("result", result)]).increment(1);
            usage(&failed.provider, failed.usage.as_ref());
        }
        Diagnosis::OpinionSought(_) => {}
    }
}

/// The answer of a model; nothing for a diagnosis by rules.
fn opinion(reached: &Reached) {
    let Method::Model { provider, .. } = &reached.method else { return };
    let is_cached = reached.usage.is_some_and(|usage| usage.cached);
    let result = if is_cached { "cached" } else { "answered" };
    Metric::ModelAnswers.counter(&[("provider", provider), ("result", result)]).increment(1);
    usage(provider, reached.usage.as_ref());
}

/// The cost of a request to a model; nothing when the answer was cached.
fn usage(provider: &str, usage: Option<&Usage>) {
    let Some(usage) = usage.filter(|usage| usage.requests > 0) else { return };
    let by = [("provider", provider)];
    Metric::ModelRequests.counter(&by).increment(u64::from(usage.requests));
    Metric::ModelTokens.counter(&[("provider", provider), ("part", "question")]).increment(usage.tokens_in);
    Metric::ModelTokens.counter(&[("provider", provider), ("part", "answer")]).increment(usage.tokens_out);
    Metric::ModelCost.counter(&by).increment(usage.cost_micros.unwrap_or_default());
    Metric::ModelDuration.histogram(&by).record(usage.took.as_secs_f64());
}

fn action(action: &Action) {
    match action {
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
        | Action::Resumed(_)
        | Action::DeadLetterRedriven(_)
        | Action::DeadLetterDiscarded(_)
        | Action::PolicyChanged(_)
        | Action::PolicyRefused(_)
        | Action::PoliciesCompared(_) => {}
    }
}

fn alert(alert: &Alert) {
    let (channel, result) = match alert {
        Alert::Delivered(delivered) => (&delivered.channel, "delivered"),
        Alert::Undelivered(undelivered) => (&undelivered.channel, "undelivered"),
        Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Suppressed(_) | Alert::Tested(_) => return,
    };
    Metric::Alerts.counter(&[("channel", channel), ("result", result)]).increment(1);
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{
        Confidence, Timestamp,
        action::Refused,
        alert::Delivered,
        container::Run,
        diagnosis::{Failed, Opined, Trouble, Verdict},
    };
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn committed_events_are_counted() {
        let at = Timestamp::UNIX_EPOCH;
        let id = "0.1-1".parse().unwrap();
        let refusal = hemostat_schema::action::Refusal::InHand;
        let refused = Refused {
            remedy: hemostat_schema::action::Remedy::Restart,
            diagnosis: id,
            refusal,
            policy: None,
            trigger: None,
        };
        let delivered = Delivered { alert: id, channel: "slack".into(), attempts: 1, took: Span::ZERO };
        let subject = || "host/api".parse().unwrap();
        let events = [NewEvent::new(subject(), at, refused), NewEvent::new(subject(), at, delivered)];

        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            record(&events);
            record(&events[..1]);
        });
        let shown = handle.render();
        assert!(shown.contains(r#"hemostat_refusals_total{reason="in_hand"} 2"#), "{shown}");
        assert!(shown.contains(r#"hemostat_alerts_total{channel="slack",result="delivered"} 1"#), "{shown}");
    }

    #[test]
    fn answers_and_cost_of_models_are_counted() {
        let at = Timestamp::UNIX_EPOCH;
        let (provider, model) = ("openai".to_owned(), "gpt".to_owned());
        let used = Usage { tokens_in: 900, tokens_out: 80, cost_micros: Some(1060), requests: 2, ..Usage::default() };
        let opinion = |usage| Reached {
            verdict: Verdict::Unclear,
            symptoms: vec![],
            target: Run { id: "0123456789abcdef".parse().unwrap(), started_at: None },
            root_cause: "unknown".into(),
            remedy: None,
            confidence: Confidence::clamped(0.1),
            method: Method::Model { provider: provider.clone(), model: model.clone() },
            why: "nothing says so".into(),
            examination: None,
            cites: vec![],
            usage: Some(usage),
            policy: None,
            trigger: None,
        };
        let opined = Opined { opinion: opinion(used), rules: opinion(used), agrees: false };
        let failed = Failed {
            provider: provider.clone(),
            model: model.clone(),
            trouble: Trouble::BreakerOpen,
            error: "not now".into(),
            took: Span::ZERO,
            usage: Some(Usage::default()),
        };
        let cached = Usage { cached: true, ..Usage::default() };
        let new = |event: Event| NewEvent::new("host/api".parse().unwrap(), at, event);
        let events = [new(opinion(used).into()), new(opinion(cached).into()), new(opined.into()), new(failed.into())];
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || record(&events));
        let shown = handle.render();
        for line in [
            r#"hemostat_model_answers_total{provider="openai",result="answered"} 2"#,
            r#"hemostat_model_answers_total{provider="openai",result="cached"} 1"#,
            r#"hemostat_model_answers_total{provider="openai",result="breaker_open"} 1"#,
            r#"hemostat_model_requests_total{provider="openai"} 4"#,
            r#"hemostat_model_tokens_total{provider="openai",part="question"} 1800"#,
            r#"hemostat_model_cost_microdollars_total{provider="openai"} 2120"#,
            r#"hemostat_model_opinions_total{provider="openai",agrees="no"} 1"#,
            r#"hemostat_model_duration_seconds_count{provider="openai"} 2"#,
        ] {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
    }
}
