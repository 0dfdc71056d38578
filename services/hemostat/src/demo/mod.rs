//! `hemostat demo`: makes patients of its own ill in Docker, heals them, and tells the story as it happens; with
//! `--simulated`, in a Docker engine that is not there.
//!
//! It touches no container but its own patients, keeps its log in a directory that is gone afterwards, and ends with a
//! table and with success only if every story ended as it must.

mod cases;
mod journal;
mod setup;
mod table;
mod ward;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_core::view;
use hemostat_patient::mailbox::Mailbox;
use hemostat_process::Embedded;
use hemostat_runtime::{Context, rows};
use hemostat_schema::{Event, HostName, Observation, Recorded, Timestamp};
use hemostat_settings::Config;
use tokio::time::{Instant, sleep, timeout};

use self::{
    cases::{Case, Fate},
    journal::Journal,
    ward::Ward,
};
use crate::{follow, print, unless_interrupted};

/// How long all stories together may take.
const DEADLINE: Duration = Duration::from_secs(80);

/// How long HemoStat may take to see all patients well before they are made ill.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// How long nothing more may happen to the one that was given up before that is believed.
const QUIET: Duration = Duration::from_secs(3);

/// How the demo is given.
#[derive(Debug, Args)]
pub struct Options {
    /// With containers that are only simulated: needs neither Docker nor root.
    #[arg(long)]
    simulated: bool,
}

/// Runs the demo.
///
/// # Errors
/// In one line, when something that it needs is missing or a story did not end as it must.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let cases = cases::all();
    let run = format!("demo-{:06x}", fastrand::u32(..) & 0xff_ffff);
    let directory = tempfile::tempdir().context("could not make a directory for the demo's log")?;
    let place = if options.simulated { "a simulated engine" } else { "Docker" };
    anstream::println!("Preparing {} patients in {place} …", cases.len());
    let ward = unless_interrupted(async {
        match options.simulated {
            true => Ward::simulated(&run, directory.path()).await,
            false => Ward::in_docker(&run).await,
        }
    });
    let ward = ward.await?;
    let mailbox = Mailbox::open().await?;
    let mut config = setup::config(&run, directory.path(), &mailbox.url());
    if let Some(address) = ward.address() {
        config.docker.host = Some(address);
    }

    let redis = unless_interrupted(start_redis(&config)).await?;
    let ctx = unless_interrupted(hemostat_process::open(&config, Some(&redis))).await?;
    let tasks = crate::roles::all(&ctx, &config)?;
    let journal = Arc::new(Mutex::new(Journal::default()));

    let healing = tokio::spawn({
        let ctx = ctx.clone();
        async move { hemostat_process::run(&ctx, tasks).await }
    });
    let telling = tokio::spawn(follow::follow(ctx.clone(), {
        let journal = journal.clone();
        move |event| {
            if view::story::is_notable(event) && !is_detail(event) {
                anstream::println!("{}", print::line(event));
            }
            journal.lock().unwrap_or_else(PoisonError::into_inner).evolve(event);
        }
    }));

    let host = config.host_name();
    let outcome = tokio::select! {
        outcome = act(&ctx, &host, &ward, &cases, &journal) => outcome,
        () = ctx.shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };

    ctx.shutdown.cancel();
    let healed = healing.await.context("the healing panicked")?;
    telling.abort();
    let cleared = ward.clear().await;
    redis.stop().await;
    report(&ward, &cases, &journal, &mailbox);
    outcome.and(healed).and(cleared)
}

async fn start_redis(config: &Config) -> anyhow::Result<Embedded> {
    Ok(Embedded::start(&config.data_directory(), config.redis.durability).await?)
}

/// Makes each patient ill in its way and waits until every story has ended as it must.
async fn act(
    ctx: &Context,
    host: &HostName,
    ward: &Ward,
    cases: &[Case],
    journal: &Mutex<Journal>,
) -> anyhow::Result<()> {
    let full_name = |case: &Case| ward.name_of(case);
    let mut patients = vec![];
    for case in cases {
        let at = Timestamp::now();
        patients.push(ward.admit(case).await?);
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
            Fate::FallsIll { illness, simulated } => patient.fall_ill(illness, simulated).await?,
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
    within(DEADLINE, "every story to end as it must", async || {
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

/// The row of a container, as the API shows it; none where there are no rows yet.
async fn container(
    ctx: &Context,
    host: &HostName,
    name: &str,
) -> anyhow::Result<Option<<view::Containers as hemostat_core::Projection>::Row>> {
    match rows::get_of::<view::Containers>(&*ctx.log, host, &format!("{host}/{name}")).await {
        Err(rows::Error::Filling(_)) => Ok(None),
        row => Ok(row?),
    }
}

/// Asks again and again until the answer is yes, at most so long.
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
    timeout(limit, asking).await.unwrap_or_else(|_| bail!("waited {limit:?} in vain for {what}"))
}

fn report(ward: &Ward, cases: &[Case], journal: &Mutex<Journal>, mailbox: &Mailbox) {
    let journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
    let stories: Vec<_> = cases.iter().map(|case| (case, journal.story(&ward.name_of(case)))).collect();
    anstream::println!("\n{}\n", table::render(&stories));
    anstream::println!("{} messages arrived in the demo's mailbox.", mailbox.letters().len());
}

/// Whether `event` only says in full what another line says in short.
fn is_detail(event: &Recorded) -> bool {
    matches!(event.event(), Some(Event::Observation(Observation::Seen(_) | Observation::EngineFound(_))))
}
