//! Jobs, intrusions, caches, symptoms that pass by themselves, and remedies that did not help.

use hemostat_schema::{
    ByteCount, Percent,
    action::{Outcome, Remedy},
    container::{Compose, ExitBy, Facts, Health, RestartPolicy, Strain},
    diagnosis::Verdict,
    examination::Changed,
    observation::{Evidence, Severity, Symptom, SymptomRaised},
};

use super::{
    case_builder::{CaseBuilder, NOW, ended, unhealthy, with_symptoms},
    contraindications::{far_leak, raised},
};
use crate::case::PastIncident;
use hemostat_core::testing::{at, vitals};

#[track_caller]
fn check(builder: &CaseBuilder, rule: &str, verdict: Verdict, remedy: Option<Remedy>) {
    let reached = builder.reached();
    let by = crate::conclude::rule_of(&reached);
    assert_eq!((by, reached.verdict, &reached.remedy), (rule, verdict, &remedy), "{}", reached.why);
}

fn critical(symptom: Symptom) -> CaseBuilder {
    with_symptoms([SymptomRaised { severity: Severity::Critical, ..raised(symptom) }])
}

/// It uses this percentage of its CPU and of 1 GiB of memory, and waits for neither memory nor disk.
fn uses(cpu: f64, memory: f64) -> impl FnOnce(&mut CaseBuilder) {
    move |builder| {
        let strain = Strain { memory: Some(Percent::clamped(0.0)), ..Strain::default() };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
        let used = ByteCount((memory / 100.0 * f64::from(1 << 30)) as u64);
        let (memory_used, memory_limit) = (used, ByteCount(1 << 30));
        builder.vitals =
            Some(hemostat_schema::container::Vitals { strain, memory_used, memory_limit, ..vitals(cpu, memory, 9) });
    }
}

/// It had this symptom before, and this remedy was attempted.
fn past(symptom: Symptom, remedy: Option<Remedy>) -> impl FnOnce(&mut CaseBuilder) {
    move |builder| {
        let before = builder.clone().attempted(remedy.clone().unwrap_or(Remedy::Restart), None, Outcome::Recovered);
        let attempt = remedy.and_then(|_| before.attempts.last().cloned());
        builder.past_incidents.push(PastIncident { at: at(0), symptoms: vec![symptom], root_cause: None, attempt });
    }
}

#[test]
fn a_job_that_works_is_not_interrupted_and_an_idle_one_is() {
    use Verdict::{Sick, Unclear};
    let restart = || Some(Remedy::Restart);
    let restores = || unhealthy(900).checked(22, "502").working_process("pg_restore -d shop", 60, 9);
    check(&restores(), "at_work", Unclear, None);
    check(&restores().with(uses(40.0, 9.0)), "at_work", Unclear, None);
    check(&restores().with(uses(1.0, 9.0)), "unhealthy", Sick, restart());
    check(&unhealthy(900).checked(22, "502").working_process("pg_restore -d shop", 0, 9), "unhealthy", Sick, restart());
    // A build can be repeated, and does not explain why the health check fails.
    check(&unhealthy(900).checked(22, "502").working_process("ffmpeg -i a b", 60, 9), "unhealthy", Sick, restart());
    check(&critical(Symptom::CpuHigh).working_process("ffmpeg -i a b", 60, 9), "at_work", Unclear, None);
    check(
        &critical(Symptom::CpuHigh).working_process("node a.js", 60, 9).working_process("tar cf b c", 2, 9),
        "at_the_limit",
        Sick,
        restart(),
    );
    check(&critical(Symptom::MemoryHigh).working_process("ffmpeg -i a b", 60, 9), "at_the_limit", Sick, restart());
    let hand =
        |since| unhealthy(since).checked(22, "502").working_process("puma", 60, 9).working_process("/bin/bash", 0, 4);
    check(&hand(900), "at_work", Unclear, None);
    check(&hand(3601), "unhealthy", Sick, restart());
    let held = |lines: &[&str]| unhealthy(300).checked(-1, "").printed(200, lines).with(uses(0.0, 9.0));
    check(&held(&["Debugger attached."]), "at_work", Unclear, None);
    check(&held(&["Debugger attached.", "Waiting for the debugger to disconnect..."]), "hung", Sick, restart());
    check(&unhealthy(900).checked(22, "502").working_process("gdb -p 7", 1, 9), "at_work", Unclear, None);
    let builds = ["[1/9] Building a.o", "[2/9] Linking b c", "[3/9] Testing d"];
    let many = with_symptoms([raised(Symptom::PidsHigh)]).used(&[(1.0, 1.0, 9), (1.0, 1.0, 40), (1.0, 1.0, 80)]);
    check(&many, "pids_high", Sick, restart());
    check(&many.clone().printed(1, &builds), "at_work", Unclear, None);
    let leapt = [(1.0, 1.0, 9), (1.0, 1.0, 80), (1.0, 1.0, 81), (1.0, 1.0, 80)];
    check(&with_symptoms([raised(Symptom::PidsHigh)]).used(&leapt), "pids_high", Sick, None);
}

#[test]
fn a_container_that_answers_requests_or_makes_progress_is_at_work() {
    use Verdict::{Sick, Unclear};
    let busy_and = |health| critical(Symptom::CpuHigh).with(move |builder| builder.facts.health = health);
    let busy = || busy_and(Health::Healthy);
    let requests = ["GET /a HTTP/1.1 200", "GET /b HTTP/1.1 200", "GET /c HTTP/1.1 304"];
    check(&busy().printed(1, &requests), "easing", Unclear, None);
    check(&busy().printed(90, &requests), "at_the_limit", Sick, Some(Remedy::Restart));
    check(&busy().printed(1, &requests[..2]), "at_the_limit", Sick, Some(Remedy::Restart));
    let probes = ["GET /healthz HTTP/1.1 200", "GET /healthz HTTP/1.1 200", "GET /metrics HTTP/1.1 200"];
    check(&busy().printed(1, &probes), "at_the_limit", Sick, Some(Remedy::Restart));
    // Without a health check nothing says that it is healthy.
    check(&busy_and(Health::None).printed(1, &requests), "at_the_limit", Sick, Some(Remedy::Restart));
    let counts = ["relations 1/9, 10 %", "relations 2/9, 20 %", "relations 3/9, 30 %"];
    let grows = |evidence| with_symptoms([SymptomRaised { evidence, ..raised(Symptom::MemoryLeak) }]);
    check(&grows(far_leak()), "memory_leak", Sick, None);
    check(&grows(far_leak()).printed(1, &counts), "at_work", Unclear, None);
    let near = raised(Symptom::MemoryLeak).evidence;
    check(&grows(near).printed(1, &counts), "memory_leak", Sick, Some(Remedy::Restart));
}

#[test]
fn an_intrusion_gets_no_remedy_that_destroys_evidence() {
    let mined = |builder: CaseBuilder| builder.working_process("/tmp/kinsing", 9, 9);
    check(&mined(critical(Symptom::CpuHigh)), "intruded", Verdict::Sick, None);
    check(&mined(unhealthy(9)), "intruded", Verdict::Sick, None);
    check(&mined(with_symptoms([raised(Symptom::DiskFilling)])), "intruded", Verdict::Sick, None);
    check(&critical(Symptom::CpuHigh).working_process("/dev/shm/.a", 9, 9), "intruded", Verdict::Sick, None);
    let own = critical(Symptom::CpuHigh).working_process("xmrig -o pool", 9, 9);
    let own = own.with(|builder| builder.facts.image = "acme/xmrig:6".into());
    check(&own, "at_the_limit", Verdict::Sick, Some(Remedy::Restart));
}

#[test]
fn page_cache_and_memory_within_a_programs_own_limit_need_no_remedy() {
    use Verdict::{Sick, Unclear};
    let high = |process, mib| critical(Symptom::MemoryHigh).with(uses(9.0, 97.0)).working_process(process, 9, mib);
    check(&high("api", 200), "not_its_own", Unclear, None);
    check(&high("api", 900), "at_the_limit", Sick, Some(Remedy::Restart));
    let unknown = high("api", 200).with(|builder| builder.vitals.as_mut().unwrap().strain.memory = None);
    check(&unknown, "at_the_limit", Sick, Some(Remedy::Restart));
    let leak = || with_symptoms([raised(Symptom::MemoryLeak)]).with(uses(9.0, 60.0));
    check(&leak().working_process("memcached -m 700", 9, 600), "not_its_own", Unclear, None);
    check(&leak().working_process("memcached -m 2048", 9, 600), "memory_leak", Sick, Some(Remedy::Restart));
}

#[test]
fn symptoms_that_passed_before_are_left_alone_and_a_remedy_that_helped_is_used_again() {
    use Verdict::{Sick, Unclear};
    let filling = || {
        let told = SymptomRaised { evidence: disk(87.0), ..raised(Symptom::DiskFilling) };
        with_symptoms([told]).with(past(Symptom::DiskFilling, None))
    };
    check(&filling(), "disk_full", Sick, Some(Remedy::Cleanup));
    check(&filling().with(past(Symptom::DiskFilling, None)), "as_before", Unclear, None);
    let full = filling().with(past(Symptom::DiskFilling, None)).disk(97.0);
    check(&full, "disk_full", Sick, Some(Remedy::Cleanup));
    check(&with_symptoms([raised(Symptom::PidsHigh)]).with(past(Symptom::PidsHigh, None)), "as_before", Unclear, None);
    check(&with_symptoms([raised(Symptom::PidsHigh)]).with(past(Symptom::CpuHigh, None)), "pids_high", Sick, None);
    let flaps = |code| with_symptoms([raised(Symptom::Flapping)]).checked(code, "timed out").with(uses(1.0, 9.0));
    let healed = |builder: CaseBuilder| builder.with(past(Symptom::Flapping, Some(Remedy::Restart)));
    check(&healed(flaps(-1)), "flapping", Sick, Some(Remedy::Restart));
    check(&flaps(-1), "flapping", Sick, None);
    // A container may print anything; only Docker sets the code -1.
    check(&healed(flaps(1)), "flapping", Sick, None);
    check(&healed(flaps(-1)).with(uses(60.0, 9.0)), "flapping", Sick, None);
    // A full heap, and garbage collection all the time.
    let filled = [(9.0, 40.0, 9), (9.0, 60.0, 9), (80.0, 85.0, 9), (90.0, 88.0, 9)];
    let collects = || healed(flaps(-1)).with(uses(90.0, 88.0)).used(&filled);
    check(&collects(), "flapping", Sick, Some(Remedy::Restart));
    check(&collects().printed(1, &["job 1", "job 2", "job 3"]), "flapping", Sick, None);
    check(&healed(flaps(-1)).with(uses(90.0, 88.0)), "flapping", Sick, None);
}

fn disk(value: f64) -> Evidence {
    let (value, threshold) = (Percent::clamped(value), Percent::clamped(85.0));
    let gib = ByteCount(1 << 30);
    Evidence::Disk { path: "/".into(), value, threshold, writable: gib, per_hour: gib }
}

#[test]
fn a_remedy_that_did_not_help_is_not_repeated() {
    use Verdict::Sick;
    let restarted = |builder: CaseBuilder| builder.attempted(Remedy::Restart, None, Outcome::Relapsed);
    let again = |code, said| restarted(unhealthy(900)).checked(code, said).changed(0, Changed::Started);
    check(&again(22, "503"), "unhealthy", Sick, None);
    check(
        &again(22, "503").changed(9, Changed::Health { to: Health::Healthy }),
        "unhealthy",
        Sick,
        Some(Remedy::Restart),
    );
    check(&again(7, "connection refused: localhost"), "not_listening", Sick, Some(Remedy::Restart));
    check(&restarted(critical(Symptom::CpuHigh)), "at_the_limit", Sick, None);
    let job = |service: &str, code, created| {
        let facts = |facts: &mut Facts| {
            facts.health = Health::None;
            facts.restart_policy = RestartPolicy::No;
            facts.created_at = at(created);
            let service = service.into();
            facts.compose = Some(Compose { project: "p".into(), service, number: Some(1), depends_on: vec![] });
        };
        ended(240, code, ExitBy::Crash).with(|builder| facts(&mut builder.facts))
    };
    let start = || Some(Remedy::Start);
    let vain = |builder: CaseBuilder| builder.attempted(Remedy::Start, Some(1), Outcome::Relapsed);
    check(&job("migrate", 1, 0), "crashed", Sick, None);
    check(&job("migrate", 137, 0), "signalled", Sick, start());
    check(&job("migrate", 1, 0).printed(1, &["db: connection refused"]), "cannot_reach", Sick, start());
    check(&job("api", 1, 0), "crashed", Sick, start());
    check(&vain(job("api", 1, 0)), "crashed", Sick, start());
    check(&vain(job("api", 1, NOW - 900)), "crashed", Sick, None);
    check(&vain(job("api", 2, NOW - 900)), "crashed", Sick, start());
}
