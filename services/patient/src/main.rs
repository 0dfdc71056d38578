//! `patient` serves the demo workload; `patient check` is its health check, so that the image needs no curl.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use hemostat_patient::{
    Illness,
    condition::Condition,
    http, server,
    worker::{self, RandomIllness},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// A small HTTP service that fails on request.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks the health of a running patient: exit status 0 healthy, 1 unhealthy.
    Check {
        /// The patient's address.
        #[arg(long, env = "PATIENT_ADDRESS", default_value = "127.0.0.1:8080")]
        address: String,
    },
    /// Allocates memory until the kernel kills it: the child of a patient with `oom_child`.
    #[command(hide = true)]
    Exhaust,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The address to listen on.
    #[arg(long, env = "PATIENT_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Start this illness after every start: cpu, memory, unhealthy, crash, oom, leak and so on.
    #[arg(long, env = "PATIENT_STUBBORN")]
    stubborn: Option<Illness>,
    /// How long after the start a stubborn patient falls ill.
    #[arg(long, env = "PATIENT_STUBBORN_AFTER", default_value = "2s", value_parser = duration)]
    stubborn_after: Duration,
    /// Start this illness at random.
    #[arg(long, env = "PATIENT_WORKER")]
    worker: Option<Illness>,
    /// Time between two draws of a random illness.
    #[arg(long, env = "PATIENT_INTERVAL", default_value = "60s", value_parser = duration)]
    interval: Duration,
    /// Probability of the illness per draw, 0 to 1.
    #[arg(long, env = "PATIENT_PROBABILITY", default_value_t = 0.1, value_parser = probability)]
    probability: f64,
    /// Duration of a random illness in seconds.
    #[arg(long, env = "PATIENT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Delay between SIGTERM and exit.
    #[arg(long, env = "PATIENT_STOP_DELAY", default_value = "0s", value_parser = duration)]
    stop_delay: Duration,
}

/// `2s`, `0.5s` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok());
    seconds.ok_or_else(|| format!("{text:?} is not a length of time such as 2s or 500ms"))
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a probability: 0 to 1"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { command, serve: options } = Arguments::parse();
    let outcome = match command {
        Some(Command::Check { address }) => check(&address).await,
        Some(Command::Exhaust) => hemostat_patient::exhaust_memory(),
        None => serve(options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "standard error is the patient's log, and Docker's for the check")]
            {
                eprintln!("patient: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn check(address: &str) -> anyhow::Result<()> {
    let response = http::exchange(address, "GET", "/health", "").await?;
    anyhow::ensure!(response.status == 200, "{} {}", response.status, response.body);
    Ok(())
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    // The kernel delivers to process 1 only signals that it handles.
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("could not listen on {}", options.listen))?;

    let condition = Arc::new(Condition::default());
    if let Some(illness) = options.stubborn {
        tokio::spawn(worker::stubbornly(Arc::clone(&condition), illness, options.stubborn_after));
    }
    if let Some(illness) = options.worker {
        let Serve { interval, probability, seconds, .. } = options;
        tokio::spawn(worker::at_random(
            Arc::clone(&condition),
            RandomIllness { illness, interval, probability, seconds },
        ));
    }
    tokio::select! {
        served = axum::serve(listener, server::router(condition)).into_future() => served.context("could not serve")?,
        _ = terminate.recv() => tokio::time::sleep(options.stop_delay).await,
        _ = interrupt.recv() => {}
    }
    // Not by returning: the illnesses' threads may still run.
    std::process::exit(0)
}
