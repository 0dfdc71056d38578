//! What goes, and what stays because somebody needs it.

use std::{sync::Arc, time::Duration};

use hemostat_archive::Archive;
use hemostat_archivist::{Retention, ledger::Ledger};
use hemostat_log::{Commit, Cursor, Inbox, Order, Range, chain::Link};
use hemostat_schema::{Family, Partition, Span};
use object_store::memory::InMemory;

use super::{Bed, P, RETENTION, rest};

const LONG: Duration = Duration::from_secs(10_000_000);

async fn left(bed: &Bed, family: Family) -> usize {
    bed.ctx.log.raw(P, &[family], Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap().len()
}

#[tokio::test]
async fn nothing_goes_that_a_group_has_not_acknowledged_or_a_cursor_not_passed() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let bed = Bed::new(Some(archive.clone()));
    let log = bed.ctx.log.clone();
    let lease = log.acquire(P, "slow", "me", LONG).await.unwrap().unwrap();
    let mut inbox = Inbox::new(log.clone(), lease.clone(), [Family::Action]);
    bed.put(12).await;
    let given = inbox.next(100).await.unwrap();
    bed.passes(300);
    rest(&mut bed.notary()).await;
    let mut archivist = bed.archivist(Some(archive.clone()), RETENTION);
    rest(&mut archivist).await;
    assert_eq!((left(&bed, Family::Action).await, left(&bed, Family::Alert).await), (12, 0), "its own family only");

    // It has dealt with nine: two checkpoints of four.
    let acks = given[..9].iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(lease.clone()) }).await.unwrap();
    rest(&mut archivist).await;
    assert_eq!(left(&bed, Family::Action).await, 4);

    // One that reads by position is no further.
    let reader = log.acquire(P, "reader", "me", LONG).await.unwrap().unwrap();
    let cursor = Some(Cursor { at: given[9].id, families: vec![Family::Action] });
    log.commit(&Commit { cursor, ..Commit::new(reader.clone()) }).await.unwrap();
    let acks = given[9..].iter().map(|delivery| (delivery.family, delivery.id)).collect();
    log.commit(&Commit { acks, ..Commit::new(lease) }).await.unwrap();
    rest(&mut archivist).await;
    assert_eq!(left(&bed, Family::Action).await, 4);
    let cursor = Some(Cursor { at: given[11].id, families: vec![Family::Action] });
    log.commit(&Commit { cursor, ..Commit::new(reader) }).await.unwrap();
    rest(&mut archivist).await;
    assert_eq!(left(&bed, Family::Action).await, 0);
}

#[tokio::test]
async fn without_an_archive_nothing_goes_unless_it_may_be_thrown_away() {
    let bed = Bed::new(None);
    bed.put(14).await;
    bed.passes(300);
    rest(&mut bed.notary()).await;
    rest(&mut bed.archivist(None, RETENTION)).await;
    assert_eq!(left(&bed, Family::Observation).await, 14);

    bed.ctx.log.recall(P, "archivist").await.unwrap();
    rest(&mut bed.archivist(None, Retention { discard: true, ..RETENTION })).await;
    let kept = bed.ctx.log.raw(P, &[Family::Observation], Range::ALL, Order::OldestFirst, 100).await.unwrap();
    assert_eq!(kept.len(), 2, "it is cut at the last checkpoint");
    // The chain of what stays has a known beginning, and comes out.
    let ledger = Ledger::read(&*bed.ctx.log, P).await.unwrap();
    let places: Vec<_> = ledger.of(Family::Observation).iter().collect();
    assert_eq!(places.len(), 1, "the checkpoints of what is gone are gone");
    assert_eq!(bed.ctx.log.trimmed(P, Family::Observation).await.unwrap(), Some(places[0].last));
    assert_eq!(kept.iter().fold(places[0].link, Link::then), ledger.tips.of(Family::Observation).link);
}

#[tokio::test]
async fn each_family_has_its_own_age_and_all_have_their_size() {
    let bed = Bed::new(None);
    bed.put(30).await;
    bed.passes(300);
    rest(&mut bed.notary()).await;
    let mut keep = [Span::ZERO; 4];
    keep[Family::Observation as usize] = Span::from_secs(200);
    keep[Family::Diagnosis as usize] = Span::from_secs(310);
    let retention = Retention { keep, max_events: 10, discard: true };
    rest(&mut bed.archivist(None, retention)).await;
    let mut counts = vec![];
    for family in Family::ALL {
        counts.push(left(&bed, family).await);
    }
    // At 300 seconds, the last 10 were put within 310 seconds; checkpoints stand after 20, 24 and 28.
    assert_eq!(counts, [2, 10, 10, 10]);
}

#[tokio::test]
async fn an_archive_that_is_switched_on_later_begins_where_the_log_does() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let bed = Bed::new(Some(archive.clone()));
    bed.put(14).await;
    bed.passes(300);
    rest(&mut bed.notary()).await;
    rest(&mut bed.archivist(None, Retention { discard: true, ..RETENTION })).await;
    let kept = bed.on_log().await;
    bed.ctx.log.recall(P, "archivist").await.unwrap();
    rest(&mut bed.archivist(Some(archive.clone()), RETENTION)).await;
    bed.put(4).await;
    bed.passes(300);
    rest(&mut bed.notary()).await;
    rest(&mut bed.archivist(Some(archive.clone()), RETENTION)).await;
    let segments = archive.segments(Partition(0), Family::Alert).await.unwrap();
    assert_eq!(segments[0].before.count, 12);
    let ever = bed.ever().await;
    assert_eq!(ever[..kept.len()], kept);
    assert_eq!(ever.len(), kept.len() + 4 * 4);
    archive.verify_chain(P, Family::Alert).await.unwrap();
}
