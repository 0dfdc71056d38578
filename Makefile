# Thin: what is longer than a line is in scripts/. CI calls the same targets.
with := scripts/with
patient := cargo build --locked --release -p hemostat-patient --no-default-features
hemostat := cargo run --locked --release -p hemostat --

# What `make up` and `make eval` give to hemostat, such as ARGS="--set responder.dry_run=true".
ARGS ?=

.PHONY: help up demo demo-simulated test cluster-test model-test eval test-core check bench bench-heal bench-log bench-monitor \
	bench-monitor-scale torture sweep

help: ## Shows this list
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 27

up: ## Watches this machine's containers until Ctrl-C
	$(with) rust redis -- $(hemostat) up $(ARGS)

demo: ## Makes patients of its own ill in Docker, and heals them
	$(with) rust redis docker -- sh -c '$(patient) && $(hemostat) demo'

demo-simulated: ## The same without Docker, on containers that are only simulated
	$(with) rust redis -- $(hemostat) demo --simulated

test: ## Runs all tests, on a real Redis and a real Docker engine
	$(with) rust redis openssl ssh pyarrow docker -- scripts/test all

cluster-test: ## The journeys on a Redis Cluster, behind Sentinels and over TLS; part of `make test`
	$(with) rust redis openssl docker -- scripts/test topologies

model-test: ## A real language model on this machine decides, over OpenAI's and Anthropic's API; downloads 220 MB
	$(with) rust redis docker model -- scripts/test model

eval: ## How often rules and a real local model are right, and do harm, on labelled cases; downloads 220 MB; ARGS="--sample 20"
	$(with) rust model -- scripts/eval $(ARGS)

test-core: ## Runs all tests that need no Docker engine
	$(with) rust redis pyarrow -- scripts/test core

check: ## Formatting, lints, docs and all tests: what CI runs
	$(with) rust lint -- cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	$(MAKE) test

bench: ## Runs every bench; figures in target/bench/
	$(with) rust redis docker -- scripts/bench

bench-heal: ## How long from unhealthy to restart, and what HemoStat costs
	$(with) rust redis docker -- scripts/bench heal

bench-log: ## What the log costs beside bare Redis, at ten thousand to a million events
	$(with) rust redis -- scripts/bench log

bench-monitor: ## What it costs to watch containers, real and simulated, and how soon a death is on the log
	$(with) rust redis docker -- scripts/bench monitor monitor_scale

bench-monitor-scale: ## The part of it that needs no Docker: up to ten thousand simulated containers
	$(with) rust redis -- scripts/bench monitor_scale

torture: ## A thousand kills while two hundred thousand events flow; takes half an hour
	$(with) rust redis -- scripts/test torture

sweep: ## Takes patients that killed runs left behind, and their images, out of Docker
	$(with) rust docker -- cargo run --locked --quiet -p hemostat-patient --example sweep
