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
    Answer, Due, Timer, World,
    container::{Checked, Container, Counters, Ending, Health, Life, Then},
};
use crate::{Moment, Restart, event::exec_id, line::Line};

const TERM: i32 = 15;
const KILL: i32 = 9;
/// No process of any Linux has such a number (proc(5): at most 2^22), so nobody takes a real one for a simulated one.
const NO_PID: u32 = 1 << 23;
/// How long the kernel takes to end a process.
const KILLING: Duration = Duration::from_millis(5);

impl World {
    pub(super) fn happen(&mut self, timer: Timer) {
        let Timer { at, index, epoch, due, .. } = timer;
        if self.get(index).is_none_or(|container| container.epoch != epoch) {
            return;
        }
        match due {
            Due::Check { round } => self.check(index, round, at),
            Due::Ends { code } => self.end(index, code, false, at),
            Due::Killed => {
                self.tell(index, "kill", vec![("signal", KILL.to_string())], at);
                self.schedule(index, at + KILLING, Due::Ends { code: 137 });
            }
            Due::StartedAgain => self.begin(index, at),
            Due::SetsIn { bout } => self.sets_in(index, bout, at),
            Due::Passes { bout } => self.passes(index, bout, at),
            Due::MemoryFull => self.memory_full(index, at),
        }
    }

    /// Somebody starts it.
    pub(super) fn begin_by_hand(&mut self, index: u32, at: Moment) {
        if let Some(container) = self.get_mut(index) {
            container.restarts = 0;
            container.backoff = Duration::ZERO;
        }
        self.begin(index, at);
    }

    fn begin(&mut self, index: u32, at: Moment) {
        let (epoch, pid) = (self.number(), NO_PID + self.number());
        let Some(container) = self.get_mut(index) else { return };
        container.epoch = epoch;
        container.pid = pid;
        container.life = Life::Running;
        container.started = Some(at);
        container.exit_code = 0;
        container.out_of_memory = false;
        container.touched = false;
        let (rest, layer) = (container.spec.at_rest, container.counters.layer);
        #[expect(clippy::cast_precision_loss, reason = "bytes of a machine")]
        let (memory, pids) = ((rest.memory + rest.cache) as f64, rest.pids as f64);
        container.counters =
            Counters { memory: Line::level(memory, at), pids: Line::level(pids, at), layer, ..Counters::at_zero(at) };
        container.bouts.retain(|bout| bout.illness.chronic);
        container.bouts.iter_mut().for_each(|bout| bout.since = None);
        if let Some(checking) = &mut container.checking {
            checking.health = Health::Starting;
            checking.streak = 0;
        }
        container.settle(at);
        container.say("listening on 0.0.0.0:8080", false, at);
        let set_in = container.bouts.iter().map(|bout| (bout.illness.after, Due::SetsIn { bout: bout.number }));
        let set_in: Vec<_> = set_in.collect();
        self.tell(index, "start", vec![], at);
        for (after, due) in set_in {
            self.schedule(index, at + after, due);
        }
        self.check_on(index, at);
    }

    /// From now on it is checked.
    fn check_on(&mut self, index: u32, at: Moment) {
        let Some(container) = self.get_mut(index) else { return };
        container.checks += 1;
        if let Some(interval) = container.spec.check.as_ref().map(|check| check.interval) {
            let round = container.checks;
            self.schedule(index, at + interval, Due::Check { round });
        }
    }

    fn check(&mut self, index: u32, round: u32, at: Moment) {
        let Some(container) = self.get_mut(index).filter(|it| it.life == Life::Running && it.checks == round) else {
            return;
        };
        let passed = container.passes(at);
        let (spec, started) = (container.spec.clone(), container.started);
        let (Some(checking), Some(check)) = (&mut container.checking, &spec.check) else { return };
        let before = checking.health;
        checking.keep(Checked { at, passed });
        let young = before == Health::Starting && started.is_some_and(|began| at.since(began) < check.start_period);
        if passed {
            checking.streak = 0;
            checking.health = Health::Healthy;
        } else if !young {
            checking.streak += 1;
            if checking.streak >= check.retries.max(1) {
                checking.health = Health::Unhealthy;
            }
        }
        let now = checking.health;
        let exec = exec_id(&container.id, at);
        let command = check.test.iter().skip(1).map(String::as_str).collect::<Vec<_>>().join(" ");
        let by_shell = if check.test.first().is_some_and(|how| how == "CMD-SHELL") { "/bin/sh -c " } else { "" };
        for begins in ["exec_create", "exec_start"] {
            self.tell(index, format!("{begins}: {by_shell}{command}"), vec![("execID", exec.clone())], at);
        }
        let code = i32::from(!passed).to_string();
        self.tell(index, "exec_die", vec![("execID", exec), ("exitCode", code)], at);
        match (before == now, now) {
            (false, Health::Healthy) => self.tell(index, "health_status: healthy", vec![], at),
            (false, Health::Unhealthy) => self.tell(index, "health_status: unhealthy", vec![], at),
            _ => {}
        }
        self.schedule(index, at + check.interval, Due::Check { round });
    }

    /// The run is over.
    pub(super) fn end(&mut self, index: u32, code: u8, out_of_memory: bool, at: Moment) {
        let epoch = self.number();
        let Some(container) = self.get_mut(index) else { return };
        let ran = container.started.map_or(Duration::ZERO, |started| at.since(started));
        container.epoch = epoch;
        container.pid = 0;
        container.life = Life::Exited;
        container.finished = Some(at);
        container.exit_code = code;
        container.out_of_memory = out_of_memory;
        container.settle(at);
        if let Some(checking) = &mut container.checking {
            // moby's CloseMonitorChannel: unhealthy when nobody checks any more, and nobody is told.
            checking.health = Health::Unhealthy;
        }
        let ending = container.ending.take();
        let again = if ending.is_none() { restarts_after(container, code, ran) } else { None };
        self.tell(index, "die", vec![("exitCode", code.to_string())], at);
        if let Some(ending) = ending {
            self.ended(index, ending, at);
        } else if let Some(backoff) = again {
            if let Some(container) = self.get_mut(index) {
                container.life = Life::Restarting;
                container.restarts += 1;
            }
            self.schedule(index, at + backoff, Due::StartedAgain);
        }
    }

    /// What was asked for has come about, and what was to follow follows.
    fn ended(&mut self, index: u32, ending: Ending, at: Moment) {
        match ending.then {
            Then::Nothing => {}
            Then::Stopped => self.tell(index, "stop", vec![], at),
            Then::StartedAgain => {
                self.tell(index, "stop", vec![], at);
                self.begin_by_hand(index, at);
                self.tell(index, "restart", vec![], at);
            }
            Then::Removed => self.take_away(index, at),
        }
        self.news.done.extend(ending.tickets);
    }

    /// Asks a container that is up, or about to be, to end.
    pub(super) fn ask_to_end(&mut self, index: u32, patience: Duration, then: Then, at: Moment) -> Answer {
        let (ticket, epoch) = (self.ticket(), self.number());
        let Some(container) = self.get_mut(index) else { return Answer::Done };
        if container.life == Life::Restarting {
            // There is no process: its restart is called off, and nobody is told of a kill (moby's killWithSignal).
            container.life = Life::Exited;
            container.touched = true;
            container.epoch = epoch;
            self.ended(index, Ending { then, tickets: vec![] }, at);
            return Answer::Done;
        }
        if let Some(ending) = &mut container.ending {
            ending.then = ending.then.max(then);
            ending.tickets.push(ticket);
            return Answer::Later(ticket);
        }
        container.ending = Some(Ending { then, tickets: vec![ticket] });
        container.touched = true;
        let (ends, hears) = (container.spec.ends, container.hears());
        if then == Then::Removed {
            self.signal(index, KILL, at);
            self.schedule(index, at + KILLING, Due::Ends { code: 137 });
            return Answer::Later(ticket);
        }
        let signal = container.spec.stop_signal.as_deref().and_then(signal_number).unwrap_or(TERM);
        self.signal(index, signal, at);
        if hears && ends.after <= patience {
            self.schedule(index, at + ends.after, Due::Ends { code: ends.code });
        } else {
            self.schedule(index, at + patience, Due::Killed);
        }
        Answer::Later(ticket)
    }

    /// Somebody sends it a signal of his own choice.
    pub(super) fn signalled(&mut self, index: u32, signal: i32, at: Moment) -> Answer {
        let ticket = self.ticket();
        let Some(container) = self.get_mut(index) else { return Answer::Done };
        let stop_signal = container.spec.stop_signal.as_deref().and_then(signal_number);
        // With a stop signal of its own, only that one and KILL call the restart off (moby's killWithSignal).
        container.touched |= stop_signal.is_none_or(|stop| stop == signal || signal == KILL);
        let ends = match signal {
            KILL => Some((KILLING, 137)),
            2 | 3 | TERM if container.hears() => Some((container.spec.ends.after, container.spec.ends.code)),
            other if stop_signal == Some(other) && container.hears() => {
                Some((container.spec.ends.after, container.spec.ends.code))
            }
            _ => None,
        };
        let by_hand = container.touched;
        if let (Some(_), true) = (ends, by_hand) {
            let ending = container.ending.get_or_insert(Ending { then: Then::Nothing, tickets: vec![] });
            if signal == KILL {
                ending.tickets.push(ticket);
            }
        }
        self.signal(index, signal, at);
        match ends {
            Some((after, code)) => {
                self.schedule(index, at + after, Due::Ends { code });
                if signal == KILL { Answer::Later(ticket) } else { Answer::Done }
            }
            None => {
                if let Some(container) = self.get_mut(index) {
                    container.say(format!("got signal {signal}"), false, at);
                }
                Answer::Done
            }
        }
    }

    /// Tells of a signal; what is frozen is thawed by it.
    fn signal(&mut self, index: u32, signal: i32, at: Moment) {
        let frozen = self.get(index).is_some_and(|container| container.life == Life::Paused);
        self.tell(index, "kill", vec![("signal", signal.to_string())], at);
        if frozen {
            self.thaw(index, at);
        }
    }

    pub(super) fn freeze(&mut self, index: u32, at: Moment) {
        if let Some(container) = self.get_mut(index) {
            container.life = Life::Paused;
            container.checks += 1;
            container.settle(at);
            if let Some(checking) = &mut container.checking {
                // As above: what nobody checks is unhealthy (moby#46203).
                checking.health = Health::Unhealthy;
            }
        }
        self.tell(index, "pause", vec![], at);
    }

    pub(super) fn thaw(&mut self, index: u32, at: Moment) {
        if let Some(container) = self.get_mut(index) {
            container.life = Life::Running;
            container.settle(at);
        }
        self.tell(index, "unpause", vec![], at);
        self.check_on(index, at);
        self.watch_memory(index, at);
    }
}

/// What the engine does when a run that nobody asked to end has ended with `code` after `ran`: how long it waits before
/// it starts the container again, or nothing (moby's `restartmanager`).
fn restarts_after(container: &mut Container, code: u8, ran: Duration) -> Option<Duration> {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(60);
    if container.touched {
        return None;
    }
    if ran >= Duration::from_secs(10) {
        container.backoff = Duration::ZERO;
    }
    container.backoff = if container.backoff.is_zero() { FIRST } else { (container.backoff * 2).min(MOST) };
    let again = match container.spec.restart {
        Restart::No => false,
        Restart::Always | Restart::UnlessStopped => true,
        Restart::OnFailure(most) => code != 0 && (most == 0 || container.restarts < most),
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
