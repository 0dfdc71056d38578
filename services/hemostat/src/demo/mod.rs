//! `hemostat demo`: starts patients of its own in Docker (or, with `--simulated`, in a fake engine), makes them ill,
//! heals them, and prints every step.
//!
//! It touches no other container and keeps its log in a temporary directory. It ends with a table, and with exit code 0
//! only if every incident ended as it must.

mod cases;
mod host;
mod journal;
mod setup;
#[cfg(feature = "simulated")]
mod simulated;
mod table;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_core::views;
use hemostat_history::{Cursor, Filter, Position};
use hemostat_patient::webhook_receiver::WebhookReceiver;
use hemostat_process::Embedded;
use hemostat_runtime::{Context, read_model};
use hemostat_schema::{Event, HostName, Observation, Recorded, Timestamp};
use hemostat_settings::Config;
use tokio::time::{Instant, sleep, timeout};

use self::{
    cases::{Case, Fate},
    host::Host,
    journal::Journal,
};
use crate::{follow, interrupt::unless_interrupted, print};

/// Deadline for all incidents to end.
const DEADLINE: Duration = Duration::from_secs(80);

/// Deadline for HemoStat to see all patients before they are made ill.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// How long the end state must last before the demo ends.
const QUIET: Duration = Duration::from_secs(3);

/// Options of `hemostat demo`.
#[derive(Debug, Args)]
pub struct Options {
    /// Uses simulated containers: needs neither Docker nor root.
    #[cfg_attr(feature = "simulated", arg(long))]
    #[cfg_attr(not(feature = "simulated"), arg(skip))]
    simulated: bool,
}

impl Options {
    fn engine(&self) -> &'static str {
        if self.simulated { "a simulated engine" } else { "Docker" }
    }

    /// Where the patients are to run, and with which prefix of their names.
    async fn host(
        &self,
        prefix: &str,
        #[cfg_attr(not(feature = "simulated"), expect(unused_variables))] directory: &Path,
    ) -> anyhow::Result<Host> {
        #[cfg(feature = "simulated")]
        if self.simulated {
            return Host::simulated(prefix, directory).await;
        }
        Host::docker(prefix).await
    }
}

/// Runs the demo.
///
/// # Errors
/// When something is missing that it needs, or an incident did not end as it must.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let cases = cases::all();
    let run = format!("demo-{:06x}", fastrand::u32(..) & 0xff_ffff);
    let directory = tempfile::tempdir().context("could not make a directory for the demo's log")?;
    anstream::println!("Preparing {} patients in {} …", cases.len(), options.engine());
    let host = unless_interrupted(options.host(&run, directory.path())).await?;
    let webhook_receiver = WebhookReceiver::open().await?;
    let mut config = setup::config(&run, directory.path(), &webhook_receiver.url());
    if let Some(address) = host.address() {
        config.docker.host = Some(address);
    }

    let redis = unless_interrupted(start_redis(&config)).await?;
    let ctx = unless_interrupted(hemostat_process::open(&config, Some(&redis))).await?;
    let tasks = crate::roles::all(&ctx, &config, &hemostat_runtime::unchanging(config.policy()))?;
    let journal = Arc::new(Mutex::new(Journal::default()));

    let healing = tokio::spawn({
        let ctx = ctx.clone();
        async move { hemostat_process::run(&ctx, tasks).await }
    });
    let telling = tokio::spawn({
        let (ctx, journal) = (ctx.clone(), journal.clone());
        async move {
            let start = Cursor::at(Position::START, ctx.log.partitions());
            let tell = |event: &Recorded| {
                if views::story::is_notable(event) && !is_detail(event) {
                    anstream::println!("{}", print::line(event));
                }
                journal.lock().unwrap_or_else(PoisonError::into_inner).evolve(event);
            };
            follow::follow(&ctx, Filter::ALL, &start, tell).await;
        }
    });

    let host_name = config.host_name();
    let outcome = tokio::select! {
        outcome = act(&ctx, &host_name, &host, &cases, &journal) => outcome,
        () = ctx.shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };

    ctx.shutdown.cancel();
    let healed = healing.await.context("HemoStat panicked")?;
    telling.abort();
    let cleared = host.clear().await;
    redis.stop().await;
    report(&host, &cases, &journal, &webhook_receiver);
    outcome.and(healed).and(cleared)
}

async fn start_redis(config: &Config) -> anyhow::Result<Embedded> {
    Ok(Embedded::start(&config.data_directory(), config.redis.durability).await?)
}

/// Makes each patient ill and waits until every incident has ended as it must.
async fn act(
    ctx: &Context,
    host: &HostName,
    place: &Host,
    cases: &[Case],
    journal: &Mutex<Journal>,
) -> anyhow::Result<()> {
    let full_name = |case: &Case| place.name_of(case);
    let mut patients = vec![];
    for case in cases {
        let at = Timestamp::now();
        patients.push(place.start(case).await?);
        if matches!(case.fate, Fate::Stubborn) {
            journal.lock().unwrap_or_else(PoisonError::into_inner).made_ill(&full_name(case), at);
        }
    }
    for (case, patient) in cases.iter().zip(&patients) {
        within(SEEN_WITHIN, &format!("HemoStat to see {}", patient.name()), async || {
            Ok(container(ctx, host, patient.name()).await?.is_some())
        })
        .await?;
        let at = Timestamp::now();
        match case.fate {
            Fate::FallsIll(illness) => patient.fall_ill(illness).await?,
            Fate::Stopped => patient.stop().await?,
            Fate::Stubborn => continue,
        }
        journal.lock().unwrap_or_else(PoisonError::into_inner).made_ill(patient.name(), at);
    }

    let stories = || -> Vec<_> {
        let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        cases.iter().map(|case| (case, journal.story(&full_name(case)))).collect()
    };
    let wrong = || stories().iter().find_map(|(case, story)| Some((case.name, case.went_wrong(story)?)));
    let mut ended: Option<Instant> = None;
    within(DEADLINE, "every incident to end as expected", async || {
        if let Some((name, what)) = wrong() {
            bail!("{name}: {what}");
        }
        let all = stories().iter().all(|(case, story)| case.has_ended(story));
        let since = all.then(|| *ended.get_or_insert_with(Instant::now));
        ended = since;
        Ok(since.is_some_and(|since| since.elapsed() >= QUIET))
    })
    .await?;

    for (case, patient) in cases.iter().zip(&patients) {
        if let (Fate::Stopped, Some(row)) = (case.fate, container(ctx, host, patient.name()).await?) {
            anstream::println!("\n{}: {}", patient.name(), row.attention());
        }
    }
    Ok(())
}

/// The row of a container, as the API shows it; `None` while the read model is being built.
async fn container(
    ctx: &Context,
    host: &HostName,
    name: &str,
) -> anyhow::Result<Option<<views::Containers as hemostat_core::Projection>::Row>> {
    match read_model::get_of::<views::Containers>(&*ctx.log, host, &format!("{host}/{name}")).await {
        Err(read_model::Error::Building(_)) => Ok(None),
        row => Ok(row?),
    }
}

/// Polls until `is_so`, at most for `limit`.
async fn within(
    limit: Duration,
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let asking = async {
        while !is_so().await? {
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    timeout(limit, asking).await.unwrap_or_else(|_| bail!("timed out after {limit:?} waiting for {what}"))
}

fn report(place: &Host, cases: &[Case], journal: &Mutex<Journal>, webhook_receiver: &WebhookReceiver) {
    let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
    let stories: Vec<_> = cases.iter().map(|case| (case, journal.story(&place.name_of(case)))).collect();
    anstream::println!("\n{}\n", table::render(&stories));
    anstream::println!("{} alert messages arrived in the demo's mailbox.", webhook_receiver.messages().len());
}

/// Whether another line already says what `event` says.
fn is_detail(event: &Recorded) -> bool {
    matches!(event.event(), Some(Event::Observation(Observation::Seen(_) | Observation::EngineFound(_))))
}
