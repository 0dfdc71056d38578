//! How a run begins, is checked, falls ill and ends: in the order, and with the events, of Docker.
//!
//! ```text
//! start ──► checks ──► die ──► (backoff) ──► start        the restart policy
//! kill 15 ──► [kill 9] ──► die ──► stop                    docker stop
//! kill 15 ──► [kill 9] ──► die ──► stop ──► start ──► restart    docker restart
//! oom ──► die 137                                          the kernel
//! ```

use std::time::Duration;

use super::{
    EngineState, Outcome, Timer, Transition,
    container::{AfterStop, CheckResult, Container, Counters, Health, Status, StopRequest},
};
use crate::{RestartPolicy, UnixNanos, counter::Counter, event::exec_id};

const TERM: i32 = 15;
const KILL: i32 = 9;
/// No process of any Linux has such a number (proc(5): at most 2^22), so nobody takes a real one for a simulated one.
const FIRST_FAKE_PID: u32 = 1 << 23;
/// How long the kernel takes to end a process.
const KILLING: Duration = Duration::from_millis(5);

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
                self.schedule(index, at + KILLING, Transition::Exit { code: 137 });
            }
            Transition::Restart => self.begin_run(index, at),
            Transition::FailureBegins { number } => self.failure_begins(index, number, at),
            Transition::FailureEnds { number } => self.failure_ends(index, number, at),
            Transition::MemoryFull => self.memory_full(index, at),
        }
    }

    /// Somebody starts it.
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
            memory: Counter::level(memory, at),
            pids: Counter::level(pids, at),
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
        self.check_on(index, at);
    }

    /// From now on it is checked.
    fn check_on(&mut self, index: u32, at: UnixNanos) {
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
        let young = before == Health::Starting && started.is_some_and(|began| at.since(began) < check.start_period);
        if passed {
            health_state.streak = 0;
            health_state.health = Health::Healthy;
        } else if !young {
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

    /// The run is over.
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
            // moby's CloseMonitorChannel: unhealthy when nobody checks any more, and nobody is told.
            health_state.health = Health::Unhealthy;
        }
        let stop_request = container.stop_request.take();
        let again = if stop_request.is_none() { restarts_after(container, code, ran) } else { None };
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

    /// What was asked for has come about, and what was to follow follows.
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

    /// Asks a container that is up, or about to be, to end.
    pub(super) fn request_stop(&mut self, index: u32, grace: Duration, then: AfterStop, at: UnixNanos) -> Outcome {
        let (operation, epoch) = (self.operation(), self.number());
        let Some(container) = self.get_mut(index) else { return Outcome::Done };
        if container.status == Status::Restarting {
            // There is no process: its restart is called off, and nobody is told of a kill (moby's killWithSignal).
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
            self.schedule(index, at + KILLING, Transition::Exit { code: 137 });
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

    /// Somebody sends it a signal of his own choice.
    pub(super) fn send_signal(&mut self, index: u32, signal: i32, at: UnixNanos) -> Outcome {
        let operation = self.operation();
        let Some(container) = self.get_mut(index) else { return Outcome::Done };
        let stop_signal = container.spec.stop_signal.as_deref().and_then(signal_number);
        // With a stop signal of its own, only that one and KILL call the restart off (moby's killWithSignal).
        container.stopped_by_user |= stop_signal.is_none_or(|stop| stop == signal || signal == KILL);
        let ends = match signal {
            KILL => Some((KILLING, 137)),
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

    /// Tells of a signal; what is frozen is thawed by it.
    fn emit_signal(&mut self, index: u32, signal: i32, at: UnixNanos) {
        let frozen = self.get(index).is_some_and(|container| container.status == Status::Paused);
        self.emit(index, "kill", vec![("signal", signal.to_string())], at);
        if frozen {
            self.apply_unpause(index, at);
        }
    }

    pub(super) fn apply_pause(&mut self, index: u32, at: UnixNanos) {
        if let Some(container) = self.get_mut(index) {
            container.status = Status::Paused;
            container.check_round += 1;
            container.update_slopes(at);
            if let Some(health_state) = &mut container.health_state {
                // As above: what nobody checks is unhealthy (moby#46203).
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
        self.check_on(index, at);
        self.schedule_memory_full(index, at);
    }
}

/// What the engine does when a run that nobody asked to end has ended with `code` after `ran`: how long it waits before
/// it starts the container again, or nothing (moby's `restartmanager`).
fn restarts_after(container: &mut Container, code: u8, ran: Duration) -> Option<Duration> {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(60);
    if container.stopped_by_user {
        return None;
    }
    if ran >= Duration::from_secs(10) {
        container.backoff = Duration::ZERO;
    }
    container.backoff = if container.backoff.is_zero() { FIRST } else { (container.backoff * 2).min(MOST) };
    let again = match container.spec.restart {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(most) => code != 0 && (most == 0 || container.restarts < most),
    };
    again.then_some(container.backoff)
}

/// The number of a signal as it may be written.
pub(crate) fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let upper = text.to_ascii_uppercase();
    Some(match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => KILL,
        "USR1" => 10,
        "USR2" => 12,
        "TERM" => TERM,
        "CONT" => 18,
        "STOP" => 19,
        "WINCH" => 28,
        _ => return None,
    })
}
