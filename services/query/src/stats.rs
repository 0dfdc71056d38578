//! What can be counted: `GET /stats/calibration`.

use axum::{Json, extract::State};
use hemostat_core::view::{self, calibration};
use hemostat_history::{Progress, as_of};

use crate::{
    App,
    ask::{self, Ask, OneAsk},
    problem::{Document, Problem},
    rows,
    wire::Calibration,
};

/// What stated confidence was worth.
///
/// For each rule and each model: how often its remedies helped, by how sure it was, and its Brier score. So the threshold
/// (analyzer.confidence_threshold) can be chosen from facts.
#[utoipa::path(
    get,
    path = "/stats/calibration",
    operation_id = "get_calibration",
    tag = "stats",
    params(OneAsk),
    responses(
        (status = 200, description = "The rules and models that have diagnosed, by name.", body = Calibration),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn calibration(State(app): State<App>, Ask(ask): Ask<OneAsk>) -> Result<Json<Calibration>, Problem> {
    let rows: Vec<(String, calibration::Row)> = match ask::as_of(ask.as_of.as_deref())? {
        None => rows::all::<view::Calibration>(&*app.log).await?,
        Some(then) => {
            as_of::rows::<view::Calibration>(&app.history, then, &Progress::default()).await?.into_iter().collect()
        }
    };
    Ok(Json(Calibration::from(&calibration::overall(rows.iter().map(|(_, row)| row)))))
}
