//! `hemostat rebuild`: has views filled anew beside the ones that are served, and deciders fold their state anew.
//!
//! Who keeps a view fills it; where nobody does, this command does the work itself.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use hemostat_core::{alerting::Alerting, judge::Judge, remedy::Remedy};
use hemostat_diagnosis::Triage;
use hemostat_runtime::{
    Context,
    rebuild::{self, Rebuildable},
};
use hemostat_schema::{EventId, Partition, Span};
use tokio::{task::JoinHandle, time::sleep};

/// How often it is looked how far the work has come.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is told where nobody sees the line change.
const TELL: Duration = Duration::from_secs(5);

/// What to make anew.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A view (containers) or a decider (authorise).
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every view and every decider.
    #[arg(long)]
    all: bool,
}

fn everything() -> Vec<Rebuildable> {
    let deciders = [
        Rebuildable::decider::<Triage>(),
        Rebuildable::decider::<Remedy>(),
        Rebuildable::decider::<Judge>(),
        Rebuildable::decider::<Alerting>(),
    ];
    hemostat_projector::views().into_iter().chain(deciders).collect()
}

/// Asks for it and waits until it is done.
///
/// # Errors
/// When there is nothing by that name, or the log cannot be read or written.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let all = everything();
    let chosen: Vec<&Rebuildable> =
        all.iter().filter(|one| options.all || options.name.as_deref() == Some(one.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|one| one.name).collect();
        bail!("there is no view or decider {}; there are {}", options.name.unwrap_or_default(), names.join(", "));
    }
    for one in chosen {
        if one.is_view() { view(ctx, one).await? } else { decider(ctx, one).await? }
    }
    Ok(())
}

async fn decider(ctx: &Context, what: &Rebuildable) -> anyhow::Result<()> {
    for partition in ctx.partitions() {
        if let Some(last) = what.missing(&ctx.history, partition).await? {
            bail!(
                "{} rests on events up to {last} that are no longer on the log, and there is no archive; its state stays \
                 as it is",
                what.name
            );
        }
        rebuild::refold(ctx, partition, what.name, what.version).await?;
    }
    anstream::println!("{}: folds its state anew, from the beginning, before it decides again", what.name);
    Ok(())
}

/// One partition of a view that is being filled.
struct Filling {
    partition: Partition,
    view: String,
    first: Option<EventId>,
    /// As last seen: from 0 to 1, and how many events.
    share: f64,
    folded: u64,
    served: bool,
}

async fn view(ctx: &Context, what: &Rebuildable) -> anyhow::Result<()> {
    let group = what.group();
    let mut fillings = vec![];
    for partition in ctx.partitions() {
        if let Some(last) = what.missing(&ctx.history, partition).await? {
            anstream::eprintln!("{}: events up to {last} are gone, and the view will not have them", what.name);
        }
        let first = what.first(&ctx.history, partition).await?;
        let view = rebuild::ask(&*ctx.log, partition, &group).await?;
        fillings.push(Filling { partition, view, first, share: 0.0, folded: 0, served: false });
    }
    let (begun, mut asked, mut told) = (Instant::now(), None::<Instant>, Instant::now());
    let mut work: Option<JoinHandle<anyhow::Result<()>>> = None;
    let terminal = stderr().is_terminal();
    loop {
        for filling in fillings.iter_mut().filter(|filling| !filling.served) {
            filling.look(ctx, &group).await?;
        }
        if fillings.iter().all(|filling| filling.served) {
            break;
        }
        if work.is_none() && asked.is_none_or(|at| at.elapsed() > ctx.lease_ttl) {
            asked = Some(Instant::now());
            if !rebuild::is_attended(ctx, &group).await?
                && let Some(tasks) = what.workers(ctx)
            {
                let ctx = ctx.clone();
                work = Some(tokio::spawn(async move { hemostat_process::run(&ctx, tasks).await }));
            }
        }
        if work.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(ended) = work.take()
        {
            ended.await??;
            bail!("interrupted; it goes on with the next projector or `hemostat rebuild {}`", what.name);
        }
        if terminal {
            anstream::eprint!("\r\x1b[2K{}", line(what.name, &fillings, begun.elapsed(), true));
        } else if told.elapsed() > TELL {
            told = Instant::now();
            anstream::eprintln!("{}", line(what.name, &fillings, begun.elapsed(), false));
        }
        sleep(LOOK).await;
    }
    if terminal {
        anstream::eprint!("\r\x1b[2K");
    }
    if let Some(work) = work {
        ctx.shutdown.cancel();
        work.await??;
    }
    anstream::println!("{}: filled anew and served, in {:.1} s", what.name, begun.elapsed().as_secs_f64());
    Ok(())
}

impl Filling {
    #[expect(clippy::cast_precision_loss, reason = "it is for people")]
    async fn look(&mut self, ctx: &Context, group: &str) -> anyhow::Result<()> {
        let progress = rebuild::progress(&*ctx.log, self.partition, group, &self.view).await?;
        self.served = progress.served;
        self.folded = self.folded.max(progress.folded);
        if let (Some(first), Some(at)) = (self.first, progress.at) {
            let whole = progress.clock.ms.saturating_sub(first.ms).max(1) as f64;
            self.share = (at.ms.saturating_sub(first.ms) as f64 / whole).clamp(0.0, 1.0);
        }
        if self.served {
            self.share = 1.0;
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is for people"
)]
fn line(name: &str, fillings: &[Filling], took: Duration, bar: bool) -> String {
    const WIDTH: usize = 30;
    let share = fillings.iter().map(|filling| filling.share).sum::<f64>() / fillings.len().max(1) as f64;
    let events: u64 = fillings.iter().map(|filling| filling.folded).sum();
    let pace = (events as f64 / took.as_secs_f64().max(0.001)) as u64;
    let left = (share > 0.01)
        .then(|| Span::from_secs((took.as_secs_f64() * (1.0 - share) / share).ceil() as u64))
        .map(|left| format!(", about {left} left until it is served"))
        .unwrap_or_default();
    let full = (share * WIDTH as f64) as usize;
    let bar = if bar { format!("[{}{}] ", "#".repeat(full), ".".repeat(WIDTH - full)) } else { String::new() };
    format!("{name}  {bar}{:.0} %, {events} events, {pace} a second{left}", share * 100.0)
}
