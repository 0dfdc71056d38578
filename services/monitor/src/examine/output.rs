//! Reassembles a container's output into lines.
//!
//! Docker returns its log in pieces, each with its timestamp in front. A line longer than 16 KiB comes in several pieces,
//! of which only the last ends with a line break; they are joined before redaction, so that no secret is split.

use hemostat_docker::LogOutput;
use hemostat_schema::{
    Timestamp,
    examination::{Line, Stream},
};

use super::text::shortened;

/// Maximum bytes of a line that are read.
const LINE_BYTES: usize = 64 << 10;
/// Maximum characters of a line that are kept.
const LINE_CHARS: usize = 500;

/// The lines since `since`, oldest first, not redacted yet.
pub(super) fn read(pieces: &[LogOutput], since: Option<Timestamp>) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    // The unfinished line of each stream.
    let mut open: [Option<usize>; 2] = [None, None];
    for piece in pieces {
        let (stream, bytes) = match piece {
            LogOutput::StdErr { message } => (Stream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => (Stream::Stdout, message),
            LogOutput::StdIn { .. } => continue,
        };
        let text = String::from_utf8_lossy(bytes);
        let ended = text.ends_with('\n');
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let (at, text) = match text.split_once(' ').map(|(first, rest)| (first.parse::<Timestamp>(), rest)) {
            Some((Ok(at), rest)) => (Some(at), rest),
            // An empty line is only its timestamp.
            _ => text.parse().map_or((None, text), |at| (Some(at), "")),
        };
        let which = usize::from(stream == Stream::Stderr);
        let mut parts = text.split('\n');
        if let Some(line) = open[which].take().and_then(|index| lines.get_mut(index)) {
            let rest = parts.next().unwrap_or_default();
            line.text.extend(rest.chars().take(LINE_BYTES.saturating_sub(line.text.len())));
        }
        lines.extend(parts.map(|part| Line { at, stream, text: part.chars().take(LINE_BYTES).collect() }));
        if !ended {
            open[which] = lines.iter().rposition(|line| line.stream == stream);
        }
    }
    lines.retain(|line| since.is_none_or(|since| line.at.is_none_or(|at| at >= since)));
    lines
}

/// Redacts the lines, each stream by itself, as a secret may span several lines of one stream.
pub(super) fn redacted(lines: &[Line], mut redact: impl FnMut(&[&str]) -> Vec<String>) -> Vec<Line> {
    let mut left = [Stream::Stdout, Stream::Stderr].map(|stream| {
        let texts: Vec<&str> =
            lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect();
        redact(&texts).into_iter()
    });
    let text = |line: &Line| left[usize::from(line.stream == Stream::Stderr)].next().unwrap_or_default();
    let texts: Vec<String> = lines.iter().map(text).collect();
    lines.iter().zip(texts).map(|(line, text)| Line { text, ..line.clone() }).collect()
}

/// The last non-empty lines within both bounds, and whether lines were cut.
pub(super) fn bounded(lines: Vec<Line>, max_lines: u32, max_bytes: u32) -> (Vec<Line>, bool) {
    let non_empty: Vec<Line> = lines
        .into_iter()
        .map(|line| Line { text: shortened(line.text.trim_end(), LINE_CHARS), ..line })
        .filter(|line| !line.text.is_empty())
        .collect();
    let mut left = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let fits = |line: &&Line| {
        let fits = line.text.len() <= left;
        left = left.saturating_sub(line.text.len());
        fits
    };
    let kept = non_empty.iter().rev().take(usize::try_from(max_lines).unwrap_or(usize::MAX)).take_while(fits).count();
    let cut = kept < non_empty.len();
    (non_empty.into_iter().rev().take(kept).rev().collect(), cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: Stream, text: &str) -> LogOutput {
        let message = text.to_owned().into();
        match stream {
            Stdout => LogOutput::StdOut { message },
            Stderr => LogOutput::StdErr { message },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_462_000 + second).unwrap()
    }

    fn line(second: i64, stream: Stream, text: &str) -> Line {
        Line { at: Some(at(second)), stream, text: text.to_owned() }
    }
    use Stream::{Stderr, Stdout};

    #[test]
    fn pieces_become_lines_with_timestamps() {
        let out = |second: i64, text: &str| piece(Stdout, &format!("{} {text}", at(second)));
        let err = |second: i64, text: &str| piece(Stderr, &format!("{} {text}", at(second)));
        let empty = piece(Stdout, &format!("{}\n", at(6)));
        let pieces = [
            out(0, "before\n"),
            out(1, "one\n"),
            out(2, "a long "),
            err(2, "between\n"),
            out(3, "line\n"),
            out(4, "two\nin one\n"),
            piece(Stdout, "without a time\n"),
            empty,
            out(7, "not ended"),
        ];
        let expected = [
            line(1, Stdout, "one"),
            line(2, Stdout, "a long line"),
            line(2, Stderr, "between"),
            line(4, Stdout, "two"),
            line(4, Stdout, "in one"),
            Line { at: None, ..line(0, Stdout, "without a time") },
            line(6, Stdout, ""),
            line(7, Stdout, "not ended"),
        ];
        assert_eq!(read(&pieces, Some(at(1))), expected);
    }

    #[test]
    fn each_stream_is_redacted_by_itself_and_the_order_is_kept() {
        let lines = [line(0, Stdout, "a"), line(1, Stderr, "b"), line(2, Stdout, "c")];
        let redacted = redacted(&lines, |texts| texts.iter().map(|text| format!("{}{text}", texts.len())).collect());
        assert_eq!(redacted, [line(0, Stdout, "2a"), line(1, Stderr, "1b"), line(2, Stdout, "2c")]);
    }

    #[test]
    fn the_last_lines_within_the_bounds_are_kept() {
        let lines = |texts: &[&str]| texts.iter().map(|text| line(0, Stdout, text)).collect::<Vec<_>>();
        let long = "ä".repeat(LINE_CHARS + 1);
        let short = format!("{}…", "ä".repeat(LINE_CHARS - 1));
        for (texts, most, bytes, kept, cut) in [
            (&["a", "b"][..], 2, 100, &["a", "b"][..], false),
            (&["a", "", " ", "b"], 2, 100, &["a", "b"], false),
            (&["a", "b", "c"], 2, 100, &["b", "c"], true),
            (&["aaaa", "bb", "cc"], 9, 5, &["bb", "cc"], true),
            (&["aaaaaa"], 9, 5, &[], true),
            (&[&long], 9, 5000, &[&short], false),
            (&[], 9, 5, &[], false),
        ] {
            assert_eq!(bounded(lines(texts), most, bytes), (lines(kept), cut), "{texts:?}");
        }
    }
}
