//! `docker top`: the processes of a container, in the requested columns of `ps`.

use serde_json::json;

use super::{
    query::Query,
    reply::{ApiError, Reply, ok},
};
use crate::{
    counter::whole,
    engine::{
        container::{Container, Status},
        outcome::Refusal,
    },
    server::shared::Shared,
    time::UnixNanos,
};

/// Maximum number of processes listed.
const LISTED: u64 = 50;

pub(super) fn top(shared: &Shared, key: &str, query: &Query) -> Result<Reply, ApiError> {
    let columns = columns(query.get("ps_args").unwrap_or("-ef"))?;
    shared.look(|engine, now| {
        let container = engine.container(key)?;
        match container.status {
            Status::Running | Status::Paused => {}
            Status::Restarting => return Err(Refusal::Restarting(container.id).into()),
            Status::Created | Status::Exited => return Err(Refusal::NotRunning(container.id.to_string()).into()),
        }
        let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        let count = whole(container.counters.pids.at(now)).clamp(1, LISTED);
        let processes: Vec<Vec<String>> =
            (0..count).map(|n| columns.iter().map(|column| cell(column.field, container, n, now)).collect()).collect();
        Ok(ok(&json!({"Titles": titles, "Processes": processes})))
    })
}

#[derive(Debug, Clone, Copy)]
struct Column {
    title: &'static str,
    field: Field,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    User,
    Pid,
    Parent,
    Cpu,
    Memory,
    Resident,
    Command,
    Name,
    State,
    Time,
    Terminal,
}

/// Field `ps` would print for these arguments.
fn columns(arguments: &str) -> Result<Vec<Column>, ApiError> {
    use Field::{Command, Cpu, Memory, Name, Parent, Pid, Resident, State, Terminal, Time, User};
    let column = |title, field| Column { title, field };
    let chosen = arguments.split_once("-o").or_else(|| arguments.split_once("-eo")).map(|(_, names)| names);
    let names = match chosen {
        Some(names) => names,
        None if arguments.contains("aux") => "user,pid,pcpu,pmem,rss,stat,time,args",
        None => {
            return Ok(vec![
                column("UID", User),
                column("PID", Pid),
                column("PPID", Parent),
                column("C", Cpu),
                column("STIME", Time),
                column("TTY", Terminal),
                column("TIME", Time),
                column("CMD", Command),
            ]);
        }
    };
    names
        .split([',', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            Ok(match name.trim_end_matches('=') {
                "user" => column("USER", User),
                "pid" => column("PID", Pid),
                "ppid" => column("PPID", Parent),
                "pcpu" | "%cpu" => column("%CPU", Cpu),
                "pmem" | "%mem" => column("%MEM", Memory),
                "rss" | "rssize" => column("RSS", Resident),
                "args" | "command" => column("COMMAND", Command),
                "cmd" => column("CMD", Command),
                "comm" => column("COMMAND", Name),
                "stat" | "state" => column("STAT", State),
                "time" | "etime" => column("TIME", Time),
                other => {
                    return Err(ApiError::invalid(format!("ps: unknown user-defined format specifier \"{other}\"")));
                }
            })
        })
        .collect()
}

/// The value of a column for the `n`th process. The first process does the work; the others sleep.
fn cell(field: Field, container: &Container, n: u64, now: UnixNanos) -> String {
    let memory = container.counters.memory.at(now);
    let main = n == 0;
    let pid = u64::from(container.pid);
    match field {
        Field::User => "root".to_owned(),
        Field::Pid => (pid + n).to_string(),
        Field::Parent => if main { 1 } else { pid }.to_string(),
        Field::Cpu => {
            let cores = container.cpu_demand().min(container.spec.cpus.unwrap_or(f64::MAX));
            format!("{:.1}", if main { cores * 100.0 } else { 0.0 })
        }
        Field::Memory => "0.1".to_owned(),
        Field::Resident => whole(if main { memory / 1024.0 * 0.9 } else { 512.0 }).to_string(),
        Field::Command if main => container.spec.command.join(" "),
        Field::Command => format!("{} worker {n}", container.spec.command.first().map_or("app", String::as_str)),
        Field::Name => {
            container.spec.command.first().map_or("app", |path| path.rsplit('/').next().unwrap_or(path)).to_owned()
        }
        Field::State => if container.status == Status::Paused { "D" } else { "S" }.to_owned(),
        Field::Time => "00:00:01".to_owned(),
        Field::Terminal => "?".to_owned(),
    }
}
