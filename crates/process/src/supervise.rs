//! Runs all tasks of a process until it is told to stop, and then lets them finish.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tracing::{error, info, warn};

use hemostat_runtime::{Context, Task};

use crate::metrics;

/// How long tasks may take to finish their current work: a little longer than the longest timeout of any of them.
const GRACE: Duration = Duration::from_secs(15);

/// Runs `tasks` until one fails, `Context::shutdown` is cancelled, or SIGINT or SIGTERM arrives; then lets all finish
/// their current work. A second signal ends them at once.
///
/// # Errors
/// The failure of the first task that failed.
pub async fn run(ctx: &Context, tasks: Vec<Task>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let upkeep = tokio::spawn(metrics::upkeep());

    let mut running = JoinSet::new();
    for Task { name, future } in tasks {
        running.spawn(async move { (name, future.await) });
    }

    let mut failure = None;
    loop {
        tokio::select! {
            () = ctx.shutdown.cancelled() => break,
            _ = interrupt.recv() => {
                info!("interrupted; finishing current work (interrupt again to stop at once)");
                break;
            }
            _ = terminate.recv() => {
                info!("told to stop; finishing current work");
                break;
            }
            ended = running.join_next() => match ended {
                None => break,
                Some(ended) => if let Err(error) = outcome(ended) {
                    failure = Some(error);
                    break;
                },
            },
        }
    }
    ctx.shutdown.cancel();

    let finished = timeout(GRACE, async {
        while let Some(ended) = running.join_next().await {
            if let Err(error) = outcome(ended) {
                match failure {
                    None => failure = Some(error),
                    Some(_) => error!("{error:#}"),
                }
            }
        }
    });
    tokio::select! {
        finished = finished => if finished.is_err() {
            warn!("not all work ended within {GRACE:?}; HemoStat resumes the rest at the next start");
        },
        _ = interrupt.recv() => warn!("interrupted again; stopping at once"),
        _ = terminate.recv() => warn!("told to stop again; stopping at once"),
    }
    running.abort_all();
    upkeep.abort();
    failure.map_or(Ok(()), Err)
}

/// How a task ended. A panic is a failure of the process, because state in memory may be inconsistent.
fn outcome(ended: Result<(String, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Result<()> {
    match ended {
        Ok((name, result)) => result.with_context(|| format!("{name} failed")),
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(anyhow::Error::new(error).context("a task panicked")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hemostat_log::MemoryLog;

    use super::*;

    fn context() -> Context {
        Context::new(Arc::new(MemoryLog::new(1)))
    }

    #[tokio::test]
    async fn the_failure_of_one_task_lets_the_others_finish() {
        let ctx = context();
        let (ended, mut end) = tokio::sync::oneshot::channel();
        let shutdown = ctx.shutdown.clone();
        let good = Task::new("good", async move {
            shutdown.cancelled().await;
            let _ = ended.send("finished");
            Ok(())
        });
        let bad = Task::new("bad", async { anyhow::bail!("the password is wrong") });
        let error = run(&ctx, vec![good, bad]).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "bad failed: the password is wrong");
        assert_eq!(end.try_recv(), Ok("finished"));
    }

    #[tokio::test]
    async fn a_panic_is_reported_as_a_failure() {
        let error = run(&context(), vec![Task::new("odd", async { panic!("odd") })]).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("a task panicked"), "{error:#}");
    }

    #[tokio::test]
    async fn it_ends_when_all_tasks_have_ended() {
        assert!(run(&context(), vec![Task::new("short", async { Ok(()) })]).await.is_ok());
    }
}
