# Thin: what is longer than a line is in scripts/. CI calls the same targets.
with := scripts/with
# The profile `quick` compiles in half the time of `release`; what is shipped and measured is `release`.
build := cargo build --locked --profile quick -p hemostat -p hemostat-patient
hemostat := target/quick/hemostat

# What `make up` and `make eval` give to hemostat, such as ARGS="--set responder.dry_run=true".
ARGS ?=

.PHONY: help up demo demo-simulated test cluster-test model-test eval test-core check bench bench-heal bench-log bench-monitor \
	bench-monitor-scale check-long torture sweep

help: ## Shows this list
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 27

up: ## Watches the containers of this machine until Ctrl-C
	$(with) rust redis -- sh -c '$(build) && exec $(hemostat) up $(ARGS)'

demo: ## Starts containers of its own, makes them sick and heals them
	$(with) rust redis docker -- sh -c '$(build) && exec $(hemostat) demo'

demo-simulated: ## The same without Docker, on simulated containers
	$(with) rust redis -- sh -c '$(build) && exec $(hemostat) demo --simulated'

test: ## Runs all tests, on a real Redis and a real Docker engine
	$(with) rust redis openssl ssh pyarrow docker -- scripts/test all

cluster-test: ## The journeys on a Redis Cluster, behind Sentinels and over TLS; part of `make test`
	$(with) rust redis openssl docker -- scripts/test topologies

model-test: ## Lets a real local language model diagnose, over OpenAI's and Anthropic's API; downloads 220 MB
	$(with) rust redis docker model -- scripts/test model

eval: ## Accuracy and harm of the rules and of a local model on labelled cases; downloads 220 MB; ARGS="--sample 20"
	$(with) rust model -- scripts/eval $(ARGS)

test-core: ## Runs all tests that need no Docker engine
	$(with) rust redis pyarrow -- scripts/test core

check: ## Formatting, lints, docs and all tests: what CI runs
	$(with) rust lint -- cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p hemostat --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	$(MAKE) test

bench: ## Runs every bench; figures in target/bench/
	$(with) rust redis docker -- scripts/bench

bench-heal: ## Latency from unhealthy to restart, and the CPU and memory of HemoStat
	$(with) rust redis docker -- scripts/bench heal

bench-log: ## Throughput of the log beside bare Redis, at 10^4 to 10^6 events
	$(with) rust redis -- scripts/bench log

bench-monitor: ## Cost of watching real and simulated containers, and detection latency
	$(with) rust redis docker -- scripts/bench monitor monitor_scale

bench-monitor-scale: ## The part without Docker: up to 10,000 simulated containers
	$(with) rust redis -- scripts/bench monitor_scale

check-long: check torture model-test ## Also what is too long for CI: torture, a real model, the demo of a shipped build
	$(with) rust redis docker -- scripts/test shipped

torture: ## A thousand kills while 200,000 events flow; takes half an hour
	$(with) rust redis -- scripts/test torture

sweep: ## Removes containers and images that killed test runs left in Docker
	$(with) rust docker -- cargo run --locked --quiet -p hemostat-patient --example sweep
