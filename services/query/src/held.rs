//! What containers use now: their last readings that still hold.

use std::collections::{BTreeMap, HashMap};

use hemostat_core::views::{
    self,
    metrics::{self, Reading},
};
use hemostat_history::{Position, Progress, as_of};
use hemostat_runtime::read_model;
use hemostat_schema::{Partition, Subject};

use crate::{app::App, problem::Problem};

/// The last reading of each of these containers that still holds, at present or as of `then`.
pub async fn held<'a>(
    app: &App,
    subjects: impl IntoIterator<Item = &'a Subject>,
    then: Option<Position>,
) -> Result<HashMap<Subject, Reading>, Problem> {
    let subjects: Vec<&Subject> = subjects.into_iter().collect();
    let mut rows = vec![];
    match (then, subjects.as_slice()) {
        (None, _) => {
            let mut by_host: BTreeMap<_, Vec<&Subject>> = BTreeMap::new();
            subjects.iter().for_each(|subject| by_host.entry(&subject.host).or_default().push(*subject));
            for (host, subjects) in by_host {
                let now = app.log.clock(Partition::of(host, app.log.partitions())).await?.appended_at();
                let hours = metrics::hour(now) - 1..=metrics::hour(now) + 1;
                let keys: Vec<String> =
                    subjects.iter().flat_map(|of| hours.clone().map(|hour| metrics::key(of, hour))).collect();
                let found = read_model::some_of::<views::Metrics>(&*app.log, host, &keys).await?;
                rows.extend(keys.into_iter().zip(found).filter_map(|(key, row)| Some((key, row?))));
            }
        }
        (Some(then), [subject]) => {
            rows.extend(as_of::rows_of::<views::Metrics>(&app.history, subject, then, &Progress::default()).await?);
        }
        (Some(then), _) => {
            rows.extend(as_of::rows::<views::Metrics>(&app.history, then, &Progress::default()).await?);
        }
    }
    Ok(metrics::held(rows))
}
