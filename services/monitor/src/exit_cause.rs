//! Infers who ended a run of a container: an operator, the kernel's OOM killer, or the program itself.
//!
//! Docker's `die` event carries only the exit code, and 137 alone can mean any of the three. The earlier events of the
//! same run tell them apart:
//!
//! ```text
//! start ─► kill (15) ─► kill (9) ─► die 137     an operator, through Docker: nothing to heal
//! start ─► oom ─► die 137                       the kernel's OOM killer
//! start ─► die 0                                the program, which was done
//! start ─► die 3                                the program: a crash
//! start ─► kill (1) … … … ─► die 3              a crash: a reload signal long before does not count
//! ```
//!
//! If the history is incomplete, the answer is [`ExitBy::Unknown`]: the monitor reports a crash only if it saw all events of
//! the run. After a restart of the monitor it has not, as it may have missed a signal.

use hemostat_schema::{Span, Timestamp, container::ExitBy};

/// A program that fails because the OOM killer killed one of its children does so within this time; a later exit has
/// another cause.
const FAILS_AFTER_OOM: Span = Span::from_secs(60);
/// A signal that usually does not end a program (such as HUP) counts as the cause of an exit within this time.
const SIGNAL_ENDS_WITHIN: Span = Span::from_secs(2);
const INT: i32 = 2;
const QUIT: i32 = 3;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// The events of one run that say who ended it. The default is a run whose start was not observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    start_observed: bool,
    ended_through_docker: bool,
    last_signal: Option<Timestamp>,
    out_of_memory: Option<Timestamp>,
    stop_signal: i32,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            start_observed: false,
            ended_through_docker: false,
            last_signal: None,
            out_of_memory: None,
            stop_signal: TERM,
        }
    }
}

impl Run {
    /// A run whose start was observed. `docker stop` sends `stop_signal` to its container.
    pub fn new(stop_signal: i32) -> Self {
        Self { start_observed: true, stop_signal, ..Self::default() }
    }

    /// Sets the signal that `docker stop` sends.
    pub fn set_stop_signal(&mut self, signal: i32) {
        self.stop_signal = signal;
    }

    /// A client of the engine sent `signal`.
    pub fn signalled(&mut self, signal: i32, at: Timestamp) {
        self.ended_through_docker |= [INT, QUIT, KILL, TERM, self.stop_signal].contains(&signal);
        self.last_signal = Some(at);
    }

    /// The OOM killer killed one of its processes.
    pub fn ran_out_of_memory(&mut self, at: Timestamp) {
        self.out_of_memory = Some(at);
    }

    /// The run ended at `at`, and an inspection says that the OOM killer acted at some time in this run. The time of an OOM
    /// event is kept; without one it was now.
    pub fn inspected_as_out_of_memory(&mut self, at: Timestamp) {
        self.out_of_memory.get_or_insert(at);
    }

    /// A client of the engine stopped it.
    pub fn stopped(&mut self) {
        self.ended_through_docker = true;
    }

    /// Whether a client of the engine asked for its end.
    pub fn was_asked_to_end(&self) -> bool {
        self.ended_through_docker
    }

    /// Whether the answer of [`ended`](Self::ended) is final, so that no inspection can change it. An inspection can only
    /// add that the OOM killer acted: it ends a container with SIGKILL, or, in a container with a memory limit
    /// (`limited`), kills a child, after which the program fails.
    pub fn cause_is_final(&self, code: i64, at: Timestamp, limited: bool) -> bool {
        let may_be_oom = code == i64::from(128 + KILL) || (limited && code != 0);
        self.ended_through_docker || self.fails_after_oom(at) || !may_be_oom
    }

    fn fails_after_oom(&self, at: Timestamp) -> bool {
        self.out_of_memory.is_some_and(|since| Span::between(since, at) <= FAILS_AFTER_OOM)
    }

    /// Who ended the run, which ended with `code` at `at`.
    pub fn ended(&self, code: i64, at: Timestamp) -> ExitBy {
        let just_signalled = self.last_signal.is_some_and(|sent| Span::between(sent, at) <= SIGNAL_ENDS_WITHIN);
        match code {
            _ if self.ended_through_docker || just_signalled => ExitBy::Operator,
            _ if self.fails_after_oom(at) => ExitBy::Oom,
            _ if !self.start_observed => infer_exit_cause(code, false, true),
            0 => ExitBy::Itself,
            _ => ExitBy::Crash,
        }
    }
}

/// Who ended a run whose end was not observed: an inspection gives the exit code and the OOM flag, but not who asked for
/// the end.
///
/// `seen_running`: this run was observed before, so an exit code that no signal explains was a crash.
pub fn infer_exit_cause(code: i64, out_of_memory: bool, seen_running: bool) -> ExitBy {
    let by_signal = [INT, QUIT, KILL, TERM].iter().any(|signal| code == i64::from(128 + signal));
    match code {
        _ if out_of_memory => ExitBy::Oom,
        0 => ExitBy::Itself,
        _ if by_signal || !seen_running => ExitBy::Unknown,
        _ => ExitBy::Crash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        Signal(i32),
        Oom,
        Wait(u64),
    }
    use Step::{Oom, Signal, Wait};

    fn ended_by(stop_signal: i32, steps: &[Step], code: i64) -> ExitBy {
        end_of(Run::new(stop_signal), steps, code)
    }

    fn end_of(mut run: Run, steps: &[Step], code: i64) -> ExitBy {
        let mut now = Timestamp::from_second(1_795_462_698).unwrap();
        for step in steps {
            match step {
                Signal(signal) => run.signalled(*signal, now),
                Oom => run.ran_out_of_memory(now),
                Wait(secs) => now = Span::from_secs(*secs).after(now),
            }
        }
        run.ended(code, now)
    }

    #[test]
    fn the_events_of_a_run_say_who_ended_it() {
        for (steps, code, by) in [
            (&[][..], 0, ExitBy::Itself),
            (&[], 3, ExitBy::Crash),
            (&[], 139, ExitBy::Crash),
            (&[], 137, ExitBy::Crash),
            (&[Signal(15), Wait(1)], 0, ExitBy::Operator),
            (&[Signal(15), Wait(10), Signal(9)], 137, ExitBy::Operator),
            (&[Signal(15), Wait(600)], 143, ExitBy::Operator),
            (&[Signal(2)], 130, ExitBy::Operator),
            (&[Oom], 137, ExitBy::Oom),
            (&[Oom], 0, ExitBy::Oom),
            (&[Oom, Wait(5)], 1, ExitBy::Oom),
            (&[Oom, Wait(3600)], 1, ExitBy::Crash),
            (&[Oom, Wait(3600), Oom], 137, ExitBy::Oom),
            (&[Oom, Signal(15), Signal(9)], 137, ExitBy::Operator),
            (&[Signal(1), Wait(60)], 3, ExitBy::Crash),
            (&[Signal(10), Wait(60)], 0, ExitBy::Itself),
            (&[Signal(1)], 129, ExitBy::Operator),
        ] {
            assert_eq!(ended_by(15, steps, code), by, "code {code} after {} steps", steps.len());
        }
    }

    #[test]
    fn a_run_whose_start_was_not_observed_may_have_been_signalled_before() {
        for (steps, code, by) in [
            (&[][..], 130, ExitBy::Unknown),
            (&[], 131, ExitBy::Unknown),
            (&[], 137, ExitBy::Unknown),
            (&[], 143, ExitBy::Unknown),
            (&[], 0, ExitBy::Itself),
            (&[], 1, ExitBy::Crash),
            (&[], 139, ExitBy::Crash),
            (&[Signal(9)], 137, ExitBy::Operator),
            (&[Oom], 137, ExitBy::Oom),
            (&[Signal(1), Wait(60)], 137, ExitBy::Unknown),
        ] {
            assert_eq!(end_of(Run::default(), steps, code), by, "code {code} after {} steps", steps.len());
        }
    }

    #[test]
    fn a_stop_signal_of_the_container_counts_as_a_stop() {
        assert_eq!(ended_by(28, &[Signal(28), Wait(60)], 0), ExitBy::Operator);
        assert_eq!(ended_by(15, &[Signal(28), Wait(60)], 0), ExitBy::Itself);
    }

    #[test]
    fn an_unobserved_end_is_reported_as_a_crash_only_if_no_signal_explains_it() {
        for (code, oom, seen_running, by) in [
            (0, false, false, ExitBy::Itself),
            (3, false, false, ExitBy::Unknown),
            (3, false, true, ExitBy::Crash),
            (137, true, false, ExitBy::Oom),
            (137, false, true, ExitBy::Unknown),
            (143, false, true, ExitBy::Unknown),
            (130, false, true, ExitBy::Unknown),
            (139, false, true, ExitBy::Crash),
        ] {
            assert_eq!(infer_exit_cause(code, oom, seen_running), by, "{code} {oom} {seen_running}");
        }
    }
}
