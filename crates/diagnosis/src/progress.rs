//! Whether a container's output shows that it gets on with its work: figures that count up, line by line; or the name of
//! such work as comes to an end.
//!
//! `frame=171400`, `frame=171481`, `frame=171563`: who prints that is busy and not stuck, and a restart would throw its
//! work away. Like every clue it brings no remedy about; it only keeps from one. Instants are no progress, as a program
//! that is stuck may print those as well, and neither is counting how often something failed.

use hemostat_schema::{Span, examination::Line};

use super::{Case, clues::is_of_a_request};

/// So many lines in a row must count up.
const LINES: usize = 3;
/// Of so many lines, the last.
const AMONG: usize = 12;
/// The last of them was printed so lately.
const LATELY: Span = Span::from_secs(60);
/// Numbers from here on are instants (seconds since the epoch) or ids.
const COUNTS_TO: f64 = 1e9;
/// Who counts these, or how often it has collected its garbage, does not get on.
const FAILURES: [&str; 9] = ["retry", "attempt", "error", "fail", "timeout", "timed out", "warn", "[gc", "gc("];

/// What there is to do yet is called so.
const TO_DO: [&str; 10] =
    ["backlog", "behind", "lag", "left", "outstanding", "pending", "queued", "remain", "to_go", "todo"];

/// Who tells of these does not get on either; a program that only names its own warnings may.
const TROUBLES: [&str; 4] = ["error", "fail", "timeout", "timed out"];

/// Work that comes to an end, and of which programs tell.
const WORK: [&str; 12] = [
    "compact",
    "reindex",
    "vacuum",
    "rebuild",
    "backup",
    "defragment",
    "optimiz",
    "transcod",
    "indexing",
    "training",
    "merge segment",
    "merging",
];
/// Of so many lines, the last, one must tell of it.
const TOLD_AMONG: usize = 5;

impl Case<'_> {
    /// Whether the run that stands has told lately that it is at work which comes to an end.
    pub(super) fn names_its_work(&self) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        lines.iter().rev().take(TOLD_AMONG).any(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= LATELY)
                && !is_of_a_request(&line.text)
                && !FAILURES.iter().any(|failure| text.contains(failure))
                && WORK.iter().any(|work| text.contains(work))
        })
    }

    /// Whether the run that stands has told lately what it does, and not that it failed.
    pub(super) fn speaks(&self) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        lines.last().is_some_and(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= LATELY)
                && !TROUBLES.iter().any(|failure| text.contains(failure))
        })
    }

    /// Whether the run that stands gets on with its work, as its output shows.
    pub(super) fn gets_on(&self) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let late = lines.last().and_then(|line| line.at).is_none_or(|at| Span::between(at, self.now) > LATELY);
        !late && is_work(lines)
    }

    /// Whether what its health check finds wrong is ever less, from one check to the next: it catches up.
    pub(super) fn catches_up(&self) -> bool {
        counts_down(self.failing_checks().iter().map(|check| check.output.as_str()))
    }
}

/// Whether the last lines show work on which somebody gets on.
fn is_work(lines: &[Line]) -> bool {
    let works = |text: &&str| {
        let lower = text.to_lowercase();
        !is_of_a_request(text) && !FAILURES.iter().any(|failure| lower.contains(failure))
    };
    let recent = lines[lines.len().saturating_sub(AMONG)..].iter().map(|line| line.text.as_str()).filter(works);
    counts_up(recent.clone()) || counts_down(recent.clone()) || nears_its_end(recent)
}

/// Whether the last texts of one kind count up, in one of their figures.
fn counts_up<'t>(texts: impl Iterator<Item = &'t str>) -> bool {
    newest_alike(texts).is_some_and(|newest| (0..newest[0].figures.len()).any(|n| moves(&newest, n, |a, b| a < b)))
}

/// Whether in the last texts of one kind a figure falls that says how much there is to do yet.
fn counts_down<'t>(texts: impl Iterator<Item = &'t str>) -> bool {
    let falls = |newest: Vec<Shape<'t>>| {
        (0..newest[0].figures.len()).any(|n| newest[0].is_to_do(n) && moves(&newest, n, |a, b| a > b))
    };
    newest_alike(texts).is_some_and(falls)
}

/// The last texts that differ from the very last in figures only, where there are enough.
fn newest_alike<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Vec<Shape<'t>>> {
    let mut alike: Vec<Shape<'_>> = texts.map(shape).collect();
    let last = alike.last()?.form.clone();
    alike.retain(|shape| shape.form == last);
    alike.len().checked_sub(LINES).map(|from| alike.split_off(from))
}

/// Whether one figure moves so from each text to the next.
fn moves(texts: &[Shape<'_>], n: usize, so: fn(f64, f64) -> bool) -> bool {
    texts.windows(2).all(|pair| so(pair[0].figures[n].0, pair[1].figures[n].0))
}

/// Whether the last texts tell how much of a whole is done, `[1702/2212]` or `41 of 120`, and that is ever more.
///
/// What else stands in such a line, as the name of a file, may be another each time.
fn nears_its_end<'t>(texts: impl DoubleEndedIterator<Item = &'t str>) -> bool {
    let told: Vec<Vec<(u32, u32)>> = texts.rev().map(done_of).filter(|told| !told.is_empty()).take(LINES).collect();
    // The last one is the first here.
    told.len() == LINES && told.windows(2).all(|pair| goes_on(&pair[1], &pair[0]))
}

/// Whether more is done than before of the same whole, or of a part of it: an epoch, and a step of that.
fn goes_on(before: &[(u32, u32)], now: &[(u32, u32)]) -> bool {
    let both = before.iter().zip(now);
    let more = both.clone().find(|(before, now)| before.0 != now.0).map(|(before, now)| before.0 < now.0);
    both.clone().all(|(before, now)| before.1 == now.1) && more.unwrap_or(before.len() < now.len())
}

/// How much is done of how much, as often as a line tells of it.
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
    let told = words.iter().filter_map(|word| fraction(word)).chain(words.windows(3).filter_map(of));
    told.filter(|(done, all): &(u32, u32)| done <= all && *all > 1).collect()
}

/// A text, taken apart.
struct Shape<'t> {
    /// The text without its figures and instants.
    form: String,
    words: Vec<&'t str>,
    /// The figures, each with the place of its word.
    figures: Vec<(f64, usize)>,
}

impl Shape<'_> {
    /// Whether a figure says how much there is to do yet, as its word, the one before it or the two after it have it.
    fn is_to_do(&self, n: usize) -> bool {
        let at = self.figures[n].1;
        let near = self.words.iter().skip(at.saturating_sub(1)).take(at.min(1) + 3);
        near.map(|word| word.to_lowercase()).any(|word| TO_DO.iter().any(|to_do| word.contains(to_do)))
    }
}

fn shape(text: &str) -> Shape<'_> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '|' | ',' | '[' | ']' | '(' | ')' | '"'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let (mut form, mut figures) = (String::new(), vec![]);
    for (at, word) in words.iter().enumerate() {
        form.push(' ');
        if is_instant(word) {
            continue;
        }
        let mut rest = *word;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let number = &rest[begin..];
            let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
            form.push_str(&rest[..begin]);
            form.push('#');
            let figure = number[..end].trim_end_matches('.').parse().unwrap_or(f64::INFINITY);
            // What is no count stands still, so it does not rise.
            figures.push((if figure < COUNTS_TO { figure } else { f64::INFINITY }, at));
            rest = &number[end..];
        }
        form.push_str(rest);
    }
    Shape { form, words, figures }
}

/// Whether a word is a date or a time of day: digits on both sides of a colon, or two dashes or slashes.
fn is_instant(word: &str) -> bool {
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
    fn work_counts_up_and_neither_time_nor_failure_is_work() {
        let check = |lines: &[&str], expected: bool| {
            let printed: Vec<Line> = (0..)
                .zip(lines)
                .map(|(n, text)| Line { at: Some(at(n)), stream: Stream::Stdout, text: (*text).to_owned() })
                .collect();
            assert_eq!(is_work(&printed), expected, "{lines:?}");
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
