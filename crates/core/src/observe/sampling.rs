//! Which measurements of a container become samples on the log.
//!
//! Every measurement feeds the signals from which symptoms are raised; the log needs fewer. A value that changed is
//! written in the next slot of `sample_every`. A value that did not change is written every tenth slot (in an incident:
//! every slot), and each sample promises that: [`holds`] says within which time the next one follows. So a reader of the log can tell "unchanged" from
//! "not measured" at any instant:
//!
//! ```text
//! sample ├── holds ──┤        the value holds until the next sample, or until the promise ends
//! sample ├────┤ unmeasured    … or until the last measurement before measuring failed
//! sample ├────┤ exited        … or until the run ended
//! ```

use hemostat_schema::{
    ByteCount, Percent, Span, Timestamp,
    container::{Strain, Vitals},
};

/// An unchanged value is written every this many slots.
const UNCHANGED_SLOTS: u64 = 10;
/// The slots that a sample promises: two more than needed, as a sweep may be late.
const PROMISED_SLOTS: u64 = UNCHANGED_SLOTS + 2;

/// How far a share may move and count as unchanged, in percentage points.
const SHARE_TOLERANCE: f64 = 1.0;
/// How far an amount of memory may move: a fiftieth, or this many bytes if that is more.
const MEMORY_TOLERANCE: u64 = 1 << 20;
/// How far a counter of bytes may move: as much as broadcasts make in a few minutes.
const COUNTER_TOLERANCE: u64 = 64 << 10;
/// How far the number of processes and threads may move: a twentieth, or this many if that is more.
const PIDS_TOLERANCE: u64 = 1;

/// Within which time after a sample the next one follows if nothing changes.
pub fn holds(sample_every: Span) -> Span {
    sample_every.times(PROMISED_SLOTS)
}

/// Whether `now` is the same as the sample `before` for whoever reads the log: every figure is within its tolerance.
pub fn is_unchanged(before: &Vitals, now: &Vitals) -> bool {
    let is_near = |a: u64, b: u64, least: u64, share: u64| a.abs_diff(b) <= least.max(a / share);
    let counter = |a: ByteCount, b: ByteCount| b.0.checked_sub(a.0).is_some_and(|more| more <= COUNTER_TOLERANCE);
    share(before.cpu, now.cpu)
        && share(before.memory, now.memory)
        && is_near(before.memory_used.0, now.memory_used.0, MEMORY_TOLERANCE, 50)
        && before.memory_limit == now.memory_limit
        && is_near(before.pids, now.pids, PIDS_TOLERANCE, 20)
        && before.pids_limit == now.pids_limit
        && counter(before.network_rx, now.network_rx)
        && counter(before.network_tx, now.network_tx)
        && counter(before.block_read, now.block_read)
        && counter(before.block_write, now.block_write)
        && strain(&before.strain, &now.strain)
}

fn share(before: Percent, now: Percent) -> bool {
    (before.get() - now.get()).abs() <= SHARE_TOLERANCE
}

fn strain(before: &Strain, now: &Strain) -> bool {
    let figures = |strain: &Strain| [strain.throttled, strain.cpu, strain.memory, strain.disk];
    figures(before).into_iter().zip(figures(now)).all(|pair| match pair {
        (Some(before), Some(now)) => share(before, now),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    })
}

/// When samples of a container may be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    /// A number of the container.
    pub(super) spread: u64,
    /// The length of a slot.
    pub(super) every: Span,
    /// The number of instants per slot over which unchanged samples are spread.
    pub(super) groups: u64,
    /// Its incident is open, or has just ended: decisions rest on what is measured now, so it is written in every slot.
    pub(super) in_incident: bool,
}

/// What the log says about the resource use of the present run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sampling {
    /// The last sample on the log; none if the next measurement is written in any case.
    written: Option<(Timestamp, Vitals)>,
    /// When the container was last measured.
    measured_at: Option<Timestamp>,
    /// See [`Slots::groups`].
    pub(super) groups: u64,
}

impl Sampling {
    /// The container was measured; returns whether that is written.
    pub(super) fn is_due(&mut self, at: Timestamp, vitals: &Vitals, slots: Slots) -> bool {
        self.measured_at = Some(at);
        self.written.as_ref().is_none_or(|(last, before)| {
            let waits = !slots.in_incident && is_unchanged(before, vitals);
            is_slot(*last, at, slots, if waits { UNCHANGED_SLOTS } else { 1 })
        })
    }

    /// The sample is on the log.
    pub(super) fn written(&mut self, at: Timestamp, vitals: Vitals) {
        self.written = Some((at, vitals));
    }

    /// Since when nothing was measured, if the log says otherwise.
    pub(super) fn unmeasured_since(&self) -> Option<Timestamp> {
        self.measured_at.filter(|_| self.written.is_some())
    }

    /// The last sample does not hold any longer.
    pub(super) fn end(&mut self) {
        (self.written, self.measured_at) = (None, None);
    }
}

/// Whether `now` is in a later slot than the `last` sample; such a slot is `count` times as long. Containers have their
/// slots at different offsets, so that ten thousand are not written at one instant; unchanged ones only in as many groups
/// as needed, as a commit of many is cheaper than many commits.
fn is_slot(last: Timestamp, now: Timestamp, slots: Slots, count: u64) -> bool {
    let whole = |span: Span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    let (every, length) = (whole(slots.every), whole(slots.every.times(count)));
    let groups = if count == 1 { every.unsigned_abs() } else { slots.groups.max(1) };
    let offset = i64::try_from(slots.spread % groups * (every.unsigned_abs() / groups)).unwrap_or(0);
    let slot = |at: Timestamp| at.as_millisecond().saturating_add(offset).div_euclid(length);
    // The first slot may come right after the first sample of the run.
    slot(now) > slot(last) && now.as_millisecond().saturating_sub(last.as_millisecond()) >= every / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{at, vitals};

    const MIB: u64 = 1 << 20;
    const SLOTS: Slots = Slots { spread: 0, every: Span::from_secs(30), groups: 1, in_incident: false };

    #[test]
    fn a_figure_is_unchanged_within_its_tolerance() {
        let idle = || Vitals {
            memory_used: ByteCount(10 * MIB),
            network_rx: ByteCount(1000),
            pids_limit: Some(100),
            strain: Strain { cpu: Some(Percent::clamped(2.0)), ..Strain::default() },
            ..vitals(3.0, 10.0, 7)
        };
        let check = |what: &str, unchanged: bool, change: fn(&mut Vitals)| {
            let mut now = idle();
            change(&mut now);
            assert_eq!(is_unchanged(&idle(), &now), unchanged, "{what}");
        };
        check("nothing", true, |_| {});
        check("cpu by a point", true, |now| now.cpu = Percent::clamped(4.0));
        check("cpu by more", false, |now| now.cpu = Percent::clamped(4.1));
        check("memory by a point", true, |now| now.memory = Percent::clamped(9.0));
        check("memory by more", false, |now| now.memory = Percent::clamped(8.9));
        check("a MiB of memory", true, |now| now.memory_used.0 = 11 * MIB);
        check("two MiB of memory", false, |now| now.memory_used.0 = 12 * MIB);
        check("the memory limit", false, |now| now.memory_limit.0 += 1);
        check("a process", true, |now| now.pids = 8);
        check("two processes", false, |now| now.pids = 9);
        check("the limit of processes", false, |now| now.pids_limit = None);
        check("a few broadcasts", true, |now| now.network_rx.0 += 64 << 10);
        check("traffic", false, |now| now.network_tx.0 += (64 << 10) + 1);
        check("a counter that begins again", false, |now| now.network_rx.0 = 0);
        check("reads", false, |now| now.block_read.0 += MIB);
        check("writes", false, |now| now.block_write.0 += MIB);
        check("waiting", false, |now| now.strain.cpu = Some(Percent::clamped(3.5)));
        check("waiting that is not reported", false, |now| now.strain.cpu = None);
        check("throttling that is reported", false, |now| now.strain.throttled = Some(Percent::clamped(0.0)));
    }

    #[test]
    fn a_fiftieth_of_much_memory_and_a_twentieth_of_many_processes_are_no_change() {
        let before = Vitals { memory_used: ByteCount(1000 * MIB), ..vitals(3.0, 10.0, 200) };
        let near = Vitals { memory_used: ByteCount(1020 * MIB), pids: 210, ..before };
        assert!(is_unchanged(&before, &near));
        assert!(!is_unchanged(&before, &Vitals { memory_used: ByteCount(1021 * MIB), ..before }));
        assert!(!is_unchanged(&before, &Vitals { pids: 211, ..before }));
    }

    /// The instants, in seconds, at which the measurements of every fifth second are written.
    fn written(cpu: impl Fn(i64) -> f64, spread: u64, until: i64) -> Vec<i64> {
        let mut sampling = Sampling::default();
        let mut all = vec![];
        for second in (0..until).step_by(5) {
            let measured = vitals(cpu(second), 10.0, 7);
            if sampling.is_due(at(second), &measured, Slots { spread, ..SLOTS }) {
                sampling.written(at(second), measured);
                all.push(second);
            }
        }
        all
    }

    #[test]
    fn an_unchanged_value_is_written_every_five_minutes_and_a_changed_one_within_half_a_minute() {
        assert_eq!(written(|_| 3.0, 0, 1200), [0, 300, 600, 900]);
        assert_eq!(
            written(|_| 3.0, 10_000, 1200),
            [0, 300, 600, 900],
            "containers that do not change are written together"
        );
        let busy = written(|second| if second % 60 < 30 { 3.0 } else { 50.0 }, 0, 180);
        assert_eq!(busy, [0, 30, 60, 90, 120, 150]);
        assert_eq!(written(|second| if second < 100 { 3.0 } else { 50.0 }, 0, 700), [0, 100, 300, 600]);
    }

    #[test]
    fn in_an_incident_an_unchanged_value_is_written_in_every_slot() {
        let (mut sampling, measured) = (Sampling::default(), vitals(3.0, 10.0, 7));
        let slots = Slots { in_incident: true, ..SLOTS };
        let due = |second: &i64| {
            let due = sampling.is_due(at(*second), &measured, slots);
            if due {
                sampling.written(at(*second), measured);
            }
            due
        };
        assert_eq!((0..100).step_by(5).filter(due).collect::<Vec<_>>(), [0, 30, 60, 90]);
    }

    #[test]
    fn after_measuring_failed_or_the_run_ended_the_next_measurement_is_written() {
        let (mut sampling, measured) = (Sampling::default(), vitals(3.0, 10.0, 7));
        let is_due = |sampling: &mut Sampling, second| {
            let due = sampling.is_due(at(second), &measured, SLOTS);
            if due {
                sampling.written(at(second), measured);
            }
            due
        };
        assert_eq!(sampling.unmeasured_since(), None);
        assert!(is_due(&mut sampling, 0) && !is_due(&mut sampling, 5));
        assert_eq!(sampling.unmeasured_since(), Some(at(5)));
        sampling.end();
        assert_eq!(sampling.unmeasured_since(), None);
        assert!(is_due(&mut sampling, 10));
    }

    proptest! {
        #[test]
        fn a_reader_knows_every_measurement_within_the_tolerance_and_never_misses_the_promise(
            steps in prop::collection::vec((0.0..100.0_f64, 1..40_usize), 1..40), spread in any::<u64>(),
        ) {
            let every = SLOTS.every;
            let (mut sampling, mut second) = (Sampling::default(), 0);
            // The last sample on the log, and since when it has not been what was measured.
            let (mut log, mut differs_since) = (None::<(Timestamp, Vitals)>, None::<Timestamp>);
            for (cpu, times) in steps {
                for _ in 0..times {
                    let measured = vitals(cpu, 10.0, 7);
                    if sampling.is_due(at(second), &measured, Slots { spread, ..SLOTS }) {
                        sampling.written(at(second), measured);
                        log = Some((at(second), measured));
                    }
                    let (written_at, known) = log.expect("the first measurement is written");
                    prop_assert!(at(second) <= holds(every).after(written_at));
                    match is_unchanged(&known, &measured) {
                        true => differs_since = None,
                        false => {
                            let since = *differs_since.get_or_insert(at(second));
                            prop_assert!(Span::between(since, at(second)) <= every.times(2));
                        }
                    }
                    second += 5;
                }
            }
        }
    }
}
