//! Whether the process that owns a container is still there.
//!
//! An owner is `host/pid-namespace/pid/start`: the start time tells a process from a later one with the same number, and
//! host and namespace tell whether we could see it at all. Of an owner that we could not see we say that it lives.

/// Which machine, and which numbering of processes on it.
fn place() -> Option<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", host.trim(), namespace.to_string_lossy()))
}

/// When the process began, in clock ticks since the boot; none when there is no such process.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may contain anything; the start time is the 20th field after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// This process, as an owner.
pub(super) fn this_process() -> String {
    let pid = std::process::id();
    format!("{}/{pid}/{}", place().unwrap_or_default(), started(pid).unwrap_or_default())
}

/// Whether `owner` is a process that we would see if it were there, and is not.
pub(super) fn is_gone(owner: &str) -> bool {
    let parse = || {
        let mut parts = owner.rsplitn(3, '/');
        let (start, pid) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse().ok()?);
        (parts.next()? == place()?).then_some((pid, start))
    };
    parse().is_some_and(|(pid, start)| started(pid) != Some(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_owner_that_we_would_see_is_gone() {
        let me = this_process();
        let (rest, start) = me.rsplit_once('/').unwrap();
        let reborn = format!("{rest}/{}", start.parse::<u64>().unwrap() + 1);
        for (owner, gone) in [(me.as_str(), false), (&reborn, true), ("elsewhere/pid:[1]/1/1", false), ("", false)] {
            assert_eq!(is_gone(owner), gone, "{owner}");
        }
    }
}
