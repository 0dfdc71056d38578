//! Parses Docker's event messages.
//!
//! Docker sends far more than the monitor needs (each `exec` of a health check is three messages). Messages that do not
//! change the life cycle, the health or the configuration of a container are dropped here.

use hemostat_docker::models::{EventMessage, EventMessageTypeEnum};
use hemostat_schema::{ContainerId, ContainerName, Timestamp, container::Health};

/// One event of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerEvent {
    /// When, by the engine's clock, to the nanosecond.
    pub at: Timestamp,
    /// The container.
    pub id: ContainerId,
    /// Its name at that moment.
    pub name: ContainerName,
    /// What happened.
    pub what: DockerEventKind,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DockerEventKind {
    /// It was created.
    Created,
    /// A run began.
    Started,
    /// A run ended.
    Died {
        /// The exit code.
        code: i64,
    },
    /// A client of the engine sent it a signal.
    Signalled {
        /// Its number; 0 if it could not be parsed.
        signal: i32,
    },
    /// A client of the engine stopped it (`docker stop`, and the first half of `docker restart`).
    Stopped,
    /// It was paused.
    Paused,
    /// It was unpaused.
    Unpaused,
    /// Its health status changed.
    Health(Health),
    /// The kernel's OOM killer killed one of its processes.
    OutOfMemory,
    /// It was removed.
    Destroyed,
    /// Its name or its limits changed.
    Changed,
}

impl DockerEvent {
    /// Parses an event message; `None` if the monitor does not need it.
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
            "create" => DockerEventKind::Created,
            "start" => DockerEventKind::Started,
            "die" => {
                DockerEventKind::Died { code: attribute("exitCode").and_then(|code| code.parse().ok()).unwrap_or(-1) }
            }
            "kill" => DockerEventKind::Signalled { signal: attribute("signal").and_then(signal_number).unwrap_or(0) },
            "stop" => DockerEventKind::Stopped,
            "pause" => DockerEventKind::Paused,
            "unpause" => DockerEventKind::Unpaused,
            "health_status" => DockerEventKind::Health(match argument {
                "healthy" => Health::Healthy,
                "unhealthy" => Health::Unhealthy,
                "starting" => Health::Starting,
                _ => return None,
            }),
            "oom" => DockerEventKind::OutOfMemory,
            "destroy" => DockerEventKind::Destroyed,
            "rename" | "update" => DockerEventKind::Changed,
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

/// The number of a signal, given as a number (`15`) or by name (`SIGTERM`, `term`); Linux's numbers on x86 and ARM.
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
    fn every_relevant_message_is_parsed() {
        for (action, attributes, what) in [
            ("create", "", DockerEventKind::Created),
            ("start", "", DockerEventKind::Started),
            ("die", r#""exitCode":"3","#, DockerEventKind::Died { code: 3 }),
            ("kill", r#""signal":"15","#, DockerEventKind::Signalled { signal: 15 }),
            ("kill", r#""signal":"SIGKILL","#, DockerEventKind::Signalled { signal: 9 }),
            ("stop", "", DockerEventKind::Stopped),
            ("pause", "", DockerEventKind::Paused),
            ("unpause", "", DockerEventKind::Unpaused),
            ("health_status: unhealthy", "", DockerEventKind::Health(Health::Unhealthy)),
            ("health_status: healthy", "", DockerEventKind::Health(Health::Healthy)),
            ("oom", "", DockerEventKind::OutOfMemory),
            ("destroy", "", DockerEventKind::Destroyed),
            ("rename", r#""oldName":"/api-0","#, DockerEventKind::Changed),
            ("update", "", DockerEventKind::Changed),
        ] {
            let happening = DockerEvent::read(&message(action, attributes)).unwrap();
            let expected = DockerEvent {
                at: Timestamp::from_nanosecond(1_795_462_698_792_223_107).unwrap(),
                id: "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f".parse().unwrap(),
                name: "api-1".parse().unwrap(),
                what,
            };
            assert_eq!(happening, expected, "{action}");
        }
    }

    #[test]
    fn irrelevant_messages_are_dropped() {
        for action in ["exec_create: /bin/sh -c test -e /ok", "exec_start: x", "exec_die", "attach", "restart", "top"] {
            assert_eq!(DockerEvent::read(&message(action, "")), None, "{action}");
        }
        let mut network = message("connect", "");
        network.typ = Some(EventMessageTypeEnum::NETWORK);
        assert_eq!(DockerEvent::read(&network), None);
    }

    #[test]
    fn signals_are_parsed_by_number_and_by_name() {
        for (text, number) in
            [("15", 15), ("SIGTERM", 15), ("term", 15), ("SIGWINCH", 28), ("SIGRTMIN+3", 37), ("SIGSYS", 31)]
        {
            assert_eq!(signal_number(text), Some(number), "{text}");
        }
        assert_eq!(signal_number("SIGNOTHING"), None);
    }
}
