//! `hemostat rebuild`: rebuilds a read model beside the one that is served, or the state of a decider.
//!
//! The running projector rebuilds its read models; if there is none, this command does it.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use hemostat_core::{alerting::Alerting, judge::Judge, remedy::Authorisation};
use hemostat_diagnosis::Triage;
use hemostat_runtime::{
    Context,
    rebuild::{self, Rebuildable},
};
use hemostat_schema::{EventId, Partition, Span};
use tokio::{task::JoinHandle, time::sleep};

/// Interval between two looks at the progress.
const POLL: Duration = Duration::from_millis(250);

/// Interval between two progress lines where standard error is not a terminal.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What to rebuild.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A read model (containers) or a decider (authorise).
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every read model and every decider.
    #[arg(long)]
    all: bool,
}

fn everything() -> Vec<Rebuildable> {
    let deciders = [
        Rebuildable::decider::<Triage>(),
        Rebuildable::decider::<Authorisation>(),
        Rebuildable::decider::<Judge>(),
        Rebuildable::decider::<Alerting>(),
    ];
    hemostat_projector::views().into_iter().chain(deciders).collect()
}

/// Requests the rebuild and waits until it is done.
///
/// # Errors
/// When there is no read model or decider of that name, or the log cannot be read or written.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let all = everything();
    let chosen: Vec<&Rebuildable> =
        all.iter().filter(|one| options.all || options.name.as_deref() == Some(one.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|one| one.name).collect();
        bail!("there is no read model or decider {}; there are {}", options.name.unwrap_or_default(), names.join(", "));
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
                "{} depends on events up to {last} that are no longer on the log, and there is no archive; its state is \
                 unchanged",
                what.name
            );
        }
        rebuild::refold(ctx, partition, what).await?;
    }
    anstream::println!("{}: rebuilds its state from the start of the log before its next decision", what.name);
    Ok(())
}

/// One partition of a read model that is being rebuilt.
struct Filling {
    partition: Partition,
    view: String,
    first: Option<EventId>,
    /// Progress: share from 0 to 1, and number of events.
    share: f64,
    folded: u64,
    served: bool,
}

async fn view(ctx: &Context, what: &Rebuildable) -> anyhow::Result<()> {
    let group = what.group();
    let mut fillings = vec![];
    for partition in ctx.partitions() {
        if let Some(last) = what.missing(&ctx.history, partition).await? {
            anstream::eprintln!("{}: events up to {last} are gone; the rebuilt read model will lack them", what.name);
        }
        let first = what.first(&ctx.history, partition).await?;
        let view = rebuild::request(&*ctx.log, partition, &group).await?;
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
            if !rebuild::has_members(ctx, &group).await?
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
            bail!("interrupted; the next projector or `hemostat rebuild {}` continues", what.name);
        }
        if terminal {
            anstream::eprint!("\r\x1b[2K{}", line(what.name, &fillings, begun.elapsed(), true));
        } else if told.elapsed() > REPORT_EVERY {
            told = Instant::now();
            anstream::eprintln!("{}", line(what.name, &fillings, begun.elapsed(), false));
        }
        sleep(POLL).await;
    }
    if terminal {
        anstream::eprint!("\r\x1b[2K");
    }
    if let Some(work) = work {
        ctx.shutdown.cancel();
        work.await??;
    }
    anstream::println!("{}: rebuilt and served, in {:.1} s", what.name, begun.elapsed().as_secs_f64());
    Ok(())
}

impl Filling {
    #[expect(clippy::cast_precision_loss, reason = "approximate, for display")]
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
    reason = "approximate, for display"
)]
fn line(name: &str, fillings: &[Filling], took: Duration, bar: bool) -> String {
    const WIDTH: usize = 30;
    let share = fillings.iter().map(|filling| filling.share).sum::<f64>() / fillings.len().max(1) as f64;
    let events: u64 = fillings.iter().map(|filling| filling.folded).sum();
    let pace = (events as f64 / took.as_secs_f64().max(0.001)) as u64;
    let left = (share > 0.01)
        .then(|| Span::from_secs((took.as_secs_f64() * (1.0 - share) / share).ceil() as u64))
        .map(|left| format!(", about {left} left"))
        .unwrap_or_default();
    let full = (share * WIDTH as f64) as usize;
    let bar = if bar { format!("[{}{}] ", "#".repeat(full), ".".repeat(WIDTH - full)) } else { String::new() };
    format!("{name}  {bar}{:.0} %, {events} events, {pace} a second{left}", share * 100.0)
}
