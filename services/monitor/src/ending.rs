//! Who ended a run?
//!
//! Docker's `die` says only the exit code, and 137 alone can be an operator, the kernel or the program. What came
//! before it in the same run tells them apart:
//!
//! ```text
//! start ─► kill (15) ─► kill (9) ─► die 137     somebody through Docker: nothing to heal
//! start ─► oom ─► die 137                       the kernel, for want of memory
//! start ─► die 0                                the program, which had finished
//! start ─► die 3                                the program: a crash
//! start ─► kill (1) … … … ─► die 3              a crash: a reload long ago ends nothing
//! ```
//!
//! Where the history is not known, the answer is [`ExitBy::Unknown`]: a crash is never made up. That goes also for a run
//! whose start was not heard, as after a restart of the monitor: what was asked of it before has been forgotten.

use hemostat_schema::{Span, Timestamp, container::ExitBy};

/// A program that fails because the kernel killed a child of it for want of memory does so within this; what ends it
/// later is another matter.
const FAILS_WITHOUT_MEMORY: Span = Span::from_secs(60);
const HUP_MEANS_RELOAD: Span = Span::from_secs(2);
const INT: i32 = 2;
const QUIT: i32 = 3;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// What has happened in a run that bears on who ended it; by default one that was under way when it was first met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    heard_from_start: bool,
    ended_through_docker: bool,
    last_signal: Option<Timestamp>,
    out_of_memory: Option<Timestamp>,
    stop_signal: i32,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            heard_from_start: false,
            ended_through_docker: false,
            last_signal: None,
            out_of_memory: None,
            stop_signal: TERM,
        }
    }
}

impl Run {
    /// A run whose start was just heard, of a container that `docker stop` asks to end by `stop_signal`.
    pub fn new(stop_signal: i32) -> Self {
        Self { heard_from_start: true, stop_signal, ..Self::default() }
    }

    /// It is `signal` by which `docker stop` asks it to end.
    pub fn is_asked_to_end_by(&mut self, signal: i32) {
        self.stop_signal = signal;
    }

    /// Somebody sent it `signal` through the engine.
    pub fn signalled(&mut self, signal: i32, at: Timestamp) {
        self.ended_through_docker |= [INT, QUIT, KILL, TERM, self.stop_signal].contains(&signal);
        self.last_signal = Some(at);
    }

    /// The kernel killed a process of it for want of memory.
    pub fn ran_out_of_memory(&mut self, at: Timestamp) {
        self.out_of_memory = Some(at);
    }

    /// It ended at `at`, and the engine says that the kernel killed a process of it at some time in this run. Where that
    /// was heard, it is known when; where not, it was now.
    pub fn had_run_out_of_memory(&mut self, at: Timestamp) {
        self.out_of_memory.get_or_insert(at);
    }

    /// Somebody had it stopped.
    pub fn stopped(&mut self) {
        self.ended_through_docker = true;
    }

    /// Whether somebody asked the engine to end it.
    pub fn was_to_end(&self) -> bool {
        self.ended_through_docker
    }

    /// Whether [`ended`](Self::ended) will stay true whatever an inspection says: only that the kernel killed a process
    /// for want of memory can still become known by it. That ends a container by SIGKILL, or within its own limit
    /// (`limited`) kills a child first, of which the program then fails.
    pub fn says_who_ended_it(&self, code: i64, at: Timestamp, limited: bool) -> bool {
        let may_be_for_want_of_memory = code == i64::from(128 + KILL) || (limited && code != 0);
        self.ended_through_docker || self.fails_without_memory(at) || !may_be_for_want_of_memory
    }

    fn fails_without_memory(&self, at: Timestamp) -> bool {
        self.out_of_memory.is_some_and(|since| Span::between(since, at) <= FAILS_WITHOUT_MEMORY)
    }

    /// Who ended it, given that it ended with `code` at `at`.
    pub fn ended(&self, code: i64, at: Timestamp) -> ExitBy {
        let just_signalled = self.last_signal.is_some_and(|sent| Span::between(sent, at) <= HUP_MEANS_RELOAD);
        match code {
            _ if self.ended_through_docker || just_signalled => ExitBy::Operator,
            _ if self.fails_without_memory(at) => ExitBy::Oom,
            _ if !self.heard_from_start => guessed(code, false, true),
            0 => ExitBy::Itself,
            _ => ExitBy::Crash,
        }
    }
}

/// Who ended a run whose end was not watched: Docker knows the code and whether memory ran out, but not who asked.
///
/// `seen_running` says that this very run was seen alive before: then a code that no signal explains was a crash.
pub fn guessed(code: i64, out_of_memory: bool, seen_running: bool) -> ExitBy {
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
    fn what_came_before_the_end_says_who_ended_it() {
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
    fn a_run_whose_start_was_not_heard_may_have_been_signalled_before() {
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
    fn a_containers_own_stop_signal_ends_it() {
        assert_eq!(ended_by(28, &[Signal(28), Wait(60)], 0), ExitBy::Operator);
        assert_eq!(ended_by(15, &[Signal(28), Wait(60)], 0), ExitBy::Itself);
    }

    #[test]
    fn an_end_that_nobody_watched_is_never_made_out_to_be_a_crash() {
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
            assert_eq!(guessed(code, oom, seen_running), by, "{code} {oom} {seen_running}");
        }
    }
}
