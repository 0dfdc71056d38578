//! `hemostat migrate`: applies pending migrations, or shows them with `--plan`.

use clap::Args;
use hemostat_process::{MigrationPlan, MigrationStep, migrate, migration_plan};
use hemostat_settings::Config;

/// Options of `hemostat migrate`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only shows what would be done; changes nothing.
    #[arg(long)]
    plan: bool,
}

/// Applies pending migrations, or shows the plan.
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
        None => format!("partitions  {}, chosen now and fixed from then on (redis.partitions)", plan.wanted),
    });
    lines.extend(plan.steps.iter().map(|step| match step {
        MigrationStep::Applied { name, at: Some(at) } => format!("applied     {name}  {at:.0}"),
        MigrationStep::Applied { name, at: None } => format!("applied     {name}"),
        MigrationStep::Missing { name } => format!("to apply    {name}"),
    }));
    lines.extend(plan.without_functions.iter().map(|server| format!("to load     functions on {server}")));
    lines.push(match plan.is_empty() {
        true => "nothing to do".to_owned(),
        false => "nothing was changed; `hemostat migrate` applies it, and so does every role at its start".to_owned(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_lists_what_was_applied_and_what_is_pending() {
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
        assert!(said.ends_with("nothing to do"), "{said}");
        plan.without_functions = vec!["host:6380".into()];
        let said = lines(&plan).join("\n");
        assert!(said.contains("to load     functions on host:6380") && said.contains("nothing was changed"), "{said}");
    }
}
