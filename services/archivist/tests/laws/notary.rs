//! The notary's chains match the log, however often the notary is interrupted or replaced.

use std::{collections::BTreeMap, sync::Arc};

use hemostat_archive::Witness;
use hemostat_archivist::{
    Notary,
    chain_index::{ChainIndex, NOTARY_GROUP},
};
use hemostat_log::{
    Order, Range, RawEntry,
    chain::{Checkpoint, Link, Mark, VIEW, parse_key},
};
use hemostat_runtime::{Context, LeasedWorker, Step};
use hemostat_schema::Family;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{ArchivistFixture, EVERY, P, run_until_idle};

async fn of_family(fixture: &ArchivistFixture, family: Family) -> Vec<RawEntry> {
    fixture.ctx.log.raw(P, &[family], Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap()
}

/// Every row of the notary matches the log.
async fn check(fixture: &ArchivistFixture) {
    let chain_index = ChainIndex::read(&*fixture.ctx.log, P).await.unwrap();
    let mut checkpoints: BTreeMap<(Family, u64), Checkpoint> = BTreeMap::new();
    for (key, row) in fixture.ctx.log.all_rows(P, VIEW).await.unwrap() {
        if let Some((family, Some(count))) = parse_key(&key) {
            checkpoints.insert((family, count), Checkpoint::from_row(&row).unwrap());
        }
    }
    for family in Family::ALL {
        let entries = of_family(fixture, family).await;
        let mut link = Link::default();
        for (index, block) in entries.chunks(EVERY).enumerate() {
            link = block.iter().fold(link, Link::then);
            let count = u64::try_from(index * EVERY + block.len()).unwrap();
            let checkpoint = checkpoints.remove(&(family, count));
            assert_eq!(checkpoint.is_some(), block.len() == EVERY, "{family} {count}");
            if let Some(checkpoint) = checkpoint {
                assert_eq!((checkpoint.link, checkpoint.last), (link, block[EVERY - 1].id));
                assert_eq!(checkpoint.marks, block.iter().map(Mark::of).collect::<Vec<_>>());
            }
        }
        assert_eq!(chain_index.tips.of(family).link, link);
        assert_eq!(chain_index.tips.of(family).last, entries.last().map(|entry| entry.id));
    }
    assert!(checkpoints.is_empty(), "{checkpoints:?} match no events");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn chains_match_the_log_however_often_the_notary_restarts(
        sessions in prop::collection::vec((0..12usize, any::<bool>()), 1..8),
    ) {
        Runtime::new().unwrap().block_on(async {
            let fixture = ArchivistFixture::new(None);
            let mut notary = fixture.notary();
            for (count, crashes) in sessions {
                fixture.append(count).await;
                notary.step().await.unwrap();
                if crashes {
                    fixture.ctx.log.revoke(P, NOTARY_GROUP).await.unwrap();
                    notary = fixture.notary();
                }
            }
            run_until_idle(&mut notary).await;
            check(&fixture).await;
        });
    }
}

#[tokio::test]
async fn its_offset_is_visible_to_trimming() {
    let fixture = ArchivistFixture::new(None);
    fixture.append(5).await;
    run_until_idle(&mut fixture.notary()).await;
    let cursor = fixture.ctx.log.inspect(P).await.unwrap().cursors.remove(NOTARY_GROUP).unwrap();
    assert_eq!((Some(&cursor.at), cursor.families), (fixture.on_log().await.last(), Family::ALL.to_vec()));
}

#[tokio::test]
async fn the_witness_has_recorded_every_committed_checkpoint() {
    let fixture = ArchivistFixture::new(None);
    let directory = tempfile::tempdir().unwrap();
    let witness = Arc::new(Witness::open(directory.path().join("w").to_str().unwrap()).unwrap());
    let notary =
        |ctx: &Context| LeasedWorker::new(ctx.clone(), Notary::new(ctx.clone(), P, EVERY, Some(witness.clone())));
    fixture.append(2 * EVERY + 1).await;
    run_until_idle(&mut notary(&fixture.ctx)).await;
    for family in Family::ALL {
        let recorded = witness.records(P, family).await.unwrap();
        let chain_index = ChainIndex::read(&*fixture.ctx.log, P).await.unwrap();
        let committed: Vec<_> =
            chain_index.of(family).iter().map(|place| (place.link.count, place.link.hash, place.last)).collect();
        assert_eq!(
            recorded.iter().map(|recorded| (recorded.count, recorded.hash, recorded.last)).collect::<Vec<_>>(),
            committed
        );
        assert_eq!(committed.len(), 2);
    }
}

#[tokio::test]
async fn a_failing_witness_blocks_the_notary_until_it_recovers() {
    let fixture = ArchivistFixture::new(None);
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("w");
    let witness = Arc::new(Witness::open(place.to_str().unwrap()).unwrap());
    let mut notary = LeasedWorker::new(fixture.ctx.clone(), Notary::new(fixture.ctx.clone(), P, EVERY, Some(witness)));
    fixture.append(EVERY).await;
    // A file replaces its directory.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "").unwrap();
    for _ in 0..2 {
        assert!(matches!(notary.step().await.unwrap(), Step::Idle { until: Some(_) }));
    }
    assert_eq!(ChainIndex::read(&*fixture.ctx.log, P).await.unwrap(), ChainIndex::default());
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    run_until_idle(&mut notary).await;
    check(&fixture).await;
}
