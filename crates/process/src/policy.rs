//! The policy in force: taken over from the configuration file while HemoStat runs, and recorded on the log.
//!
//! ```text
//!   file, SIGHUP ──► Config::reload ──► the watch channel that deciders, monitor and API read
//!                          │      └───► action.policy_changed, in every partition whose last policy is another one
//!                          └─ refused ► the policy stays; action.policy_refused, log line, /readyz
//! ```
//!
//! The file is looked at every [`LOOK_EVERY`] and compared by content, which also works for bind mounts and for a rename
//! over the file. A file that has just changed is taken over when it is the same at the next look, [`SETTLED_AFTER`]
//! later: one that is being written is never read half.
//!
//! A process records its policy at its start and when it takes one over, never because another process has recorded
//! another one. So two processes with different policies do not fight; they are reported.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use hemostat_core::{Policy, policy::differences};
use hemostat_log::{Append, CommitError, Error, Guard, Log, Order, Range};
use hemostat_runtime::{
    Context, Task,
    health::PolicyStatus,
    retry::Backoff,
    session::{LiveProcess, live_processes},
};
use hemostat_schema::{
    Action, Event, EventId, Family, NewEvent, Partition, PolicyHash, Subject, Timestamp,
    action::{PoliciesCompared, PolicyChanged, PolicyRefused},
};
use hemostat_settings::{Config, Input, Reloaded};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{debug, info, warn};

/// How often the configuration file is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the policies of the processes at work are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// How long a changed file must stay the same before it is taken over.
pub const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Events per read in the search for the last recorded policy.
const PAGE: usize = 1_000;

/// Whether a process records its policy on the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// It decides by it.
    Policy,
    /// It only shows it, or does not use it.
    Nothing,
}

/// The policy of this process, and the task that keeps it as the configuration file says.
pub fn policy(ctx: &Context, input: Input, config: Config, records: Records) -> (watch::Receiver<Arc<Policy>>, Task) {
    let policy = config.policy();
    let hash = policy.hash();
    ctx.health.set_policy(PolicyStatus { hash, refused: vec![], waiting: vec![] });
    let (sender, receiver) = watch::channel(Arc::new(policy));
    if records == Records::Policy {
        ctx.sessions.announce_policy(hash.to_string());
    }
    let keeper = Keeper {
        ctx: ctx.clone(),
        input,
        config,
        records,
        sender,
        started: ctx.clock.now(),
        recorded: 0,
        seen: BTreeMap::new(),
        differ: false,
    };
    (receiver, Task::new("policy", keeper.run()))
}

struct Keeper {
    ctx: Context,
    input: Input,
    config: Config,
    records: Records,
    sender: watch::Sender<Arc<Policy>>,
    /// When this process started, and how many events it has recorded: they make the keys of its events unique, also where
    /// the next process has the same name.
    started: Timestamp,
    recorded: u64,
    /// The policies of the processes at work, as they were last seen.
    seen: BTreeMap<String, PolicyHash>,
    /// Whether they were last told to differ.
    differ: bool,
}

impl Keeper {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compare = interval(COMPARE_EVERY);
        compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.ctx.shutdown.clone();
        // What it was started with may have changed since it was read: it is read again if so.
        let mut taken = self.content();
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.record() => {}
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = hangup.recv() => match &self.input.file {
                    None => info!("told to read the configuration again (SIGHUP), but it has no file"),
                    Some(_) => {
                        taken = self.content();
                        self.reload().await;
                    }
                },
                _ = compare.tick(), if self.records == Records::Policy => self.compare().await,
                _ = look.tick() => {
                    let seen = self.content();
                    if seen == taken {
                        continue;
                    }
                    sleep(SETTLED_AFTER).await;
                    if self.content() == seen {
                        taken = seen;
                        self.reload().await;
                    }
                }
            }
        }
    }

    /// What the file holds now; none if it cannot be read.
    fn content(&self) -> Option<Vec<u8>> {
        self.input.file.as_ref().and_then(|file| fs::read(file).ok())
    }

    fn file(&self) -> String {
        self.input.file.as_deref().map(Path::display).map(|file| file.to_string()).unwrap_or_default()
    }

    /// Reads the configuration again, and takes over what it may.
    async fn reload(&mut self) {
        let file = self.file();
        let Reloaded { config, waiting } = match self.config.reload(&self.input) {
            Ok(reloaded) => reloaded,
            Err(error) => return self.refuse(error.to_string()).await,
        };
        let was = Arc::clone(&self.sender.borrow());
        let policy = config.policy();
        let hash = policy.hash();
        for key in &waiting {
            warn!("{key} has changed in {file}; it takes effect when HemoStat is started again");
        }
        let changes: Vec<String> =
            differences(&was.to_value(), &policy.to_value()).iter().map(ToString::to_string).collect();
        match changes.is_empty() {
            true => info!("read {file} again: the policy {hash} stays"),
            false => info!("took over policy {hash} from {file}: {}", changes.join(", ")),
        }
        self.config = config;
        let waiting = waiting.into_iter().map(str::to_owned).collect();
        self.ctx.health.set_policy(PolicyStatus { hash, refused: vec![], waiting });
        if !changes.is_empty() {
            self.sender.send_replace(Arc::new(policy));
            if self.records == Records::Policy {
                self.ctx.sessions.announce_policy(hash.to_string());
            }
        }
        self.record().await;
    }

    async fn refuse(&mut self, reason: String) {
        let (file, hash) = (self.file(), self.sender.borrow().hash());
        warn!("{file} is refused, and the policy {hash} stays: {reason}");
        let status = self.ctx.health.policy();
        let waiting = status.map(|status| status.waiting).unwrap_or_default();
        self.ctx.health.set_policy(PolicyStatus { hash, refused: vec![reason.clone()], waiting });
        if self.records == Records::Policy {
            let refused =
                PolicyRefused { reasons: vec![reason], origin: file, policy: hash, by: self.ctx.owner.clone() };
            // It changes no decision, so one copy is enough.
            let event = NewEvent::new(Subject::system(), self.ctx.clock.now(), refused);
            self.append(Partition(0), |_| Some(event.clone())).await;
        }
    }

    /// Records the policy in every partition whose last event about it says something else.
    async fn record(&mut self) {
        if self.records == Records::Nothing {
            return;
        }
        let policy = Arc::clone(&self.sender.borrow());
        let (hash, value, origin) = (policy.hash(), policy.to_value(), self.config.policy_origin());
        for partition in self.ctx.partitions().collect::<Vec<_>>() {
            let (by, now) = (self.ctx.owner.clone(), self.ctx.clock.now());
            self.append(partition, |last: &Last| {
                (last.policy != Some(hash) || last.is_refused).then(|| {
                    let (policy, origin, by) = (value.clone(), origin.clone(), by.clone());
                    let changed = PolicyChanged { hash, policy, was: last.policy, origin, by };
                    NewEvent::new(Subject::system(), now, changed)
                })
            })
            .await;
        }
    }

    /// Tells when the policies of the processes at work begin to differ, and when they agree again. Processes read a changed
    /// file a few seconds apart, so only what is the same at two looks counts.
    async fn compare(&mut self) {
        // Every process that decides works on every partition.
        let Ok(live) = live_processes(&*self.ctx.log, Partition(0)).await else { return };
        let policy = |process: LiveProcess| Some((process.owner, process.says.policy?.parse().ok()?));
        let policies: BTreeMap<String, PolicyHash> = live.into_iter().filter_map(policy).collect();
        let compared = PoliciesCompared { policies: policies.clone() };
        if std::mem::replace(&mut self.seen, policies) != compared.policies || compared.differ() == self.differ {
            return;
        }
        self.differ = compared.differ();
        let said: Vec<String> = compared.policies.iter().map(|(process, hash)| format!("{process}: {hash}")).collect();
        match self.differ {
            true => warn!(
                "the processes of HemoStat decide by different policies ({}); give them the same configuration",
                said.join(", ")
            ),
            false => info!("the processes of HemoStat decide by one policy again"),
        }
        // One of them records it.
        if compared.policies.keys().next() == Some(&self.ctx.owner) {
            let event = NewEvent::new(Subject::system(), self.ctx.clock.now(), compared);
            self.append(Partition(0), |_| Some(event.clone())).await;
        }
    }

    /// Appends what `event` makes of the last events about the policy, unless that is nothing. An outage of the log is
    /// waited for: nothing is decided meanwhile.
    async fn append(&mut self, partition: Partition, event: impl Fn(&Last) -> Option<NewEvent>) {
        self.recorded += 1;
        let key = format!("policy/{}/{}/{}", self.ctx.owner, self.started.as_millisecond(), self.recorded);
        let mut backoff = Backoff::connection();
        loop {
            match self.try_append(partition, &key, &event).await {
                Ok(()) => return,
                Err(CommitError::Conflict(_)) => debug!("something else about HemoStat was recorded meanwhile"),
                Err(error) => warn!("could not record the policy in partition {partition}: {error}; trying again"),
            }
            tokio::select! {
                () = self.ctx.shutdown.cancelled() => return,
                () = sleep(backoff.next_delay()) => {}
            }
        }
    }

    async fn try_append(
        &self,
        partition: Partition,
        key: &str,
        event: impl Fn(&Last) -> Option<NewEvent>,
    ) -> Result<(), CommitError> {
        let last = last_recorded(&*self.ctx.log, partition).await?;
        let Some(event) = event(&last) else { return Ok(()) };
        let guard = Guard { subject: Subject::system(), family: Family::Action, expected_version: last.version };
        let append = Append { guards: vec![guard], ..Append::new(partition, key, vec![event]) };
        self.ctx.log.append_once(&append).await?;
        Ok(())
    }
}

/// What a partition last recorded about the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Last {
    /// The version of HemoStat itself.
    version: Option<EventId>,
    /// The last policy.
    policy: Option<PolicyHash>,
    /// Whether a file was refused after it.
    is_refused: bool,
}

/// What `partition` last recorded. An event that is no longer on the log counts as none: the policy is then recorded
/// again.
async fn last_recorded(log: &dyn Log, partition: Partition) -> Result<Last, Error> {
    let versions = log.inspect(partition).await?.versions;
    let key = format!("{}/{}", Family::Action, Subject::system());
    let version = versions.into_iter().find(|(of, _)| *of == key);
    let version = version.and_then(|(_, entry)| EventId::from_entry(partition, &entry).ok());
    let mut last = Last { version, ..Last::default() };
    if version.is_none() {
        return Ok(last);
    }
    let mut range = Range::ALL;
    loop {
        let page = log.read(partition, &[Family::Action], range, Order::NewestFirst, PAGE).await?;
        for entry in &page {
            let Ok(event) = &entry.event else { continue };
            if !event.subject.is_system() {
                continue;
            }
            match event.event() {
                Some(Event::Action(Action::PolicyChanged(changed))) => {
                    last.policy = Some(changed.hash);
                    return Ok(last);
                }
                Some(Event::Action(Action::PolicyRefused(_))) => last.is_refused = true,
                _ => {}
            }
        }
        match page.last() {
            Some(oldest) if page.len() == PAGE => range = Range::before(oldest.id),
            _ => return Ok(last),
        }
    }
}
