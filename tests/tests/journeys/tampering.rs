//! `verify` and `fsck` name every alteration of rows, history or archive, and report nothing else.

use std::{fs, path::PathBuf};

use anyhow::ensure;
use hemostat_core::testing;
use hemostat_log::Cursor;
use hemostat_patient::stage::PatientSpec;
use hemostat_runtime::Producer;
use hemostat_schema::{Family, NewEvent, Partition, Subject};
use hemostat_settings::{Config, Input};
use hemostat_tests::{Hemostat, RedisServer, STEP_TIMEOUT, TestDeployment, wait_until};
use tokio::time::Instant;

/// A HemoStat that has treated containers, has notarised and sealed its history, and was stopped.
struct SealedDeployment {
    deployment: TestDeployment,
    redis: RedisServer,
    /// The prefix of its containers' names.
    prefix: String,
}

const ACTIONS: &str = "hemostat:{0}:actions";

impl SealedDeployment {
    async fn create(name: &str) -> Self {
        let redis = RedisServer::start().await;
        let mut deployment = TestDeployment::new(name).await;
        deployment.set("redis.url", redis.url());
        deployment.set("archive.url", deployment.data_dir().join("archive").display().to_string());
        deployment.set("archive.segment_age", "1s");
        deployment.set_raw("archive.segment_events", "10");
        deployment.set_raw("notary.every", "8");
        let mut deployed = Self { deployment, redis, prefix: format!("host/bed-{name}-{}-c", std::process::id()) };
        deployed.run_to_completion().await;
        deployed
    }

    /// Makes every container unhealthy, waits until everything is decided, notarised and sealed, and stops HemoStat.
    async fn run_to_completion(&mut self) {
        let hemostat = self.deployment.up().await;
        let settings = vec![("redis.url".to_owned(), self.redis.url())];
        let input = Input { overrides: settings, ..Input::default() };
        let ctx = hemostat_process::open(&Config::load(&input).unwrap(), None).await.unwrap();
        let mut producer = Producer::acquire(&ctx, Partition(0), "test").await.unwrap();
        for n in 0..30 {
            if n == 15 {
                // So that the actions span more than one millisecond.
                wait_until(STEP_TIMEOUT, "the first half is decided", async || {
                    let actions = ctx.log.inspect(Partition(0)).await?.streams[&Family::Action].length;
                    ensure!(actions >= 15, "{actions} actions");
                    Ok(())
                })
                .await;
            }
            let subject: Subject = self.container(n).parse().unwrap();
            let events = testing::unhealthy().into_iter().map(|event| NewEvent { subject: subject.clone(), ..event });
            producer.append(events.collect(), vec![]).await.unwrap();
        }
        wait_until(STEP_TIMEOUT, "everything is decided, notarised and sealed", async || {
            let output = hemostat.output();
            let inspection = ctx.log.inspect(Partition(0)).await?;
            ensure!(self.segments().len() > 3, "{} segments\n{output}", self.segments().len());
            let actions = &inspection.streams[&Family::Action];
            ensure!(actions.length >= 30, "{} actions\n{output}", actions.length);
            let last = |family: &Family| inspection.streams[family].last;
            let is_behind = |cursor: &Cursor| cursor.families.iter().filter_map(last).any(|last| cursor.at < last);
            let behind: Vec<_> = inspection.cursors.iter().filter(|(_, cursor)| is_behind(cursor)).collect();
            ensure!(behind.is_empty(), "behind: {behind:?}");
            let pending =
                inspection.streams.values().flat_map(|stream| &stream.groups).any(|group| !group.pending.is_empty());
            ensure!(!pending, "a delivery is pending");
            Ok(())
        })
        .await;
        assert!(hemostat.stop().await.success());
    }

    /// Runs a tool and returns its exit code and output.
    async fn run(&mut self, tool: &str) -> (i32, String) {
        let mut process = self.deployment.start(tool);
        let status = process.wait_for_exit().await;
        (status.code().unwrap_or(-1), process.output())
    }

    /// The subject of its `n`-th container.
    fn container(&self, n: u32) -> String {
        format!("{}{n}", self.prefix)
    }

    /// `verify` succeeds.
    async fn check_equal(&mut self) {
        let (code, output) = self.run("verify").await;
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("equal:") && !output.contains("not equal"), "{output}");
    }

    /// `verify` exits with 1 and prints all of `says`.
    async fn check_differs(&mut self, says: &[&str]) {
        let (code, output) = self.run("verify").await;
        assert_eq!(code, 1, "{output}");
        for part in says {
            assert!(output.contains(part), "{part:?} is not in:\n{output}");
        }
    }

    /// The id of the `n`-th action.
    fn action(&self, n: usize) -> String {
        self.actions()[n].clone()
    }

    fn action_after(&self, id: &str) -> Option<String> {
        self.actions().into_iter().skip_while(|action| action != id).nth(1)
    }

    fn actions(&self) -> Vec<String> {
        let ids = self.lua("local ids = {} for i, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do ids[i] = e[1] end return table.concat(ids, ' ')", ACTIONS, &[]);
        ids.split_whitespace().map(str::to_owned).collect()
    }

    fn lua(&self, script: &str, key: &str, arguments: &[&str]) -> String {
        let command = [&["EVAL", script, "1", key], arguments].concat();
        self.redis.cli(&command).unwrap().trim().to_owned()
    }

    /// Alters a key by a script, checks that `verify` reports it, and restores the key.
    async fn check_alteration(&mut self, key: &str, script: &str, arguments: &[&str], says: &[&str]) {
        self.lua("return redis.call('SET', 'backup', redis.call('DUMP', KEYS[1]))", key, &[]);
        self.lua(script, key, arguments);
        self.check_differs(says).await;
        self.lua("return redis.call('RESTORE', KEYS[1], 0, redis.call('GET', 'backup'), 'REPLACE')", key, &[]);
        self.check_equal().await;
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut open = vec![self.deployment.data_dir().join("archive")];
        while let Some(directory) = open.pop() {
            for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
                match path.is_dir() {
                    true => open.push(path),
                    false => found.push(path),
                }
            }
        }
        found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
        found.sort();
        found
    }
}

#[tokio::test]
async fn verify_names_every_changed_deleted_replaced_or_added_item() {
    let mut deployed = SealedDeployment::create("tampering").await;
    deployed.check_equal().await;

    // A row of a view, and one of a decider.
    let change = "local row = redis.call('HGET', KEYS[1], ARGV[1]) \
                  return redis.call('HSET', KEYS[1], ARGV[1], (string.gsub(row, 'unhealthy', 'unwealthy')))";
    let view = "hemostat:{0}:view:containers.2";
    let container = deployed.container(3);
    let named = format!("row {container} of the view containers.2");
    deployed.check_alteration(view, change, &[&container], &[&named]).await;
    let delete = "return redis.call('HDEL', KEYS[1], ARGV[1])";
    let view = "hemostat:{0}:view:authorise.1";
    let named = format!("row {container} of the view authorise.1");
    deployed.check_alteration(view, delete, &[&container], &[&named, "found    no row"]).await;

    // One event deleted.
    let (third, fourth) = (deployed.action(3), deployed.action(4));
    let named = format!("event 0.{third} is missing");
    deployed.check_alteration(ACTIONS, "return redis.call('XDEL', KEYS[1], ARGV[1])", &[&third], &[&named]).await;

    // One event replaced by another: the stream is rewritten, all other events unchanged.
    let replace = "local all = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('DEL', KEYS[1]) \
                   for _, e in ipairs(all) do local f = e[2] \
                   if e[1] == ARGV[1] then for i = 1, #f, 2 do if f[i] == 'e' then f[i + 1] = string.gsub(f[i + 1], 'stale', 'stall') end end end \
                   redis.call('XADD', KEYS[1], e[1], unpack(f)) end return 'OK'";
    let named = format!("event 0.{fourth} was changed");
    deployed.check_alteration(ACTIONS, replace, &[&fourth], &[&named]).await;

    // One event put between two others.
    let insert = "local all = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('DEL', KEYS[1]) \
                  for _, e in ipairs(all) do redis.call('XADD', KEYS[1], e[1], unpack(e[2])) \
                  if e[1] == ARGV[1] then redis.call('XADD', KEYS[1], ARGV[2], unpack(e[2])) end end return 'OK'";
    let ms = |id: &str| id.split_once('-').unwrap().0.to_owned();
    let last =
        (3..).map(|n| deployed.action(n)).find(|id| deployed.action_after(id).is_some_and(|next| ms(&next) != ms(id)));
    let last = last.unwrap();
    let new = format!("{}-999", ms(&last));
    let named = format!("event 0.{new} was added");
    deployed.check_alteration(ACTIONS, insert, &[&last, &new], &[&named]).await;

    // One byte of one segment of the archive.
    let segment = deployed.segments().remove(0);
    let sound = fs::read(&segment).unwrap();
    let mut altered = sound.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(&segment, altered).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    deployed.check_differs(&["archive: ", name]).await;
    fs::write(&segment, sound).unwrap();
    deployed.check_equal().await;
}

#[tokio::test]
async fn fsck_finds_each_kind_of_damage_and_reports_nothing_else() {
    let mut deployed = SealedDeployment::create("fsck").await;
    let (code, output) = deployed.run("fsck").await;
    assert_eq!(code, 0, "{output}");
    let third = deployed.action(3);
    let head = format!("action/{}", deployed.container(3));
    let [wrong, missing] = [": it is 0.1-0", ": there is none"].map(|what| format!("heads, {head}{what}"));
    let damages: [(&str, &str, &[&str], &str); 8] = [
        ("heads", "return redis.call('HSET', KEYS[1], ARGV[1], '1-0')", &[&head], &wrong),
        ("heads", "return redis.call('HDEL', KEYS[1], ARGV[1])", &[&head], &missing),
        ("actions", "return redis.call('XDEL', KEYS[1], ARGV[1])", &[&third], "heads, action/host/bed-"),
        ("actions", "return redis.call('XGROUP', 'CREATE', KEYS[1], 'stray', '0')", &[], "actions, group stray"),
        (
            "timers",
            "return redis.call('ZADD', KEYS[1], 5, 'nobody|host/c3|retry')",
            &[],
            "timers, nobody|host/c3|retry",
        ),
        ("clock", "return redis.call('SET', KEYS[1], '5-0')", &[], "later than the clock"),
        ("lease:judge", "return redis.call('HDEL', KEYS[1], 'epoch')", &[], "lease:judge: it has no epoch"),
        (
            "view:containers.2",
            "return redis.call('HDEL', KEYS[1], 'no such') + redis.call('HSET', 'hemostat:{0}:view:stray.7', 'a', 'b')",
            &[],
            "view:stray.7",
        ),
    ];
    for (key, script, arguments, says) in damages {
        let key = format!("hemostat:{{0}}:{key}");
        let kept = deployed.lua("local kept = redis.call('DUMP', KEYS[1]) if kept then redis.call('SET', 'backup', kept) return 1 end return 0", &key, &[]);
        deployed.lua(script, &key, arguments);
        let (code, output) = deployed.run("fsck").await;
        assert_eq!(code, 1, "{says}: {output}");
        assert!(output.contains(says), "{says:?} is not in:\n{output}");
        deployed.lua("return redis.call('DEL', KEYS[1], 'hemostat:{0}:view:stray.7')", &key, &[]);
        if kept == "1" {
            deployed.lua("return redis.call('RESTORE', KEYS[1], 0, redis.call('GET', 'backup'))", &key, &[]);
        }
    }
    let (code, output) = deployed.run("fsck").await;
    assert_eq!(code, 0, "{output}");
}

#[tokio::test]
async fn a_hemostat_at_work_raises_no_false_alarm() {
    let mut deployed = SealedDeployment::create("at-work").await;
    deployed.deployment.set("monitor.disk_every", "1s");
    let hemostat = deployed.deployment.up().await;
    let patient = deployed.deployment.patient(PatientSpec::named("a")).await;
    hemostat.wait_until_healthy(&patient).await;
    super::make_unhealthy(&patient).await;
    let deadline = Instant::now() + 2 * STEP_TIMEOUT;
    loop {
        // Measurements advance no version, which a tool may get wrong: it must run once with all of them on the log.
        let missing = missing(&hemostat, &["sample.container", "sample.storage", "sample.disk"]).await;
        for tool in ["verify", "fsck"] {
            let (code, output) = deployed.run(tool).await;
            assert_eq!(code, 0, "{tool}: {output}");
        }
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "the log has no {missing:?}: {}", hemostat.output());
    }
    hemostat.stop().await;
}

/// The kinds of which the log has no event yet.
async fn missing(hemostat: &Hemostat, kinds: &[&'static str]) -> Vec<&'static str> {
    let mut missing = vec![];
    for kind in kinds {
        let page = hemostat.get(&format!("/events?kind={kind}&limit=1")).await.unwrap();
        if page["events"].as_array().is_none_or(Vec::is_empty) {
            missing.push(*kind);
        }
    }
    missing
}
