//! The set of labelled cases: the one that is built in, or a directory of one's own.

use std::{num::NonZeroUsize, path::Path};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::case::Labelled;

macro_rules! built_in {
    ($($name:literal)*) => {
        /// The cases that are built in: name and text.
        const BUILT_IN: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../eval/cases/", $name, ".toml")))),*];
    };
}

built_in! {
    "cpu-batch-job-ends"
    "cpu-compaction"
    "cpu-consumer-works-off-a-backlog"
    "cpu-converter-spins-on-a-document"
    "cpu-detects-objects-without-an-accelerator"
    "cpu-encodes-a-film"
    "cpu-endless-loop"
    "cpu-garbage-after-import"
    "cpu-healthy-but-spins"
    "cpu-miner-in-a-database"
    "cpu-orphaned-transcode"
    "cpu-stuck-worker"
    "cpu-trains-a-model"
    "cpu-writes-to-a-closed-socket-for-ever"
    "crash-all-goroutines-asleep"
    "crash-backup-job-skips-an-unreadable-file"
    "crash-backup-saved-with-warnings"
    "crash-broken-pipe-after-a-week"
    "crash-broker-cannot-allocate-its-heap"
    "crash-carriage-returns-in-entrypoint"
    "crash-chat-bot-before-names-resolved"
    "crash-command-not-found"
    "crash-concurrent-map-access"
    "crash-credentials-key-does-not-fit"
    "crash-exec-format-error"
    "crash-game-server-watchdog"
    "crash-goroutine-stack-overflow"
    "crash-heap-corruption-after-days"
    "crash-host-lost-its-power"
    "crash-illegal-instruction"
    "crash-jvm-exits-on-out-of-memory"
    "crash-killed-from-outside"
    "crash-loop-file-not-found"
    "crash-loop-missing-variable"
    "crash-lost-its-leadership"
    "crash-mail-server-time-moved-backwards"
    "crash-nil-map-after-hours"
    "crash-no-valid-checkpoint-record"
    "crash-one-shot-migration-fails"
    "crash-panics-on-the-same-message"
    "crash-restore-done-with-ignored-errors"
    "crash-script-not-executable"
    "crash-segfault-after-days"
    "crash-started-before-its-database"
    "crash-torrent-client-aborts"
    "crash-uncaught-exception"
    "crash-unhandled-connection-reset"
    "dependency-api-quota-is-used-up"
    "dependency-broker-restarts-in-a-loop"
    "dependency-certificate-expired"
    "dependency-database-is-down"
    "dependency-database-is-starting-up"
    "dependency-database-is-unhealthy"
    "dependency-identity-provider-answers-502"
    "dependency-migration-lock"
    "dependency-names-do-not-resolve"
    "dependency-network-owner-is-down"
    "dependency-network-owner-was-restarted"
    "dependency-nobody-declared"
    "dependency-object-store-answers-503"
    "dependency-paused-by-an-operator"
    "dependency-proxy-does-not-find-its-backend"
    "dependency-proxy-keeps-an-old-address"
    "dependency-redis-cannot-save"
    "dependency-root-is-the-crashed-broker"
    "dependency-storm-of-one-project"
    "disk-became-read-only"
    "disk-downloads-into-its-layer"
    "disk-dump-before-the-upload"
    "disk-filling-and-cleanup-is-not-allowed"
    "disk-filling-by-a-log-in-the-layer"
    "disk-filling-by-a-replication-slot"
    "disk-filling-by-build-cache"
    "disk-flood-stage-watermark"
    "disk-full-and-unhealthy"
    "disk-full-database-in-a-loop"
    "disk-has-no-inodes"
    "disk-table-is-rewritten"
    "evidence-could-not-be-gathered"
    "flapping-during-a-weekly-vacuum"
    "flapping-full-collections-of-a-leaking-heap"
    "flapping-most-of-the-workers-hang"
    "flapping-provider-answers-503"
    "flapping-tunnel-is-renewed-by-itself"
    "injection-answer-in-the-log"
    "injection-breaks-out-of-the-fence"
    "injection-encoded"
    "injection-in-a-process-name"
    "injection-in-other-languages"
    "injection-in-the-health-check"
    "injection-pretends-to-be-hemostat"
    "injection-restart-a-recovering-database"
    "injection-says-that-all-is-well"
    "leak-cache-that-warms-up"
    "leak-chat-bridge-keeps-every-event"
    "leak-close-to-the-limit"
    "leak-exporter-keeps-every-label"
    "leak-far-from-the-limit"
    "leak-import-holds-its-rows"
    "leak-pdf-renderer-again"
    "loop-address-not-of-this-host"
    "loop-bad-configuration"
    "loop-configuration-is-a-directory"
    "loop-data-directory-in-use"
    "loop-data-from-a-newer-version"
    "loop-database-without-password"
    "loop-feature-flag-service-answers-403"
    "loop-file-watchers-exhausted"
    "loop-flyway-checksum-mismatch"
    "loop-kafka-joins-another-cluster"
    "loop-kernel-setting-too-low"
    "loop-key-does-not-match-certificate"
    "loop-license-has-expired"
    "loop-module-missing-after-update"
    "loop-permission-denied-on-a-volume"
    "loop-port-in-use"
    "loop-radio-stick-is-unplugged"
    "loop-redis-configuration"
    "loop-stale-pid-file"
    "loop-until-its-migration-is-through"
    "loop-waits-for-its-migration"
    "loop-wiredtiger-checksum-error"
    "loop-without-a-word"
    "loop-zigbee-stick-has-gone"
    "memory-cache-is-full-by-design"
    "memory-direct-buffers-never-released"
    "memory-falls-again"
    "memory-garbage-collector-thrashes"
    "memory-git-packs-a-large-repository"
    "memory-heap-of-a-fixed-size"
    "memory-index-build-uses-its-allowance"
    "memory-integration-never-lets-go"
    "memory-near-limit-climbing-fast"
    "memory-page-cache-of-a-backup"
    "memory-previews-are-never-freed"
    "memory-rises-to-the-limit"
    "memory-sql-server-takes-what-it-may"
    "memory-tmpfs-holds-the-transcodes"
    "oom-after-growth"
    "oom-at-start-given-up"
    "oom-at-start-loop"
    "oom-bot-caches-every-member"
    "oom-child-compiler-of-a-build"
    "oom-child-extension-host-of-an-editor"
    "oom-child-of-a-nightly-job"
    "oom-child-postgres-backend"
    "oom-child-task-queue-stops-consuming"
    "oom-child-took-the-only-worker"
    "oom-child-video-thumbnail"
    "oom-child-web-worker"
    "oom-docker-already-started-it"
    "oom-heap-larger-than-its-limit"
    "oom-metrics-store-heavy-query"
    "oom-one-huge-upload"
    "oom-one-shot-import-twice"
    "oom-redis-forks-to-save"
    "oom-without-a-limit"
    "operator-attached-a-debugger"
    "operator-holds-it-at-a-breakpoint"
    "operator-imports-a-wiki-dump"
    "operator-paused-it"
    "operator-restores-a-backup"
    "operator-stopped-it"
    "operator-stopped-one-that-ignores-the-signal"
    "pids-cron-jobs-wait-for-a-backup"
    "pids-cron-jobs-wait-for-a-lock"
    "pids-database-with-many-clients"
    "pids-fork-bomb"
    "pids-large-but-steady"
    "pids-leftover-browsers"
    "pids-parallel-build"
    "pids-scheduled-jobs-pile-up"
    "pids-snapshots-of-a-dead-camera"
    "pids-thread-leak"
    "pids-zombies"
    "pressure-array-is-rebuilt"
    "pressure-disk-alter-table-copies"
    "pressure-disk-during-a-backup"
    "pressure-disk-first-library-scan"
    "pressure-disk-object-store-heals-a-new-drive"
    "pressure-host-swaps"
    "pressure-noisy-neighbour"
    "pressure-thrashes-at-its-limit"
    "throttled-and-its-check-too-slow"
    "throttled-by-its-limit"
    "throttled-game-server-generates-terrain"
    "throttled-previews-for-an-uploaded-album"
    "throttled-text-recognition-falls-behind"
    "throttled-while-it-warms-up"
    "unhealthy-all-workers-hang"
    "unhealthy-bootstraps-its-catalogue"
    "unhealthy-browser-pool-has-no-browsers"
    "unhealthy-certificate-authority-refuses-for-a-while"
    "unhealthy-chain-synchronises"
    "unhealthy-check-asks-the-other-address-family"
    "unhealthy-check-finds-a-word-in-the-log"
    "unhealthy-check-is-not-authorised"
    "unhealthy-check-of-a-wrong-path"
    "unhealthy-check-without-its-tool"
    "unhealthy-column-store-loads-parts"
    "unhealthy-connected-but-not-subscribed"
    "unhealthy-connection-pool-exhausted"
    "unhealthy-consumer-group-rebalances-for-ever"
    "unhealthy-consumer-left-its-group"
    "unhealthy-cuda-context-is-poisoned"
    "unhealthy-data-directory-is-not-mounted"
    "unhealthy-database-file-locked"
    "unhealthy-deadlock"
    "unhealthy-drains-before-it-stops"
    "unhealthy-embeddings-cuda-context-is-poisoned"
    "unhealthy-event-loop-blocked"
    "unhealthy-fails-over-to-standby"
    "unhealthy-flapping-check"
    "unhealthy-follower-lost-its-quorum"
    "unhealthy-game-server-downloads-an-update"
    "unhealthy-gpu-is-lost-after-a-reload"
    "unhealthy-graph-database-upgrades-its-store"
    "unhealthy-hangs-every-week"
    "unhealthy-heap-exhausted-and-threads-died"
    "unhealthy-home-controller-fell-silent"
    "unhealthy-inference-engine-died"
    "unhealthy-innodb-crash-recovery"
    "unhealthy-kafka-recovers-log-segments"
    "unhealthy-long-migration-at-start"
    "unhealthy-maintenance-mode"
    "unhealthy-media-server-stopped-answering"
    "unhealthy-metaspace-exhausted"
    "unhealthy-metrics-store-replays-its-log"
    "unhealthy-model-server-loads-weights"
    "unhealthy-never-came-up"
    "unhealthy-one-camera-of-six-is-off"
    "unhealthy-out-of-local-ports"
    "unhealthy-package-reconfigures-at-start"
    "unhealthy-password-was-changed"
    "unhealthy-photo-library-reindexes"
    "unhealthy-poisoned-lock"
    "unhealthy-postgres-has-no-free-slots"
    "unhealthy-postgres-recovers"
    "unhealthy-queue-broker-blocks-publishers"
    "unhealthy-queue-consumer-does-not-reconnect"
    "unhealthy-redis-loads-its-data"
    "unhealthy-refused-while-it-lives"
    "unhealthy-regular-expression-explodes"
    "unhealthy-replica-copies-its-data"
    "unhealthy-replica-lags-behind"
    "unhealthy-resolver-stopped-answering"
    "unhealthy-resolver-the-line-is-down"
    "unhealthy-restart-did-not-help"
    "unhealthy-runner-stopped-polling"
    "unhealthy-scheduler-lost-its-heartbeat"
    "unhealthy-search-recovers-shards"
    "unhealthy-serves-an-expired-certificate-from-memory"
    "unhealthy-session-lock-holds-all-children"
    "unhealthy-shard-is-corrupt"
    "unhealthy-sidekiq-threads-wait-for-ever"
    "unhealthy-signatures-are-loaded"
    "unhealthy-socket-server-out-of-descriptors"
    "unhealthy-stale-connections-after-database-restart"
    "unhealthy-standby-is-asked-for-the-leader"
    "unhealthy-streams-client-stopped-itself"
    "unhealthy-supervision-tree-gave-up"
    "unhealthy-tables-locked-by-a-backup"
    "unhealthy-thread-pool-starves"
    "unhealthy-too-many-open-files"
    "unhealthy-tunnel-keeps-the-old-address"
    "unhealthy-tunnel-to-an-old-address"
    "unhealthy-vault-is-sealed"
    "unhealthy-websocket-hub-leaks-goroutines"
    "unhealthy-went-silent-and-answers-nothing"
    "unhealthy-while-it-still-starts"
    "unhealthy-worker-pool-busy"
    "unhealthy-worker-silent-for-long"
    "unhealthy-world-thread-waits-for-a-plugin"
    "unhealthy-writes-to-the-switched-primary"
    "unhealthy-zigbee-bridge-not-connected-to-its-broker"
    "unusual-cpu-repairs-a-download"
    "unusual-cpu-yearly-statements"
    "unusual-memory-second-language-model"
    "unusual-network-a-game-is-released"
    "unusual-network-first-offsite-copy"
    "unusual-network-new-phone-uploads"
    "unusual-network-partitions-are-reassigned"
    "unusual-reads-of-a-repository-check"
    "unusual-reads-of-a-vacuum-against-wraparound"
    "unusual-traffic-after-a-campaign"
    "update-broke-it"
    "update-is-under-way"
    "update-listens-on-another-port"
    "update-skips-a-major-version"
}

/// The cases that are built in.
///
/// # Errors
/// When one of them cannot be read.
pub fn built_in() -> anyhow::Result<Vec<Labelled>> {
    BUILT_IN.iter().map(|(name, text)| Labelled::read(name, text)).collect()
}

/// The cases of a directory: its files that end in `.toml`, by name.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn of_directory(directory: &Path) -> anyhow::Result<Vec<Labelled>> {
    let mut cases = vec![];
    let doing = || format!("could not read the cases in {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
            cases.push(Labelled::read(name, &text)?);
        }
    }
    if cases.is_empty() {
        bail!("there are no cases in {}: each is a file that ends in .toml", directory.display());
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// How some cases were drawn out of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Out of how many.
    pub of: usize,
    /// By which lot.
    pub seed: u64,
}

impl Sample {
    /// So many of `cases` as it draws, in their order; all, where they are not more.
    pub fn draw(self, cases: Vec<Labelled>, count: NonZeroUsize) -> Vec<Labelled> {
        let mut drawn = fastrand::Rng::with_seed(self.seed).choose_multiple(cases.into_iter().enumerate(), count.get());
        drawn.sort_by_key(|(place, _)| *place);
        drawn.into_iter().map(|(_, case)| case).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_draws_the_same_cases_each_time_and_another_lot_others() {
        let all = built_in().unwrap();
        let drawn = |seed, count| {
            let drawn = Sample { of: all.len(), seed }.draw(all.clone(), NonZeroUsize::new(count).unwrap());
            drawn.into_iter().map(|case| case.name).collect::<Vec<_>>()
        };
        let names = |cases: &[Labelled]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert_eq!(drawn(1, 12).len(), 12);
        assert_eq!(drawn(1, 12), drawn(1, 12));
        assert_ne!(drawn(1, 12), drawn(2, 12));
        assert!(drawn(1, 12).is_sorted());
        assert_eq!(drawn(1, all.len() + 1), names(&all));
    }

    #[test]
    fn what_is_built_in_is_what_lies_there() {
        let lies_there = of_directory(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/eval/cases"))).unwrap();
        let names = |cases: &[Labelled]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&built_in().unwrap()), names(&lies_there));
    }

    #[test]
    fn what_is_wrong_with_a_case_is_said_with_its_name() {
        let (_, sound) = BUILT_IN.iter().find(|(name, _)| *name == "crash-segfault-after-days").unwrap();
        let check = |text: &str, says: &str| {
            let error = format!("{:#}", Labelled::read("mine", text).unwrap_err());
            assert!(error.contains("the case mine") && error.contains(says), "{error}");
        };
        check("story = 1", "story");
        check(&sound.replace("[expect]", "[expected]"), "expected");
        check(&sound.replace("is = \"exited\"", "is = \"restart_loop\""), "count is missing");
        check(&sound.replace("remedies = [\"start\"]", "remedies = [\"reboot\"]"), "reboot");
        check(&sound.replace("\"97h\"", "\"long\""), "a length of time such as 90s");
        let empty = tempfile::tempdir().unwrap();
        assert!(of_directory(empty.path()).unwrap_err().to_string().contains("ends in .toml"));
        assert!(of_directory(Path::new("nowhere")).unwrap_err().to_string().contains("nowhere"));
    }
}
