//! `make bench-heal`: how long it takes from Docker's own word that a container is unhealthy to the call that restarts
//! it, step by step, and what HemoStat costs at rest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use hemostat_patient::{
    Illness,
    illness::Unhealthy,
    stage::{Patient, PatientSpec},
};
use hemostat_tests::{
    Bed, Figures, Hemostat,
    process::{cpu_seconds, family_of, rss},
    until,
};
use jiff::Timestamp;
use serde_json::Value;

const PATIENTS: usize = 20;
const REST: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() {
    let mut figures = Figures::of("heal");
    let mut bed = Bed::new("bench").await;
    bed.set("monitor.interval", "5s");
    bed.set_raw("responder.storm", "100");
    let mut patients = vec![];
    for n in 0..PATIENTS {
        patients.push(bed.patient(PatientSpec::named(format!("p{n:02}"))).await);
    }
    let hemostat = bed.up().await;
    until(PATIENCE, "all patients are seen", async || {
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
    figures.add("idle_cpu", share(own_before, cpu_seconds(hemostat.pid())), "% of core", None);
    let after: f64 = processes.values().map(|pid| cpu_seconds(*pid)).sum();
    figures.add("idle_cpu_with_redis", share(before, after), "% of core", None);
    figures.add("rss", rss(hemostat.pid()), "MB", None);
    figures.add("rss_with_redis", processes.values().map(|pid| rss(*pid)).sum(), "MB", None);

    let mut steps: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for patient in &patients {
        patient.fall_ill(Illness::Unhealthy(Unhealthy::default())).await.expect("the patient falls ill");
        let journey = until(PATIENCE, "it is restarted", async || Journey::of(&hemostat, patient).await).await;
        for (name, took) in journey.steps() {
            steps.entry(name).or_default().push(took);
        }
    }
    for (name, values) in steps {
        figures.percentiles(name, values, "ms");
    }
    figures.publish();
}

/// The instants of one healing, in milliseconds since the Unix epoch.
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
            observed: on_log(find("observation.symptom_raised", &any)?)?,
            diagnosed: on_log(find("diagnosis.reached", &any)?)?,
            authorised: on_log(find("action.authorised", &any)?)?,
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

fn instant(at: &Value) -> anyhow::Result<f64> {
    let at: Timestamp = at.as_str().context("no instant")?.parse()?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
    Ok(at.as_microsecond() as f64 / 1000.0)
}

/// When the log took the event, by its id: whole milliseconds of the log's clock.
fn on_log(event: &Value) -> anyhow::Result<f64> {
    let id = event["id"].as_str().context("no id")?;
    let ms = id.split_once('.').and_then(|(_, entry)| entry.split_once('-')).context("not an id")?.0;
    Ok(ms.parse()?)
}
