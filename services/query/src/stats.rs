//! `GET /stats/calibration`.

use axum::{Json, extract::State};
use hemostat_core::views::{self, calibration};

use crate::{
    app::App,
    ask::{self, Ask, OneAsk},
    problem::{Document, Problem},
    wire::Calibration,
};

/// Returns how well calibrated the confidence of rules and models is.
///
/// For each rule and each model: how often its remedies helped, by stated confidence, and its Brier score. Use it to choose
/// the threshold `analyzer.confidence_threshold`.
#[utoipa::path(
    get,
    path = "/stats/calibration",
    operation_id = "get_calibration",
    tag = "stats",
    params(OneAsk),
    responses(
        (status = 200, description = "The rules and models that made diagnoses, by name.", body = Calibration),
        (status = 400, description = "A parameter is not valid.", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "The event log does not answer.", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn calibration(State(app): State<App>, Ask(ask): Ask<OneAsk>) -> Result<Json<Calibration>, Problem> {
    let rows = app.rows::<views::Calibration>(ask::as_of(ask.as_of.as_deref())?).await?;
    Ok(Json(Calibration::from(&calibration::overall(rows.iter().map(|(_, row)| row)))))
}
