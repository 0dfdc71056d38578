//! Whatever fails, history stays complete: an event stays on the log until the archive holds it.

use std::sync::Arc;

use hemostat_archive::{
    Archive,
    testing::{Fault, FaultyStore},
};
use hemostat_log::Archive as _;
use hemostat_schema::Family;
use object_store::memory::InMemory;

use super::{ArchivistFixture, P, RETENTION, run_until_idle};

#[tokio::test]
async fn events_are_sealed_by_count_or_age_and_then_trimmed() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let fixture = ArchivistFixture::new(Some(archive.clone()));
    let (mut notary, mut archivist) = (fixture.notary(), fixture.archivist(Some(archive.clone()), RETENTION));
    fixture.append(9).await;
    fixture.advance(50);
    run_until_idle(&mut notary).await;
    run_until_idle(&mut archivist).await;
    assert_eq!(archive.sealed(P, Family::Alert).await.unwrap(), None, "neither enough events nor old enough");

    fixture.append(25).await;
    run_until_idle(&mut notary).await;
    run_until_idle(&mut archivist).await;
    let segments = archive.segments(P, Family::Alert).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.count).collect::<Vec<_>>(), [10, 10]);

    fixture.advance(100);
    run_until_idle(&mut archivist).await;
    let segments = archive.segments(P, Family::Alert).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.count).collect::<Vec<_>>(), [10, 10, 10, 4]);
    let everything = fixture.all_events().await;
    assert_eq!(fixture.on_log().await, everything, "no event was old enough to be trimmed");

    fixture.advance(95);
    run_until_idle(&mut archivist).await;
    let kept = fixture.on_log().await;
    // Of the checkpoints after 24, 28 and 32 events, the one after 28 is the last that is older than 200 seconds.
    assert_eq!(kept, everything[Family::ALL.len() * 28..]);
    assert_eq!(fixture.all_events().await, everything);
    for family in Family::ALL {
        archive.verify_chain(P, family).await.unwrap();
    }
}

#[tokio::test]
async fn events_younger_than_the_lease_ttl_are_not_sealed() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let fixture = ArchivistFixture::new(Some(archive.clone()));
    fixture.append(15).await;
    run_until_idle(&mut fixture.notary()).await;
    run_until_idle(&mut fixture.archivist(Some(archive.clone()), RETENTION)).await;
    assert_eq!(archive.sealed(P, Family::Action).await.unwrap(), None, "only five are older than ten seconds");
    fixture.advance(5);
    run_until_idle(&mut fixture.archivist(Some(archive.clone()), RETENTION)).await;
    assert_eq!(archive.segments(P, Family::Action).await.unwrap()[0].count, 10);
}

#[tokio::test]
async fn no_event_is_lost_wherever_the_archive_fails_or_the_archivist_crashes() {
    for fault in [Fault::RequestLost, Fault::ResponseLost] {
        for requests in 1.. {
            let store = Arc::new(FaultyStore::new(requests, fault));
            let archive = Arc::new(Archive::new(store.clone()));
            let fixture = ArchivistFixture::new(Some(archive.clone()));
            let mut notary = fixture.notary();
            fixture.append(12).await;
            fixture.advance(300);
            run_until_idle(&mut notary).await;
            let before = fixture.on_log().await;
            let mut archivist = fixture.archivist(Some(archive.clone()), RETENTION);
            run_until_idle(&mut archivist).await;
            let intact = store.is_intact();

            store.repair();
            if requests % 2 == 0 {
                // Another archivist takes over, without the first one's state.
                fixture.ctx.log.revoke(P, "archivist").await.unwrap();
                archivist = fixture.archivist(Some(Arc::new(Archive::new(store.clone()))), RETENTION);
            }
            assert_eq!(fixture.all_events().await, before, "{fault:?} {requests}");
            fixture.append(3).await;
            run_until_idle(&mut notary).await;
            fixture.advance(300);
            run_until_idle(&mut archivist).await;
            let all = fixture.all_events().await;
            assert_eq!(all[..before.len()], before, "{fault:?} {requests}");
            assert_eq!(all.len(), before.len() + Family::ALL.len() * 3, "{fault:?} {requests}");
            assert_eq!(
                fixture.on_log().await.len(),
                Family::ALL.len() * 3,
                "{fault:?} {requests}: twelve of each family are trimmed"
            );
            if intact {
                break;
            }
        }
    }
}
