//! Whether the process that owns a container still runs.
//!
//! An owner is `host/pid-namespace/pid/start`. The start time distinguishes a process from a later one with the same
//! number. A process of another host or namespace is invisible here, and counts as running.

/// The host name and the pid namespace.
fn namespace() -> Option<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", host.trim(), namespace.to_string_lossy()))
}

/// The process's start, in clock ticks since boot; `None` if it does not exist.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may contain anything; the start time is the 20th field after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The owner that stands for this process.
pub(super) fn this_process() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}", namespace().unwrap_or_default(), started(pid).unwrap_or_default())
}

/// Whether `owner` would be visible here if it ran, and is not.
pub(super) fn is_gone(owner: &str) -> bool {
    let parse = || {
        let mut parts = owner.rsplitn(3, '/');
        let (start, pid) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse().ok()?);
        (parts.next()? == namespace()?).then_some((pid, start))
    };
    parse().is_some_and(|(pid, start)| started(pid) != Some(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_visible_owner_can_be_gone() {
        let me = this_process();
        let (rest, start) = me.rsplit_once('/').unwrap();
        let later_process = format!("{rest}/{}", start.parse::<u64>().unwrap() + 1);
        for (owner, gone) in
            [(me.as_str(), false), (&later_process, true), ("elsewhere/pid:[1]/1/1", false), ("", false)]
        {
            assert_eq!(is_gone(owner), gone, "{owner}");
        }
    }
}
