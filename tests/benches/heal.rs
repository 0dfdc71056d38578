//! `make bench-heal`: the time from Docker's unhealthy event to the restart call, step by step, and HemoStat's cost at
//! rest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use hemostat_patient::{
    Illness,
    illness::Unhealthy,
    stage::{Patient, PatientSpec},
};
use hemostat_tests::{
    BenchResults, Hemostat, TestDeployment,
    instants::{appended_at, instant},
    process::{cpu_seconds, family_of, rss},
    wait_until,
};
use serde_json::Value;

const PATIENTS: usize = 20;
const REST: Duration = Duration::from_secs(60);
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() {
    let mut results = BenchResults::of("heal");
    let mut deployment = TestDeployment::new("bench").await;
    deployment.set("monitor.interval", "5s");
    deployment.set_raw("responder.storm", "100");
    let mut patients = vec![];
    for n in 0..PATIENTS {
        patients.push(deployment.patient(PatientSpec::named(format!("p{n:02}"))).await);
    }
    let hemostat = deployment.up().await;
    wait_until(STEP_TIMEOUT, "all patients are seen", async || {
        let seen = hemostat.get("/containers").await?["containers"].as_array().map_or(0, Vec::len);
        ensure!(seen == PATIENTS, "{seen} are seen");
        Ok(())
    })
    .await;

    let processes = family_of(hemostat.pid());
    let before: f64 = processes.values().map(|pid| cpu_seconds(*pid)).sum();
    let own_before = cpu_seconds(hemostat.pid());
    tokio::time::sleep(REST).await;
    let share = |before: f64, after: f64| (after - before) / REST.as_secs_f64() * 100.0;
    results.add("idle_cpu", share(own_before, cpu_seconds(hemostat.pid())), "% of core", None);
    let after: f64 = processes.values().map(|pid| cpu_seconds(*pid)).sum();
    results.add("idle_cpu_with_redis", share(before, after), "% of core", None);
    results.add("rss", rss(hemostat.pid()), "MB", None);
    results.add("rss_with_redis", processes.values().map(|pid| rss(*pid)).sum(), "MB", None);

    let mut steps: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for patient in &patients {
        patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.expect("the patient falls ill");
        let journey = wait_until(STEP_TIMEOUT, "it is restarted", async || Journey::of(&hemostat, patient).await).await;
        for (name, took) in journey.steps() {
            steps.entry(name).or_default().push(took);
        }
    }
    for (name, values) in steps {
        results.percentiles(name, values, "ms");
    }
    results.publish();
}

/// The times of one healing, in milliseconds since the Unix epoch.
struct Journey {
    unhealthy: f64,
    observed: f64,
    diagnosed: f64,
    authorised: f64,
    called: f64,
}

impl Journey {
    async fn of(hemostat: &Hemostat, patient: &Patient) -> anyhow::Result<Self> {
        let answer = hemostat.get(&format!("/events?container={}&order=oldest&limit=1000", patient.name)).await?;
        let events = answer["events"].as_array().context("no events")?;
        let find = |kind: &str, says: &dyn Fn(&Value) -> bool| {
            let found = events.iter().find(|event| event["kind"] == kind && says(&event["data"]));
            found.with_context(|| format!("no {kind} yet"))
        };
        let any = |_: &Value| true;
        let unhealthy = find("observation.health_changed", &|data| data["to"] == "unhealthy")?;
        let call = find("action.succeeded", &any)?;
        Ok(Self {
            unhealthy: instant(&unhealthy["at"])?,
            observed: appended_at(find("observation.symptom_raised", &any)?)?,
            diagnosed: appended_at(find("diagnosis.reached", &any)?)?,
            authorised: appended_at(find("action.authorised", &any)?)?,
            called: instant(&call["data"]["called_at"])?,
        })
    }

    fn steps(&self) -> [(&'static str, f64); 5] {
        [
            ("1_unhealthy_to_observed", self.observed - self.unhealthy),
            ("2_observed_to_diagnosed", self.diagnosed - self.observed),
            ("3_diagnosed_to_authorised", self.authorised - self.diagnosed),
            ("4_authorised_to_restart", self.called - self.authorised),
            ("unhealthy_to_restart", self.called - self.unhealthy),
        ]
    }
}
