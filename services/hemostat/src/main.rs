//! The one binary of HemoStat: every role, and the tools around the log.

mod demo;
mod eval;
mod follow;
mod history;
mod migrate;
mod parked;
mod print;
mod rebuild;
mod roles;
mod tail;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use hemostat_process::{Embedded, endpoint, metrics, telemetry};
use hemostat_runtime::Context;
use hemostat_settings::{Config, Input};

use tokio::signal::unix::{SignalKind, signal};

use self::roles::Role;

/// A doctor on call for containers: finds out what is wrong with a sick one, heals it within hard limits, proves that it
/// helped, and tells people.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Where settings come from; later ones win: defaults, file, environment, flags.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration file (TOML); without it, ./hemostat.toml or /etc/hemostat/hemostat.toml where there is one.
    /// hemostat.example.toml names every key.
    #[arg(long, short, global = true, env = "HEMOSTAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, such as responder.cooldown=30m; may be given many times.
    #[arg(long, short, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All roles in one process, with a Redis of its own unless redis.url is set.
    Up,
    /// Docker → observations.
    Monitor,
    /// Symptoms → diagnoses.
    Analyzer,
    /// Diagnoses → remedies → verdicts.
    Responder,
    /// Incidents → messages.
    Alerter,
    /// The log → rows.
    Projector,
    /// The log → proof and archive.
    Archivist,
    /// Rows and log → REST.
    Query,
    /// Brings the log's layout up to date, and says what was done.
    Migrate(migrate::Options),
    /// Prints the log as it grows, a line an event.
    Tail(tail::Options),
    /// Prints history as it happened, from archive and log, a line an event.
    Replay(history::replay::Options),
    /// Tells why something happened and what came of it: of a container, an incident or an event.
    Explain(history::explain::Options),
    /// Writes history for other programs: NDJSON, CSV or Parquet.
    Export(history::export::Options),
    /// Prints the rows of a view, as they are or as they stood at an instant.
    Show(history::show::Options),
    /// Folds history anew and compares it with every row, the archive and the notary's chains of hashes. Ends with 1 where
    /// they differ, with 2 where something could not be checked.
    Verify(history::verify::Options),
    /// Says whether streams, groups, heads, timers, leases and views agree. Ends with 1 where they do not.
    Fsck(history::fsck::Options),
    /// Decides history again under another policy, and prints which decisions change.
    Backtest(history::backtest::Options),
    /// Lists deliveries that a part of HemoStat gave up on, and has them dealt with anew or forgotten.
    Parked(parked::Options),
    /// Fills views anew beside the ones that are served, and has deciders fold their state anew.
    Rebuild(rebuild::Options),
    /// Puts labelled cases to the rules or to a model, and prints how often they are right, do harm, and what they cost. Ends
    /// with 1 where an action would do harm, or fewer are right than --min-accuracy.
    Eval(eval::Options),
    /// Prints every setting in force and where it came from; secrets are hidden.
    Config,
    /// Makes patients of its own ill in Docker and heals them.
    Demo(demo::Options),
}

impl Command {
    /// The role that it runs alone.
    fn role(&self) -> Option<Role> {
        match self {
            Self::Monitor => Some(Role::Monitor),
            Self::Analyzer => Some(Role::Analyzer),
            Self::Responder => Some(Role::Responder),
            Self::Alerter => Some(Role::Alerter),
            Self::Projector => Some(Role::Projector),
            Self::Archivist => Some(Role::Archivist),
            Self::Query => Some(Role::Query),
            Self::Up
            | Self::Migrate(_)
            | Self::Tail(_)
            | Self::Replay(_)
            | Self::Explain(_)
            | Self::Export(_)
            | Self::Show(_)
            | Self::Verify(_)
            | Self::Fsck(_)
            | Self::Backtest(_)
            | Self::Parked(_)
            | Self::Rebuild(_)
            | Self::Eval(_)
            | Self::Config
            | Self::Demo(_) => None,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("hemostat: {error:#}");
            error.downcast_ref::<history::Verdict>().map_or(ExitCode::FAILURE, |verdict| ExitCode::from(verdict.code))
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Settings { config, mut set } = cli.settings;
    if let Command::Eval(options) = &cli.command {
        set.extend(options.settings());
    }
    let config = Config::load(&Input::of_process(config, set))?;
    match cli.command {
        Command::Config => {
            print_settings(&config);
            print_hosts(&config)?;
            for warning in config.warnings() {
                anstream::eprintln!("hemostat: {warning}");
            }
            Ok(())
        }
        Command::Demo(options) => {
            telemetry::init("warn", config.log_format)?;
            demo::run(options).await
        }
        Command::Migrate(options) => {
            telemetry::init(&config.log_level, config.log_format)?;
            migrate::run(&config, options).await
        }
        Command::Tail(options) => {
            telemetry::init("warn", config.log_format)?;
            tail::run(&hemostat_process::open(&config, None).await?, options).await
        }
        Command::Replay(options) => history::replay::run(&tool(&config).await?, options).await,
        Command::Explain(options) => history::explain::run(&tool(&config).await?, options).await,
        Command::Export(options) => history::export::run(&tool(&config).await?, options).await,
        Command::Show(options) => history::show::run(&tool(&config).await?, options).await,
        Command::Verify(options) => history::verify::run(&tool(&config).await?, &config, options).await,
        Command::Fsck(options) => history::fsck::run(&tool(&config).await?, options).await,
        Command::Backtest(options) => history::backtest::run(&tool(&config).await?, &config, options).await,
        Command::Eval(options) => {
            telemetry::init("error", config.log_format)?;
            eval::run(&config, options).await
        }
        Command::Rebuild(options) => rebuild::run(&tool(&config).await?, options).await,
        Command::Parked(options) => parked::run(&tool(&config).await?, options).await,
        Command::Up => {
            listen(&config)?;
            up(&config).await
        }
        ref command => {
            let role = command.role().context("a command without a role")?;
            listen(&config)?;
            alone(role, &config).await
        }
    }
}

/// What a tool needs that a person waits for: it logs no more than it must.
async fn tool(config: &Config) -> anyhow::Result<Context> {
    telemetry::init("warn", config.log_format)?;
    hemostat_process::open(config, None).await
}

/// Sets up logging and metrics for a process that stays.
fn listen(config: &Config) -> anyhow::Result<()> {
    telemetry::init(&config.log_level, config.log_format)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    metrics::init()
}

/// All roles, until told to end.
async fn up(config: &Config) -> anyhow::Result<()> {
    if config.redis.url.is_some() {
        let ctx = hemostat_process::open(config, None).await?;
        return hemostat_process::run(&ctx, roles::all(&ctx, config)?).await;
    }
    let redis =
        unless_interrupted(async { Ok(Embedded::start(&config.data_directory(), config.redis.durability).await?) });
    let redis = redis.await?;
    let result = async {
        let ctx = unless_interrupted(hemostat_process::open(config, Some(&redis))).await?;
        hemostat_process::run(&ctx, roles::all(&ctx, config)?).await
    };
    let result = result.await;
    redis.stop().await;
    result
}

/// `work`, unless the process is told to end before it is done: what had been begun is dropped, and so ends in order.
async fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    tokio::select! {
        done = work => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}

/// One role, until told to end.
async fn alone(role: Role, config: &Config) -> anyhow::Result<()> {
    let ctx = hemostat_process::open(config, None).await?;
    let mut tasks = role.tasks(&ctx, config)?;
    if let (Some(listen), false) = (config.runtime.health_listen, role == Role::Query) {
        tasks.push(endpoint::serve(&ctx, listen).await?);
    }
    hemostat_process::run(&ctx, tasks).await
}

fn print_settings(config: &Config) {
    let shown = config.shown();
    let width = shown.iter().map(|setting| setting.key.len() + setting.value.len()).max().unwrap_or_default() + 3;
    for setting in shown {
        let line = format!("{} = {}", setting.key, setting.value);
        anstream::println!("{line:<width$}  # {}", setting.origin);
    }
}

/// Which engines these settings mean, and why these.
fn print_hosts(config: &Config) -> anyhow::Result<()> {
    for host in hemostat_docker::hosts(config, &hemostat_docker::discover::Machine)? {
        anstream::println!("# the engine of {} is {}, from {}", host.name, host.endpoint, host.why);
        if !host.endpoint.missed.is_empty() {
            let missed = host.endpoint.missed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            anstream::println!("#   looked for {}", missed.join(", "));
        }
    }
    Ok(())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not key=value, such as responder.cooldown=30m")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
