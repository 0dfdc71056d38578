//! The notary's chains are those of what stands on the log, whoever kept them and however often they were interrupted.

use std::{collections::BTreeMap, sync::Arc};

use hemostat_archive::Witness;
use hemostat_archivist::{
    Notary,
    ledger::{Ledger, NOTARY},
};
use hemostat_log::{
    Order, Range, RawEntry,
    chain::{Checkpoint, Link, Mark, VIEW, parse_key},
};
use hemostat_runtime::{Context, Stage, Step};
use hemostat_schema::Family;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{Bed, EVERY, P, rest};

async fn of_family(bed: &Bed, family: Family) -> Vec<RawEntry> {
    bed.ctx.log.raw(P, &[family], Range::ALL, Order::OldestFirst, usize::MAX).await.unwrap()
}

/// Every row of the notary says what the log says.
async fn check(bed: &Bed) {
    let ledger = Ledger::read(&*bed.ctx.log, P).await.unwrap();
    let mut checkpoints: BTreeMap<(Family, u64), Checkpoint> = BTreeMap::new();
    for (key, row) in bed.ctx.log.all_rows(P, VIEW).await.unwrap() {
        if let Some((family, Some(count))) = parse_key(&key) {
            checkpoints.insert((family, count), Checkpoint::from_row(&row).unwrap());
        }
    }
    for family in Family::ALL {
        let entries = of_family(bed, family).await;
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
        assert_eq!(ledger.tips.of(family).link, link);
        assert_eq!(ledger.tips.of(family).last, entries.last().map(|entry| entry.id));
    }
    assert!(checkpoints.is_empty(), "{checkpoints:?} are of nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn chains_are_those_of_the_log_however_often_the_notary_begins_anew(
        sittings in prop::collection::vec((0..12usize, any::<bool>()), 1..8),
    ) {
        Runtime::new().unwrap().block_on(async {
            let bed = Bed::new(None);
            let mut notary = bed.notary();
            for (count, dies) in sittings {
                bed.put(count).await;
                notary.step().await.unwrap();
                if dies {
                    bed.ctx.log.recall(P, NOTARY).await.unwrap();
                    notary = bed.notary();
                }
            }
            rest(&mut notary).await;
            check(&bed).await;
        });
    }
}

#[tokio::test]
async fn its_position_is_where_nothing_later_is_trimmed() {
    let bed = Bed::new(None);
    bed.put(5).await;
    rest(&mut bed.notary()).await;
    let cursor = bed.ctx.log.inspect(P).await.unwrap().cursors.remove(NOTARY).unwrap();
    assert_eq!((Some(&cursor.at), cursor.families), (bed.on_log().await.last(), Family::ALL.to_vec()));
}

#[tokio::test]
async fn every_checkpoint_that_stands_has_been_told_to_the_witness() {
    let bed = Bed::new(None);
    let directory = tempfile::tempdir().unwrap();
    let witness = Arc::new(Witness::open(directory.path().join("w").to_str().unwrap()).unwrap());
    let notary = |ctx: &Context| Stage::new(ctx.clone(), Notary::new(ctx.clone(), P, EVERY, Some(witness.clone())));
    bed.put(2 * EVERY + 1).await;
    rest(&mut notary(&bed.ctx)).await;
    for family in Family::ALL {
        let told = witness.testimonies(P, family).await.unwrap();
        let ledger = Ledger::read(&*bed.ctx.log, P).await.unwrap();
        let stands: Vec<_> =
            ledger.of(family).iter().map(|place| (place.link.count, place.link.hash, place.last)).collect();
        assert_eq!(told.iter().map(|told| (told.count, told.hash, told.last)).collect::<Vec<_>>(), stands);
        assert_eq!(stands.len(), 2);
    }
}

#[tokio::test]
async fn a_witness_that_cannot_be_told_holds_the_notary_until_it_can() {
    let bed = Bed::new(None);
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("w");
    let witness = Arc::new(Witness::open(place.to_str().unwrap()).unwrap());
    let mut notary = Stage::new(bed.ctx.clone(), Notary::new(bed.ctx.clone(), P, EVERY, Some(witness)));
    bed.put(EVERY).await;
    // Where its directory was, there is now a file.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "").unwrap();
    for _ in 0..2 {
        assert!(matches!(notary.step().await.unwrap(), Step::Idle { until: Some(_) }));
    }
    assert_eq!(Ledger::read(&*bed.ctx.log, P).await.unwrap(), Ledger::default());
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    rest(&mut notary).await;
    check(&bed).await;
}
