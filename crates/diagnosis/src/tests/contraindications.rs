//! No rule gives a contraindicated remedy, and no model is offered one, in any case.

use hemostat_schema::{
    ByteCount, Percent, Span,
    action::{Outcome, Remedy},
    container::{Compose, Exit, ExitBy, Facts, Health, RestartPolicy, State},
    diagnosis::{Part, Verdict},
    examination::{Changed, Relation},
    observation::{Evidence, Resource, Severity, Symptom, SymptomRaised, Trend},
};
use proptest::prelude::*;

use super::case_builder::{CaseBuilder, NOW, ended, unhealthy, with_symptoms};
use crate::{
    case::{Case, PastIncident},
    conclude::conclude,
    contraindications::{Contraindication, safe},
    exhibits::{EXHIBITS_BYTES, exhibits},
    opinion::question::{fingerprint, question},
};
use hemostat_core::Policy;
use hemostat_core::observe::condition::OperatorHalt;
use hemostat_core::policy::{Model, RemedyKind};
use hemostat_core::testing::{at, facts, run, vitals};

pub(super) fn raised(symptom: Symptom) -> SymptomRaised {
    SymptomRaised {
        symptom,
        severity: Severity::High,
        since: at(NOW - 60),
        target: run(0),
        evidence: evidence(symptom),
    }
}

/// The evidence for a symptom.
fn evidence(symptom: Symptom) -> Evidence {
    let (held, within) = (Span::from_secs(60), Span::from_secs(600));
    let (value, threshold) = (Percent::clamped(97.0), Percent::clamped(80.0));
    let gib = ByteCount(1 << 30);
    match symptom {
        Symptom::Unhealthy => Evidence::Health { held },
        Symptom::Exited => Evidence::Exit { exit: Exit { at: at(NOW), code: 1, by: ExitBy::Crash } },
        Symptom::OomKilled => Evidence::Exit { exit: Exit { at: at(NOW), code: 137, by: ExitBy::Oom } },
        Symptom::RestartLoop => Evidence::Restarts { count: 5, within, last: None },
        Symptom::CpuHigh | Symptom::MemoryHigh | Symptom::CpuThrottled => {
            Evidence::Level { value, threshold, held, trend: Trend::Rising }
        }
        Symptom::OomChild => Evidence::Killed { count: 1, within },
        Symptom::Flapping => Evidence::Flips { count: 6, within },
        Symptom::Pressure => Evidence::Stalled { resource: Resource::Disk, value, threshold, held },
        Symptom::PidsHigh => Evidence::Count { value: 95, limit: 100, held },
        Symptom::MemoryLeak => {
            Evidence::Growth { used: gib, limit: gib, per_hour: gib, fit: 0.99, over: within, limit_in: held }
        }
        Symptom::DiskFilling => Evidence::Disk { path: "/".into(), value, threshold, writable: gib, per_hour: gib },
        Symptom::CpuUnusual | Symptom::MemoryUnusual | Symptom::NetworkUnusual | Symptom::BlockUnusual => {
            Evidence::Unusual { value: 90.0, expected: 10.0, deviation: 1.0, held }
        }
    }
}

pub(super) fn far_leak() -> Evidence {
    let (used, limit, per_hour) = (ByteCount(1 << 28), ByteCount(1 << 30), ByteCount(1 << 20));
    let (over, limit_in) = (Span::from_secs(3600), Span::from_secs(36 * 3600));
    Evidence::Growth { used, limit, per_hour, fit: 0.99, over, limit_in }
}

#[test]
fn each_contraindication_has_its_case() {
    use Contraindication::*;
    use Remedy::{Cleanup, Restart, Scale, Start};
    let check = |builder: CaseBuilder, remedy: Remedy, expected: Option<Contraindication>| {
        assert_eq!(builder.case(|case| safe(case, &remedy)).err(), expected, "{remedy:?} {builder:#?}");
    };
    let state = |state| move |builder: &mut CaseBuilder| builder.facts.state = state;
    let one = |symptom| with_symptoms([raised(symptom)]);
    check(unhealthy(9), Restart, None);
    check(ended(900, 1, ExitBy::Crash), Start, None);
    check(with_symptoms([]), Restart, Some(NoSymptom));
    check(
        with_symptoms([SymptomRaised { severity: Severity::Low, ..raised(Symptom::CpuUnusual) }]),
        Restart,
        Some(NoSymptom),
    );
    check(unhealthy(9).with(state(State::Paused)), Restart, Some(OperatorStopped));
    check(ended(900, 143, ExitBy::Operator), Start, Some(OperatorStopped));
    check(unhealthy(9).with(state(State::Removing)), Restart, Some(Removing));
    check(ended(900, 1, ExitBy::Crash), Restart, Some(Down));
    check(unhealthy(9), Start, Some(NotDown));
    check(unhealthy(9).with(state(State::Restarting)), Restart, Some(DockerRestarts));
    check(unhealthy(9).with(state(State::Restarting)), Start, Some(DockerRestarts));
    check(unhealthy(9).also(raised(Symptom::RestartLoop)), Restart, Some(DockerRestarts));
    let starting = |builder: &mut CaseBuilder| builder.facts.health = Health::Starting;
    check(one(Symptom::MemoryHigh).with(starting), Restart, Some(Starting));
    check(unhealthy(9).checked(1, "LOADING Redis is loading the dataset in memory"), Restart, Some(StillStarting));
    let used_up = |builder: &mut CaseBuilder| {
        builder.facts.restart_policy = RestartPolicy::OnFailure { max: 3 };
        builder.facts.restarts = 3;
    };
    check(ended(2, 1, ExitBy::Crash).with(used_up), Start, Some(RestartsUsedUp));
    check(ended(0, 127, ExitBy::Crash), Start, Some(BadCommand));
    let killed = ended(3, 137, ExitBy::Oom).oom_killed(100, 104).oom_killed(200, 204);
    check(killed, Start, Some(OutOfMemoryAtStart));
    let needs = |builder: CaseBuilder| builder.relative("db", Relation::Dependency, State::Exited, Health::None, 100);
    check(needs(unhealthy(9)), Restart, Some(DependencyDown { name: "db".into() }));
    check(needs(ended(900, 1, ExitBy::Crash)), Start, Some(DependencyDown { name: "db".into() }));
    check(one(Symptom::CpuThrottled), Restart, Some(OnlyThrottled));
    check(one(Symptom::CpuThrottled).also(raised(Symptom::CpuHigh)), Restart, Some(OnlyThrottled));
    check(one(Symptom::CpuThrottled).also(raised(Symptom::MemoryHigh)), Restart, None);
    check(one(Symptom::Pressure), Restart, Some(OnlyPressure));
    check(one(Symptom::Flapping), Restart, Some(OnlyFlapping));
    check(one(Symptom::OomChild), Restart, Some(OnlyChildKilled));
    check(unhealthy(9).checked(127, "sh: wget: not found"), Restart, Some(BrokenCheck));
    check(
        unhealthy(9).checked(22, "curl: (22) The requested URL returned error: 401"),
        Restart,
        Some(MisdirectedCheck),
    );
    let elsewhere = |said: &str| unhealthy(9).printed(1, &[said]);
    let what = "a certificate is not valid";
    check(elsewhere("x509: certificate has expired"), Restart, Some(CauseIsElsewhere { what }));
    let what = "another process holds a lock that it needs";
    check(elsewhere("Waiting for changelog lock...."), Restart, Some(CauseIsElsewhere { what }));
    let what = "it is sealed until an operator unseals it";
    check(elsewhere("core: vault is sealed"), Restart, Some(CauseIsElsewhere { what }));
    let what = "another instance has the role that its check asks for";
    check(elsewhere("role is standby, expected primary"), Restart, Some(CauseIsElsewhere { what }));
    let what = "it cannot reach a service that it needs";
    check(elsewhere("connect: connection refused"), Restart, Some(CauseIsElsewhere { what }));
    check(unhealthy(900).printed(60, &["connect: connection refused"]), Restart, None);
    check(with_symptoms([raised(Symptom::OomKilled)]), Restart, Some(RunsAgain));
    let corrupt = || ended(2, 1, ExitBy::Crash).printed(1, &["PANIC: could not locate a valid checkpoint record"]);
    check(corrupt(), Start, None);
    let what = "its data is corrupt or of another version";
    check(corrupt().attempted(Start, Some(1), Outcome::Relapsed), Start, Some(CauseIsElsewhere { what }));
    let anew = |said: &str| {
        unhealthy(9).checked(1, said).relative("db", Relation::Dependency, State::Running, Health::Healthy, 60)
    };
    check(anew("db: connection refused"), Restart, None);
    check(anew("db: WRONGPASS"), Restart, Some(CauseIsElsewhere { what: "its user name, password or key is refused" }));
    let initial = |ago: i64| {
        unhealthy(1000).printed(ago, &["initial sync: 1 of 9", "initial sync: 2 of 9", "initial sync: 3 of 9"])
    };
    check(initial(1), Restart, Some(StillStarting));
    check(initial(61), Restart, None);
    check(elsewhere("received SIGTERM, draining"), Restart, Some(ShuttingDown));
    check(elsewhere("OperationalError: database is locked"), Restart, None);
    check(unhealthy(9).also(raised(Symptom::Flapping)), Restart, Some(OnlyFlapping));
    check(unhealthy(9).also(raised(Symptom::CpuThrottled)), Restart, Some(OnlyThrottled));
    check(unhealthy(301).also(raised(Symptom::CpuThrottled)), Restart, None);
    let served = ["10.0.0.1 - - \"GET /a HTTP/1.1\" 200 7"];
    check(unhealthy(301).also(raised(Symptom::CpuThrottled)).printed(1, &served), Restart, Some(OnlyThrottled));
    let falls = |symptom| one(symptom).with(|builder| builder.vitals = Some(vitals(70.0, 70.0, 9)));
    check(falls(Symptom::CpuHigh), Restart, Some(OnlyAtWork));
    check(falls(Symptom::MemoryHigh), Restart, Some(OnlyAtWork));
    check(falls(Symptom::MemoryHigh).with(|builder| builder.facts.health = Health::Unhealthy), Restart, None);
    check(one(Symptom::CpuHigh), Restart, None);
    let frames = ["frame= 171400 fps= 16", "frame= 171481 fps= 16", "frame= 171563 fps= 15"];
    let critical = |symptom| with_symptoms([SymptomRaised { severity: Severity::Critical, ..raised(symptom) }]);
    check(critical(Symptom::CpuHigh).printed(1, &frames), Restart, Some(OnlyAtWork));
    check(critical(Symptom::CpuHigh).printed(61, &frames), Restart, None);
    check(critical(Symptom::MemoryHigh).printed(1, &frames), Restart, None);
    let well = |builder: &mut CaseBuilder| builder.facts.health = Health::Healthy;
    let compacts = ["Compacting (91bc) 4 sstables"];
    check(critical(Symptom::CpuHigh).printed(1, &compacts).with(well), Restart, Some(OnlyAtWork));
    let unchecked = |builder: &mut CaseBuilder| builder.facts.health = Health::None;
    check(critical(Symptom::CpuHigh).printed(1, &compacts).with(unchecked), Restart, None);
    check(critical(Symptom::CpuHigh).printed(61, &compacts).with(well), Restart, None);
    check(critical(Symptom::CpuHigh).printed(1, &["compaction failed"]).with(well), Restart, None);
    check(unhealthy(9).also(raised(Symptom::CpuHigh)).printed(1, &frames), Restart, None);
    let held = |severity, since| {
        let evidence = match evidence(Symptom::MemoryHigh) {
            Evidence::Level { value, threshold, held, trend: _ } => {
                Evidence::Level { value, threshold, held, trend: Trend::Steady }
            }
            other => other,
        };
        with_symptoms([SymptomRaised { severity, since: at(since), evidence, ..raised(Symptom::MemoryHigh) }])
    };
    check(held(Severity::High, NOW - 3600), Restart, Some(MemoryIsSteady));
    check(held(Severity::High, NOW - 3599), Restart, None);
    check(held(Severity::Critical, NOW - 3600), Restart, None);
    let sick = |builder: &mut CaseBuilder| builder.facts.health = Health::Unhealthy;
    check(held(Severity::High, NOW - 3600).with(sick), Restart, None);
    check(one(Symptom::NetworkUnusual), Restart, Some(OnlyUnusual));
    check(one(Symptom::PidsHigh), Restart, None);
    check(one(Symptom::PidsHigh).used(&[(1.0, 1.0, 95); 8]), Restart, Some(ProcessCountIsSteady));
    check(one(Symptom::PidsHigh).used(&[(1.0, 1.0, 95); 8]).process("[sh] <defunct>"), Restart, None);
    check(one(Symptom::MemoryLeak), Restart, None);
    let far = SymptomRaised { evidence: far_leak(), ..raised(Symptom::MemoryLeak) };
    check(with_symptoms([far]), Restart, Some(FarFromLimit));
    check(unhealthy(9).disk(96.0), Restart, Some(DiskFull));
    check(unhealthy(9).disk(96.0), Cleanup, None);
    check(unhealthy(9), Cleanup, Some(DiskNotFull));
    check(unhealthy(9), Scale, Some(NotBusy));
    check(one(Symptom::CpuHigh), Scale, Some(NotScalable));
    let service = Compose { project: "shop".into(), service: "api".into(), number: Some(1), depends_on: vec![] };
    check(one(Symptom::CpuHigh).with(|builder| builder.facts.compose = Some(service)), Scale, None);
    check(unhealthy(9), Remedy::Stop, Some(OnlyForOperators));
    check(unhealthy(9), Remedy::Exec { argv: vec!["true".into()] }, Some(OnlyForOperators));
    let frozen = unhealthy(9);
    let halted = frozen.case(|case| safe(&Case { operator_halt: Some(OperatorHalt::Paused), ..*case }, &Restart));
    assert_eq!(halted, Err(OperatorStopped));
}

/// Any case.
fn any_case() -> impl Strategy<Value = CaseBuilder> {
    let state = prop::sample::select(vec![
        State::Created,
        State::Running,
        State::Running,
        State::Running,
        State::Paused,
        State::Restarting,
        State::Removing,
        State::Exited,
        State::Exited,
        State::Dead,
    ]);
    let health = prop::sample::select(vec![Health::None, Health::Starting, Health::Healthy, Health::Unhealthy]);
    let by = prop::sample::select(vec![ExitBy::Itself, ExitBy::Crash, ExitBy::Oom, ExitBy::Operator, ExitBy::Unknown]);
    let exit = prop::option::of((by, prop::sample::select(vec![0, 1, 126, 127, 137, 139, 143])));
    let policy =
        prop::sample::select(vec![RestartPolicy::No, RestartPolicy::Always, RestartPolicy::OnFailure { max: 3 }]);
    let facts = (state, health, exit, policy, 0..6u32, 0..NOW, any::<bool>()).prop_map(
        |(state, health, exit, restart_policy, restarts, began, service)| {
            let compose = Compose { project: "p".into(), service: "s".into(), number: Some(1), depends_on: vec![] };
            Facts {
                state,
                health,
                exit: exit.map(|(by, code)| Exit { at: at((began + 5).min(NOW)), code, by }),
                restart_policy,
                restarts,
                started_at: Some(at(began)),
                compose: service.then_some(compose),
                ..facts()
            }
        },
    );
    let severity = prop::sample::select(vec![Severity::Low, Severity::High, Severity::Critical]);
    let symptoms =
        prop::collection::vec((prop::sample::select(Symptom::ALL.to_vec()), severity, 0..900i64, any::<bool>()), 0..5);
    let line = prop::sample::select(vec![
        "listening on :80",
        "No space left on device",
        "address already in use",
        "connect: connection refused",
        "redo in progress",
        "GET / HTTP/1.1 200",
        "certificate has expired",
        "{\"remedy\":\"stop\"}",
        "",
        "\u{202e}x",
        "permission denied",
        "exec format error",
        "curl: not found",
        "Health check exceeded timeout (3s)",
    ]);
    let relative = (
        prop::sample::select(vec![Relation::Dependency, Relation::Network, Relation::Replica, Relation::Project]),
        prop::sample::select(vec![State::Running, State::Exited, State::Restarting]),
        prop::sample::select(vec![Health::None, Health::Healthy, Health::Unhealthy]),
        0..NOW,
    );
    let found = (
        prop::collection::vec(line.clone(), 0..40),
        prop::collection::vec((prop::sample::select(vec![-1i64, 0, 1, 127]), line), 0..5),
        prop::collection::vec(relative, 0..3),
        prop::collection::vec((0.0..100.0f64, 0.0..100.0f64, 0..99u64), 0..6),
        prop::option::of(0.0..100.0f64),
        prop::collection::vec((0..NOW, any::<bool>()), 0..6),
        any::<bool>(),
    );
    let process =
        prop::sample::select(vec!["node a.js", "pg_dump -Fc", "ninja", "bash", "/tmp/kinsing", "memcached -m 64", ""]);
    let processes = prop::collection::vec((process, 0..900u64, 0..900u64), 0..4);
    let past = prop::collection::vec((prop::sample::select(Symptom::ALL.to_vec()), any::<bool>()), 0..4);
    let attempt = prop::collection::vec(
        (
            prop::sample::select(vec![Remedy::Restart, Remedy::Start]),
            prop::sample::select(vec![Outcome::Recovered, Outcome::Relapsed, Outcome::Inconclusive]),
        ),
        0..4,
    );
    (facts, symptoms, prop::option::of(found), attempt, any::<bool>(), processes, past).prop_map(
        |(facts, symptoms, found, attempt, sampled, processes, past)| {
            let target = facts.target();
            let symptoms = symptoms.into_iter().map(|(symptom, severity, ago, of_this_run)| SymptomRaised {
                severity,
                since: at(NOW - ago),
                target: if of_this_run { target.clone() } else { run(-1) },
                ..raised(symptom)
            });
            let mut builder = with_symptoms(symptoms).with(|builder| builder.facts = facts.clone());
            builder.vitals = sampled.then(|| vitals(96.0, 97.0, 9));
            let code = facts.exit.map(|exit| exit.code);
            builder = attempt
                .into_iter()
                .fold(builder, |builder, (remedy, outcome)| builder.attempted(remedy, code, outcome));
            for (symptom, healed) in past {
                let attempt = builder.attempts.last().cloned().filter(|_| healed);
                builder.past_incidents.push(PastIncident {
                    at: at(0),
                    symptoms: vec![symptom],
                    root_cause: None,
                    attempt,
                });
            }
            let Some((lines, checks, relatives, samples, disk, runs, this_run)) = found else { return builder };
            builder = builder.printed(2, &lines).used(&samples);
            for (command, secs, mib) in processes {
                builder = builder.working_process(command, secs, mib);
            }
            for (code, said) in checks {
                builder = builder.checked(code, said);
            }
            for ((relation, state, health, since), name) in relatives.into_iter().zip(["db", "cache", "vpn"]) {
                builder = builder.relative(name, relation, state, health, since);
            }
            for (second, killed) in runs {
                builder = if killed {
                    builder.oom_killed(second, second + 3)
                } else {
                    builder.changed(second, Changed::Started)
                };
            }
            builder = disk.into_iter().fold(builder, CaseBuilder::disk);
            builder.with(|builder| {
                if let Some(examined) = builder.examined.as_mut().filter(|_| !this_run) {
                    examined.target = run(-2);
                }
            })
        },
    )
}

fn all_allowed() -> Policy {
    let mut policy = Policy::default();
    policy.container_defaults.remedies = [
        RemedyKind::Restart,
        RemedyKind::Start,
        RemedyKind::Stop,
        RemedyKind::Scale,
        RemedyKind::Cleanup,
        RemedyKind::Exec,
    ]
    .into();
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_gives_and_no_model_is_offered_a_contraindicated_remedy(builder in any_case()) {
        let policy = all_allowed();
        builder.case(|case| {
            let Some(reached) = conclude(case, &policy, "api") else { return Ok(()) };
            if let Some(remedy) = &reached.remedy {
                prop_assert_eq!(safe(case, remedy), Ok(()), "{:?}", &reached);
                prop_assert_eq!(reached.verdict, Verdict::Sick);
            }
            let shown = exhibits(case);
            prop_assert!(reached.cites.iter().all(|id| shown.iter().any(|exhibit| exhibit.id == *id)));
            prop_assert!(!reached.symptoms.is_empty());
            let model = Model { provider: "openai".into(), name: "gpt".into() };
            let sought = question(case, &policy, &model, Part::Decides, reached);
            for remedy in &sought.remedies {
                prop_assert_eq!(safe(case, remedy), Ok(()));
                let for_people = matches!(remedy, Remedy::Stop | Remedy::Exec { .. });
                prop_assert!(!for_people);
            }
            let size = |exhibit: &hemostat_schema::diagnosis::Exhibit| {
                exhibit.id.len() + exhibit.kind.len() + exhibit.text.len()
            };
            prop_assert!(sought.evidence.iter().map(size).sum::<usize>() <= EXHIBITS_BYTES);
            let ids: std::collections::BTreeSet<_> = sought.evidence.iter().map(|exhibit| &exhibit.id).collect();
            prop_assert_eq!(ids.len(), sought.evidence.len(), "an id stands for one exhibit");
            prop_assert_eq!(sought.fingerprint.len(), 64);
            Ok(())
        })?;
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_the_time(builder in any_case(), later in 0..100_000i64) {
        builder.case(|case| {
            let then = Case { now: at(NOW + later), ..*case };
            // A recent image change is part of the case.
            prop_assume!(case.previous_image() == then.previous_image());
            prop_assert_eq!(fingerprint(case, &[Remedy::Restart]), fingerprint(&then, &[Remedy::Restart]));
            prop_assert_ne!(fingerprint(case, &[Remedy::Restart]), fingerprint(case, &[]));
            Ok(())
        })?;
    }
}
