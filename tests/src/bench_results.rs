//! The measurements of a bench, printed as a table and written as JSON lines.

use std::{fs, io::Write as _, path::PathBuf};

use serde_json::json;

/// The measurements of one bench.
#[derive(Debug)]
pub struct BenchResults {
    bench: &'static str,
    rows: Vec<Measurement>,
}

#[derive(Debug)]
struct Measurement {
    name: String,
    value: f64,
    unit: &'static str,
    ceiling: Option<f64>,
}

impl BenchResults {
    /// No measurements yet.
    pub fn of(bench: &'static str) -> Self {
        Self { bench, rows: vec![] }
    }

    /// Adds a measurement. `ceiling` is the best that the machine could do, measured in the same run.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str, ceiling: Option<f64>) {
        self.rows.push(Measurement { name: name.into(), value, unit, ceiling });
    }

    /// Adds the median and the 99th percentile of `values` as `<name>_p50` and `<name>_p99`.
    pub fn percentiles(&mut self, name: &str, mut values: Vec<f64>, unit: &'static str) {
        values.sort_by(f64::total_cmp);
        for (suffix, share) in [("p50", 0.50), ("p99", 0.99)] {
            if let Some(value) = percentile(&values, share) {
                self.add(format!("{name}_{suffix}"), value, unit, None);
            }
        }
    }

    /// Prints the table and writes `target/bench/<bench>.jsonl`.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn publish(&self) {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let mut lines = String::new();
        #[expect(clippy::print_stdout, reason = "a bench prints its results")]
        for row in &self.rows {
            let ratio = row.ceiling.map(|ceiling| row.value / ceiling);
            let beside = match (row.ceiling, ratio) {
                (Some(ceiling), Some(ratio)) => format!("  of {ceiling:>12.2}  = {ratio:.2}"),
                _ => String::new(),
            };
            println!("{:<width$}  {:>12.2} {:<8}{beside}", row.name, row.value, row.unit);
            let line = json!({
                "name": row.name, "value": row.value, "unit": row.unit, "ceiling": row.ceiling, "ratio": ratio,
            });
            lines.push_str(&format!("{line}\n"));
        }
        let folder = target().join("bench");
        fs::create_dir_all(&folder).expect("target/bench can be created");
        let path = folder.join(format!("{}.jsonl", self.bench));
        let mut file = fs::File::create(path).expect("the file can be created");
        file.write_all(lines.as_bytes()).expect("the file can be written");
    }
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn target() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(beside, PathBuf::from)
}
