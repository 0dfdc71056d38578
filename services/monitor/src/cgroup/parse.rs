//! Parses the kernel's cgroup and proc files.
//!
//! The formats are those of the kernel's documentation: cgroup-v1/{cpuacct,memory,pids,blkio-controller}, cgroup-v2, psi
//! (<https://docs.kernel.org/admin-guide/>), and of proc(5) for `stat` and `net/dev`. A missing value is
//! `None` or zero; no parser fails.

use hemostat_core::observe::vitals::Throttling;
use hemostat_schema::Percent;

/// Nanoseconds per tick of `/proc/stat`: `USER_HZ` is 100 on every current architecture.
const TICK_NS: u64 = 10_000_000;
/// user, nice, system, idle, iowait, irq and softirq. Steal time is the hypervisor's, and guest time is part of user time.
/// Docker sums the same seven.
const HOST_STATES: usize = 7;

/// CPU time of all cores of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCpu {
    /// Busy or idle, in nanoseconds.
    pub time_ns: u64,
    /// Cores that are online.
    pub online: u32,
}

/// A file that holds one number.
pub fn number(text: &str) -> Option<u64> {
    text.trim_ascii().parse().ok()
}

/// A file that holds one limit; `None` if unlimited (`max`).
pub fn limit(text: &str) -> Option<u64> {
    number(text)
}

/// The number after `name` in a file of lines such as `inactive_file 4096`.
pub fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).and_then(number)
}

/// `cpu.stat` of either version; `None` without a CPU limit, as there are no periods then.
pub fn throttling(text: &str) -> Option<Throttling> {
    let periods = field(text, "nr_periods").filter(|periods| *periods > 0)?;
    Some(Throttling { periods, throttled: field(text, "nr_throttled").unwrap_or(0) })
}

/// Bytes read and written over all devices: `blkio.throttle.io_service_bytes_recursive` of version 1, with lines such
/// as `254:0 Read 4096`.
pub fn blocks_v1(text: &str) -> (u64, u64) {
    text.lines().fold((0, 0), |(read, written), line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        match (words.next(), words.next().and_then(number)) {
            (Some("Read"), Some(bytes)) => (read + bytes, written),
            (Some("Write"), Some(bytes)) => (read, written + bytes),
            _ => (read, written),
        }
    })
}

/// The same from `io.stat` of version 2, with lines such as `254:0 rbytes=4096 wbytes=0 rios=1 wios=0`.
pub fn blocks_v2(text: &str) -> (u64, u64) {
    text.split_ascii_whitespace().fold((0, 0), |(read, written), word| match word.split_once('=') {
        Some(("rbytes", bytes)) => (read + number(bytes).unwrap_or(0), written),
        Some(("wbytes", bytes)) => (read, written + number(bytes).unwrap_or(0)),
        _ => (read, written),
    })
}

/// The share of the last ten seconds in which some task waited: `some avg10=0.12 avg60=…` of a pressure file.
pub fn pressure(text: &str) -> Option<Percent> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
    Percent::new(share.parse().ok()?)
}

/// Bytes received and sent over the interfaces that the engine gave a container, from its `net/dev`.
///
/// Docker names these `eth0`, `eth1` and so on. Tunnels and bridges inside a container carry the same bytes again, so they
/// count only if there is no `eth` interface. Loopback (`lo`) never counts.
pub fn network(text: &str) -> (u64, u64) {
    let sum = |counts: fn(&str) -> bool| {
        let counted = text.lines().filter_map(interface).filter(move |(name, ..)| counts(name));
        counted.fold(None, |sum: Option<(u64, u64)>, (_, received, sent)| {
            let (all_received, all_sent) = sum.unwrap_or_default();
            Some((all_received + received, all_sent + sent))
        })
    };
    sum(|name| name.starts_with("eth")).or_else(|| sum(|name| name != "lo")).unwrap_or_default()
}

/// A line such as `eth0: 286 3 0 0 0 0 0 0 7 1 …`: name, bytes received, bytes sent.
fn interface(line: &str) -> Option<(&str, u64, u64)> {
    let (name, counters) = line.split_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    let received = number(counters.next()?)?;
    Some((name.trim_ascii(), received, number(counters.nth(7)?)?))
}

/// `/proc/stat`.
pub fn host_cpu(text: &str) -> Option<HostCpu> {
    let mut lines = text.lines();
    let all = lines.next()?.strip_prefix("cpu ")?;
    let ticks: u64 = all.split_ascii_whitespace().take(HOST_STATES).filter_map(number).sum();
    let online = lines.take_while(|line| line.starts_with("cpu")).count();
    Some(HostCpu { time_ns: ticks * TICK_NS, online: u32::try_from(online).ok().filter(|online| *online > 0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_limits_are_parsed_and_max_is_no_limit() {
        for (text, said) in
            [("31251433\n", Some(31_251_433)), ("0\n", Some(0)), ("max\n", None), ("", None), ("-1\n", None)]
        {
            assert_eq!(number(text), said, "{text:?}");
            assert_eq!(limit(text), said, "{text:?}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_full_name() {
        let text = "cache 1\nactive_file 2\ninactive_file 3\ntotal_inactive_file 4\n";
        for (name, said) in
            [("inactive_file", Some(3)), ("total_inactive_file", Some(4)), ("active", None), ("rss", None)]
        {
            assert_eq!(field(text, name), said, "{name}");
        }
    }

    #[test]
    fn a_container_without_a_cpu_limit_has_no_periods() {
        let limited = "usage_usec 1200\nnr_periods 50\nnr_throttled 12\nthrottled_usec 90\n";
        assert_eq!(throttling(limited), Some(Throttling { periods: 50, throttled: 12 }));
        assert_eq!(throttling("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"), None);
        assert_eq!(throttling("usage_usec 1200\nuser_usec 200\n"), None);
    }

    #[test]
    fn blocks_are_summed_over_devices() {
        let v1 = "254:0 Read 4096\n254:0 Write 512\n254:0 Sync 4608\n254:0 Total 4608\n7:1 Read 1\nTotal 4609\n";
        assert_eq!(blocks_v1(v1), (4097, 512));
        assert_eq!(blocks_v1("Total 0\n"), (0, 0));
        let v2 = "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n8:0 rbytes=800 wbytes=4\n";
        assert_eq!(blocks_v2(v2), (1_460_000, 314_773_508));
        assert_eq!(blocks_v2(""), (0, 0));
        assert_eq!(blocks_v2("253:0 \n"), (0, 0));
    }

    #[test]
    fn pressure_is_the_share_in_which_some_task_waited() {
        let text =
            "some avg10=12.50 avg60=3.00 avg300=0.90 total=4242\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!(pressure(text).map(Percent::get), Some(12.5));
        assert_eq!(pressure("full avg10=1.00 avg60=0.00 avg300=0.00 total=9\n"), None);
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn only_interfaces_of_the_engine_count() {
        let head = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
        let line = |name: &str, received: u64, sent: u64| {
            format!(
                "{name:>6}: {received:7}       8    0    0    0     0          0         0 {sent:8}       1    0    0    0     0       0          0\n"
            )
        };
        let dev = |lines: &[(&str, u64, u64)]| {
            lines.iter().fold(head.to_owned(), |text, (name, received, sent)| text + &line(name, *received, *sent))
        };
        for (lines, said) in [
            (vec![("lo", 9, 9), ("eth0", 286, 7), ("eth1", 14, 1)], (300, 8)),
            (vec![("lo", 9, 9), ("eth0", 286, 7), ("docker0", 5, 5), ("tun0", 1, 1)], (286, 7)),
            (vec![("lo", 9, 9), ("tap0", 12, 3)], (12, 3)),
            (vec![("lo", 9, 9)], (0, 0)),
            (vec![], (0, 0)),
        ] {
            assert_eq!(network(&dev(&lines)), said, "{lines:?}");
        }
    }

    #[test]
    fn host_cpu_time_excludes_steal_time() {
        let text = "cpu  100 10 50 1000 20 1 2 400 30 3\ncpu0 50 5 25 500 10 1 1 200 15 1\ncpu1 50 5 25 500 10 0 1 200 15 2\nintr 9 1\n";
        assert_eq!(host_cpu(text), Some(HostCpu { time_ns: 1183 * TICK_NS, online: 2 }));
        assert_eq!(host_cpu("intr 9 1\n"), None);
        assert_eq!(host_cpu(""), None);
    }
}
