//! `make sweep`: takes patients that killed runs left behind, and the patients' images, out of the Docker engine.

use hemostat_patient::stage;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    stage::sweep_all().await
}
