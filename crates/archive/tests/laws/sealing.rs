//! Sealing is atomic, idempotent and in order, whatever crashes and whichever process races.

use std::sync::Arc;

use futures::TryStreamExt as _;
use hemostat_archive::{
    Archive, Error,
    testing::{Fault, FaultyStore},
};
use hemostat_log::{Archive as _, Order, Range, RawEntry, chain::Link};
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::{FAMILY, P, archive, events, id, seal, sealed};

async fn all(archive: &Archive) -> Vec<RawEntry> {
    archive.raw(P, &[FAMILY], Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap()
}

/// The names of all objects in a store.
async fn objects(store: &dyn ObjectStore) -> Vec<String> {
    let mut names: Vec<String> =
        store.list(None).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_manifest_describes_the_segment_and_references_the_previous_one() {
    let (archive, store) = archive();
    let history = events(1..=5);
    let manifests = sealed(&archive, &history, &[2, 3]).await;
    let [first, second] = &manifests[..] else { panic!("two segments") };
    assert_eq!((first.first, first.last, first.count), (id(1), id(2), 2));
    assert_eq!((second.first, second.last, second.count), (id(3), id(5), 3));
    assert_eq!((first.before, second.before), (Link::default(), first.chain));
    assert_eq!(second.chain, history.iter().fold(Link::default(), Link::then));
    assert_eq!(first.previous, None);
    assert_eq!(second.previous.map(|previous| previous.first), Some(id(1)));
    assert_eq!(archive.segments(P, FAMILY).await.unwrap(), manifests);
    archive.verify_chain(P, FAMILY).await.unwrap();
    assert_eq!(objects(&*store).await.len(), 4);
}

#[tokio::test]
async fn a_crash_at_any_point_loses_nothing_and_seals_nothing_twice() {
    let history = events(1..=30);
    for fault in [Fault::RequestLost, Fault::ResponseLost] {
        for requests in 1.. {
            let store = Arc::new(FaultyStore::new(requests, fault));
            let archive = Archive::new(store.clone());
            let first_attempt = seal(&archive, history[..10].to_vec(), Link::default()).await;
            let intact = store.is_intact();
            store.repair();
            drop(archive);

            // The next attempt seals a longer segment, because more events have been appended meanwhile.
            let archive = Archive::new(store.clone());
            let newest = archive.newest(P, FAMILY).await.unwrap();
            assert!(
                first_attempt.is_err() || newest.is_some(),
                "{fault:?} {requests}: it reported success without a segment"
            );
            let (done, chain) = newest.map_or((0, Link::default()), |manifest| (10, manifest.chain));
            seal(&archive, history[done..].to_vec(), chain).await.unwrap();
            assert_eq!(all(&archive).await, history, "{fault:?} {requests}");
            archive.verify_chain(P, FAMILY).await.unwrap();
            let segments = archive.segments(P, FAMILY).await.unwrap().len();
            assert_eq!(objects(&store.inner).await.len(), 2 * segments, "{fault:?} {requests}: something is left over");
            if intact {
                break;
            }
        }
    }
}

#[tokio::test]
async fn of_two_processes_that_seal_from_the_same_event_one_is_refused() {
    let (one, store) = archive();
    let other = Archive::new(store.clone());
    let history = events(1..=9);
    let (short, long) = (history[..4].to_vec(), history.clone());
    let (short, long) = tokio::join!(seal(&one, short, Link::default()), seal(&other, long, Link::default()));
    let sealed = match (&short, &long) {
        (Ok(_), Err(Error::AlreadySealed { .. })) => 4,
        (Err(Error::AlreadySealed { .. }), Ok(_)) => 9,
        other => panic!("{other:?}"),
    };
    assert_eq!(all(&Archive::new(store)).await, history[..sealed]);
}

#[tokio::test]
async fn sealing_is_idempotent() {
    let (one, store) = archive();
    let other = Archive::new(store.clone());
    let history = events(1..=4);
    let (a, b) =
        tokio::join!(seal(&one, history.clone(), Link::default()), seal(&other, history.clone(), Link::default()));
    assert!(a.is_ok() || b.is_ok());
    assert_eq!(objects(&*store).await.len(), 2);
    assert_eq!(all(&Archive::new(store)).await, history);
}

#[tokio::test]
async fn a_segment_that_does_not_continue_the_chain_is_refused() {
    let (archive, _) = archive();
    let history = events(1..=6);
    let manifest = sealed(&archive, &history, &[3]).await.remove(0);
    let again = seal(&archive, history[2..].to_vec(), manifest.chain).await;
    assert!(matches!(&again, Err(Error::AlreadySealed { first, .. }) if *first == id(3)), "{again:?}");
    let unchained = seal(&archive, history[3..].to_vec(), Link::default()).await;
    assert!(matches!(&unchained, Err(Error::ChainMismatch { first }) if *first == id(4)), "{unchained:?}");
    seal(&archive, history[3..].to_vec(), manifest.chain).await.unwrap();
}

#[tokio::test]
async fn an_invalid_file_under_the_segments_name_is_replaced() {
    let (archive, store) = archive();
    let history = events(1..=3);
    let name = sealed(&self::archive().0, &history, &[3]).await.remove(0).file;
    store.put(&format!("3/action/{name}").into(), "half a file".into()).await.unwrap();
    sealed(&archive, &history, &[3]).await;
    archive.verify_chain(P, FAMILY).await.unwrap();
    assert_eq!(all(&archive).await, history);
}
