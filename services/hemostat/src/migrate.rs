//! `hemostat migrate`: what is done to the log's layout, and with `--plan` what would be.

use clap::Args;
use hemostat_process::{MigrationPlan, MigrationStep, migrate, migration_plan};
use hemostat_settings::Config;

/// What `hemostat migrate` is told.
#[derive(Debug, Args)]
pub struct Options {
    /// Only says what would be done; changes nothing.
    #[arg(long)]
    plan: bool,
}

/// Migrates, or says what that would be.
pub async fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    if options.plan {
        for line in lines(&migration_plan(config).await?) {
            anstream::println!("{line}");
        }
        return Ok(());
    }
    let applied = migrate(config).await?;
    if applied.is_empty() {
        anstream::println!("the log is up to date");
    }
    for migration in applied {
        anstream::println!("applied {migration}");
    }
    Ok(())
}

fn lines(plan: &MigrationPlan) -> Vec<String> {
    let mut lines = vec![format!("server      {}", plan.server)];
    lines.push(match plan.partitions {
        Some(partitions) => format!("partitions  {partitions}"),
        None => format!("partitions  {}, chosen now for good (redis.partitions)", plan.wanted),
    });
    lines.extend(plan.steps.iter().map(|step| match step {
        MigrationStep::Applied { name, at: Some(at) } => format!("applied     {name}  {at:.0}"),
        MigrationStep::Applied { name, at: None } => format!("applied     {name}"),
        MigrationStep::Missing { name } => format!("to apply    {name}"),
    }));
    lines.extend(plan.without_functions.iter().map(|server| format!("to load     functions on {server}")));
    lines.push(match plan.is_empty() {
        true => "nothing is to be done".to_owned(),
        false => "nothing was changed; `hemostat migrate` does it, and so does every role at its start".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_was_done_and_what_is_to_be() {
        let at = "2026-01-02T03:04:05.6Z".parse().unwrap();
        let mut plan = MigrationPlan {
            server: "host:6379".into(),
            partitions: None,
            wanted: 4,
            steps: vec![MigrationStep::Missing { name: "0001_log".into() }],
            without_functions: vec![],
        };
        let said = lines(&plan).join("\n");
        assert!(said.contains("partitions  4, chosen now") && said.contains("to apply    0001_log"), "{said}");
        plan.partitions = Some(4);
        plan.steps = vec![MigrationStep::Applied { name: "0001_log".into(), at: Some(at) }];
        let said = lines(&plan).join("\n");
        assert!(said.contains("applied     0001_log  2026-01-02T03:04:05Z"), "{said}");
        assert!(said.ends_with("nothing is to be done"), "{said}");
        plan.without_functions = vec!["host:6380".into()];
        let said = lines(&plan).join("\n");
        assert!(said.contains("to load     functions on host:6380") && said.contains("nothing was changed"), "{said}");
    }
}
