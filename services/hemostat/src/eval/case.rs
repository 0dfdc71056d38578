//! What a labelled case means: the very evidence that triage would have, at one instant.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use hemostat_core::{
    observe::condition::{ActiveSymptom, OperatorHalt},
    policy::ContainerPolicy,
};
use hemostat_schema::{
    ByteCount, ContainerId, EventId, Partition, Percent, Span, Timestamp,
    action::Remedy,
    container::{Compose, Exit, ExitBy, Facts, Health, Limits, RestartPolicy, Run, State, Strain, Vitals},
    examination::{Changed, Check, Examined, Line, Process, Relative, Sample, Stream},
    observation::{Evidence, Resource, Symptom, Trend},
};

use super::file::{Change, Container, Earlier, Expect, Figures, File, Found, Length, Size, Told, Tried};

/// When every case is looked at.
const NOW: &str = "2026-01-01T08:00:00Z";
/// What a container without a limit may use: the host's memory.
const HOST_MEMORY: ByteCount = ByteCount(64 << 30);
/// Lines are printed so far apart.
const LINES_APART: Span = Span::from_secs(1);

/// A labelled case.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Its name: the file's.
    pub name: String,
    /// What really happened, in a sentence.
    pub story: String,
    /// Why the answers that are acceptable are, in a sentence.
    pub why: String,
    /// What is acceptable, and what would do harm.
    pub expect: Expect,
    /// What the container is called.
    pub container: String,
    facts: Facts,
    standing: BTreeMap<Symptom, ActiveSymptom>,
    vitals: Option<Vitals>,
    examined: Option<Examined>,
    tried: Vec<hemostat_diagnosis::Attempt>,
    past: Vec<hemostat_diagnosis::PastIncident>,
    halted: Option<OperatorHalt>,
    now: Timestamp,
}

impl Labelled {
    /// The case `name`, as it is written.
    ///
    /// # Errors
    /// When it is not a case: says what is wrong with it.
    pub fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).with_context(|| format!("the case {name} cannot be read"))?;
        Self::of(name, file).with_context(|| format!("the case {name} is not complete"))
    }

    fn of(name: &str, file: File) -> anyhow::Result<Self> {
        let now = NOW.parse().context("the present of all cases is an instant")?;
        let seen = Seen { now, facts: facts(&file.container, now)?, exit: exit(&file.container, now) };
        let standing = file.symptoms.iter().map(|told| Ok((told.is, seen.standing(told)?)));
        let standing: BTreeMap<Symptom, ActiveSymptom> = standing.collect::<anyhow::Result<_>>()?;
        if standing.is_empty() {
            bail!("it has no symptom");
        }
        Ok(Self {
            name: name.to_owned(),
            story: file.story,
            why: file.why,
            expect: file.expect,
            container: file.container.name,
            vitals: file.vitals.map(|figures| seen.vitals(figures)),
            examined: file.examined.map(|found| seen.examined(found, &standing)).transpose()?,
            tried: file.tried.iter().map(|tried| seen.tried(tried)).collect::<anyhow::Result<_>>()?,
            past: file.past.iter().map(|past| seen.past(past)).collect::<anyhow::Result<_>>()?,
            halted: halted(&seen.facts),
            standing,
            facts: seen.facts,
            now,
        })
    }

    /// As triage has it.
    pub fn case(&self) -> hemostat_diagnosis::Case<'_> {
        hemostat_diagnosis::Case {
            vitals: self.vitals.as_ref(),
            examined: self.examined.as_ref(),
            examination: self.examined.is_some().then(|| id(1)),
            attempts: &self.tried,
            past_incidents: &self.past,
            operator_halt: self.halted,
            ..hemostat_diagnosis::Case::new(&self.facts, &self.standing, self.now)
        }
    }
}

/// What everything else of a case is told by.
struct Seen {
    now: Timestamp,
    facts: Facts,
    /// How its last run ended, also where the next one has begun.
    exit: Option<Exit>,
}

impl Seen {
    fn ago(&self, Length(ago): Length) -> Timestamp {
        ago.before(self.now)
    }

    fn standing(&self, told: &Told) -> anyhow::Result<ActiveSymptom> {
        let since = self.ago(told.held);
        // What began before the present run was seen in the one before.
        let target = match self.facts.started_at {
            Some(began) if since < began => {
                Run { started_at: Some(Span::from_secs(1).before(since)), ..self.facts.target() }
            }
            _ => self.facts.target(),
        };
        let evidence = self.evidence(told).with_context(|| format!("the symptom {}", told.is.name()))?;
        Ok(ActiveSymptom { incident: None, since, severity: told.severity, target, evidence })
    }

    fn evidence(&self, told: &Told) -> anyhow::Result<Evidence> {
        let Length(held) = told.held;
        let (count, within) = (|| need("count", told.count), || length("within", told.within));
        let (value, threshold) = (|| percent("value", told.value), || percent("threshold", told.threshold));
        let care = ContainerPolicy::default();
        Ok(match told.is {
            Symptom::Unhealthy => Evidence::Health { held },
            Symptom::Exited | Symptom::OomKilled => Evidence::Exit { exit: self.ended(told)? },
            Symptom::RestartLoop => Evidence::Restarts { count: count()?, within: within()?, last: self.exit },
            Symptom::CpuHigh | Symptom::MemoryHigh => {
                let usual = if told.is == Symptom::CpuHigh { care.cpu } else { care.memory };
                let threshold = told.threshold.and_then(Percent::new).unwrap_or(usual);
                Evidence::Level { value: value()?, threshold, held, trend: told.trend.unwrap_or(Trend::Unknown) }
            }
            Symptom::OomChild => Evidence::Killed { count: count()?, within: within()? },
            Symptom::Flapping => Evidence::Flips { count: count()?, within: within()? },
            Symptom::CpuThrottled => {
                Evidence::Stalled { resource: Resource::Cpu, value: value()?, threshold: threshold()?, held }
            }
            Symptom::Pressure => {
                let resource = need("resource", told.resource)?;
                Evidence::Stalled { resource, value: value()?, threshold: threshold()?, held }
            }
            Symptom::PidsHigh => {
                let (value, limit) = (need("value", told.value)?, size("limit", told.limit)?.0);
                Evidence::Count { value: whole(value), limit, held }
            }
            Symptom::MemoryLeak => Evidence::Growth {
                used: size("used", told.used)?,
                limit: size("limit", told.limit)?,
                per_hour: size("per_hour", told.per_hour)?,
                fit: need("fit", told.fit)?,
                over: length("over", told.over)?,
                limit_in: length("limit_in", told.limit_in)?,
            },
            Symptom::DiskFilling => Evidence::Disk {
                path: need("path", told.path.clone())?,
                value: value()?,
                threshold: threshold()?,
                writable: size("writable", told.writable)?,
                per_hour: size("per_hour", told.per_hour)?,
            },
            Symptom::CpuUnusual | Symptom::MemoryUnusual | Symptom::NetworkUnusual | Symptom::BlockUnusual => {
                Evidence::Unusual {
                    value: need("value", told.value)?,
                    expected: need("expected", told.expected)?,
                    deviation: need("deviation", told.deviation)?,
                    held,
                }
            }
        })
    }

    /// How the run ended that a symptom is about: the container's last, unless the symptom itself says so.
    fn ended(&self, told: &Told) -> anyhow::Result<Exit> {
        match (told.code, told.by) {
            (Some(code), Some(by)) => Ok(Exit { at: self.ago(told.held), code, by }),
            _ => need("container.exit", self.exit),
        }
    }

    fn vitals(&self, figures: Figures) -> Vitals {
        let limit = self.facts.limits.memory.unwrap_or(HOST_MEMORY);
        let share = |value: Option<f64>| value.map(Percent::clamped);
        Vitals {
            cpu: Percent::clamped(figures.cpu),
            memory: Percent::clamped(figures.memory),
            memory_used: part(limit, figures.memory),
            memory_limit: limit,
            network_rx: ByteCount(0),
            network_tx: ByteCount(0),
            block_read: ByteCount(0),
            block_write: ByteCount(0),
            pids: figures.pids,
            pids_limit: figures.pids_limit,
            strain: Strain {
                throttled: share(figures.throttled),
                cpu: share(figures.wait_cpu),
                memory: share(figures.wait_memory),
                disk: share(figures.wait_disk),
            },
        }
    }

    fn examined(&self, found: Found, standing: &BTreeMap<Symptom, ActiveSymptom>) -> anyhow::Result<Examined> {
        let samples = found.samples.iter().map(|&super::file::Sample { ago, cpu, memory, pids }| {
            let figures = Figures { cpu, memory, pids, ..Figures::default() };
            Sample { at: self.ago(ago), vitals: self.vitals(figures) }
        });
        let checks = found.checks.iter().map(|check| Check {
            at: self.ago(check.ago),
            code: check.code,
            output: check.output.clone(),
        });
        let processes = (1..).zip(found.processes.iter()).map(|(pid, process)| Process {
            pid,
            cpu: process.cpu.0,
            memory: process.memory.0,
            command: process.command.clone(),
        });
        let relatives = found.relatives.iter().map(|relative| {
            Ok(Relative {
                name: relative.name.parse()?,
                relation: relative.is,
                state: relative.state,
                health: relative.health,
                since: relative.since.map(|since| self.ago(since)),
            })
        });
        Ok(Examined {
            target: self.facts.target(),
            symptoms: standing.keys().copied().collect(),
            checks: checks.collect(),
            output: self.output(&found),
            output_cut: false,
            exit: self.facts.exit,
            out_of_memory: self.facts.exit.is_some_and(|exit| exit.by == ExitBy::Oom)
                || standing.contains_key(&Symptom::OomChild),
            processes: processes.collect(),
            samples: samples.collect(),
            changes: self.changes(&found)?,
            relatives: relatives.collect::<anyhow::Result<_>>()?,
            writable: found.writable.map(|Size(size)| size),
            disk: found.disk.map(Percent::clamped),
            missing: found.missing,
            redacted: 0,
            took: Span::from_millis(240),
        })
    }

    /// The lines, the last of them printed `silent` ago.
    fn output(&self, found: &Found) -> Vec<Line> {
        let lines = |text: &'_ str, stream| text.lines().map(|line| (stream, line.to_owned())).collect::<Vec<_>>();
        let printed = [lines(&found.output, Stream::Stdout), lines(&found.errors, Stream::Stderr)].concat();
        let last = self.ago(found.silent.unwrap_or(Length(Span::from_secs(1))));
        let count = printed.len() as u64;
        let at = |n: u64| LINES_APART.times(count - n).before(last);
        (1..).zip(printed).map(|(n, (stream, text))| Line { at: Some(at(n)), stream, text }).collect()
    }

    fn changes(&self, found: &Found) -> anyhow::Result<Vec<hemostat_schema::examination::Change>> {
        let mut changes: Vec<(Timestamp, Changed)> = vec![];
        for change in &found.changes {
            changes.push(match change {
                Change::Image { ago, from, to } => {
                    (self.ago(*ago), Changed::Image { from: from.clone(), to: to.clone() })
                }
                Change::Recreated { ago } => (self.ago(*ago), Changed::Recreated),
                Change::Limits { ago } => (self.ago(*ago), Changed::Limits),
                Change::Started { ago } => (self.ago(*ago), Changed::Started),
                Change::Health { ago, to } => (self.ago(*ago), Changed::Health { to: *to }),
            });
        }
        if let Some(runs) = found.runs {
            let (began, exit) = (need("up", self.facts.started_at)?, need("container.exit", self.exit)?);
            for n in 0..u64::from(runs.count) {
                let began = runs.apart.0.times(n).before(began);
                changes.push((began, Changed::Started));
                match (n, self.facts.exit) {
                    (0, Some(exit)) => changes.push((exit.at, Changed::Ended { exit })),
                    (0, None) => {}
                    _ => {
                        let at = runs.lasted.0.after(began);
                        changes.push((at, Changed::Ended { exit: Exit { at, ..exit } }));
                    }
                }
            }
        }
        changes.sort_by_key(|(at, _)| *at);
        Ok(changes.into_iter().map(|(at, what)| hemostat_schema::examination::Change { at, what }).collect())
    }

    fn tried(&self, tried: &Tried) -> anyhow::Result<hemostat_diagnosis::Attempt> {
        let at = self.facts.started_at.unwrap_or(self.now);
        self.attempt(at, need("remedy", tried.remedy.0.clone())?, tried.outcome)
    }

    fn past(&self, past: &Earlier) -> anyhow::Result<hemostat_diagnosis::PastIncident> {
        let at = self.ago(past.ago);
        let tried = past.remedy.0.clone().map(|remedy| self.attempt(at, remedy, past.outcome)).transpose()?;
        Ok(hemostat_diagnosis::PastIncident {
            at,
            symptoms: past.symptoms.clone(),
            root_cause: past.cause.clone(),
            attempt: tried,
        })
    }

    fn attempt(
        &self,
        at: Timestamp,
        remedy: Remedy,
        outcome: hemostat_schema::action::Outcome,
    ) -> anyhow::Result<hemostat_diagnosis::Attempt> {
        let code = self.exit.filter(|_| remedy == Remedy::Start).map(|exit| exit.code);
        Ok(hemostat_diagnosis::Attempt { action: id(2), at, remedy, code, outcome: Some(outcome) })
    }
}

fn facts(container: &Container, now: Timestamp) -> anyhow::Result<Facts> {
    let state = container.state.unwrap_or(if container.exit.is_some() { State::Exited } else { State::Running });
    let exit = exit(container, now).filter(|_| state != State::Running);
    let compose = container.project.clone().zip(container.service.clone()).map(|(project, service)| Compose {
        project,
        service,
        number: Some(1),
        depends_on: container.depends_on.clone(),
    });
    let actions = container.actions.as_ref().map(|actions| ("hemostat.actions".to_owned(), actions.join(",")));
    Ok(Facts {
        id: "5eed5eed5eed5eed".parse::<ContainerId>()?,
        image: container.image.clone(),
        image_id: "sha256:5eed".to_owned(),
        created_at: container.created.0.before(now),
        started_at: Some(container.up.0.before(now)),
        state,
        health: container.health.unwrap_or(Health::None),
        exit,
        restart_policy: restart_policy(container.restart_policy.as_deref().unwrap_or("no"))?,
        restarts: container.restarts,
        stop_timeout: None,
        limits: Limits { cpus: container.cpus, memory: container.memory.map(|Size(size)| size) },
        network_of: container.network_of.clone(),
        compose,
        swarm: None,
        labels: actions.into_iter().collect(),
    })
}

fn exit(container: &Container, now: Timestamp) -> Option<Exit> {
    container.exit.map(|ended| Exit { at: ended.ago.0.before(now), code: ended.code, by: ended.by })
}

fn restart_policy(text: &str) -> anyhow::Result<RestartPolicy> {
    Ok(match text.split_once(':') {
        None if text == "no" => RestartPolicy::No,
        None if text == "always" => RestartPolicy::Always,
        None if text == "unless-stopped" => RestartPolicy::UnlessStopped,
        Some(("on-failure", max)) => RestartPolicy::OnFailure { max: max.parse()? },
        _ => bail!("{text:?} is not a restart policy such as no, always, unless-stopped or on-failure:3"),
    })
}

fn halted(facts: &Facts) -> Option<OperatorHalt> {
    let by_operator = facts.exit.is_some_and(|exit| exit.by == ExitBy::Operator);
    match facts.state {
        State::Paused => Some(OperatorHalt::Paused),
        State::Exited | State::Dead if by_operator => Some(OperatorHalt::Stopped),
        _ => None,
    }
}

/// An event of the case, for what must have one.
fn id(n: u64) -> EventId {
    EventId { partition: Partition(0), ms: n, seq: 0 }
}

fn need<T>(key: &str, value: Option<T>) -> anyhow::Result<T> {
    value.ok_or_else(|| anyhow!("{key} is missing"))
}

fn length(key: &str, value: Option<Length>) -> anyhow::Result<Span> {
    need(key, value).map(|Length(span)| span)
}

fn size(key: &str, value: Option<Size>) -> anyhow::Result<ByteCount> {
    need(key, value).map(|Size(size)| size)
}

fn percent(key: &str, value: Option<f64>) -> anyhow::Result<Percent> {
    Ok(Percent::try_from(need(key, value)?)?)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of processes")]
fn whole(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_precision_loss, reason = "a share of a size")]
fn part(of: ByteCount, percent: f64) -> ByteCount {
    ByteCount(whole(of.0 as f64 * percent / 100.0))
}
