//! CPU time and memory of processes, from `/proc`.

use std::{collections::BTreeMap, fs};

/// CPU time of a process, in seconds (proc(5): utime and stime, in ticks of 10 ms).
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Resident memory of a process, in MB (10^6 bytes).
pub fn rss(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or_default() * 1024.0 / 1e6
}

/// A process and its children, by name.
///
/// # Panics
/// When it is not running.
pub fn family_of(pid: u32) -> BTreeMap<String, u32> {
    // The kernel lists a child under the thread that started it.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs").flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|list| list.split(' ').flat_map(str::parse).collect::<Vec<_>>()).collect();
    let pids = std::iter::once(pid).chain(children);
    pids.filter_map(|pid| Some((format!("{pid} {}", name(pid)?), pid))).collect()
}

/// Every process with one of these names.
pub fn called(names: &[&str]) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| name(*pid).is_some_and(|name| names.contains(&name.as_str()))).collect()
}

fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}
