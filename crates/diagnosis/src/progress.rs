//! Whether a container's log shows progress: numbers that count up from line to line, or the name of work that ends.
//!
//! A container that prints `frame=171400`, `frame=171481`, `frame=171563` is busy, not stuck, and a restart would discard
//! its work. Like every log match this causes no remedy, it only rules one out. Timestamps are no progress, because a
//! stuck program may print them, too; nor are counters of failures.

use hemostat_schema::{Span, examination::Line};

use crate::{case::Case, log_patterns::is_access_log, vocabulary::VOCABULARY};

/// How many lines in a row must count up.
const LINES: usize = 3;
/// How many of the last lines are considered.
const CONSIDERED: usize = 12;
/// How recent the last line must be.
const RECENT: Span = Span::from_secs(60);
/// Numbers from here on are timestamps (seconds since the epoch) or ids.
const COUNTS_TO: f64 = 1e9;
/// Lines with these words count failures or garbage collections, which is no progress.
const FAILURES: [&str; 9] = ["retry", "attempt", "error", "fail", "timeout", "timed out", "warn", "[gc", "gc("];

/// Words for errors; unlike [`FAILURES`] without warnings, which a working program may print.
const ERRORS: [&str; 4] = ["error", "fail", "timeout", "timed out"];

/// How many of the last lines are searched for it.
const WORK_CONSIDERED: usize = 5;

impl Case<'_> {
    /// Whether the current run reported work that ends by itself in the last minute.
    pub(super) fn reports_finite_work(&self) -> bool {
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        lines.iter().rev().take(WORK_CONSIDERED).any(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= RECENT)
                && !is_access_log(&line.text)
                && !FAILURES.iter().any(|failure| text.contains(failure))
                && VOCABULARY.finite_work.any(|work| text.contains(work))
        })
    }

    /// Whether the current run's last line is recent and no error.
    pub(super) fn printed_without_errors(&self) -> bool {
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        lines.last().is_some_and(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= RECENT)
                && !ERRORS.iter().any(|failure| text.contains(failure))
        })
    }

    /// Whether the log of the current run shows progress.
    pub(super) fn makes_progress(&self) -> bool {
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        let stale = lines.last().and_then(|line| line.at).is_none_or(|at| Span::between(at, self.now) > RECENT);
        !stale && shows_progress(lines)
    }

    /// Whether the backlog in the health check's output falls from check to check.
    pub(super) fn is_catching_up(&self) -> bool {
        counts_down(self.failed_checks().iter().map(|check| check.output.as_str()))
    }
}

/// Whether the last lines show progress.
fn shows_progress(lines: &[Line]) -> bool {
    let works = |text: &&str| {
        let lower = text.to_lowercase();
        !is_access_log(text) && !FAILURES.iter().any(|failure| lower.contains(failure))
    };
    let recent = lines[lines.len().saturating_sub(CONSIDERED)..].iter().map(|line| line.text.as_str()).filter(works);
    counts_up(recent.clone()) || counts_down(recent.clone()) || nears_its_end(recent)
}

/// Whether the last lines of one form count up in one of their numbers.
fn counts_up<'t>(texts: impl Iterator<Item = &'t str>) -> bool {
    newest_alike(texts).is_some_and(|newest| (0..newest[0].numbers.len()).any(|n| moves(&newest, n, |a, b| a < b)))
}

/// Whether the last lines of one form count down in a number that says how much work remains.
fn counts_down<'t>(texts: impl Iterator<Item = &'t str>) -> bool {
    let falls = |newest: Vec<Shape<'t>>| {
        (0..newest[0].numbers.len()).any(|n| newest[0].is_remaining(n) && moves(&newest, n, |a, b| a > b))
    };
    newest_alike(texts).is_some_and(falls)
}

/// The last lines that differ from the very last one in numbers only, if there are enough.
fn newest_alike<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Vec<Shape<'t>>> {
    let mut alike: Vec<Shape<'_>> = texts.map(shape).collect();
    let last = alike.last()?.form.clone();
    alike.retain(|shape| shape.form == last);
    alike.len().checked_sub(LINES).map(|from| alike.split_off(from))
}

/// Whether the `n`th number moves in one direction from each line to the next.
fn moves(texts: &[Shape<'_>], n: usize, so: fn(f64, f64) -> bool) -> bool {
    texts.windows(2).all(|pair| so(pair[0].numbers[n].0, pair[1].numbers[n].0))
}

/// Whether the last lines report a growing part of a whole, `[1702/2212]` or `41 of 120`.
///
/// The rest of the line, such as a file name, may differ.
fn nears_its_end<'t>(texts: impl DoubleEndedIterator<Item = &'t str>) -> bool {
    let reported: Vec<Vec<(u32, u32)>> =
        texts.rev().map(done_of).filter(|reported| !reported.is_empty()).take(LINES).collect();
    // The newest line comes first here.
    reported.len() == LINES && reported.windows(2).all(|pair| goes_on(&pair[1], &pair[0]))
}

/// Whether more is done than before of the same whole, or of a part of it (an epoch, and a step within it).
fn goes_on(before: &[(u32, u32)], now: &[(u32, u32)]) -> bool {
    let both = before.iter().zip(now);
    let more = both.clone().find(|(before, now)| before.0 != now.0).map(|(before, now)| before.0 < now.0);
    both.clone().all(|(before, now)| before.1 == now.1) && more.unwrap_or(before.len() < now.len())
}

/// All "done of total" pairs in a line.
fn done_of(text: &str) -> Vec<(u32, u32)> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "[]()|,:".contains(c)).collect();
    let fraction = |word: &str| {
        let (done, all) = word.split_once('/')?;
        Some((done.parse().ok()?, all.parse().ok()?))
    };
    let of = |three: &[&str]| match three {
        [done, "of" | "/", all] => Some((done.parse().ok()?, all.parse().ok()?)),
        _ => None,
    };
    let reported = words.iter().filter_map(|word| fraction(word)).chain(words.windows(3).filter_map(of));
    reported.filter(|(done, all): &(u32, u32)| done <= all && *all > 1).collect()
}

/// A line, split into its form and its numbers.
struct Shape<'t> {
    /// The line without its numbers and timestamps.
    form: String,
    words: Vec<&'t str>,
    /// The numbers, each with the index of its word.
    numbers: Vec<(f64, usize)>,
}

impl Shape<'_> {
    /// Whether the `n`th number is remaining work: by its own word, the one before it or the two after it.
    fn is_remaining(&self, n: usize) -> bool {
        let at = self.numbers[n].1;
        let near = self.words.iter().skip(at.saturating_sub(1)).take(at.min(1) + 3);
        near.map(|word| word.to_lowercase()).any(|word| VOCABULARY.remaining_work.any(|to_do| word.contains(to_do)))
    }
}

fn shape(text: &str) -> Shape<'_> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '|' | ',' | '[' | ']' | '(' | ')' | '"'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let (mut form, mut numbers) = (String::new(), vec![]);
    for (at, word) in words.iter().enumerate() {
        form.push(' ');
        if is_timestamp(word) {
            continue;
        }
        let mut rest = *word;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = &rest[begin..];
            let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
            form.push_str(&rest[..begin]);
            form.push('#');
            let number = digits[..end].trim_end_matches('.').parse().unwrap_or(f64::INFINITY);
            // A number that is no count must not rise, so it becomes a constant.
            numbers.push((if number < COUNTS_TO { number } else { f64::INFINITY }, at));
            rest = &digits[end..];
        }
        form.push_str(rest);
    }
    Shape { form, words, numbers }
}

/// Whether a word is a date or a time of day: digits on both sides of a colon, or around two dashes or slashes.
fn is_timestamp(word: &str) -> bool {
    let parts = |mark: char| {
        let parts: Vec<&str> = word.split(mark).collect();
        let digits = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
        if parts.iter().all(digits) { parts.len() } else { 0 }
    };
    parts(':') >= 2 || parts('-') >= 3 || parts('/') >= 3
}

#[cfg(test)]
mod tests {
    use hemostat_schema::examination::Stream;

    use super::*;
    use hemostat_core::testing::at;

    #[test]
    fn progress_counts_up_and_timestamps_and_failures_do_not_count() {
        let check = |lines: &[&str], expected: bool| {
            let printed: Vec<Line> = (0..)
                .zip(lines)
                .map(|(n, text)| Line { at: Some(at(n)), stream: Stream::Stdout, text: (*text).to_owned() })
                .collect();
            assert_eq!(shows_progress(&printed), expected, "{lines:?}");
        };
        check(&["[16/22] Building a.o", "[17/22] Linking the b", "[19/22] Testing c.d e"], true);
        check(&["epoch 3/9: saved", "epoch 4/9: step 8/18 ok", "epoch 4/9: step 9/18 fine"], true);
        check(&["epoch 4/9: step 8/18 ok", "epoch 4/9: step 8/18 ok", "epoch 4/9: step 8/18 fine"], false);
        check(&["step 1 of 9: fetch", "step 2 of 9: unpack it", "step 3 of 9: go"], true);
        check(&["[16/22] Building a.o", "[17/23] Linking the b", "[19/24] Testing c.d e"], false);
        check(&["[3/3] tries of a", "[3/3] tries of b x", "[3/3] tries c"], false);
        check(&["attempt [1/9] of a", "attempt [2/9] of b x", "attempt [3/9] c"], false);
        check(
            &[
                "frame=171400 fps= 16 speed=0.64x",
                "frame=171481 fps= 16 speed=0.64x",
                "frame=171563 fps= 15 speed=0.6x",
            ],
            true,
        );
        check(&["report 92 of 100", "report 95 of 100", "report 97 of 100"], true);
        check(&["report 92 of 100", "slept", "report 95 of 100", "slept", "report 97 of 100"], true);
        check(&["epoch 1: 10%", "epoch 1: 20%", "epoch 1: 30%"], true);
        check(&["report 95 of 100", "report 97 of 100"], false);
        check(&["report 97 of 100", "report 97 of 100", "report 97 of 100"], false);
        check(&["report 92 of 100", "report 97 of 100", "report 95 of 100"], false);
        check(&["2026-01-01T08:00:01Z spin", "2026-01-01T08:00:02Z spin", "2026-01-01T08:00:03Z spin"], false);
        check(&["01/01/2026 08:00:01 spin", "01/01/2026 08:00:02 spin", "01/01/2026 08:00:03 spin"], false);
        check(&["1767254391 spin", "1767254392 spin", "1767254393 spin"], false);
        check(&["attempt 4 in vain", "attempt 5 in vain", "attempt 6 in vain"], false);
        check(&["WARN fd 14 hung up", "WARN fd 15 hung up", "WARN fd 16 hung up"], false);
        check(&["stored 500, pending=91", "stored 500, pending=86", "stored 500, pending=81"], true);
        check(&["12:00:03 41 rows left", "12:00:04 40 rows left", "12:00:09 12 rows left"], true);
        check(&["free=91", "free=86", "free=81"], false);
        check(&["lag 81", "lag 86", "lag 80"], false);
        check(&["[1s][gc] GC(1) Pause", "[2s][gc] GC(2) Pause", "[3s][gc] GC(3) Pause"], false);
        check(&["GET /a?n=1 HTTP/1.1", "GET /a?n=2 HTTP/1.1", "GET /a?n=3 HTTP/1.1"], false);
        check(&["", "ü", "…"], false);
        check(&[], false);
    }
}
