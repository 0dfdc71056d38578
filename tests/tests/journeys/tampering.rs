//! Whoever changes rows, history or the archive behind HemoStat's back is found out, by name.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::ensure;
use hemostat_core::testing;
use hemostat_log::Cursor;
use hemostat_runtime::Producer;
use hemostat_schema::{Family, NewEvent, Partition, Subject};
use hemostat_settings::{Config, Input};
use hemostat_tests::{Bed, PATIENCE, RedisServer, until};

/// A HemoStat that has treated some containers, has been sealed and proved, and has ended in good order.
struct Scene {
    bed: Bed,
    redis: RedisServer,
    /// What its containers' names begin with.
    prefix: String,
}

const ACTIONS: &str = "hemostat:{0}:actions";

impl Scene {
    async fn set(name: &str) -> Self {
        let redis = RedisServer::start().await;
        let mut bed = Bed::new(name).await;
        bed.set("redis.url", redis.url());
        bed.set("archive.url", bed.data_dir().join("archive").display().to_string());
        bed.set("archive.segment_age", "1s");
        bed.set_raw("archive.segment_events", "10");
        bed.set_raw("notary.every", "8");
        let mut scene = Self { bed, redis, prefix: format!("host/bed-{name}-{}-c", std::process::id()) };
        scene.play().await;
        scene
    }

    /// Everybody is ill, everything is decided, folded, proved and sealed; then HemoStat ends.
    async fn play(&mut self) {
        let hemostat = self.bed.up().await;
        let settings = vec![("redis.url".to_owned(), self.redis.url())];
        let input = Input { file: None, environment: vec![], overrides: settings };
        let ctx = hemostat_process::open(&Config::load(&input).unwrap(), None).await.unwrap();
        let mut producer = Producer::acquire(&ctx, Partition(0), "test").await.unwrap();
        for n in 0..30 {
            if n == 15 {
                // So that not all is decided within one millisecond.
                until(PATIENCE, "the first half is decided", async || {
                    let actions = ctx.log.inspect(Partition(0)).await?.streams[&Family::Action].length;
                    ensure!(actions >= 15, "{actions} actions");
                    Ok(())
                })
                .await;
            }
            let subject: Subject = self.whom(n).parse().unwrap();
            let events = testing::unhealthy().into_iter().map(|event| NewEvent { subject: subject.clone(), ..event });
            producer.append(events.collect(), vec![]).await.unwrap();
        }
        until(PATIENCE, "everything is decided, proved and sealed", async || {
            let said = hemostat.said();
            let inspection = ctx.log.inspect(Partition(0)).await?;
            ensure!(self.segments().len() > 3, "{} segments\n{said}", self.segments().len());
            let actions = &inspection.streams[&Family::Action];
            ensure!(actions.length >= 30, "{} actions\n{said}", actions.length);
            let last = |family: &Family| inspection.streams[family].last;
            let is_behind = |cursor: &Cursor| cursor.families.iter().filter_map(last).any(|last| cursor.at < last);
            let behind: Vec<_> = inspection.cursors.iter().filter(|(_, cursor)| is_behind(cursor)).collect();
            ensure!(behind.is_empty(), "behind: {behind:?}");
            let pending =
                inspection.streams.values().flat_map(|stream| &stream.groups).any(|group| !group.pending.is_empty());
            ensure!(!pending, "something is pending");
            Ok(())
        })
        .await;
        assert!(hemostat.stop().await.success());
    }

    /// The exit code of a tool, and what it said.
    async fn run(&mut self, tool: &str) -> (i32, String) {
        let mut process = self.bed.start(tool);
        let status = process.ended().await;
        (status.code().unwrap_or(-1), process.said())
    }

    /// The `n`-th of its containers.
    fn whom(&self, n: u32) -> String {
        format!("{}{n}", self.prefix)
    }

    async fn is_equal(&mut self) {
        let (code, said) = self.run("verify").await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("equal:") && !said.contains("not equal"), "{said}");
    }

    /// `verify` ends with 1 and says all of this.
    async fn differs(&mut self, says: &[&str]) {
        let (code, said) = self.run("verify").await;
        assert_eq!(code, 1, "{said}");
        for part in says {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
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

    /// Does something to a key behind HemoStat's back, looks, and puts the key back as it was.
    async fn spoil(&mut self, key: &str, script: &str, arguments: &[&str], says: &[&str]) {
        self.lua("return redis.call('SET', 'backup', redis.call('DUMP', KEYS[1]))", key, &[]);
        self.lua(script, key, arguments);
        self.differs(says).await;
        self.lua("return redis.call('RESTORE', KEYS[1], 0, redis.call('GET', 'backup'), 'REPLACE')", key, &[]);
        self.is_equal().await;
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut open = vec![self.bed.data_dir().join("archive")];
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
async fn verify_names_what_was_changed_deleted_replaced_or_altered_behind_its_back() {
    let mut scene = Scene::set("tampering").await;
    scene.is_equal().await;

    // A row of a view, and one of a decider.
    let change = "local row = redis.call('HGET', KEYS[1], ARGV[1]) \
                  return redis.call('HSET', KEYS[1], ARGV[1], (string.gsub(row, 'unhealthy', 'unwealthy')))";
    let view = "hemostat:{0}:view:containers.1";
    let whom = scene.whom(3);
    let named = format!("row {whom} of the view containers.1");
    scene.spoil(view, change, &[&whom], &[&named]).await;
    let delete = "return redis.call('HDEL', KEYS[1], ARGV[1])";
    let view = "hemostat:{0}:view:authorise.1";
    let named = format!("row {whom} of the view authorise.1");
    scene.spoil(view, delete, &[&whom], &[&named, "found    no row"]).await;

    // One event deleted.
    let (third, fourth) = (scene.action(3), scene.action(4));
    let named = format!("event 0.{third} is missing");
    scene.spoil(ACTIONS, "return redis.call('XDEL', KEYS[1], ARGV[1])", &[&third], &[&named]).await;

    // One event replaced by another: the whole stream written anew, all else as it was.
    let replace = "local all = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('DEL', KEYS[1]) \
                   for _, e in ipairs(all) do local f = e[2] \
                   if e[1] == ARGV[1] then for i = 1, #f, 2 do if f[i] == 'e' then f[i + 1] = string.gsub(f[i + 1], 'stale', 'stall') end end end \
                   redis.call('XADD', KEYS[1], e[1], unpack(f)) end return 'OK'";
    let named = format!("event 0.{fourth} was changed");
    scene.spoil(ACTIONS, replace, &[&fourth], &[&named]).await;

    // One event put between two others.
    let insert = "local all = redis.call('XRANGE', KEYS[1], '-', '+') redis.call('DEL', KEYS[1]) \
                  for _, e in ipairs(all) do redis.call('XADD', KEYS[1], e[1], unpack(e[2])) \
                  if e[1] == ARGV[1] then redis.call('XADD', KEYS[1], ARGV[2], unpack(e[2])) end end return 'OK'";
    let ms = |id: &str| id.split_once('-').unwrap().0.to_owned();
    let last = (3..).map(|n| scene.action(n)).find(|id| scene.action_after(id).is_some_and(|next| ms(&next) != ms(id)));
    let last = last.unwrap();
    let new = format!("{}-999", ms(&last));
    let named = format!("event 0.{new} was added");
    scene.spoil(ACTIONS, insert, &[&last, &new], &[&named]).await;

    // One byte of one segment of the archive.
    let segment = scene.segments().remove(0);
    let sound = fs::read(&segment).unwrap();
    let mut altered = sound.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(&segment, altered).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    scene.differs(&["archive: ", name]).await;
    fs::write(&segment, sound).unwrap();
    scene.is_equal().await;
}

#[tokio::test]
async fn fsck_finds_each_kind_of_damage_and_blames_nothing_that_is_sound() {
    let mut scene = Scene::set("fsck").await;
    let (code, said) = scene.run("fsck").await;
    assert_eq!(code, 0, "{said}");
    let third = scene.action(3);
    let head = format!("action/{}", scene.whom(3));
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
            "view:containers.1",
            "return redis.call('HDEL', KEYS[1], 'no such') + redis.call('HSET', 'hemostat:{0}:view:stray.7', 'a', 'b')",
            &[],
            "view:stray.7",
        ),
    ];
    for (key, script, arguments, says) in damages {
        let key = format!("hemostat:{{0}}:{key}");
        let kept = scene.lua("local kept = redis.call('DUMP', KEYS[1]) if kept then redis.call('SET', 'backup', kept) return 1 end return 0", &key, &[]);
        scene.lua(script, &key, arguments);
        let (code, said) = scene.run("fsck").await;
        assert_eq!(code, 1, "{says}: {said}");
        assert!(said.contains(says), "{says:?} is not in:\n{said}");
        scene.lua("return redis.call('DEL', KEYS[1], 'hemostat:{0}:view:stray.7')", &key, &[]);
        if kept == "1" {
            scene.lua("return redis.call('RESTORE', KEYS[1], 0, redis.call('GET', 'backup'))", &key, &[]);
        }
    }
    let (code, said) = scene.run("fsck").await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn a_hemostat_at_work_raises_no_false_alarm() {
    let mut scene = Scene::set("at-work").await;
    let hemostat = scene.bed.up().await;
    let patient = scene.bed.patient(hemostat_patient::stage::PatientSpec::named("a")).await;
    hemostat.until_well(&patient).await;
    super::sicken(&patient).await;
    let looked = tokio::time::Instant::now();
    while looked.elapsed() < Duration::from_secs(6) {
        for tool in ["verify", "fsck"] {
            let (code, said) = scene.run(tool).await;
            assert_eq!(code, 0, "{tool}: {said}");
        }
    }
    hemostat.stop().await;
}
