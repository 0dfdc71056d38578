//! The settings by which HemoStat decides, as the core's policy.

use hemostat_core::policy::{AlertPolicy, Backoff, ContainerPolicy, Model, NamePatterns, Opinion, Policy, Sensitivity};
use hemostat_schema::Span;

use crate::{choices::DiagnosisBy, settings::Settings};

impl Settings {
    /// The limits by which HemoStat decides.
    pub fn policy(&self) -> Policy {
        let (thresholds, responder) = (&self.thresholds, &self.responder);
        Policy {
            container_defaults: ContainerPolicy {
                mode: responder.mode,
                remedies: responder.actions.clone(),
                cooldown: responder.cooldown,
                max_attempts: responder.max_attempts,
                cpu: thresholds.cpu_percent,
                memory: thresholds.memory_percent,
                sustained: thresholds.sustained,
                unhealthy: thresholds.unhealthy_for,
                grace: thresholds.grace,
                ..ContainerPolicy::default()
            },
            sensitivity: Sensitivity {
                throttled: thresholds.throttled_percent,
                pressure: thresholds.pressure_percent,
                pids: thresholds.pids_percent,
                leak_over: thresholds.leak_over,
                leak_within: thresholds.leak_within,
                flaps: thresholds.flaps,
                flaps_within: thresholds.flaps_within,
                disk: thresholds.disk_percent,
                adaptive: thresholds.adaptive,
            },
            exclude: patterns(&self.monitor.exclude),
            only: patterns(&self.monitor.only),
            dry_run: responder.dry_run,
            min_confidence: self.analyzer.confidence_threshold,
            stale_after: responder.stale_after,
            storm_threshold: responder.storm,
            backoff: Backoff {
                first: responder.backoff.first,
                factor: responder.backoff.factor,
                cap: responder.backoff.cap,
            },
            attempt_window: responder.window,
            breaker_hold: responder.hold,
            stabilisation: responder.stabilisation,
            clear_after: thresholds.clear_after,
            loop_restarts: thresholds.loop_restarts,
            loop_within: thresholds.loop_within,
            // What is not measured cannot be written.
            sample_every: self.monitor.sample_every.max(self.monitor.interval.into()),
            // Without examinations there is nothing to wait for.
            examine_within: if self.monitor.examine { self.analyzer.examine_within } else { Span::ZERO },
            opinion: self.opinion(),
            alerts: AlertPolicy { enabled: self.alerts.enabled, scope: self.alerts.tell },
        }
    }

    /// Whether a language model has a say. It has none without a name, which the check of the settings refuses.
    fn opinion(&self) -> Opinion {
        let (Some(name), Some(provider)) = (self.analyzer.model.clone(), self.analyzer.provider()) else {
            return Opinion::Rules;
        };
        let model = Model { provider: provider.name().to_owned(), name };
        match self.analyzer.mode {
            DiagnosisBy::Rules => Opinion::Rules,
            DiagnosisBy::Model => Opinion::Decides(model),
            DiagnosisBy::Both => Opinion::Shadows(model),
        }
    }
}

fn patterns(globs: &[String]) -> NamePatterns {
    NamePatterns::new(globs.iter().map(String::as_str)).expect("the globs were tried when the configuration was read")
}
