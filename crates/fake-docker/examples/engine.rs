//! A fake engine to try out: `cargo run -p hemostat-fake-docker --example engine -- /tmp/simulated.sock 1000`, then
//! `docker -H unix:///tmp/simulated.sock ps`.

use std::{env, time::SystemTime};

use hemostat_fake_docker::{EngineState, FakeDocker, UnixNanos, fleet::Fleet};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let socket = arguments.next().ok_or("usage: engine SOCKET [CONTAINERS]")?;
    let size = arguments.next().map_or(Ok(100), |size| size.parse())?;
    let mut engine = EngineState::new(1);
    Fleet::of("fleet", size).start(&mut engine, UnixNanos::from(SystemTime::now()))?;
    let engine = FakeDocker::at(socket, engine).await?;
    #[expect(clippy::print_stdout, reason = "an example prints its address")]
    {
        println!("{size} containers at {}; stop with Ctrl-C", engine.address());
    }
    std::future::pending().await
}
