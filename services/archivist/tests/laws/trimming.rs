//! Which events are trimmed, and which stay because a consumer group or a missing archive needs them.

use std::{sync::Arc, time::Duration};

use hemostat_archive::Archive;
use hemostat_archivist::{Retention, chain_index::ChainIndex};
use hemostat_log::{Commit, Cursor, Inbox, Order, Range, chain::Link};
use hemostat_schema::{Family, Partition, Span};
use object_store::memory::InMemory;

use super::{ArchivistFixture, P, RETENTION, run_until_idle};

const LONG: Duration = Duration::from_secs(10_000_000);

async fn left(fixture: &ArchivistFixture, family: Family) -> usize {
    fixture.ctx.log.raw(P, &[family], Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap().len()
}

#[tokio::test]
async fn events_that_a_group_has_not_acknowledged_or_a_cursor_not_passed_stay() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let fixture = ArchivistFixture::new(Some(archive.clone()));
    let log = fixture.ctx.log.clone();
    let lease = log.acquire(P, "slow", "me", LONG).await.unwrap().unwrap();
    let mut inbox = Inbox::new(log.clone(), lease.clone(), [Family::Action]);
    fixture.append(12).await;
    let given = inbox.next(100).await.unwrap();
    fixture.advance(300);
    run_until_idle(&mut fixture.notary()).await;
    let mut archivist = fixture.archivist(Some(archive.clone()), RETENTION);
    run_until_idle(&mut archivist).await;
    assert_eq!(
        (left(&fixture, Family::Action).await, left(&fixture, Family::Alert).await),
        (12, 0),
        "the group blocks only its own family"
    );

    // The group acknowledges nine: two checkpoints of four.
    let acks = given[..9].iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(lease.clone()) }).await.unwrap();
    run_until_idle(&mut archivist).await;
    assert_eq!(left(&fixture, Family::Action).await, 4);

    // A reader by offset blocks at its cursor.
    let reader = log.acquire(P, "reader", "me", LONG).await.unwrap().unwrap();
    let cursor = Some(Cursor { at: given[9].id, families: vec![Family::Action] });
    log.commit(&Commit { cursor, ..Commit::new(reader.clone()) }).await.unwrap();
    let acks = given[9..].iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(lease) }).await.unwrap();
    run_until_idle(&mut archivist).await;
    assert_eq!(left(&fixture, Family::Action).await, 4);
    let cursor = Some(Cursor { at: given[11].id, families: vec![Family::Action] });
    log.commit(&Commit { cursor, ..Commit::new(reader) }).await.unwrap();
    run_until_idle(&mut archivist).await;
    assert_eq!(left(&fixture, Family::Action).await, 0);
}

#[tokio::test]
async fn without_an_archive_events_stay_unless_they_may_be_discarded() {
    let fixture = ArchivistFixture::new(None);
    fixture.append(14).await;
    fixture.advance(300);
    run_until_idle(&mut fixture.notary()).await;
    run_until_idle(&mut fixture.archivist(None, RETENTION)).await;
    assert_eq!(left(&fixture, Family::Observation).await, 14);

    fixture.ctx.log.revoke(P, "archivist").await.unwrap();
    run_until_idle(&mut fixture.archivist(None, Retention { discard: true, ..RETENTION })).await;
    let kept = fixture.ctx.log.raw(P, &[Family::Observation], Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(kept.len(), 2, "trimming stops at the last checkpoint");
    // The remaining chain starts at a known checkpoint and gives the notary's hash.
    let chain_index = ChainIndex::read(&*fixture.ctx.log, P).await.unwrap();
    let places: Vec<_> = chain_index.of(Family::Observation).iter().collect();
    assert_eq!(places.len(), 1, "the checkpoints of trimmed events are deleted");
    assert_eq!(fixture.ctx.log.trimmed(P, Family::Observation).await.unwrap(), Some(places[0].last));
    assert_eq!(kept.iter().fold(places[0].link, Link::then), chain_index.tips.of(Family::Observation).link);
}

#[tokio::test]
async fn each_family_has_its_own_age_and_all_share_a_maximum_count() {
    let fixture = ArchivistFixture::new(None);
    fixture.append(30).await;
    fixture.advance(300);
    run_until_idle(&mut fixture.notary()).await;
    let mut keep = [Span::ZERO; Family::ALL.len()];
    keep[Family::Observation as usize] = Span::from_secs(200);
    keep[Family::Diagnosis as usize] = Span::from_secs(310);
    let retention = Retention { keep, max_events: 10, discard: true };
    run_until_idle(&mut fixture.archivist(None, retention)).await;
    let mut counts = vec![];
    for family in Family::ALL {
        counts.push(left(&fixture, family).await);
    }
    // At 300 seconds, the last 10 are younger than 310 seconds; there are checkpoints after 20, 24 and 28 events.
    assert_eq!(counts, [2, 10, 10, 10, 10]);
}

#[tokio::test]
async fn an_archive_that_is_enabled_later_begins_at_the_logs_first_event() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let fixture = ArchivistFixture::new(Some(archive.clone()));
    fixture.append(14).await;
    fixture.advance(300);
    run_until_idle(&mut fixture.notary()).await;
    run_until_idle(&mut fixture.archivist(None, Retention { discard: true, ..RETENTION })).await;
    let kept = fixture.on_log().await;
    fixture.ctx.log.revoke(P, "archivist").await.unwrap();
    run_until_idle(&mut fixture.archivist(Some(archive.clone()), RETENTION)).await;
    fixture.append(4).await;
    fixture.advance(300);
    run_until_idle(&mut fixture.notary()).await;
    run_until_idle(&mut fixture.archivist(Some(archive.clone()), RETENTION)).await;
    let segments = archive.segments(Partition(0), Family::Alert).await.unwrap();
    assert_eq!(segments[0].before.count, 12);
    let all = fixture.all_events().await;
    assert_eq!(all[..kept.len()], kept);
    assert_eq!(all.len(), kept.len() + Family::ALL.len() * 4);
    archive.verify_chain(P, Family::Alert).await.unwrap();
}
