//! Every alteration of a sealed archive is detected, and the error names the altered object.

use hemostat_archive::{Archive, Damage, DamagedObject, Error};
use hemostat_log::{Archive as _, Order, Range};
use object_store::{ObjectStoreExt as _, path::Path};

use super::{FAMILY, P, archive, events, id, sealed};

/// How one of three segments is altered.
enum Tampering {
    /// One byte of the file changes, at this offset from its middle.
    AlterFile(usize),
    DeleteFile,
    DeleteManifest,
    /// The manifest is valid but was not the one sealed.
    ForgeManifest,
    ScrambleManifest,
    /// File and manifest are deleted.
    DeleteBoth,
}

/// Verification names the expected object of the altered segment, and so does reading if `read_notices`.
async fn check(segment: usize, tampering: Tampering, named: &str, is: fn(&Damage) -> bool, read_notices: bool) {
    let (sealer, store) = archive();
    let history = events(1..=30);
    let manifests = sealed(&sealer, &history, &[10, 10, 10]).await;
    let file = Path::from(format!("3/action/{}", manifests[segment].file));
    let (prefix, _) = file.as_ref().split_once('_').unwrap();
    let manifest = Path::from(format!("{prefix}.json"));
    let bytes = async |path: &Path| store.get(path).await.unwrap().bytes().await.unwrap().to_vec();
    match tampering {
        Tampering::AlterFile(offset) => {
            let mut altered = bytes(&file).await;
            let middle = altered.len() / 2;
            altered[middle + offset] ^= 1;
            store.put(&file, altered.into()).await.unwrap();
        }
        Tampering::DeleteFile => store.delete(&file).await.unwrap(),
        Tampering::DeleteManifest => store.delete(&manifest).await.unwrap(),
        Tampering::ForgeManifest => {
            let mut forged = manifests[segment].clone();
            forged.sealed_at = hemostat_schema::Timestamp::MAX;
            store.put(&manifest, serde_json::to_vec(&forged).unwrap().into()).await.unwrap();
        }
        Tampering::ScrambleManifest => {
            store.put(&manifest, "{}".into()).await.unwrap();
        }
        Tampering::DeleteBoth => {
            store.delete(&file).await.unwrap();
            store.delete(&manifest).await.unwrap();
        }
    }
    let expected = if named == "file" { &file } else { &manifest };

    let archive = Archive::new(store.clone());
    let error = archive.verify_chain(P, FAMILY).await.unwrap_err();
    let Error::Damaged(DamagedObject { object, why }) = &error else { panic!("{error}") };
    assert_eq!(object, expected.as_ref(), "{error}");
    assert!(is(why), "{error}");

    let read = archive.raw(P, &[FAMILY], Range::ALL, Order::OldestFirst, 100).await;
    if read_notices {
        let error = read.unwrap_err();
        assert!(error.to_string().contains(expected.as_ref()), "{error}");
        assert!(!error.is_transient(), "{error}");
        // Intact segments can still be read.
        if segment == 2 {
            let whole = archive.raw(P, &[FAMILY], Range::ALL.up_to(id(20)), Order::OldestFirst, 100).await.unwrap();
            assert_eq!(whole, history[..20]);
        }
    } else {
        assert_eq!(read.unwrap(), history);
    }
}

#[tokio::test]
async fn an_altered_byte_is_named_by_its_file() {
    for segment in 0..3 {
        for offset in [0, 7, 100] {
            let is = |why: &Damage| matches!(why, Damage::Altered { .. });
            check(segment, Tampering::AlterFile(offset), "file", is, true).await;
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let is = |why: &Damage| *why == Damage::Missing;
    for segment in 0..3 {
        check(segment, Tampering::DeleteFile, "file", is, true).await;
    }
    // No later manifest references the last one, so only the log's trim position reveals its loss.
    for segment in 0..2 {
        check(segment, Tampering::DeleteManifest, "manifest", is, true).await;
        check(segment, Tampering::DeleteBoth, "manifest", is, true).await;
    }
}

#[tokio::test]
async fn an_altered_manifest_is_named_by_the_one_after_it() {
    let altered = |why: &Damage| matches!(why, Damage::Altered { .. });
    let unreadable = |why: &Damage| matches!(why, Damage::Unreadable(_));
    for segment in 0..2 {
        check(segment, Tampering::ForgeManifest, "manifest", altered, false).await;
    }
    for segment in 0..3 {
        check(segment, Tampering::ScrambleManifest, "manifest", unreadable, true).await;
    }
}
