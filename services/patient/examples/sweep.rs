//! `make sweep`: removes the patients that killed runs left behind, and the patients' images, from the Docker engine.

use hemostat_patient::stage;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    stage::sweep_all().await
}
