//! Whatever fails, history stays whole: what is not safe in the archive stays on the log.

use std::sync::Arc;

use hemostat_archive::Archive;
use hemostat_log::Archive as _;
use hemostat_schema::Family;
use object_store::memory::InMemory;

use super::{
    Bed, P, RETENTION,
    faulty::{Fault, Faulty},
    rest,
};

#[tokio::test]
async fn what_is_old_or_much_enough_is_sealed_and_then_trimmed() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let bed = Bed::new(Some(archive.clone()));
    let (mut notary, mut archivist) = (bed.notary(), bed.archivist(Some(archive.clone()), RETENTION));
    bed.put(9).await;
    bed.passes(50);
    rest(&mut notary).await;
    rest(&mut archivist).await;
    assert_eq!(archive.sealed(P, Family::Alert).await.unwrap(), None, "neither enough nor old enough");

    bed.put(25).await;
    rest(&mut notary).await;
    rest(&mut archivist).await;
    let segments = archive.segments(P, Family::Alert).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.count).collect::<Vec<_>>(), [10, 10]);

    bed.passes(100);
    rest(&mut archivist).await;
    let segments = archive.segments(P, Family::Alert).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.count).collect::<Vec<_>>(), [10, 10, 10, 4]);
    let everything = bed.ever().await;
    assert_eq!(bed.on_log().await, everything, "nothing was old enough to go");

    bed.passes(95);
    rest(&mut archivist).await;
    let kept = bed.on_log().await;
    // Of the checkpoints after 24, 28 and 32 events, the one after 28 is the last that is older than 200 seconds.
    assert_eq!(kept, everything[4 * 28..]);
    assert_eq!(bed.ever().await, everything);
    for family in Family::ALL {
        archive.verify_chain(P, family).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_younger_than_a_lease_is_not_sealed() {
    let archive = Arc::new(Archive::new(Arc::new(InMemory::new())));
    let bed = Bed::new(Some(archive.clone()));
    bed.put(15).await;
    rest(&mut bed.notary()).await;
    rest(&mut bed.archivist(Some(archive.clone()), RETENTION)).await;
    assert_eq!(archive.sealed(P, Family::Action).await.unwrap(), None, "only five are older than ten seconds");
    bed.passes(5);
    rest(&mut bed.archivist(Some(archive.clone()), RETENTION)).await;
    assert_eq!(archive.segments(P, Family::Action).await.unwrap()[0].count, 10);
}

#[tokio::test]
async fn nothing_is_lost_wherever_the_archive_fails_or_the_archivist_dies() {
    for fault in [Fault::NotDone, Fault::AnswerLost] {
        for requests in 1.. {
            let store = Arc::new(Faulty::new(requests, fault));
            let archive = Arc::new(Archive::new(store.clone()));
            let bed = Bed::new(Some(archive.clone()));
            let mut notary = bed.notary();
            bed.put(12).await;
            bed.passes(300);
            rest(&mut notary).await;
            let before = bed.on_log().await;
            let mut archivist = bed.archivist(Some(archive.clone()), RETENTION);
            rest(&mut archivist).await;
            let whole = store.is_whole();

            store.heal();
            if requests % 2 == 0 {
                // Another one takes over, who knows nothing of what the first had tried.
                bed.ctx.log.recall(P, "archivist").await.unwrap();
                archivist = bed.archivist(Some(Arc::new(Archive::new(store.clone()))), RETENTION);
            }
            assert_eq!(bed.ever().await, before, "{fault:?} {requests}");
            bed.put(3).await;
            rest(&mut notary).await;
            bed.passes(300);
            rest(&mut archivist).await;
            let ever = bed.ever().await;
            assert_eq!(ever[..before.len()], before, "{fault:?} {requests}");
            assert_eq!(ever.len(), before.len() + 4 * 3, "{fault:?} {requests}");
            assert_eq!(bed.on_log().await.len(), 4 * 3, "{fault:?} {requests}: twelve of each family are gone");
            if whole {
                break;
            }
        }
    }
}
