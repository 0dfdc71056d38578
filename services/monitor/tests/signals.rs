//! Every symptom that can be provoked on the real Docker engine is raised once and cleared once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod running_monitor;

use std::{sync::Arc, time::Duration};

use hemostat_core::policy::{Policy, Sensitivity};
use hemostat_docker::Docker;
use hemostat_patient::{
    Illness,
    illness::{Cpu, Crash, Crowd, Disk, Flapping, Leak, Memory, Unhealthy},
    stage::{Patient, PatientSpec, Restart, Stage, docker_host},
};
use hemostat_runtime::Context;
use hemostat_schema::{
    Event, Observation, Percent, Recorded, Sample, Span,
    container::Health,
    observation::{Cleared, Evidence, Symptom},
};
use hemostat_tests::in_process::{context, history, policy, stage, start, wait_for};
use running_monitor::RunningMonitor;

/// Starts monitors with short windows.
struct Monitor;

impl Monitor {
    fn start(ctx: &Context, stage: &Stage) -> RunningMonitor {
        Self::with_grace(ctx, stage, Span::ZERO)
    }

    fn with_grace(ctx: &Context, stage: &Stage, grace: Span) -> RunningMonitor {
        Self::with(ctx, stage, grace, Duration::ZERO)
    }

    fn with(ctx: &Context, stage: &Stage, grace: Span, disk_every: Duration) -> RunningMonitor {
        let engine = Arc::new(Docker::new(docker_host(), Duration::from_secs(20)));
        let mut policy = Policy {
            clear_after: Span::from_secs(2),
            loop_restarts: 3,
            loop_within: Span::from_secs(20),
            sensitivity: Sensitivity {
                leak_over: Span::from_secs(15),
                flaps: 4,
                flaps_within: Span::from_secs(30),
                throttled: Percent::clamped(25.0),
                // Only one test measures disks; in it every disk counts as full.
                disk: Percent::clamped(0.0),
                ..Sensitivity::default()
            },
            ..policy(stage)
        };
        policy.container_defaults.grace = grace;
        policy.container_defaults.sustained = Span::from_secs(3);
        // Two samples half a second apart do not hold whole periods of the scheduler, so the share of a limit jitters.
        policy.container_defaults.cpu = Percent::clamped(60.0);
        RunningMonitor::measuring(ctx, engine, policy, disk_every)
    }
}

/// The symptoms raised and cleared of a container, in order.
async fn symptoms(ctx: &Context, name: &str) -> Vec<(Symptom, &'static str)> {
    let change = |event: &Event| match event {
        Event::Observation(Observation::SymptomRaised(raised)) => Some((raised.symptom, "raised")),
        Event::Observation(Observation::SymptomCleared(cleared)) => Some((cleared.symptom, "cleared")),
        _ => None,
    };
    history(ctx.log.as_ref(), name).await.iter().filter_map(|event| change(event.event()?)).collect()
}

async fn raised(ctx: &Context, name: &str, symptom: Symptom) -> Evidence {
    wait_for(ctx.log.as_ref(), name, symptom.name(), |_, event| match event {
        Event::Observation(Observation::SymptomRaised(raised)) if raised.symptom == symptom => {
            Some(raised.evidence.clone())
        }
        _ => None,
    })
    .await
}

async fn cleared(ctx: &Context, name: &str, symptom: Symptom) -> Cleared {
    wait_for(ctx.log.as_ref(), name, "the end of it", |_, event| match event {
        Event::Observation(Observation::SymptomCleared(cleared)) if cleared.symptom == symptom => Some(cleared.why),
        _ => None,
    })
    .await
}

/// Provokes an illness and its recovery, and returns the evidence; `allowed` are other symptoms that may appear.
async fn provoke(spec: PatientSpec, illness: Illness, symptom: Symptom, allowed: &[Symptom]) -> Evidence {
    let (stage, ctx) = (stage().await, context());
    let patient: Patient = start(&stage, spec).await;
    let _monitor = Monitor::start(&ctx, &stage);
    wait_for(ctx.log.as_ref(), &patient.name, "a sample", |_, event| {
        matches!(event, Event::Sample(Sample::Container(_))).then_some(())
    })
    .await;
    patient.fall_ill(illness).await.unwrap();
    let evidence = raised(&ctx, &patient.name, symptom).await;
    patient.recover().await.unwrap();
    assert_eq!(cleared(&ctx, &patient.name, symptom).await, Cleared::Well);
    let symptoms = symptoms(&ctx, &patient.name).await;
    let changes: Vec<_> = symptoms.iter().filter(|(it, _)| *it == symptom).map(|(_, change)| *change).collect();
    assert_eq!(changes, ["raised", "cleared"], "{symptoms:?}");
    assert!(symptoms.iter().all(|(it, _)| *it == symptom || allowed.contains(it)), "{symptoms:?}");
    evidence
}

fn without_check(name: &str) -> PatientSpec {
    PatientSpec { health_interval: None, ..PatientSpec::named(name) }
}

#[tokio::test]
async fn a_container_at_its_cpu_limit_is_throttled() {
    let spec = PatientSpec { cpus: Some(0.08), ..without_check("throttled") };
    let busy = Illness::Cpu(Cpu { duration: 120, intensity: 1.0 });
    let evidence = provoke(spec, busy, Symptom::CpuThrottled, &[Symptom::CpuHigh]).await;
    assert!(matches!(evidence, Evidence::Level { value, .. } if value.get() > 25.0), "{evidence:?}");
}

#[tokio::test]
async fn a_busy_container_uses_too_much_cpu() {
    let spec = PatientSpec { cpus: Some(0.08), ..without_check("busy") };
    let busy = Illness::Cpu(Cpu { duration: 120, intensity: 1.0 });
    provoke(spec, busy, Symptom::CpuHigh, &[Symptom::CpuThrottled]).await;
}

#[tokio::test]
async fn high_memory_use_is_reported() {
    let spec = PatientSpec { memory: Some(64 << 20), ..without_check("memory") };
    let full = Illness::Memory(Memory { duration: 120, size_mb: 56 });
    provoke(spec, full, Symptom::MemoryHigh, &[]).await;
}

#[tokio::test]
async fn a_memory_leak_is_reported_with_the_time_until_the_limit() {
    let spec = PatientSpec { memory: Some(512 << 20), ..without_check("leak") };
    let leak = Illness::Leak(Leak { duration: 300, mb_per_second: 3.0 });
    let evidence = provoke(spec, leak, Symptom::MemoryLeak, &[]).await;
    let Evidence::Growth { per_hour, fit, limit_in, .. } = evidence else { panic!("{evidence:?}") };
    // 3 MiB a second are 10,800 in an hour, and 512 are full within three minutes.
    let mib = per_hour.0 / (1 << 20);
    assert!((6_000..16_000).contains(&mib) && fit > 0.9 && limit_in < Span::from_secs(300), "{evidence:?}");
}

#[tokio::test]
async fn a_crowded_container_has_nearly_as_many_processes_as_it_may() {
    let spec = PatientSpec { pids: Some(60), ..without_check("pids") };
    let crowd = Illness::Crowd(Crowd { duration: 120, threads: 57 });
    let evidence = provoke(spec, crowd, Symptom::PidsHigh, &[]).await;
    assert!(matches!(evidence, Evidence::Count { value: 55.., limit: 60, .. }), "{evidence:?}");
}

#[tokio::test]
async fn a_container_that_fills_the_disk_is_reported_with_what_it_wrote() {
    let (stage, ctx) = (stage().await, context());
    let (patient, idle) = (start(&stage, without_check("disk")).await, start(&stage, without_check("idle")).await);
    let _monitor = Monitor::with(&ctx, &stage, Span::ZERO, Duration::from_secs(1));
    for name in [&patient.name, &idle.name] {
        wait_for(ctx.log.as_ref(), name, "its disk usage", |_, event| {
            matches!(event, Event::Sample(Sample::Storage(_))).then_some(())
        })
        .await;
    }
    patient.fall_ill(Illness::Disk(Disk { duration: 120, size_mb: 500 })).await.unwrap();
    let evidence = raised(&ctx, &patient.name, Symptom::DiskFilling).await;
    assert!(matches!(evidence, Evidence::Disk { writable, .. } if writable.0 >= 64 << 20), "{evidence:?}");
    patient.recover().await.unwrap();
    assert_eq!(cleared(&ctx, &patient.name, Symptom::DiskFilling).await, Cleared::Well);
    let once = [(Symptom::DiskFilling, "raised"), (Symptom::DiskFilling, "cleared")];
    assert_eq!(symptoms(&ctx, &patient.name).await, once);
    assert_eq!(symptoms(&ctx, &idle.name).await, []);
}

#[tokio::test]
async fn an_oom_kill_of_a_child_is_reported_while_the_container_runs_on() {
    let spec = PatientSpec { memory: Some(64 << 20), ..without_check("child") };
    let evidence = provoke(spec, Illness::OomChild, Symptom::OomChild, &[]).await;
    assert!(matches!(evidence, Evidence::Killed { count: 1.., .. }), "{evidence:?}");
}

#[tokio::test]
async fn a_flapping_health_check_is_reported() {
    let flapping = Illness::Flapping(Flapping { duration: 300, every: 2.5 });
    let spec = PatientSpec::named("flapping");
    let evidence = provoke(spec, flapping, Symptom::Flapping, &[Symptom::Unhealthy]).await;
    assert!(matches!(evidence, Evidence::Flips { count: 4.., .. }), "{evidence:?}");
}

#[tokio::test]
async fn a_failing_health_check_is_reported() {
    let unhealthy = Illness::Unhealthy(Unhealthy { duration: None });
    provoke(PatientSpec::named("unhealthy"), unhealthy, Symptom::Unhealthy, &[]).await;
}

#[tokio::test]
async fn exits_and_restart_loops_are_cleared_when_the_container_is_removed() {
    let (stage, ctx) = (stage().await, context());
    let limited = PatientSpec { memory: Some(64 << 20), ..without_check("oom") };
    let stubborn = Some(("crash", Duration::from_millis(300)));
    let looping = PatientSpec { restart: Restart::Always, stubborn, ..without_check("loop") };
    let _monitor = Monitor::start(&ctx, &stage);
    let (oom, crash) = (start(&stage, limited).await, start(&stage, without_check("crash")).await);
    let looping = stage.spawn(looping).await.unwrap();
    for patient in [&oom, &crash] {
        wait_for(ctx.log.as_ref(), &patient.name, "a run", |_, event| {
            matches!(event, Event::Observation(Observation::Seen(_) | Observation::Started(_))).then_some(())
        })
        .await;
    }
    oom.fall_ill(Illness::Oom).await.unwrap();
    crash.fall_ill(Illness::Crash(Crash { code: 3 })).await.unwrap();
    for (patient, symptom) in [(&oom, Symptom::OomKilled), (&crash, Symptom::Exited), (&looping, Symptom::RestartLoop)]
    {
        raised(&ctx, &patient.name, symptom).await;
        patient.remove().await.unwrap();
        assert_eq!(cleared(&ctx, &patient.name, symptom).await, Cleared::Removed);
        assert_eq!(symptoms(&ctx, &patient.name).await, [(symptom, "raised"), (symptom, "cleared")]);
    }
}

#[tokio::test]
async fn actions_of_operators_raise_no_symptom() {
    let (stage, ctx) = (stage().await, context());
    let log = ctx.log.as_ref();
    let stopped = start(&stage, PatientSpec::named("stopped")).await;
    let restarted = start(&stage, PatientSpec::named("restarted")).await;
    let updated = start(&stage, PatientSpec::named("updated")).await;
    let _monitor = Monitor::with_grace(&ctx, &stage, Span::from_secs(300));
    for patient in [&stopped, &restarted, &updated] {
        wait_for(log, &patient.name, "its facts", |_, event| {
            matches!(event, Event::Observation(Observation::Seen(_))).then_some(())
        })
        .await;
    }
    stopped.stop().await.unwrap();
    restarted.stop().await.unwrap();
    restarted.start_again().await.unwrap();
    updated.stop().await.unwrap();
    updated.remove().await.unwrap();
    // The new container fails its checks at first.
    let next = start(&stage, PatientSpec::named("updated")).await;
    next.fall_ill(Illness::Unhealthy(Unhealthy { duration: None })).await.unwrap();
    let changes = |of: &Patient, from: Option<Health>, to: Health| {
        // Only of this container: an earlier one had the same name.
        let id = of.id.clone();
        move |_: &Recorded, event: &Event| match event {
            Event::Observation(Observation::HealthChanged(turn))
                if turn.target.id.as_str() == id && turn.to == to && from.is_none_or(|from| turn.from == from) =>
            {
                Some(())
            }
            _ => None,
        }
    };
    wait_for(log, &next.name, "a check that fails", changes(&next, None, Health::Unhealthy)).await;
    next.recover().await.unwrap();
    let passes = changes(&next, Some(Health::Unhealthy), Health::Healthy);
    wait_for(log, &next.name, "a check that passes again", passes).await;
    wait_for(log, &restarted.name, "its new run to be well", changes(&restarted, None, Health::Healthy)).await;
    wait_for(log, &stopped.name, "its end", |_, event| {
        matches!(event, Event::Observation(Observation::Exited(_))).then_some(())
    })
    .await;
    for patient in [&stopped, &restarted, &updated] {
        assert_eq!(symptoms(&ctx, &patient.name).await, [], "{}", patient.name);
    }
}
