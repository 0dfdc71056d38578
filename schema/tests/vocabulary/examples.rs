//! One example of each kind of event: an incident of one container, and the actions of operators. The samples are made of
//! these.

use hemostat_schema::{
    ByteCount, Cause, Confidence, DecidedOn, Event, EventId, IncidentId, NewEvent, Operator, Partition, Percent,
    PolicyHash, Span, Subject, Timestamp,
    action::{self, Arguments, Outcome, Proof, Redelivery, Refusal, Remedy, Service, Target},
    alert::{self, Resolution, Suppression},
    container::{Compose, Exit, ExitBy, Facts, Health, Limits, RestartPolicy, Run, State, Strain, Swarm, Vitals},
    diagnosis::{self, Exhibit, Method, Part, Trouble, Usage, Verdict},
    examination::{Change, Changed, Check, Examined, Line, Process, Relation, Relative, Sample, Stream},
    observation::{self, Cleared, Evidence, Severity, Symptom, Trend},
    sample,
};
use serde_json::json;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_767_225_600_000 + ms).unwrap()
}

fn id(seq: u64) -> EventId {
    EventId { partition: Partition(0), ms: 1_767_225_600_000, seq }
}

fn subject() -> Subject {
    "docker-1/api-1".parse().unwrap()
}

fn run() -> Run {
    let id = "4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a0c3b2d1e4f5a".parse().unwrap();
    Run { id, started_at: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()) }
}

fn facts() -> Facts {
    Facts {
        id: run().id,
        image: "registry.example/api:1.4".into(),
        image_id: "sha256:8d1e".into(),
        created_at: at(-60_000),
        started_at: run().started_at,
        state: State::Running,
        health: Health::Healthy,
        exit: None,
        restart_policy: RestartPolicy::OnFailure { max: 3 },
        restarts: 2,
        stop_timeout: Some(Span::from_secs(30)),
        limits: Limits { cpus: Some(0.5), memory: Some(ByteCount(64 << 20)) },
        network_of: Some("vpn".into()),
        compose: Some(Compose {
            project: "shop".into(),
            service: "api".into(),
            number: Some(1),
            depends_on: vec!["db".into()],
        }),
        swarm: Some(Swarm { service_id: "x1y2".into(), service: "shop_api".into() }),
        labels: [("hemostat.mode".to_owned(), "auto".to_owned())].into(),
    }
}

fn vitals() -> Vitals {
    Vitals {
        cpu: Percent::clamped(12.5),
        memory: Percent::clamped(75.0),
        memory_used: ByteCount(48 << 20),
        memory_limit: ByteCount(64 << 20),
        network_rx: ByteCount(2_170),
        network_tx: ByteCount(892),
        block_read: ByteCount(1_617_920),
        block_write: ByteCount(0),
        pids: 5,
        pids_limit: Some(100),
        strain: Strain {
            throttled: Some(Percent::clamped(40.0)),
            cpu: Some(Percent::clamped(12.5)),
            memory: Some(Percent::clamped(0.5)),
            disk: Some(Percent::clamped(3.25)),
        },
    }
}

fn examined() -> Examined {
    let text = "could not connect to db:5432".to_owned();
    Examined {
        target: run(),
        symptoms: vec![Symptom::Unhealthy],
        checks: vec![Check { at: at(-5_000), code: 1, output: "503 Service Unavailable".into() }],
        output: vec![Line { at: Some(at(-4_000)), stream: Stream::Stderr, text }],
        output_cut: true,
        exit: Some(exit()),
        out_of_memory: true,
        processes: vec![Process {
            pid: 4711,
            cpu: Span::from_secs(12),
            memory: ByteCount(48 << 20),
            command: "api --port 80".into(),
        }],
        samples: vec![Sample { at: at(-5_000), vitals: vitals() }],
        changes: vec![Change {
            at: at(-60_000),
            what: Changed::Image { from: "sha256:8d1d".into(), to: "sha256:8d1e".into() },
        }],
        relatives: vec![Relative {
            name: "db".parse().unwrap(),
            relation: Relation::Dependency,
            state: State::Exited,
            health: Health::None,
            since: Some(at(-9_000)),
        }],
        writable: Some(ByteCount(1 << 20)),
        disk: Some(Percent::clamped(61.5)),
        missing: vec!["its processes: the engine did not answer in time".into()],
        redacted: 2,
        took: Span::from_millis(35),
    }
}

fn level() -> Evidence {
    Evidence::Level {
        value: Percent::clamped(97.5),
        threshold: Percent::clamped(80.0),
        held: Span::from_secs(65),
        trend: Trend::Rising,
    }
}

fn exit() -> Exit {
    Exit { at: at(1_000), code: 137, by: ExitBy::Oom }
}

fn policy() -> Option<PolicyHash> {
    "44136fa355b3678a".parse().ok()
}

fn trigger() -> Option<DecidedOn> {
    Some(DecidedOn::Timer { name: "retry".into(), due: at(500) })
}

fn reached() -> diagnosis::Reached {
    diagnosis::Reached {
        verdict: Verdict::Sick,
        symptoms: vec![Symptom::Unhealthy, Symptom::MemoryHigh],
        target: run(),
        root_cause: "its health check has failed for 5 s".into(),
        remedy: Some(Remedy::Restart),
        confidence: Confidence::clamped(0.8),
        method: Method::Rule { rule: "unhealthy".into() },
        why: "it runs but does not do its work, as its own check says".into(),
        examination: Some(id(6)),
        cites: vec!["e1".into()],
        usage: None,
        policy: policy(),
        trigger: Some(DecidedOn::Event(id(4))),
    }
}

fn usage() -> Usage {
    Usage {
        tokens_in: 1_200,
        tokens_out: 90,
        cost_micros: Some(4_800),
        requests: 1,
        took: Span::from_millis(1_850),
        cached: false,
    }
}

/// One event of each kind, in the order of the families.
pub(crate) fn examples() -> Vec<NewEvent> {
    let events: Vec<Event> = [observations(), diagnoses(), actions(), alerts(), samples()].concat();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    let story = |(n, event): (i64, Event)| NewEvent {
        subject: subject(),
        at: at(n * 250),
        incident: Some(IncidentId::begun(&subject(), at(0))),
        cause: Some(Cause::Event(id(7))),
        trace,
        event,
    };
    (0..).zip(events).map(story).collect()
}

fn storage() -> sample::Storage {
    sample::Storage {
        target: run(),
        writable: ByteCount(12 << 20),
        volumes: vec![sample::VolumeSize { name: "shop_data".into(), size: ByteCount(3 << 30) }],
    }
}

fn disk() -> sample::Disk {
    sample::Disk { path: "/var/lib/docker".into(), size: ByteCount(100 << 30), available: ByteCount(7 << 30) }
}

fn samples() -> Vec<Event> {
    let unmeasured = sample::Unmeasured { since: at(25) };
    vec![
        sample::Container { vitals: vitals(), holds: Span::from_secs(300) }.into(),
        storage().into(),
        disk().into(),
        unmeasured.into(),
    ]
}

fn observations() -> Vec<Event> {
    let target = run();
    vec![
        observation::Seen { facts: facts() }.into(),
        observation::Removed { target: target.clone() }.into(),
        observation::Started { target: target.clone() }.into(),
        observation::Exited { target: target.clone(), exit: exit() }.into(),
        observation::Paused { target: target.clone() }.into(),
        observation::Unpaused { target: target.clone() }.into(),
        observation::HealthChanged { target: target.clone(), from: Health::Starting, to: Health::Unhealthy }.into(),
        observation::Sampled { vitals: vitals() }.into(),
        observation::Stored(storage()).into(),
        observation::SymptomRaised {
            symptom: Symptom::MemoryLeak,
            severity: Severity::High,
            since: at(-65_000),
            target: target.clone(),
            evidence: Evidence::Growth {
                used: ByteCount(48 << 20),
                limit: ByteCount(64 << 20),
                per_hour: ByteCount(8 << 20),
                fit: 0.98,
                over: Span::from_secs(1_800),
                limit_in: Span::from_secs(7_200),
            },
        }
        .into(),
        observation::SymptomWorsened {
            symptom: Symptom::MemoryHigh,
            severity: Severity::Critical,
            target,
            evidence: level(),
        }
        .into(),
        observation::SymptomCleared {
            symptom: Symptom::MemoryHigh,
            why: Cleared::Well,
            stood: Span::from_millis(90_250),
        }
        .into(),
        examined().into(),
        observation::DiskMeasured(disk()).into(),
        observation::EngineLost { error: "connection refused".into() }.into(),
        observation::EngineFound {
            version: "27.3.1".into(),
            api_version: "1.47".into(),
            cpus: 8,
            memory: ByteCount(16 << 30),
        }
        .into(),
    ]
}

fn diagnoses() -> Vec<Event> {
    let (provider, model) = ("openai".to_owned(), "gpt-4".to_owned());
    vec![
        reached().into(),
        diagnosis::OpinionSought {
            provider: provider.clone(),
            model: model.clone(),
            part: Part::Shadows,
            fallback: reached(),
            evidence: vec![Exhibit { id: "e1".into(), kind: "health check".into(), text: "503".into() }],
            remedies: vec![Remedy::Restart, Remedy::Start],
            fingerprint: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
        }
        .into(),
        diagnosis::Opined {
            opinion: diagnosis::Reached {
                method: Method::Model { provider: provider.clone(), model: model.clone() },
                usage: Some(usage()),
                ..reached()
            },
            rules: reached(),
            agrees: true,
        }
        .into(),
        diagnosis::Failed {
            provider,
            model,
            trouble: Trouble::TimedOut,
            error: "no answer in time".into(),
            took: Span::from_secs(30),
            usage: Some(usage()),
        }
        .into(),
    ]
}

fn snapshot() -> action::LimitsSnapshot {
    action::LimitsSnapshot {
        mode: action::Mode::Auto,
        confidence: Confidence::clamped(0.8),
        threshold: Confidence::clamped(0.7),
        age: Span::from_millis(40),
        stale_after: Span::from_secs(600),
        sick: 1,
        storm: 10,
        window: Span::from_secs(3600),
        backoff: Some(at(900)),
        cooldown: Some(at(-60_000)),
        breaker: action::Passage::Passing,
    }
}

fn actions() -> Vec<Event> {
    let by = || "alice".to_owned();
    vec![
        action::Proposed {
            remedy: Remedy::Scale,
            target: Target::Service(Service::Compose { project: "shop".into(), service: "api".into() }),
            arguments: Some(Arguments::Replicas(3)),
            diagnosis: id(1),
            expires: at(900_000),
            policy: policy(),
            trigger: trigger(),
        }
        .into(),
        action::Approved { proposal: id(2), by: by() }.into(),
        action::Denied { proposal: id(2), by: by() }.into(),
        action::Expired { proposal: id(2), policy: policy(), trigger: trigger() }.into(),
        action::Authorised {
            remedy: Remedy::Exec { argv: vec!["kill".into(), "-HUP".into(), "1".into()] },
            target: run().into(),
            arguments: None,
            diagnosis: id(1),
            limits: action::Limits { attempt: 2, of: 3, snapshot: Some(snapshot()) },
            stop_timeout: Some(Span::from_secs(30)),
            dry_run: false,
            policy: policy(),
            trigger: trigger(),
        }
        .into(),
        action::Refused {
            remedy: Remedy::Restart,
            diagnosis: id(1),
            refusal: Refusal::NotDurable { action: id(3), wanted: "replicas:2".into(), replicas: 1 },
            policy: policy(),
            trigger: trigger(),
        }
        .into(),
        action::Succeeded {
            action: id(3),
            remedy: Remedy::Restart,
            target: Some(run()),
            called_at: Some(at(40)),
            took: Span::from_millis(1_350),
            proof: Proof::Answered,
        }
        .into(),
        action::Failed {
            action: id(3),
            remedy: Remedy::Restart,
            error: "no such container".into(),
            took: Span::from_millis(20),
        }
        .into(),
        action::Verified {
            action: id(3),
            remedy: Remedy::Restart,
            outcome: Outcome::Recovered,
            why: "it has been healthy for 60 s".into(),
            took: Span::from_secs(62),
            policy: policy(),
            trigger: trigger(),
        }
        .into(),
        action::GaveUp { attempts: 3, until: at(3_600_000), policy: policy(), trigger: trigger() }.into(),
        action::BreakerReset { by: by() }.into(),
        action::Paused { by: by(), reason: "the database is being moved".into() }.into(),
        action::Resumed { by: by() }.into(),
        action::DeadLetterRedriven {
            letter: dead_letter(),
            how: Redelivery::Rebuilt,
            view: Some("containers.1~2".into()),
            by: operator(),
            reason: Some("the webhook URL is correct now".into()),
        }
        .into(),
        action::DeadLetterDiscarded { letter: dead_letter(), by: operator(), reason: None }.into(),
        action::PolicyChanged {
            hash: PolicyHash::of(&json!({ "dry_run": false })),
            policy: json!({ "dry_run": false }),
            was: policy(),
            origin: "/etc/hemostat/hemostat.toml, environment".into(),
            by: "docker-1/4711".into(),
        }
        .into(),
        action::PolicyRefused {
            reasons: vec!["responder.cooldown = \"soon\" is not right".into()],
            origin: "/etc/hemostat/hemostat.toml".into(),
            policy: PolicyHash::of(&json!({ "dry_run": false })),
            by: "docker-1/4711".into(),
        }
        .into(),
        action::PoliciesCompared {
            policies: [("docker-1/4711", json!({})), ("docker-2/12", json!({ "dry_run": true }))]
                .map(|(process, policy)| (process.to_owned(), PolicyHash::of(&policy)))
                .into(),
        }
        .into(),
    ]
}

fn dead_letter() -> action::DeadLetter {
    action::DeadLetter {
        id: id(9),
        group: "containers.1".into(),
        event: id(8),
        error: "the projection panicked: no message".into(),
    }
}

fn operator() -> Operator {
    Operator::claimed("ann@laptop").unwrap()
}

fn alerts() -> Vec<Event> {
    let (channel, title) = ("slack".to_owned(), "api-1 is unhealthy".to_owned());
    let text = "its health check has failed for 5 s".to_owned();
    vec![
        alert::Raised { severity: Severity::High, title: title.clone(), text: text.clone() }.into(),
        alert::Escalated { alert: id(5), title: title.clone(), text: text.clone() }.into(),
        alert::Resolved {
            alert: id(5),
            how: Resolution::Healed,
            title: title.clone(),
            text,
            took: Span::from_secs(64),
        }
        .into(),
        alert::Suppressed { why: Suppression::Duplicate, title }.into(),
        alert::Tested { by: "alice".into() }.into(),
        alert::Delivered { alert: id(5), channel: channel.clone(), attempts: 2, took: Span::from_millis(1_200) }.into(),
        alert::Undelivered { alert: id(5), channel, attempts: 9, error: "answered 500".into() }.into(),
    ]
}
