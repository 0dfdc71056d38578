//! Every metric of HemoStat: name, unit and help text, in one list.
//!
//! The number of label values is bounded: containers are labels of gauges only, and the exporter drops a gauge that is no
//! longer set.

use metrics::{Counter, Gauge, Histogram, Label, Unit};

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// The description of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// Its name, with prefix and unit.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its help text.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
}

macro_rules! define_metrics {
    ($( $(#[$doc:meta])* $metric:ident = $kind:expr, $name:literal, $unit:ident, $help:literal; )*) => {
        /// A metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric { $( #[doc = $help] $metric, )* }

        impl Metric {
            /// All metrics.
            pub const ALL: &'static [Self] = &[ $( Self::$metric ),* ];

            /// Its description.
            pub const fn info(self) -> Info {
                match self { $(
                    Self::$metric => Info {
                        name: concat!("hemostat_", $name), unit: Unit::$unit, help: $help, kind: $kind
                    },
                )* }
            }
        }
    };
}

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;
const FAST: Kind = Kind::Histogram(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]);
const ACTS: Kind = Kind::Histogram(&[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]);
const WAITS: Kind = Kind::Histogram(&[0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0]);

define_metrics! {
    EventsHandled = COUNTER, "events_handled_total", Count, "Events that a consumer group handled, by group.";
    EventsEmitted = COUNTER, "events_emitted_total", Count, "Events that a group appended to the log, by group.";
    EventsDeadLettered = COUNTER, "events_parked_total", Count, "Deliveries that became dead letters, by group.";
    EventsArchived = COUNTER, "events_archived_total", Count, "Events that were sealed in the archive, by family.";
    EventsTrimmed = COUNTER, "events_trimmed_total", Count, "Events that were trimmed from the log, by family.";
    ArchiveLag = GAUGE, "archive_lag_seconds", Seconds,
        "Age of the oldest event that is not in the archive, by family and partition.";
    ChainLength = GAUGE, "chain_events", Count, "Events in the notary's chain of hashes, by family and partition.";
    CommitDuration = FAST, "commit_duration_seconds", Seconds, "Duration of a commit, by group.";
    CommitConflicts = COUNTER, "commit_conflicts_total", Count,
        "Commits that were rejected because a subject's version had advanced (optimistic concurrency), by group.";
    Lag = FAST_LAG, "lag_seconds", Seconds, "Time from when an event was appended to the log to when a group handled it, by group.";
    ViewBehind = GAUGE, "view_behind_seconds", Seconds,
        "Age of the last event that was folded into a view; 0 at the end of the log. By view and partition.";
    LeaseHeld = GAUGE, "lease_held", Count, "Whether this process holds the lease, by group and partition.";
    EffectRetries = COUNTER, "effect_retries_total", Count, "Failed attempts of effects that were retried, by group.";
    ContainerCpu = GAUGE, "container_cpu_percent", Percent, "CPU as a share of the container's limit, by host and container.";
    ContainerMemory = GAUGE, "container_memory_percent", Percent,
        "Memory without page cache as a share of the container's limit, by host and container.";
    ContainerMemoryBytes = GAUGE, "container_memory_bytes", Bytes, "Memory without page cache, by host and container.";
    SweepDuration = SWEEPS, "sweep_duration_seconds", Seconds,
        "Duration of a sweep: reading the counters of all containers, by host and source.";
    SweepCpu = SWEEPS, "sweep_cpu_seconds", Seconds,
        "CPU time of a sweep, by host and source: of the reading thread for files, of the whole process for Docker's API.";
    SweepContainers = GAUGE, "sweep_containers", Count, "Containers whose counters the last sweep read, by host and source.";
    SymptomsRaised = COUNTER, "symptoms_raised_total", Count, "Symptoms that were raised, by symptom.";
    Diagnoses = COUNTER, "diagnoses_total", Count, "Diagnoses that were reached, by method and verdict.";
    ModelAnswers = COUNTER, "model_answers_total", Count,
        "Questions to language models, by provider and result: answered, cached, or the kind of failure.";
    ModelRequests = COUNTER, "model_requests_total", Count, "Requests to language models, by provider.";
    ModelTokens = COUNTER, "model_tokens_total", Count, "Tokens, by provider and part: question or answer.";
    ModelCost = COUNTER, "model_cost_microdollars_total", Count,
        "Cost of language models in millionths of a US dollar, where the price is known, by provider.";
    ModelDuration = WAITS, "model_duration_seconds", Seconds,
        "Duration of a question to a language model with all its requests, by provider.";
    ModelOpinions = COUNTER, "model_opinions_total", Count,
        "Opinions that were only compared with the rules, by provider and whether they agree.";
    Actions = COUNTER, "actions_total", Count, "Remedies that were executed, by remedy and result.";
    Refusals = COUNTER, "refusals_total", Count, "Remedies that were refused, by reason.";
    ActionDuration = ACTS, "action_duration_seconds", Seconds, "Duration of a remedy, by remedy.";
    Alerts = COUNTER, "alerts_total", Count, "Alerts that were sent, by channel and result.";
    TimeToDetection = WAITS, "time_to_detection_seconds", Seconds,
        "Time from when a container became unhealthy to when its symptom was raised.";
    TimeToRecovery = WAITS, "time_to_recovery_seconds", Seconds,
        "Time from when a remedy was authorised to when the container was verified as recovered.";
}

const SWEEPS: Kind = Kind::Histogram(&[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
const FAST_LAG: Kind = Kind::Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0]);

impl Metric {
    /// As a counter.
    pub fn counter(self, labels: &[(&'static str, &str)]) -> Counter {
        metrics::counter!(self.info().name, owned(labels))
    }

    /// As a gauge.
    pub fn gauge(self, labels: &[(&'static str, &str)]) -> Gauge {
        metrics::gauge!(self.info().name, owned(labels))
    }

    /// As a histogram.
    pub fn histogram(self, labels: &[(&'static str, &str)]) -> Histogram {
        metrics::histogram!(self.info().name, owned(labels))
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let mut names = BTreeSet::new();
        for metric in Metric::ALL {
            let Info { name, unit, help, kind } = metric.info();
            assert!(names.insert(name), "{name} twice");
            assert_eq!(matches!(kind, Kind::Counter), name.ends_with("_total"), "{name}");
            assert_eq!(unit == Unit::Seconds, name.ends_with("_seconds"), "{name}");
            assert_eq!(unit == Unit::Bytes, name.ends_with("_bytes"), "{name}");
            assert_eq!(unit == Unit::Percent, name.ends_with("_percent"), "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
    }
}
