//! Parses `docker top`: the output of the host's `ps`, whose columns and units differ between hosts.
//!
//! Columns are found by their titles.

use hemostat_docker::models::ContainerTopResponse;
use hemostat_schema::{ByteCount, Span, examination::Process};

/// Maximum processes reported.
const MAX_PROCESSES: usize = 10;

/// The requested columns, in an option that both procps and busybox accept.
pub const PS_OPTIONS: &str = "-eo pid,time,rss,args";

/// The processes with the most CPU time, not redacted yet.
pub(super) fn read(top: &ContainerTopResponse) -> Vec<Process> {
    let titles: Vec<String> =
        top.titles.iter().flatten().map(|title| title.trim_start_matches('%').to_ascii_uppercase()).collect();
    let column = |names: &[&str]| titles.iter().position(|title| names.contains(&title.as_str()));
    let (pid, cpu, memory) = (column(&["PID"]), column(&["TIME"]), column(&["RSS"]));
    let command = column(&["COMMAND", "CMD", "ARGS"]);
    let read = |row: &Vec<String>| {
        let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).map(String::as_str);
        Some(Process {
            pid: cell(pid)?.parse().ok()?,
            cpu: cell(cpu).and_then(time).unwrap_or(Span::ZERO),
            memory: cell(memory).and_then(kibibytes).unwrap_or(ByteCount(0)),
            command: cell(command)?.to_owned(),
        })
    };
    let mut processes: Vec<Process> = top.processes.iter().flatten().filter_map(read).collect();
    processes.sort_by_key(|process| std::cmp::Reverse((process.cpu, process.memory.0)));
    processes.truncate(MAX_PROCESSES);
    processes
}

/// `1-02:03:04`, `02:03:04`, `3:04`, or `3:04.50`; busybox writes `2h03` and `1d02` for long ones.
fn time(text: &str) -> Option<Span> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let clock = clock.split('.').next()?;
    let number = |text: &str| text.parse::<u64>().ok();
    let secs = if let Some((hours, minutes)) = clock.split_once('h') {
        number(hours)? * 3600 + number(minutes)? * 60
    } else if let Some((days, hours)) = clock.split_once('d') {
        number(days)? * 86_400 + number(hours)? * 3600
    } else {
        clock.split(':').try_fold(0_u64, |secs, part| secs.checked_mul(60)?.checked_add(number(part)?))?
    };
    Some(Span::from_secs(number(days)?.checked_mul(86_400)?.checked_add(secs)?))
}

/// KiB; busybox writes `12m` and `1.5g` for large ones.
fn kibibytes(text: &str) -> Option<ByteCount> {
    let (number, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_u64 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1 << 10),
    };
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
    let bytes =
        number.parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| (number * factor as f64) as u64);
    bytes.map(ByteCount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(titles: &[&str], rows: &[&[&str]]) -> ContainerTopResponse {
        let owned = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        ContainerTopResponse {
            titles: Some(owned(titles)),
            processes: Some(rows.iter().map(|row| owned(row)).collect()),
        }
    }

    fn process(pid: u32, secs: u64, kib: u64, command: &str) -> Process {
        Process { pid, cpu: Span::from_secs(secs), memory: ByteCount(kib << 10), command: command.to_owned() }
    }

    #[test]
    fn processes_are_parsed_by_column_title_and_sorted_by_cpu_time() {
        let procps = top(
            &["PID", "TIME", "RSS", "COMMAND"],
            &[&["1", "00:00:01", "1024", "/app --serve"], &["17", "1-00:01:00", "2048", "worker 1"]],
        );
        assert_eq!(read(&procps), [process(17, 86_460, 2048, "worker 1"), process(1, 1, 1024, "/app --serve")]);
        // The default columns of `docker top`.
        let full = top(
            &["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
            &[&["root", "5", "1", "0", "10:00", "?", "00:00:02", "sleep 1"]],
        );
        assert_eq!(read(&full), [process(5, 2, 0, "sleep 1")]);
        let busybox = top(&["PID", "TIME", "RSS", "COMMAND"], &[&["9", "1h02", "12m", "x"], &["?", "0:00", "0", "y"]]);
        assert_eq!(read(&busybox), [process(9, 3720, 12 << 10, "x")]);
        assert_eq!(read(&top(&[], &[&["1"]])), []);
        assert_eq!(read(&ContainerTopResponse::default()), []);
        let many: Vec<&[&str]> = vec![&["1", "0:01", "1", "x"]; 30];
        assert_eq!(read(&top(&["PID", "TIME", "RSS", "COMMAND"], &many)).len(), MAX_PROCESSES);
    }

    #[test]
    fn times_and_sizes_are_parsed_in_every_format() {
        for (text, secs) in [
            ("00:00:00", Some(0)),
            ("01:02:03", Some(3723)),
            ("2-00:00:01", Some(172_801)),
            ("3:04", Some(184)),
            ("3:04.50", Some(184)),
            ("1d02", Some(93_600)),
            ("x", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text), secs.map(Span::from_secs), "{text}");
        }
        for (text, bytes) in [("4", Some(4096)), ("4k", Some(4096)), ("1.5g", Some(3 << 29)), ("", None), ("-1", None)]
        {
            assert_eq!(kibibytes(text), bytes.map(ByteCount), "{text}");
        }
    }
}
