//! The life cycle of a container: start, health checks, stop, crash and restart, with Docker's events in Docker's order.
//!
//! ```text
//! start ──► checks ──► die ──► (backoff) ──► start               the restart policy
//! kill 15 ──► [kill 9] ──► die ──► stop                          docker stop
//! kill 15 ──► [kill 9] ──► die ──► stop ──► start ──► restart    docker restart
//! oom ──► die 137                                                the OOM killer
//! ```

use std::time::Duration;

use super::{
    EngineState,
    container::{AfterStop, CheckResult, Container, Counters, Health, Status, StopRequest},
    outcome::Outcome,
    signal::{KILL, TERM, signal_number},
    timer::{Timer, Transition},
};
use crate::{counter::Counter, event::exec_id, spec::RestartPolicy, time::UnixNanos};

/// The first fake pid. Linux pids are at most 2^22 (proc(5)), so a fake pid is never that of a real process.
const FIRST_FAKE_PID: u32 = 1 << 23;
/// How long a process takes to end after SIGKILL.
const KILL_DELAY: Duration = Duration::from_millis(5);

impl EngineState {
    pub(super) fn fire(&mut self, timer: Timer) {
        let Timer { at, index, epoch, transition, .. } = timer;
        if self.get(index).is_none_or(|container| container.epoch != epoch) {
            return;
        }
        match transition {
            Transition::HealthCheck { round } => self.check(index, round, at),
            Transition::Exit { code } => self.end_run(index, code, false, at),
            Transition::Kill => {
                self.emit(index, "kill", vec![("signal", KILL.to_string())], at);
                self.schedule(index, at + KILL_DELAY, Transition::Exit { code: 137 });
            }
            Transition::Restart => self.begin_run(index, at),
            Transition::FailureBegins { number } => self.failure_begins(index, number, at),
            Transition::FailureEnds { number } => self.failure_ends(index, number, at),
            Transition::MemoryFull => self.memory_full(index, at),
        }
    }

    /// Starts it for a user, which resets its restarts.
    pub(super) fn start_by_user(&mut self, index: u32, at: UnixNanos) {
        if let Some(container) = self.get_mut(index) {
            container.restarts = 0;
            container.backoff = Duration::ZERO;
        }
        self.begin_run(index, at);
    }

    fn begin_run(&mut self, index: u32, at: UnixNanos) {
        let (epoch, pid) = (self.number(), FIRST_FAKE_PID + self.number());
        let Some(container) = self.get_mut(index) else { return };
        container.epoch = epoch;
        container.pid = pid;
        container.status = Status::Running;
        container.started = Some(at);
        container.exit_code = 0;
        container.out_of_memory = false;
        container.stopped_by_user = false;
        let (rest, layer) = (container.spec.baseline, container.counters.layer);
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        let (memory, pids) = ((rest.memory + rest.cache) as f64, rest.pids as f64);
        container.counters = Counters {
            memory: Counter::constant(memory, at),
            pids: Counter::constant(pids, at),
            layer,
            ..Counters::at_zero(at)
        };
        container.failures.retain(|failure| failure.failure.persistent);
        container.failures.iter_mut().for_each(|failure| failure.since = None);
        if let Some(health_state) = &mut container.health_state {
            health_state.health = Health::Starting;
            health_state.streak = 0;
        }
        container.update_slopes(at);
        container.log("listening on 0.0.0.0:8080", false, at);
        let set_in = container
            .failures
            .iter()
            .map(|failure| (failure.failure.after, Transition::FailureBegins { number: failure.number }));
        let set_in: Vec<_> = set_in.collect();
        self.emit(index, "start", vec![], at);
        for (after, transition) in set_in {
            self.schedule(index, at + after, transition);
        }
        self.schedule_checks(index, at);
    }

    /// Schedules the first health check of a new round.
    fn schedule_checks(&mut self, index: u32, at: UnixNanos) {
        let Some(container) = self.get_mut(index) else { return };
        container.check_round += 1;
        if let Some(interval) = container.spec.check.as_ref().map(|check| check.interval) {
            let round = container.check_round;
            self.schedule(index, at + interval, Transition::HealthCheck { round });
        }
    }

    fn check(&mut self, index: u32, round: u32, at: UnixNanos) {
        let Some(container) = self.get_mut(index).filter(|it| it.status == Status::Running && it.check_round == round)
        else {
            return;
        };
        let passed = container.check_passes(at);
        let (spec, started) = (container.spec.clone(), container.started);
        let (Some(health_state), Some(check)) = (&mut container.health_state, &spec.check) else { return };
        let before = health_state.health;
        health_state.keep(CheckResult { at, passed });
        let in_start_period =
            before == Health::Starting && started.is_some_and(|began| at.since(began) < check.start_period);
        if passed {
            health_state.streak = 0;
            health_state.health = Health::Healthy;
        } else if !in_start_period {
            health_state.streak += 1;
            if health_state.streak >= check.retries.max(1) {
                health_state.health = Health::Unhealthy;
            }
        }
        let now = health_state.health;
        let exec = exec_id(&container.id, at);
        let command = check.test.iter().skip(1).map(String::as_str).collect::<Vec<_>>().join(" ");
        let by_shell = if check.test.first().is_some_and(|how| how == "CMD-SHELL") { "/bin/sh -c " } else { "" };
        for begins in ["exec_create", "exec_start"] {
            self.emit(index, format!("{begins}: {by_shell}{command}"), vec![("execID", exec.clone())], at);
        }
        let code = i32::from(!passed).to_string();
        self.emit(index, "exec_die", vec![("execID", exec), ("exitCode", code)], at);
        match (before == now, now) {
            (false, Health::Healthy) => self.emit(index, "health_status: healthy", vec![], at),
            (false, Health::Unhealthy) => self.emit(index, "health_status: unhealthy", vec![], at),
            _ => {}
        }
        self.schedule(index, at + check.interval, Transition::HealthCheck { round });
    }

    /// Ends the run.
    pub(super) fn end_run(&mut self, index: u32, code: u8, out_of_memory: bool, at: UnixNanos) {
        let epoch = self.number();
        let Some(container) = self.get_mut(index) else { return };
        let ran = container.started.map_or(Duration::ZERO, |started| at.since(started));
        container.epoch = epoch;
        container.pid = 0;
        container.status = Status::Exited;
        container.finished = Some(at);
        container.exit_code = code;
        container.out_of_memory = out_of_memory;
        container.update_slopes(at);
        if let Some(health_state) = &mut container.health_state {
            // moby's CloseMonitorChannel: without checks it is unhealthy, and emits no event.
            health_state.health = Health::Unhealthy;
        }
        let stop_request = container.stop_request.take();
        let again = if stop_request.is_none() { restart_backoff(container, code, ran) } else { None };
        self.emit(index, "die", vec![("exitCode", code.to_string())], at);
        if let Some(stop_request) = stop_request {
            self.finish_stop(index, stop_request, at);
        } else if let Some(backoff) = again {
            if let Some(container) = self.get_mut(index) {
                container.status = Status::Restarting;
                container.restarts += 1;
            }
            self.schedule(index, at + backoff, Transition::Restart);
        }
    }

    /// Completes a stop request: emits its events and does what follows.
    fn finish_stop(&mut self, index: u32, stop_request: StopRequest, at: UnixNanos) {
        match stop_request.then {
            AfterStop::Nothing => {}
            AfterStop::Stopped => self.emit(index, "stop", vec![], at),
            AfterStop::StartedAgain => {
                self.emit(index, "stop", vec![], at);
                self.start_by_user(index, at);
                self.emit(index, "restart", vec![], at);
            }
            AfterStop::Removed => self.delete(index, at),
        }
        self.updates.done.extend(stop_request.operations);
    }

    /// Requests a stop of a container that is running, paused or restarting.
    pub(super) fn request_stop(&mut self, index: u32, grace: Duration, then: AfterStop, at: UnixNanos) -> Outcome {
        let (operation, epoch) = (self.operation(), self.number());
        let Some(container) = self.get_mut(index) else { return Outcome::Done };
        if container.status == Status::Restarting {
            // There is no process: the restart is cancelled without a kill event (moby's killWithSignal).
            container.status = Status::Exited;
            container.stopped_by_user = true;
            container.epoch = epoch;
            self.finish_stop(index, StopRequest { then, operations: vec![] }, at);
            return Outcome::Done;
        }
        if let Some(stop_request) = &mut container.stop_request {
            stop_request.then = stop_request.then.max(then);
            stop_request.operations.push(operation);
            return Outcome::Pending(operation);
        }
        container.stop_request = Some(StopRequest { then, operations: vec![operation] });
        container.stopped_by_user = true;
        let (ends, handles_stop_signal) = (container.spec.on_stop, container.handles_stop_signal());
        if then == AfterStop::Removed {
            self.emit_signal(index, KILL, at);
            self.schedule(index, at + KILL_DELAY, Transition::Exit { code: 137 });
            return Outcome::Pending(operation);
        }
        let signal = container.spec.stop_signal.as_deref().and_then(signal_number).unwrap_or(TERM);
        self.emit_signal(index, signal, at);
        if handles_stop_signal && ends.after <= grace {
            self.schedule(index, at + ends.after, Transition::Exit { code: ends.code });
        } else {
            self.schedule(index, at + grace, Transition::Kill);
        }
        Outcome::Pending(operation)
    }

    /// Handles `docker kill` with any signal.
    pub(super) fn send_signal(&mut self, index: u32, signal: i32, at: UnixNanos) -> Outcome {
        let operation = self.operation();
        let Some(container) = self.get_mut(index) else { return Outcome::Done };
        let stop_signal = container.spec.stop_signal.as_deref().and_then(signal_number);
        // If it has a stop signal, only that one and KILL cancel its restart (moby's killWithSignal).
        container.stopped_by_user |= stop_signal.is_none_or(|stop| stop == signal || signal == KILL);
        let ends = match signal {
            KILL => Some((KILL_DELAY, 137)),
            2 | 3 | TERM if container.handles_stop_signal() => {
                Some((container.spec.on_stop.after, container.spec.on_stop.code))
            }
            other if stop_signal == Some(other) && container.handles_stop_signal() => {
                Some((container.spec.on_stop.after, container.spec.on_stop.code))
            }
            _ => None,
        };
        let by_hand = container.stopped_by_user;
        if let (Some(_), true) = (ends, by_hand) {
            let stop_request =
                container.stop_request.get_or_insert(StopRequest { then: AfterStop::Nothing, operations: vec![] });
            if signal == KILL {
                stop_request.operations.push(operation);
            }
        }
        self.emit_signal(index, signal, at);
        match ends {
            Some((after, code)) => {
                self.schedule(index, at + after, Transition::Exit { code });
                if signal == KILL { Outcome::Pending(operation) } else { Outcome::Done }
            }
            None => {
                if let Some(container) = self.get_mut(index) {
                    container.log(format!("got signal {signal}"), false, at);
                }
                Outcome::Done
            }
        }
    }

    /// Emits a kill event; a signal unpauses a paused container.
    fn emit_signal(&mut self, index: u32, signal: i32, at: UnixNanos) {
        let paused = self.get(index).is_some_and(|container| container.status == Status::Paused);
        self.emit(index, "kill", vec![("signal", signal.to_string())], at);
        if paused {
            self.apply_unpause(index, at);
        }
    }

    pub(super) fn apply_pause(&mut self, index: u32, at: UnixNanos) {
        if let Some(container) = self.get_mut(index) {
            container.status = Status::Paused;
            container.check_round += 1;
            container.update_slopes(at);
            if let Some(health_state) = &mut container.health_state {
                // As above: without checks it is unhealthy (moby#46203).
                health_state.health = Health::Unhealthy;
            }
        }
        self.emit(index, "pause", vec![], at);
    }

    pub(super) fn apply_unpause(&mut self, index: u32, at: UnixNanos) {
        if let Some(container) = self.get_mut(index) {
            container.status = Status::Running;
            container.update_slopes(at);
        }
        self.emit(index, "unpause", vec![], at);
        self.schedule_checks(index, at);
        self.schedule_memory_full(index, at);
    }
}

/// The backoff before the restart policy restarts a run that ended with `code` after `ran` without a stop request; `None`
/// if it does not restart it (moby's `restartmanager`).
fn restart_backoff(container: &mut Container, code: u8, ran: Duration) -> Option<Duration> {
    const FIRST: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(60);
    if container.stopped_by_user {
        return None;
    }
    if ran >= Duration::from_secs(10) {
        container.backoff = Duration::ZERO;
    }
    container.backoff = if container.backoff.is_zero() { FIRST } else { (container.backoff * 2).min(MAX) };
    let again = match container.spec.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(max) => code != 0 && (max == 0 || container.restarts < max),
    };
    again.then_some(container.backoff)
}
