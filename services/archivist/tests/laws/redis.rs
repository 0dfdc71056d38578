//! On a real Redis: thousands of events, short segments, and an intruder who alters a stream.

use std::{sync::Arc, time::Duration};

use hemostat_archive::{Damage, DamagedObject, Error, open};
use hemostat_archivist::{Archivist, Notary, Retention, SealPolicy, chain_index::ChainIndex};
use hemostat_log::{
    Archive as _, History, Log, Order, Range, RawEntry,
    testing::{Server, events::event},
};
use hemostat_runtime::{Context, LeasedWorker, ManualClock};
use hemostat_schema::{Family, Span, Timestamp};

use super::{P, append, run_until_idle};

/// A context whose clock is `later` than the server's, so that new events count as old.
fn context(log: Arc<dyn Log>, archive: Option<Arc<dyn hemostat_log::Archive>>, later: Span) -> Context {
    let clock = Arc::new(ManualClock::at(later.after(Timestamp::now())));
    let history = History::new(log.clone(), archive);
    Context { clock, history, lease_ttl: Duration::from_secs(60), ..Context::new(log) }
}

async fn all(ctx: &Context) -> Vec<RawEntry> {
    let mut scan = ctx.history.scan(P, Family::ALL, Range::ALL);
    let mut all = vec![];
    while let Some(page) = scan.next().await.unwrap() {
        all.extend(page);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_events_are_read_unchanged_across_archive_and_log() {
    let server = Server::spawn();
    let log: Arc<dyn Log> = Arc::new(server.log().await);
    let directory = tempfile::tempdir().unwrap();
    let archive = open(directory.path().to_str().unwrap()).unwrap();
    for n in 0..25 {
        let events = (0..50).flat_map(|m| Family::ALL.map(|family| event(family, &format!("c{m}"), &format!("{n}"))));
        append(&*log, events).await;
    }
    let ctx = context(log.clone(), Some(archive.clone()), Span::from_secs(7200));
    let written = all(&ctx).await;
    assert_eq!(written.len(), Family::ALL.len() * 1250);

    run_until_idle(&mut LeasedWorker::new(ctx.clone(), Notary::new(ctx.clone(), P, 100, None))).await;
    let retention = Retention { keep: [Span::from_secs(3600); Family::ALL.len()], max_events: 0, discard: false };
    let when = SealPolicy { events: 300, age: Span::from_secs(1) };
    run_until_idle(&mut LeasedWorker::new(
        ctx.clone(),
        Archivist::new(ctx.clone(), P, Some(archive.clone()), when, retention),
    ))
    .await;
    // 1250 of each family: trimmed up to the twelfth checkpoint of a hundred, fifty events stay.
    let left = log.raw(P, &Family::ALL, Range::ALL, Order::OldestFirst, 10_000).await.unwrap();
    assert_eq!(left.len(), Family::ALL.len() * 50);
    for family in Family::ALL {
        assert_eq!(archive.segments(P, family).await.unwrap().len(), 5);
        archive.verify_chain(P, family).await.unwrap();
    }

    // Another process, without cache or index.
    let reader = open(directory.path().to_str().unwrap()).unwrap();
    let ctx = context(log.clone(), Some(reader), Span::ZERO);
    assert!(all(&ctx).await == written);
    let newest = ctx.history.raw(P, &Family::ALL, Range::ALL, Order::NewestFirst, 700).await.unwrap();
    assert!(newest.iter().eq(written.iter().rev().take(700)));
    let one = ctx.history.get(written[1234].id).await.unwrap().unwrap();
    assert_eq!(one, written[1234].decode());

    // One byte of one segment changes.
    let manifest = archive.segments(P, Family::Alert).await.unwrap().remove(2);
    let file = directory.path().join("0/alert").join(&manifest.file);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = archive.verify_chain(P, Family::Alert).await.unwrap_err();
    let Error::Damaged(DamagedObject { object, why: Damage::Altered { .. } }) = &error else { panic!("{error}") };
    assert_eq!(*object, format!("0/alert/{}", manifest.file));
    let reader = open(directory.path().to_str().unwrap()).unwrap();
    let error = reader.raw(P, &[Family::Alert], Range::ALL, Order::OldestFirst, 10_000).await.unwrap_err();
    assert!(error.to_string().contains(&manifest.file), "{error}");

    // A segment is deleted together with its manifest.
    let manifest = archive.segments(P, Family::Action).await.unwrap().remove(2);
    let file = directory.path().join("0/action").join(&manifest.file);
    let name = manifest.file.split_once('_').unwrap().0;
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(file.with_file_name(format!("{name}.json"))).unwrap();
    let reader = open(directory.path().to_str().unwrap()).unwrap();
    for error in [
        reader.raw(P, &[Family::Action], Range::ALL, Order::OldestFirst, 10_000).await.unwrap_err().to_string(),
        reader.verify_chain(P, Family::Action).await.unwrap_err().to_string(),
    ] {
        assert!(error.contains(&format!("0/action/{name}.json is missing")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_family_is_neither_archived_nor_trimmed() {
    let server = Server::spawn();
    let log: Arc<dyn Log> = Arc::new(server.log().await);
    let directory = tempfile::tempdir().unwrap();
    let archive = open(directory.path().to_str().unwrap()).unwrap();
    append(&*log, (0..250).flat_map(|n| Family::ALL.map(|family| event(family, "api", &format!("{n}"))))).await;
    let ctx = context(log.clone(), Some(archive.clone()), Span::from_secs(7200));
    run_until_idle(&mut LeasedWorker::new(ctx.clone(), Notary::new(ctx.clone(), P, 100, None))).await;

    // An intruder deletes one action.
    let actions = log.raw(P, &[Family::Action], Range::ALL, Order::OldestFirst, 1000).await.unwrap();
    assert_eq!(server.cli(&["XDEL", "hemostat:{0}:actions", &actions[120].id.entry()]), "1");

    let retention = Retention { keep: [Span::from_secs(3600); Family::ALL.len()], max_events: 0, discard: false };
    let when = SealPolicy { events: 1000, age: Span::from_secs(1) };
    run_until_idle(&mut LeasedWorker::new(
        ctx.clone(),
        Archivist::new(ctx.clone(), P, Some(archive.clone()), when, retention),
    ))
    .await;
    assert_eq!(archive.sealed(P, Family::Action).await.unwrap(), None);
    assert_eq!(log.raw(P, &[Family::Action], Range::ALL, Order::OldestFirst, 1000).await.unwrap().len(), 249);
    assert!(archive.sealed(P, Family::Alert).await.unwrap().is_some(), "the other families go on");
    let chain_index = ChainIndex::read(&*log, P).await.unwrap();
    assert_eq!(chain_index.of(Family::Alert).iter().count(), 1);
}
