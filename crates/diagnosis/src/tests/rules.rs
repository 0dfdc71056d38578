//! At least one case for each rule.

use hemostat_schema::{
    ByteCount, Percent, Span,
    action::{Outcome, Remedy},
    container::{Compose, ExitBy, Facts, Health, RestartPolicy, State},
    diagnosis::Verdict::{self, Sick, Unclear},
    examination::{Changed, Relation},
    observation::{Evidence, Resource, Severity, Symptom, SymptomRaised, Trend},
};

use super::case_builder::{CaseBuilder, NOW, ended, unhealthy, with_symptoms};
use crate::conclude::rule_of;
use hemostat_core::testing::{at, facts, run};

const GIB: u64 = 1 << 30;

fn raised(symptom: Symptom, evidence: Evidence) -> SymptomRaised {
    SymptomRaised { symptom, severity: Severity::High, since: at(NOW - 60), target: run(0), evidence }
}

fn level(symptom: Symptom, value: f64, trend: Trend) -> SymptomRaised {
    let (value, threshold) = (Percent::clamped(value), Percent::clamped(25.0));
    raised(symptom, Evidence::Level { value, threshold, held: Span::from_secs(60), trend })
}

fn throttled() -> SymptomRaised {
    level(Symptom::CpuThrottled, 62.0, Trend::Steady)
}

fn looping(by: ExitBy, code: i64) -> SymptomRaised {
    let last = Some(hemostat_schema::container::Exit { at: at(NOW - 2), code, by });
    raised(Symptom::RestartLoop, Evidence::Restarts { count: 6, within: Span::from_secs(300), last })
}

fn flapping() -> SymptomRaised {
    raised(Symptom::Flapping, Evidence::Flips { count: 6, within: Span::from_secs(600) })
}

fn leak(used: u64, limit_in: Span) -> SymptomRaised {
    let over = Span::from_secs(900);
    let (used, limit, per_hour) = (ByteCount(used), ByteCount(4 * GIB), ByteCount(GIB));
    raised(Symptom::MemoryLeak, Evidence::Growth { used, limit, per_hour, fit: 0.98, over, limit_in })
}

fn pids() -> SymptomRaised {
    raised(Symptom::PidsHigh, Evidence::Count { value: 95, limit: 100, held: Span::from_secs(60) })
}

fn disk() -> SymptomRaised {
    let (value, threshold) = (Percent::clamped(93.0), Percent::clamped(90.0));
    let (writable, per_hour, path) = (ByteCount(9 * GIB), ByteCount(GIB), "/var/lib/docker".into());
    raised(Symptom::DiskFilling, Evidence::Disk { path, value, threshold, writable, per_hour })
}

fn restarting(builder: CaseBuilder) -> CaseBuilder {
    let target = builder.facts.target();
    builder.with(|builder| {
        builder.facts.state = State::Restarting;
        builder.active_symptoms =
            with_symptoms([SymptomRaised { target, ..looping(ExitBy::Crash, 1) }]).active_symptoms;
    })
}

#[track_caller]
fn check(builder: CaseBuilder, expected: (&str, Verdict, Option<Remedy>)) {
    let reached = builder.reached();
    assert_eq!((rule_of(&reached), reached.verdict, reached.remedy.clone()), expected, "{reached:#?}");
}

const START: Option<Remedy> = Some(Remedy::Start);
const RESTART: Option<Remedy> = Some(Remedy::Restart);

#[test]
fn runs_that_ended() {
    use ExitBy::{Crash, Oom};
    check(ended(0, 127, Crash), ("bad_command", Sick, None));
    check(ended(1, 126, Crash), ("bad_command", Sick, None));
    check(ended(900, 127, Crash), ("crashed", Sick, START));
    check(ended(0, 1, Crash).printed(1, &["exec /app: exec format error"]), ("bad_command", Sick, None));

    check(ended(3, 137, Oom), ("out_of_memory", Sick, START));
    let killed = |lasted| ended(lasted, 137, Oom).oom_killed(100, 104).oom_killed(200, 204);
    check(killed(3), ("oom_at_start", Sick, None));
    check(ended(3, 137, Oom).attempted(Remedy::Start, Some(137), Outcome::Relapsed), ("oom_at_start", Sick, None));
    check(ended(4000, 137, Oom), ("out_of_memory", Sick, START));
    let grew = [(1.0, 40.0, 1), (1.0, 60.0, 1), (1.0, 80.0, 1), (1.0, 97.0, 1)];
    let leaked = ended(4000, 137, Oom).used(&grew).limited(None, Some(GIB));
    assert!(leaked.reached().why.contains("raise its limit"), "{:?}", leaked.reached());
    check(leaked, ("out_of_memory", Sick, START));
    assert!(ended(4000, 137, Oom).used(&grew).reached().why.contains("give it a limit of its own"));

    let taken = "Error: listen EADDRINUSE: address already in use :::3000";
    check(ended(2, 1, Crash).printed(1, &[taken, "    at Server.listen (node:net:1)"]), ("misconfigured", Sick, None));
    check(ended(4000, 1, Crash).printed(1, &[taken]), ("crashed", Sick, START));
    let again = ended(4000, 1, Crash).attempted(Remedy::Start, Some(1), Outcome::Relapsed);
    check(again.printed(1, &[taken]), ("misconfigured", Sick, None));
    for said in [
        "x509: certificate has expired or is not yet valid",
        "open /data/db: read-only file system",
        "PermissionError: [Errno 13] Permission denied: '/data'",
        "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***",
        "Error: Missing required environment variable: DATABASE_URL",
        "FATAL:  password authentication failed for user \"app\"",
    ] {
        check(ended(2, 1, Crash).printed(1, &[said]), ("misconfigured", Sick, None));
    }
    let refused = "dial tcp 172.18.0.2:5432: connect: connection refused";
    check(ended(2, 1, Crash).printed(1, &[refused]), ("cannot_reach", Sick, START));
    let asked = "10.0.0.9 - - \"GET /?q=address+already+in+use HTTP/1.1\" 404 12";
    check(ended(2, 1, Crash).printed(1, &[asked]), ("crashed", Sick, START));

    let vain = |builder: CaseBuilder, times: usize, code| {
        (0..times).fold(builder, |builder, _| builder.attempted(Remedy::Start, Some(code), Outcome::Relapsed))
    };
    check(vain(ended(200, 1, Crash), 2, 1), ("crashed", Sick, START));
    check(vain(ended(200, 1, Crash), 3, 1), ("same_end", Sick, None));
    check(vain(ended(200, 1, Crash), 3, 2), ("crashed", Sick, START));
    check(vain(ended(200, 1, Crash), 3, 1).printed(1, &[refused]), ("cannot_reach", Sick, START));
    let on_failure = |restarts| {
        move |builder: &mut CaseBuilder| {
            builder.facts =
                Facts { restarts, restart_policy: RestartPolicy::OnFailure { max: 5 }, ..builder.facts.clone() };
        }
    };
    check(ended(2, 1, Crash).with(on_failure(5)), ("same_end", Sick, None));
    check(ended(2, 1, Crash).with(on_failure(4)), ("crashed", Sick, START));
    check(ended(900, 1, Crash).with(on_failure(5)), ("crashed", Sick, START));
    check(ended(2, 1, Crash).with(on_failure(5)).printed(1, &[refused]), ("cannot_reach", Sick, START));

    check(ended(900, 139, Crash), ("signalled", Sick, START));
    check(ended(900, 137, Crash), ("signalled", Sick, START));
    check(ended(900, 1, Crash), ("crashed", Sick, START));
}

#[test]
fn restart_loops() {
    let loops = || restarting(ended(2, 1, ExitBy::Crash));
    check(loops(), ("restart_loop", Sick, None));
    let found = loops().printed(1, &["dial tcp: lookup db: no such host"]);
    assert!(found.reached().root_cause.contains("no such host"));
    check(found, ("restart_loop", Sick, None));
    check(loops().printed(1, &["Error: Cannot find module '/app/x.js'"]), ("misconfigured", Sick, None));
    check(restarting(ended(0, 127, ExitBy::Crash)), ("bad_command", Sick, None));
    check(restarting(ended(4, 137, ExitBy::Oom)), ("oom_at_start", Sick, None));
    let done = restarting(ended(2, 0, ExitBy::Itself));
    assert!(done.reached().why.contains("on-failure"), "{:?}", done.reached());
    check(done, ("restart_loop", Sick, None));
    let lives = with_symptoms([looping(ExitBy::Crash, 1)]);
    check(lives.clone(), ("restart_loop", Sick, None));
    let failing = unhealthy(10).also(looping(ExitBy::Crash, 1));
    check(failing, ("restart_loop", Sick, None));
}

#[test]
fn dependencies() {
    use Relation::{Dependency, Dependent, Network, Project, Replica};
    let needs = |relation, state, health| unhealthy(30).relative("db", relation, state, health, 100);
    let down = ("dependency_down", Sick, None);
    check(needs(Dependency, State::Exited, Health::None), down.clone());
    check(needs(Dependency, State::Running, Health::Unhealthy), down.clone());
    check(needs(Network, State::Restarting, Health::None), down.clone());
    check(ended(2, 1, ExitBy::Crash).relative("db", Dependency, State::Exited, Health::None, 100), down.clone());
    for relation in [Dependent, Replica, Project] {
        check(needs(relation, State::Exited, Health::None), ("unhealthy", Sick, RESTART));
    }
    let well = |since| unhealthy(30).relative("vpn", Network, State::Running, Health::Healthy, since);
    check(well(-10), ("unhealthy", Sick, RESTART));
    check(well(7000), ("network_gone", Sick, RESTART));
    let restarted = unhealthy(30).relative("db", Dependency, State::Running, Health::Healthy, 7000);
    check(restarted.printed(1, &["connect: connection refused"]), ("left_behind", Sick, RESTART));
    // The host's health is newer than the examination.
    let name = "db".parse().unwrap();
    let with_host = |since: i64, state| {
        needs(Dependency, State::Exited, Health::None).with(|builder| {
            let mut host = crate::host_health::HostHealth::default();
            host.update(&name, Some(&Facts { state: State::Exited, ..facts() }), at(0));
            host.update(&name, Some(&Facts { state, ..facts() }), at(since));
            builder.host = Some(host);
        })
    };
    check(with_host(10, State::Exited), down.clone());
    check(with_host(NOW - 30, State::Running), down);
    check(with_host(NOW - 60, State::Running), ("left_behind", Sick, RESTART));
    // High usage is its own problem, not the dependency's.
    let full = needs(Dependency, State::Exited, Health::None).also(level(Symptom::MemoryHigh, 97.0, Trend::Rising));
    check(full, ("unhealthy", Sick, RESTART));
    // An OOM kill is not caused by a dependency.
    let killed = ended(900, 137, ExitBy::Oom).relative("db", Dependency, State::Exited, Health::None, 100);
    assert!(killed.reached().why.contains("start is ruled out: it depends on db"), "{:?}", killed.reached());
    check(killed, ("out_of_memory", Sick, None));
}

#[test]
fn health_checks_that_fail() {
    let restart = |rule| (rule, Sick, RESTART);
    check(unhealthy(10), restart("unhealthy"));
    check(unhealthy(10).checked(1, "status 500"), restart("unhealthy"));
    for said in ["accept4: too many open files", "OperationalError: database is locked", "QueuePool limit of size 5"] {
        check(unhealthy(10).printed(1, &[said]), restart("unhealthy"));
    }
    let refused = "curl: (7) Failed to connect to localhost port 80 after 0 ms: Couldn't connect to server";
    check(unhealthy(10).checked(7, refused), restart("not_listening"));
    check(unhealthy(10).checked(1, "dial tcp 127.0.0.1:80: connect: connection refused"), restart("not_listening"));

    check(unhealthy(10).checked(127, "/bin/sh: curl: not found"), ("check_broken", Unclear, None));
    let absent = "OCI runtime exec failed: exec: \"curl\": executable file not found in $PATH: unknown";
    check(unhealthy(10).checked(-1, absent), ("check_broken", Unclear, None));
    check(unhealthy(10).checked(127, "not found").checked(1, "status 500"), restart("unhealthy"));
    let wrong = "curl: (22) The requested URL returned error: 404";
    check(unhealthy(10).checked(22, wrong), ("check_misdirected", Unclear, None));
    let reads = "FAIL: /var/log/a.log: 07:41:12 INFO order of one ERROR 404 mug";
    check(unhealthy(10).checked(1, reads), ("check_misdirected", Unclear, None));
    let listens = |line| unhealthy(900).checked(7, refused).printed(600, &[line]);
    check(listens("Listening on http://0.0.0.0:8080"), ("check_misdirected", Unclear, None));
    check(listens("Listening on http://0.0.0.0:80"), restart("not_listening"));
    check(listens("Debugger listening on ws://0.0.0.0:9229/a"), restart("not_listening"));
    let was_healthy = unhealthy(10).changed(0, Changed::Started).changed(9, Changed::Health { to: Health::Healthy });
    check(was_healthy.checked(22, wrong), restart("unhealthy"));

    let late = "Health check exceeded timeout (3s)";
    let at_work = [(92.0, 10.0, 1)];
    let idle = [(0.3, 10.0, 1)];
    check(unhealthy(10).checked(-1, late), restart("unhealthy"));
    check(unhealthy(10).checked(-1, late).used(&at_work), ("slow", Unclear, None));
    check(unhealthy(301).checked(-1, late).used(&at_work), restart("slow"));
    check(unhealthy(10).checked(-1, late).used(&at_work).printed(20, &["begins"]), restart("spinning"));
    check(unhealthy(10).checked(-1, late).used(&at_work).printed(2, &["goes on"]), ("slow", Unclear, None));
    let served = ["10.0.0.1 - - \"GET /a HTTP/1.1\" 200 7"];
    check(unhealthy(10).checked(-1, late).printed(2, &served), ("slow", Unclear, None));
    check(unhealthy(10).checked(-1, late).printed(20, &served), restart("unhealthy"));
    check(unhealthy(10).checked(-1, late).used(&idle), restart("hung"));
    check(unhealthy(10).checked(-1, late).checked(1, "status 500").used(&idle), restart("unhealthy"));

    let elsewhere = ("elsewhere", Sick, None);
    check(unhealthy(10).printed(1, &["x509: certificate has expired"]), elsewhere.clone());
    check(unhealthy(10).printed(1, &["write /data/a: read-only file system"]), elsewhere.clone());
    check(unhealthy(10).printed(1, &["Waiting for changelog lock...."]), elsewhere.clone());
    check(unhealthy(10).checked(1, "password authentication failed for user app"), elsewhere.clone());
    check(unhealthy(10).printed(1, &["bob: authentication failed"]), restart("unhealthy"));
    check(unhealthy(10).checked(7, refused).printed(1, &["certificate has expired"]), restart("not_listening"));
    let waits = unhealthy(10).checked(7, refused).printed(1, &["Waiting for changelog lock...."]);
    check(waits, elsewhere.clone());
    check(unhealthy(900).checked(1, "{\"db\": \"getaddrinfo ENOTFOUND db\"}"), elsewhere.clone());
    check(unhealthy(900).checked(1, "insufficient_quota"), elsewhere.clone());
    // A key that its log reports as invalid may be a client's.
    check(unhealthy(900).checked(1, "status 500").printed(1, &["invalid api key"]), restart("unhealthy"));
    check(unhealthy(900).checked(1, "status 500").printed(1, &["license has expired"]), elsewhere.clone());
    check(unhealthy(900).printed(1, &["upload failed: 503 Service Unavailable, next in 32s"]), elsewhere.clone());
    let reports = |part| {
        let said = format!(r#"{{"status":"DOWN","components":{{"{part}":{{"status":"DOWN"}}}}}}"#);
        unhealthy(900).checked(1, &said)
    };
    check(reports("store"), elsewhere);
    // It cannot reach the component because it has exhausted a resource of its own.
    for own in ["pool exhausted", "Too many open files", "java.lang.OutOfMemoryError", "database is locked"] {
        let said = format!(r#"{{"status":"DOWN","components":{{"db":{{"status":"DOWN","error":"{own}"}}}}}}"#);
        check(unhealthy(900).checked(1, &said), restart("unhealthy"));
    }
    // An internal component; and an external one that is known to be healthy: it may only have lost its connection.
    check(reports("workers"), restart("unhealthy"));
    let well = |health| reports("db").relative("shop-db-1", Relation::Dependency, State::Running, health, 0);
    check(well(Health::Healthy), restart("unhealthy"));
    check(well(Health::Unhealthy), ("dependency_down", Sick, None));

    let behind = |lags: [u32; 3]| {
        let told = |builder: CaseBuilder, lag| builder.checked(1, &format!("seconds_behind={lag} (max 600)"));
        lags.into_iter().fold(unhealthy(900), told)
    };
    check(behind([2610, 2488, 2371]), ("catching_up", Unclear, None));
    check(behind([2610, 2700, 2800]), restart("unhealthy"));
    check(behind([2610, 2610, 2371]), restart("unhealthy"));
    let requests = ["GET /a HTTP/1.1 200", "GET /b HTTP/1.1 200", "GET /c HTTP/1.1 304"];
    check(unhealthy(900).checked(22, "500").printed(1, &requests), ("serving", Unclear, None));
    check(unhealthy(900).checked(22, "500").printed(90, &requests), restart("unhealthy"));
    check(unhealthy(900).checked(22, "500").printed(1, &requests[1..]), restart("unhealthy"));
    check(unhealthy(900).checked(7, refused).printed(1, &requests), ("serving", Unclear, None));
    let fails = ["GET /a HTTP/1.1 500 200", "GET /b HTTP/1.1 502 21", "GET /c HTTP/1.1 500 30"];
    check(unhealthy(900).checked(22, "500").printed(1, &fails), restart("unhealthy"));
    let needed = |since, health| {
        unhealthy(since).checked(2, "no free slots").relative("web", Relation::Dependent, State::Running, health, 0)
    };
    check(needed(900, Health::Healthy), ("serving", Unclear, None));
    check(needed(900, Health::None), restart("unhealthy"));
    check(needed(1801, Health::Healthy), restart("unhealthy"));

    check(with_symptoms([flapping()]), ("flapping", Sick, None));
    check(unhealthy(10).also(flapping()), ("flapping", Sick, None));
    let late = with_symptoms([flapping()]).checked(-1, late);
    assert!(late.with(|builder| builder.facts.health = Health::Unhealthy).reached().why.contains("more time"));
}

#[test]
fn health_checks_that_fail_during_start_up() {
    let young = |age: i64| unhealthy(5).with(|builder| builder.facts.started_at = Some(at(NOW - age)));
    let begun = |age: i64| young(age).changed(NOW - age, Changed::Started);
    let begins = ("still_begins", Unclear, None);
    check(begun(75).printed(3, &["Initializing"]), begins.clone());
    check(begun(75).used(&[(90.0, 1.0, 1)]), begins.clone());
    check(begun(75).printed(40, &["Initializing"]), ("unhealthy", Sick, RESTART));
    check(begun(20).printed(1, &["listening on :80"]), ("unhealthy", Sick, RESTART));
    check(begun(301).printed(3, &["Initializing"]), ("unhealthy", Sick, RESTART));
    check(young(75).printed(3, &["Initializing"]), ("unhealthy", Sick, RESTART));
    let was_healthy = begun(75).changed(NOW - 50, Changed::Health { to: Health::Healthy });
    check(was_healthy.printed(3, &["Initializing"]), ("unhealthy", Sick, RESTART));
    check(unhealthy(5).checked(1, "LOADING Redis is loading the dataset in memory"), begins.clone());
    check(unhealthy(5).printed(1, &["LOG:  redo in progress, elapsed time: 10.00 s"]), begins);
    check(unhealthy(901).printed(1, &["LOG:  redo in progress"]), ("unhealthy", Sick, RESTART));
    let counts = ["shard 4 of 90", "shard 5 of 90", "shard 6 of 90"];
    let begins = ("still_begins", Unclear, None);
    check(begun(3599).printed(1, &counts), begins.clone());
    check(begun(3600).printed(1, &counts), ("unhealthy", Sick, RESTART));
    check(begun(900).printed(61, &counts), ("unhealthy", Sick, RESTART));
    let was_healthy = begun(900).changed(NOW - 50, Changed::Health { to: Health::Healthy });
    check(was_healthy.printed(1, &counts), ("unhealthy", Sick, RESTART));
    let leaves = ["received SIGTERM, shutting down gracefully", "9 connections left"];
    check(unhealthy(40).printed(1, &leaves), begins.clone());
    check(unhealthy(40).printed(1, &[leaves[0], "dial: connection refused"]), begins);
    check(unhealthy(901).printed(1, &leaves), ("unhealthy", Sick, RESTART));
}

#[test]
fn resources() {
    let number = |number: u32| Compose {
        project: "shop".into(),
        service: "api".into(),
        number: Some(number),
        depends_on: vec![],
    };
    check(with_symptoms([throttled()]), ("throttled", Sick, None));
    check(with_symptoms([throttled(), level(Symptom::CpuHigh, 99.0, Trend::Steady)]), ("throttled", Sick, None));
    let replica = with_symptoms([throttled()]).with(|builder| builder.facts.compose = Some(number(1)));
    let replica = replica.relative("shop-api-2", Relation::Replica, State::Running, Health::Healthy, 0);
    check(replica, ("throttled", Sick, Some(Remedy::Scale)));
    check(unhealthy(10).also(throttled()), ("throttled", Sick, None));
    check(unhealthy(301).also(throttled()), ("unhealthy", Sick, RESTART));

    check(with_symptoms([leak(GIB, Span::from_secs(3 * 3600))]), ("memory_leak", Sick, None));
    check(with_symptoms([leak(4 * GIB - GIB / 8, Span::from_secs(450))]), ("memory_leak", Sick, RESTART));
    check(with_symptoms([leak(4 * GIB - GIB / 4, Span::from_secs(900))]), ("memory_leak", Sick, RESTART));

    let full = SymptomRaised { since: at(NOW - 3600), ..level(Symptom::MemoryHigh, 89.0, Trend::Steady) };
    check(with_symptoms([full.clone()]), ("memory_full", Sick, None));
    check(with_symptoms([SymptomRaised { since: at(NOW - 3599), ..full.clone() }]), ("memory_full", Sick, RESTART));
    check(with_symptoms([SymptomRaised { since: at(NOW - 24 * 3600), ..full }]), ("memory_full", Unclear, None));

    check(with_symptoms([pids()]), ("pids_high", Sick, None));
    let more: Vec<_> = (0..8).map(|n| (1.0, 1.0, 60 + n * 5)).collect();
    check(with_symptoms([pids()]).used(&more), ("pids_high", Sick, RESTART));
    check(with_symptoms([pids()]).used(&[(1.0, 1.0, 95); 8]), ("pids_high", Sick, None));
    check(with_symptoms([pids()]).process("[worker] <defunct>"), ("pids_high", Sick, RESTART));

    let killed = raised(Symptom::OomChild, Evidence::Killed { count: 2, within: Span::from_secs(60) });
    check(with_symptoms([killed.clone()]), ("oom_child", Sick, None));
    check(unhealthy(10).also(killed), ("unhealthy", Sick, RESTART));
    let (value, threshold, held) = (Percent::clamped(70.0), Percent::clamped(40.0), Span::from_secs(60));
    let waits = |resource| raised(Symptom::Pressure, Evidence::Stalled { resource, value, threshold, held });
    for resource in [Resource::Cpu, Resource::Memory, Resource::Disk] {
        let builder = with_symptoms([waits(resource)]).process("postgres: autovacuum");
        assert!(builder.reached().root_cause.contains("postgres: autovacuum"));
        check(builder, ("pressure", Sick, None));
    }
    let odd = |symptom| {
        let evidence = Evidence::Unusual { value: 9.0, expected: 1.0, deviation: 0.1, held };
        SymptomRaised { severity: Severity::Low, ..raised(symptom, evidence) }
    };
    for symptom in [Symptom::CpuUnusual, Symptom::MemoryUnusual, Symptom::NetworkUnusual, Symptom::BlockUnusual] {
        let builder = with_symptoms([odd(symptom)]);
        assert_eq!(
            builder.case(|case| crate::conclude::conclude(case, &hemostat_core::Policy::default(), "api")),
            None
        );
        let reached = unhealthy(10).also(odd(symptom)).reached();
        assert_eq!(reached.symptoms, [Symptom::Unhealthy]);
    }
}

#[test]
fn full_disks() {
    let cleanup = ("disk_full", Sick, Some(Remedy::Cleanup));
    let said = "could not write to file \"pg_wal/x\": No space left on device";
    check(with_symptoms([disk()]), cleanup.clone());
    check(unhealthy(10).disk(97.0), cleanup.clone());
    check(unhealthy(10).printed(1, &[said]), cleanup.clone());
    check(ended(2, 1, ExitBy::Crash).printed(1, &[said]), cleanup);
    check(ended(2, 1, ExitBy::Crash).printed(1, &[said]).disk(40.0), ("misconfigured", Sick, None));
    check(unhealthy(10).printed(1, &[said]).disk(40.0), ("elsewhere", Sick, None));
}

#[test]
fn after_an_image_change_a_diagnosis_says_so_and_is_less_confident() {
    let image = |second| Changed::Image { from: format!("sha256:{}", "ab".repeat(32)), to: format!("sha256:{second}") };
    let before = unhealthy(10).reached();
    let late = unhealthy(10).changed(NOW - 1801, image(1)).reached();
    assert_eq!((late.confidence, late.why), (before.confidence, before.why));
    let reached = unhealthy(10).changed(NOW - 60, image(1)).reached();
    assert_eq!((rule_of(&reached), reached.remedy.clone(), reached.confidence.get()), ("unhealthy", RESTART, 0.75));
    assert!(reached.why.ends_with("a rollback to sha256:abababababab may be the better remedy"), "{}", reached.why);
}

#[test]
fn a_diagnosis_cites_its_evidence() {
    let check = |builder: CaseBuilder, expected: &[&str]| {
        let reached = builder.reached();
        assert_eq!(
            (reached.cites.as_slice(), reached.examination.is_some()),
            (expected.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>().as_slice(), builder.examined.is_some(),)
        );
    };
    check(unhealthy(10), &["unhealthy"]);
    let lines: Vec<&str> = std::iter::repeat_n("working", 20).chain(["x509: certificate has expired"]).collect();
    check(unhealthy(10).printed(1, &lines), &["unhealthy", "output.2"]);
    check(ended(900, 1, ExitBy::Crash), &["exited", "exit"]);
    let down = unhealthy(10).relative("db", Relation::Dependency, State::Exited, Health::None, 0);
    check(down, &["unhealthy", "relatives"]);
}

#[test]
fn every_rule_has_a_row_in_the_table_of_the_module_docs() {
    let doc = include_str!("../rules.rs");
    let rows: Vec<&str> = doc.lines().filter_map(|line| line.strip_prefix("//! | `")?.split('`').next()).collect();
    let names: Vec<&str> = crate::rules::RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(rows, names);
}
