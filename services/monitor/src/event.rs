//! Which of the engine's event messages matter, and what do they say?
//!
//! Docker tells far more than is needed (every `exec` of a health check is three messages); what is not about a
//! container's life is dropped here.

use bollard::models::{EventMessage, EventMessageTypeEnum};
use hemostat_schema::{ContainerId, ContainerName, Timestamp, container::Health};

/// One thing that happened to one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// When, by the engine's clock, to the nanosecond.
    pub at: Timestamp,
    /// To which container.
    pub id: ContainerId,
    /// What it was called at that moment.
    pub name: ContainerName,
    /// What.
    pub what: What,
}

/// What can happen to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// It was made.
    Created,
    /// A run began.
    Started,
    /// A run ended.
    Died {
        /// With this exit code.
        code: i64,
    },
    /// Somebody sent it a signal through the engine.
    Signalled {
        /// Its number; 0 where it could not be read.
        signal: i32,
    },
    /// Somebody had it stopped (`docker stop`, and the first half of `docker restart`).
    Stopped,
    /// It was frozen.
    Paused,
    /// It was thawed.
    Unpaused,
    /// Its health check says something new.
    Health(Health),
    /// The kernel killed a process of it for want of memory.
    OutOfMemory,
    /// It was removed.
    Destroyed,
    /// It has another name, or other limits, than before.
    Changed,
}

impl Happening {
    /// Reads an event message; none when it does not matter here.
    pub fn read(message: &EventMessage) -> Option<Self> {
        if message.typ != Some(EventMessageTypeEnum::CONTAINER) {
            return None;
        }
        let actor = message.actor.as_ref()?;
        let attribute = |key: &str| actor.attributes.as_ref()?.get(key).map(String::as_str);
        // Some actions carry their argument: `health_status: unhealthy`, `exec_create: /bin/sh -c …`.
        let (action, argument) = match message.action.as_deref()?.split_once(':') {
            Some((action, argument)) => (action, argument.trim()),
            None => (message.action.as_deref()?, ""),
        };
        let what = match action {
            "create" => What::Created,
            "start" => What::Started,
            "die" => What::Died { code: attribute("exitCode").and_then(|code| code.parse().ok()).unwrap_or(-1) },
            "kill" => What::Signalled { signal: attribute("signal").and_then(signal_number).unwrap_or(0) },
            "stop" => What::Stopped,
            "pause" => What::Paused,
            "unpause" => What::Unpaused,
            "health_status" => What::Health(match argument {
                "healthy" => Health::Healthy,
                "unhealthy" => Health::Unhealthy,
                "starting" => Health::Starting,
                _ => return None,
            }),
            "oom" => What::OutOfMemory,
            "destroy" => What::Destroyed,
            "rename" | "update" => What::Changed,
            _ => return None,
        };
        Some(Self {
            at: instant(message)?,
            id: actor.id.as_deref()?.parse().ok()?,
            name: attribute("name")?.trim_start_matches('/').parse().ok()?,
            what,
        })
    }
}

fn instant(message: &EventMessage) -> Option<Timestamp> {
    match (message.time_nano, message.time) {
        (Some(nanos), _) if nanos > 0 => Timestamp::from_nanosecond(i128::from(nanos)).ok(),
        (_, Some(secs)) => Timestamp::from_second(secs).ok(),
        _ => None,
    }
}

/// The number of a signal written as Docker does (`15`) or as people do (`SIGTERM`, `term`), by the numbers of Linux
/// on x86 and ARM.
pub fn signal_number(text: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return if offset.is_empty() { Some(34) } else { Some(34 + offset.parse::<i32>().ok()?) };
    }
    NAMES.iter().zip(1..).find_map(|(known, number)| (*known == name).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded from Docker 20.10, without the labels.
    fn message(action: &str, attributes: &str) -> EventMessage {
        serde_json::from_str(&format!(
            r#"{{"status":"x","Type":"container","Action":"{action}","Actor":{{
                "ID":"ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f",
                "Attributes":{{"image":"hemostat-test-busybox:1",{attributes}"name":"api-1"}}}},
                "scope":"local","time":1795462698,"timeNano":1795462698792223107}}"#
        ))
        .unwrap()
    }

    #[test]
    fn each_message_that_matters_is_read() {
        for (action, attributes, what) in [
            ("create", "", What::Created),
            ("start", "", What::Started),
            ("die", r#""exitCode":"3","#, What::Died { code: 3 }),
            ("kill", r#""signal":"15","#, What::Signalled { signal: 15 }),
            ("kill", r#""signal":"SIGKILL","#, What::Signalled { signal: 9 }),
            ("stop", "", What::Stopped),
            ("pause", "", What::Paused),
            ("unpause", "", What::Unpaused),
            ("health_status: unhealthy", "", What::Health(Health::Unhealthy)),
            ("health_status: healthy", "", What::Health(Health::Healthy)),
            ("oom", "", What::OutOfMemory),
            ("destroy", "", What::Destroyed),
            ("rename", r#""oldName":"/api-0","#, What::Changed),
            ("update", "", What::Changed),
        ] {
            let happening = Happening::read(&message(action, attributes)).unwrap();
            let expected = Happening {
                at: Timestamp::from_nanosecond(1_795_462_698_792_223_107).unwrap(),
                id: "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap(),
                name: "api-1".parse().unwrap(),
                what,
            };
            assert_eq!(happening, expected, "{action}");
        }
    }

    #[test]
    fn what_does_not_matter_is_dropped() {
        for action in ["exec_create: /bin/sh -c test -e /ok", "exec_start: x", "exec_die", "attach", "restart", "top"] {
            assert_eq!(Happening::read(&message(action, "")), None, "{action}");
        }
        let mut network = message("connect", "");
        network.typ = Some(EventMessageTypeEnum::NETWORK);
        assert_eq!(Happening::read(&network), None);
    }

    #[test]
    fn signals_are_known_by_number_and_by_name() {
        for (text, number) in
            [("15", 15), ("SIGTERM", 15), ("term", 15), ("SIGWINCH", 28), ("SIGRTMIN+3", 37), ("SIGSYS", 31)]
        {
            assert_eq!(signal_number(text), Some(number), "{text}");
        }
        assert_eq!(signal_number("SIGNOTHING"), None);
    }
}
