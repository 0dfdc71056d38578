//! Scores an answer to a labelled case, and all answers together.
//!
//! An answer is right if its verdict and its remedy are both acceptable. It is harmful if the case names its remedy as
//! harmful. No answer counts as the verdict "unclear" without a remedy.

use std::time::Duration;

use hemostat_schema::diagnosis::{Reached, Verdict};
use serde::Serialize;

use super::{choice::Choice, file::Expect};

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Whether the verdict is acceptable.
    pub verdict: bool,
    /// Whether the remedy is.
    pub remedy: bool,
    /// Whether the remedy would do harm.
    pub harmful: bool,
}

impl Mark {
    /// Of the diagnosis `reached`, or of none.
    pub fn of(reached: Option<&Reached>, expect: &Expect) -> Self {
        let verdict = reached.map_or(Verdict::Unclear, |reached| reached.verdict);
        let silent = reached.is_none() && expect.verdicts.contains(&Verdict::FalseAlarm);
        let remedy = Choice(reached.and_then(|reached| reached.remedy.clone()));
        Self {
            verdict: silent || expect.verdicts.contains(&verdict),
            remedy: expect.remedies.contains(&remedy),
            harmful: expect.harmful.contains(&remedy),
        }
    }

    /// Whether it is right in all.
    pub fn is_right(self) -> bool {
        self.verdict && self.remedy && !self.harmful
    }
}

/// What all answers together are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Cases that were put.
    pub cases: usize,
    /// Right in verdict and remedy.
    pub right: usize,
    /// Right in the verdict.
    pub right_verdicts: usize,
    /// Right in the remedy.
    pub right_remedies: usize,
    /// Whose remedy would do harm.
    pub harmful: usize,
    /// The share of right ones.
    pub accuracy: f64,
    /// The share of harmful ones.
    pub harm: f64,
    /// How long an answer took, in half of the cases at most; in JSON, milliseconds.
    #[serde(rename = "p50_ms", serialize_with = "millis")]
    pub p50: Duration,
    /// The same, in 95 of 100.
    #[serde(rename = "p95_ms", serialize_with = "millis")]
    pub p95: Duration,
}

impl Summary {
    /// Of these marks, each with how long the answer took.
    pub fn of(marks: &[(Mark, Duration)]) -> Self {
        let count = |is: fn(&Mark) -> bool| marks.iter().filter(|(mark, _)| is(mark)).count();
        let mut took: Vec<Duration> = marks.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let (right, harmful) = (count(|mark| mark.is_right()), count(|mark| mark.harmful));
        Self {
            cases: marks.len(),
            right,
            right_verdicts: count(|mark| mark.verdict),
            right_remedies: count(|mark| mark.remedy),
            harmful,
            accuracy: share(right, marks.len()),
            harm: share(harmful, marks.len()),
            p50: percentile(&took, 50),
            p95: percentile(&took, 95),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of cases")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn millis<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(took.as_secs_f64() * 1000.0)
}

/// The nearest rank; zero where there is nothing.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::slice;

    use hemostat_core::testing::{self, run};
    use hemostat_schema::action::Remedy;

    use super::*;

    fn expect(verdicts: &[Verdict], remedies: &[Option<Remedy>], harmful: &[Option<Remedy>]) -> Expect {
        let choices = |all: &[Option<Remedy>]| all.iter().cloned().map(Choice).collect();
        Expect { verdicts: verdicts.to_vec(), remedies: choices(remedies), harmful: choices(harmful) }
    }

    #[test]
    fn an_answer_is_right_when_verdict_and_remedy_are() {
        use Verdict::{FalseAlarm, Sick, Unclear};
        let (restart, start) = (Some(Remedy::Restart), Some(Remedy::Start));
        let sick = expect(&[Sick], slice::from_ref(&restart), slice::from_ref(&start));
        let leave = expect(&[FalseAlarm], &[None], slice::from_ref(&restart));
        let check = |verdict: Option<Verdict>, remedy: &Option<Remedy>, expect: &Expect, expected: [bool; 3]| {
            let reached =
                verdict.map(|verdict| Reached { verdict, remedy: remedy.clone(), ..testing::reached(run(0)) });
            let mark = Mark::of(reached.as_ref(), expect);
            assert_eq!([mark.verdict, mark.remedy, mark.harmful], expected, "{verdict:?} {remedy:?}");
            assert_eq!(mark.is_right(), expected == [true, true, false]);
        };
        check(Some(Sick), &restart, &sick, [true, true, false]);
        check(Some(Unclear), &None, &sick, [false, false, false]);
        check(Some(Sick), &start, &sick, [true, false, true]);
        check(None, &None, &sick, [false, false, false]);
        check(None, &None, &leave, [true, true, false]);
        check(Some(Sick), &restart, &leave, [false, false, true]);
    }

    #[test]
    fn a_summary_counts_and_ranks() {
        let mark = |verdict, remedy, harmful| Mark { verdict, remedy, harmful };
        let marks: Vec<(Mark, Duration)> =
            (1..=20).map(|n| (mark(n != 1, n > 2, n == 2), Duration::from_millis(n))).collect();
        let summary = Summary::of(&marks);
        assert_eq!((summary.cases, summary.right, summary.harmful), (20, 18, 1));
        assert_eq!((summary.right_verdicts, summary.right_remedies), (19, 18));
        assert_eq!((summary.accuracy, summary.harm), (0.9, 0.05));
        assert_eq!((summary.p50, summary.p95), (Duration::from_millis(10), Duration::from_millis(19)));
        let none = Summary::of(&[]);
        assert_eq!((none.accuracy, none.p95), (0.0, Duration::ZERO));
    }
}
