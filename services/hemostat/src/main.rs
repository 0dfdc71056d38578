//! The `hemostat` binary: every role, and the tools for the log.

mod dead_letters;
mod demo;
mod eval;
mod follow;
mod history;
mod interrupt;
mod migrate;
mod print;
mod rebuild;
mod roles;
mod tail;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};
use hemostat_process::policy::Records;
use hemostat_process::{Embedded, endpoint, metrics, telemetry};
use hemostat_runtime::{Context, Task};
use hemostat_settings::{Config, Input};

use self::{interrupt::unless_interrupted, roles::Role};

/// A doctor on call for containers: finds out what is wrong with a sick one, heals it within strict limits, verifies that
/// the healing worked, and tells you.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Sources of settings; later ones override earlier ones: defaults, file, environment, flags.
#[derive(Debug, Args)]
struct Settings {
    /// Configuration file (TOML). Default: ./hemostat.toml, else /etc/hemostat/hemostat.toml, if it exists.
    /// hemostat.example.toml lists every key.
    #[arg(
        long, short, global = true, env = "HEMOSTAT_CONFIG", value_name = "FILE",
        // An empty variable is as good as none.
        value_parser = TypedValueParser::map(OsStringValueParser::new(), PathBuf::from)
    )]
    config: Option<PathBuf>,
    /// Overrides one setting, such as responder.cooldown=30m. Can be repeated.
    #[arg(long, short, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs all roles in one process, with an embedded Redis unless redis.url is set.
    Up,
    #[command(flatten)]
    Role(Role),
    /// Applies pending migrations of the log's layout.
    Migrate(migrate::Options),
    /// Prints events as they are appended, one line each.
    Tail(tail::Options),
    /// Prints past events from archive and log in their own rhythm, one line each.
    Replay(history::replay::Options),
    /// Explains a container, an incident or an event: what was observed, diagnosed, decided and done, and why.
    Explain(history::explain::Options),
    /// Exports events as NDJSON, CSV or Parquet.
    Export(history::export::Options),
    /// Prints a read model, as it is or as it was at a point in time.
    Show(history::show::Options),
    /// Recomputes every read model and hash chain from the log and the archive and compares. Exit code 1 if something
    /// differs, 2 if something could not be checked.
    Verify(history::verify::Options),
    /// Checks that streams, groups, versions, timers, leases and read models agree. Exit code 1 if they do not.
    Fsck(history::fsck::Options),
    /// Repeats past decisions under another policy and prints which would change.
    Backtest(history::backtest::Options),
    /// Lists dead letters (deliveries that failed repeatedly), redrives or discards them.
    #[command(name = "dead-letters", alias = "parked")]
    DeadLetters(dead_letters::Options),
    /// Rebuilds read models beside the ones that are served, or the state of deciders.
    Rebuild(rebuild::Options),
    /// Runs labelled cases through the rules or a model: accuracy, harmful actions, cost, latency. Exit code 1 if an action
    /// would do harm, or if accuracy is below --min-accuracy.
    Eval(eval::Options),
    /// Prints every setting in effect and its source; secrets are hidden.
    Config,
    /// Starts containers of its own, makes them sick and heals them.
    Demo(demo::Options),
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
    let input = Input::of_process(config, set);
    let config = Config::load(&input)?;
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
        Command::Tail(options) => tail::run(&tool(&config).await?, options).await,
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
        Command::DeadLetters(options) => dead_letters::run(&tool(&config).await?, &config.host_name(), options).await,
        Command::Up => {
            listen(&config)?;
            up(&config, input).await
        }
        Command::Role(role) => {
            listen(&config)?;
            alone(role, &config, input).await
        }
    }
}

/// Opens the log for a tool that a person waits for: only warnings are logged.
async fn tool(config: &Config) -> anyhow::Result<Context> {
    telemetry::init("warn", config.log_format)?;
    hemostat_process::open(config, None).await
}

/// Sets up logging and metrics for a long-running process.
fn listen(config: &Config) -> anyhow::Result<()> {
    telemetry::init(&config.log_level, config.log_format)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    metrics::init()
}

/// Runs all roles until the process is told to stop.
async fn up(config: &Config, input: Input) -> anyhow::Result<()> {
    if config.redis.url.is_some() {
        let ctx = hemostat_process::open(config, None).await?;
        return all(&ctx, config, input).await;
    }
    let redis =
        unless_interrupted(async { Ok(Embedded::start(&config.data_directory(), config.redis.durability).await?) });
    let redis = redis.await?;
    let result = async {
        let ctx = unless_interrupted(hemostat_process::open(config, Some(&redis))).await?;
        all(&ctx, config, input).await
    };
    let result = result.await;
    redis.stop().await;
    result
}

/// Runs all roles on this log until the process is told to stop.
async fn all(ctx: &Context, config: &Config, input: Input) -> anyhow::Result<()> {
    let (policy, keeper) = hemostat_process::policy::policy(ctx, input, config.clone(), Records::Policy);
    let mut tasks = roles::all(ctx, config, &policy)?;
    tasks.push(keeper);
    serve(ctx, config, tasks, true).await
}

/// Runs one role until the process is told to stop.
async fn alone(role: Role, config: &Config, input: Input) -> anyhow::Result<()> {
    let ctx = hemostat_process::open(config, None).await?;
    let (policy, keeper) = hemostat_process::policy::policy(&ctx, input, config.clone(), role.records());
    let mut tasks = role.tasks(&ctx, config, &policy)?;
    tasks.push(keeper);
    serve(&ctx, config, tasks, role == Role::Query).await
}

/// Runs `tasks`, and the health endpoint if one is configured. The API, if it is among the tasks, serves the same at its own
/// address.
async fn serve(ctx: &Context, config: &Config, mut tasks: Vec<Task>, has_api: bool) -> anyhow::Result<()> {
    let is_free = |listen: &SocketAddr| !(has_api && *listen == config.query.listen);
    if let Some(listen) = config.runtime.health_listen.filter(is_free) {
        tasks.push(endpoint::serve(ctx, listen).await?);
    }
    hemostat_process::run(ctx, tasks).await
}

fn print_settings(config: &Config) {
    let shown = config.shown();
    let width = shown.iter().map(|setting| setting.key.len() + setting.value.len()).max().unwrap_or_default() + 3;
    for setting in shown {
        let line = format!("{} = {}", setting.key, setting.value);
        anstream::println!("{line:<width$}  # {}", setting.origin);
    }
}

/// Prints the engine of each host and why it was chosen.
fn print_hosts(config: &Config) -> anyhow::Result<()> {
    for host in hemostat_docker::hosts(config, &hemostat_docker::SystemEnvironment)? {
        anstream::println!("# the engine of {} is {}, from {}", host.name, host.endpoint, host.why);
        if !host.endpoint.missed.is_empty() {
            let missed = host.endpoint.missed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            anstream::println!("#   looked for {}", missed.join(", "));
        }
    }
    Ok(())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value, such as responder.cooldown=30m")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
