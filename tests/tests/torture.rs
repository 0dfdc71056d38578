//! The torture of `hemostat_tests::torture`: a short run with every test run, the long one with `make torture`.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, in its helpers, too")]
#![expect(clippy::print_stdout, reason = "prints the seed and the results")]

use std::path::Path;

use hemostat_tests::torture::Plan;

async fn torture(plan: Plan) {
    let seed = std::env::var("HEMOSTAT_TORTURE_SEED").ok().map(|seed| seed.parse().expect("the seed is a number"));
    let plan = Plan { seed: seed.unwrap_or(plan.seed), ..plan };
    println!("HEMOSTAT_TORTURE_SEED={}", plan.seed);
    match plan.run(Path::new(env!("CARGO_BIN_EXE_torture"))).await {
        Ok(report) => println!("{report}"),
        Err(error) => panic!("with HEMOSTAT_TORTURE_SEED={}: {error:#}", plan.seed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_event_is_appended_once_and_processed_once() {
    torture(Plan::short()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half an hour: make torture"]
async fn a_thousand_kills_while_two_hundred_thousand_events_flow() {
    torture(Plan::long()).await;
}
