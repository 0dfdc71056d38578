//! Whether a container's output shows that it gets on with its work: figures that count up, line by line; or the name of
//! such work as comes to an end.
//!
//! `frame=171400`, `frame=171481`, `frame=171563`: who prints that is busy and not stuck, and a restart would throw its
//! work away. Like every clue it brings no remedy about; it only keeps from one. Instants are no progress, as a program
//! that is stuck may print those as well, and neither is counting how often something failed.

use hemostat_schema::{
    Span,
    container::{Health, State},
    examination::{Line, Relation, Relative},
    observation::Symptom,
};

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

/// That others are well who need it says for so long that it serves them: not all look at it.
const NEEDED_FOR: Span = Span::from_secs(1800);
/// Whom health checks and monitoring ask.
const PROBES: [&str; 8] = ["/health", "/live", "/metrics", "/ping", "/ready", "/-/ready", "/status", "/up "];

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

    /// Whether the run that stands has answered several requests lately, beside those that only ask how it is.
    pub(super) fn answers(&self) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let answered = lines.iter().filter(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= LATELY)
                && is_of_a_request(&line.text)
                && is_well_answered(&line.text)
                && !PROBES.iter().any(|probe| text.contains(probe))
        });
        answered.count() >= LINES
    }

    /// Whether it serves others though its health check fails: it answers their requests, or those that need it are well.
    /// The check itself gets an answer, if not the one that it wants; or it asks at another address.
    pub(super) fn serves_others(&self) -> bool {
        let relatives = self.examined_now().map_or(&[][..], |examined| &examined.relatives);
        let well = |other: &Relative| {
            other.relation == Relation::Dependent && other.state == State::Running && other.health == Health::Healthy
        };
        let answered = !self.failing_checks().is_empty() && !self.is_late();
        let lately = self.stood(Symptom::Unhealthy) <= NEEDED_FOR;
        let needed = lately && !self.is_refused() && relatives.iter().any(well);
        answered && (self.answers() || needed) && !self.was_healed_by_a_restart()
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
        !late && (counts_up(lines) || counts_down(lines) || nears_its_end(lines))
    }

    /// Whether what its health check finds wrong is ever less, from one check to the next: it catches up.
    pub(super) fn catches_up(&self) -> bool {
        let told: Vec<&str> = self.failing_checks().iter().map(|check| check.output.as_str()).collect();
        falls(&told)
    }
}

/// Whether a line about a request gives an answer of 2xx or 3xx: the first number of three digits behind the path.
fn is_well_answered(line: &str) -> bool {
    let methods = ["GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /"];
    let Some(begin) = methods.iter().find_map(|method| line.find(method)) else { return false };
    let words = line[begin..].split_whitespace().skip(2).map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let code = words.into_iter().find(|word| word.len() == 3 && word.chars().all(|c| c.is_ascii_digit()));
    code.is_some_and(|code| code.starts_with(['2', '3']))
}

/// Whether the last lines of one kind count up, in one of their figures.
fn counts_up(lines: &[Line]) -> bool {
    let works = |line: &&Line| {
        let text = line.text.to_lowercase();
        !is_of_a_request(&line.text) && !FAILURES.iter().any(|failure| text.contains(failure))
    };
    let recent = &lines[lines.len().saturating_sub(AMONG)..];
    let read: Vec<(String, Vec<f64>)> = recent.iter().filter(works).map(|line| shape(&line.text)).collect();
    let Some((last, _)) = read.last() else { return false };
    let alike: Vec<&[f64]> = read.iter().filter(|(shape, _)| shape == last).map(|(_, figures)| &**figures).collect();
    let Some(newest) = alike.len().checked_sub(LINES).map(|from| &alike[from..]) else { return false };
    let rises = |n: usize| newest.windows(2).all(|pair| pair[0][n] < pair[1][n]);
    (0..newest[0].len()).any(rises)
}

/// Whether the last lines of one kind tell that there is ever less to do.
fn counts_down(lines: &[Line]) -> bool {
    let works = |text: &&str| {
        let text = text.to_lowercase();
        !FAILURES.iter().any(|failure| text.contains(failure))
    };
    let recent = lines[lines.len().saturating_sub(AMONG)..].iter().filter(|line| !is_of_a_request(&line.text));
    falls(&recent.map(|line| line.text.as_str()).filter(works).collect::<Vec<_>>())
}

/// Whether in the last texts of one kind a figure falls that says how much there is to do yet.
fn falls(texts: &[&str]) -> bool {
    let Some((last, _)) = texts.last().map(|text| shape(text)) else { return false };
    let alike: Vec<(&str, Vec<f64>)> = texts
        .iter()
        .map(|text| (*text, shape(text)))
        .filter(|(_, (shape, _))| *shape == last)
        .map(|(text, (_, figures))| (text, figures))
        .collect();
    let Some(newest) = alike.len().checked_sub(LINES).map(|from| &alike[from..]) else { return false };
    let figures = newest[0].1.len();
    (0..figures).any(|n| newest.windows(2).all(|pair| pair[0].1[n] > pair[1].1[n]) && is_to_do(newest[0].0, n))
}

/// Whether the figure of this place in a line says how much there is to do yet, as the word before it or those after it have it.
fn is_to_do(text: &str, n: usize) -> bool {
    let text = text.to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || "=|,[]()\"".contains(c)).filter(|word| !word.is_empty()).collect();
    let counts = |word: &str| {
        word.split(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|part| part.starts_with(|c: char| c.is_ascii_digit()))
            .count()
    };
    let mut seen = 0;
    for (at, word) in words.iter().enumerate() {
        if is_instant(word) {
            continue;
        }
        seen += counts(word);
        if seen > n {
            let near = [at.checked_sub(1), Some(at), Some(at + 1), Some(at + 2)];
            let near = near.into_iter().flatten().filter_map(|at| words.get(at));
            return near.into_iter().any(|word| TO_DO.iter().any(|to_do| word.contains(to_do)));
        }
    }
    false
}

/// Whether the last lines tell how much of a whole is done, `[1702/2212]` or `41 of 120`, and that is ever more.
///
/// What else stands in such a line, as the name of a file, may be another each time.
fn nears_its_end(lines: &[Line]) -> bool {
    let recent = lines.iter().rev().take(AMONG).filter(|line| !is_of_a_request(&line.text));
    let works = recent.filter(|line| {
        let text = line.text.to_lowercase();
        !FAILURES.iter().any(|failure| text.contains(failure))
    });
    let told: Vec<Vec<(u32, u32)>> =
        works.map(|line| done_of(&line.text)).filter(|told| !told.is_empty()).take(LINES).collect();
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

/// A line without its figures and instants, and the figures.
fn shape(text: &str) -> (String, Vec<f64>) {
    let (mut shape, mut figures) = (String::new(), vec![]);
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '=' | '|' | ',' | '[' | ']' | '(' | ')' | '"')) {
        if word.is_empty() {
            continue;
        }
        shape.push(' ');
        if is_instant(word) {
            continue;
        }
        let mut rest = word;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let number = &rest[begin..];
            let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
            shape.push_str(&rest[..begin]);
            shape.push('#');
            let figure = number[..end].trim_end_matches('.').parse().unwrap_or(f64::INFINITY);
            // What is no count stands still, so it does not rise.
            figures.push(if figure < COUNTS_TO { figure } else { f64::INFINITY });
            rest = &number[end..];
        }
        shape.push_str(rest);
    }
    (shape, figures)
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
    use crate::testing::at;

    #[test]
    fn a_request_is_well_answered_by_its_code_and_by_no_other_figure() {
        for line in ["GET /a 200 12ms", "\"GET /a HTTP/1.1\" 304 0", "GET /a?b=500 for 10.0.0.1:1, 200 OK in 2 ms"] {
            assert!(is_well_answered(line), "{line}");
        }
        for line in ["GET /a 500 200 ms", "\"GET /200 HTTP/1.1\" 502 23", "GET /a", "POST /a 404 2", "no request 200"] {
            assert!(!is_well_answered(line), "{line}");
        }
    }

    #[test]
    fn work_counts_up_and_neither_time_nor_failure_is_work() {
        let check = |lines: &[&str], expected: bool| {
            let printed: Vec<Line> = (0..)
                .zip(lines)
                .map(|(n, text)| Line { at: Some(at(n)), stream: Stream::Stdout, text: (*text).to_owned() })
                .collect();
            let works = counts_up(&printed) || counts_down(&printed) || nears_its_end(&printed);
            assert_eq!(works, expected, "{lines:?}");
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
