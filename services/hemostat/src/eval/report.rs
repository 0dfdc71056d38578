//! What an evaluation found, for people and for programs.

use std::{collections::BTreeMap, io, time::Duration};

use hemostat_schema::diagnosis::{Usage, Verdict};
use serde::Serialize;

use super::{
    answer::Answer,
    case::Labelled,
    choice::Choice,
    file::Expect,
    score::{Mark, Summary},
    set::Sample,
};
use crate::history::format::{Out, table};

/// What an evaluation found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Who answered: `rules`, or the provider.
    pub provider: String,
    /// Which model.
    pub model: Option<String>,
    /// How the cases were drawn; none where all of them were put.
    pub sample: Option<Sample>,
    /// All in all.
    pub summary: Summary,
    /// How a model did; none where none was asked.
    pub opinions: Option<Opinions>,
    /// Each case.
    pub cases: Vec<Case>,
}

/// How a model did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Opinions {
    /// Cases that it answered.
    pub answered: usize,
    /// Cases in which it said what the rules say.
    pub agreed: usize,
    /// Cases in which the rules' answer stood, as it gave none, by the kind of trouble.
    pub failed: BTreeMap<&'static str, usize>,
    /// Requests that were made.
    pub requests: u64,
    /// Tokens of the questions.
    pub tokens_in: u64,
    /// Tokens of the answers.
    pub tokens_out: u64,
    /// What they cost, in millionths of a US dollar, where the price is known.
    pub cost_micros: Option<u64>,
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What really happened.
    pub story: String,
    /// What was said; none where nothing was.
    pub verdict: Option<&'static str>,
    /// Which remedy was asked for, or none.
    pub remedy: &'static str,
    /// How sure.
    pub confidence: Option<f64>,
    /// What was said to be wrong.
    pub root_cause: Option<String>,
    /// Who said so.
    pub by: Option<String>,
    /// What it is worth.
    pub mark: Mark,
    /// The acceptable answers.
    pub acceptable: Acceptable,
    /// Why.
    pub why: String,
    /// Why a model that was asked gave no answer.
    pub trouble: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// The acceptable answers.
#[derive(Debug, Clone, Serialize)]
pub struct Acceptable {
    /// Verdicts.
    pub verdicts: Vec<&'static str>,
    /// Remedies.
    pub remedies: Vec<&'static str>,
}

impl From<&Expect> for Acceptable {
    fn from(expect: &Expect) -> Self {
        Self {
            verdicts: expect.verdicts.iter().copied().map(Verdict::name).collect(),
            remedies: expect.remedies.iter().map(Choice::name).collect(),
        }
    }
}

impl Case {
    /// The result of this answer to this case.
    pub fn of(labelled: &Labelled, answer: &Answer) -> Self {
        let reached = answer.reached.as_ref();
        Self {
            name: labelled.name.clone(),
            story: labelled.story.clone(),
            verdict: reached.map(|reached| reached.verdict.name()),
            remedy: Choice(reached.and_then(|reached| reached.remedy.clone())).name(),
            confidence: reached.map(|reached| reached.confidence.get()),
            root_cause: reached.map(|reached| reached.root_cause.clone()),
            by: reached.map(|reached| hemostat_core::views::calibration::name(&reached.method)),
            mark: Mark::of(reached, &labelled.expect),
            acceptable: Acceptable::from(&labelled.expect),
            why: labelled.why.clone(),
            trouble: answer.snag.as_ref().map(|snag| format!("{}: {}", snag.trouble.name(), snag.error)),
            took_ms: answer.took.as_secs_f64() * 1000.0,
        }
    }

    /// The answer in two words.
    pub fn said(&self) -> String {
        format!("{}, {}", self.verdict.unwrap_or("nothing"), self.remedy)
    }
}

impl Opinions {
    fn add(&mut self, answer: &Answer) {
        self.answered += usize::from(answer.agreed.is_some());
        self.agreed += usize::from(answer.agreed == Some(true));
        if let Some(snag) = &answer.snag {
            *self.failed.entry(snag.trouble.name()).or_default() += 1;
        }
        let Usage { tokens_in, tokens_out, cost_micros, requests, .. } = answer.usage;
        self.requests += u64::from(requests);
        self.tokens_in += tokens_in;
        self.tokens_out += tokens_out;
        if let Some(cost) = cost_micros {
            *self.cost_micros.get_or_insert(0) += cost;
        }
    }
}

impl Report {
    /// The report on these answers; `model` is provider and name.
    pub fn of(model: Option<(String, String)>, answers: &[(&Labelled, Answer)]) -> Self {
        let cases: Vec<Case> = answers.iter().map(|(labelled, answer)| Case::of(labelled, answer)).collect();
        let marks: Vec<(Mark, Duration)> =
            cases.iter().zip(answers).map(|(case, (_, answer))| (case.mark, answer.took)).collect();
        let opinions = model.is_some().then(|| {
            let mut opinions = Opinions::default();
            answers.iter().for_each(|(_, answer)| opinions.add(answer));
            opinions
        });
        let (provider, model) = model.map_or(("rules".to_owned(), None), |(provider, model)| (provider, Some(model)));
        Self { provider, model, sample: None, summary: Summary::of(&marks), opinions, cases }
    }

    /// Prints the wrong cases and the summary.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print<W: io::Write>(&self, out: &mut Out<W>) -> io::Result<()> {
        let row = |case: &Case| {
            let mark = if case.mark.harmful { "HARMFUL" } else { "wrong" };
            [
                case.name.clone(),
                mark.to_owned(),
                case.said(),
                format!("{}; {}", case.acceptable.verdicts.join("|"), case.acceptable.remedies.join("|")),
                case.by.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        };
        let wrong: Vec<[String; 5]> = self.cases.iter().filter(|case| !case.mark.is_right()).map(row).collect();
        if !wrong.is_empty() {
            table(out, ["case", "", "said", "acceptable", "by"], &wrong)?;
            out.line("")?;
        }
        self.sums().iter().try_for_each(|line| out.line(line))
    }

    fn sums(&self) -> Vec<String> {
        let Summary { cases, right, right_verdicts, right_remedies, harmful, accuracy, harm, p50, p95 } = &self.summary;
        let who = self.model.as_ref().map_or("the rules".to_owned(), |model| format!("{model} ({})", self.provider));
        let mut lines = vec![
            format!("{who}: {right} of {cases} cases right, accuracy {:.1} %", accuracy * 100.0),
            format!("verdicts {right_verdicts}, remedies {right_remedies}"),
            format!("harmful actions {harmful}, rate {:.1} %", harm * 100.0),
            format!("latency p50 {}, p95 {}", shown(*p50), shown(*p95)),
        ];
        if let Some(Sample { of, seed }) = self.sample {
            lines.push(format!("a sample of {cases} out of {of} cases, seed {seed}"));
        }
        if let Some(opinions) = &self.opinions {
            let failed: Vec<String> = opinions.failed.iter().map(|(what, count)| format!("{count} {what}")).collect();
            let failed = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
            lines.push(format!(
                "answered {}, agreed with the rules {}; fell back to the rules: {failed}",
                opinions.answered, opinions.agreed
            ));
            lines.push(format!(
                "{} requests, {} tokens in, {} out, cost {}",
                opinions.requests,
                opinions.tokens_in,
                opinions.tokens_out,
                dollars(opinions.cost_micros)
            ));
        }
        lines
    }
}

/// Rules take microseconds, models seconds.
fn shown(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds if seconds >= 0.001 => format!("{:.1} ms", seconds * 1e3),
        seconds => format!("{:.0} µs", seconds * 1e6),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an amount of money")]
fn dollars(micros: Option<u64>) -> String {
    micros.map_or("unknown (set analyzer.price_in, analyzer.price_out)".to_owned(), |micros| {
        format!("${:.4}", micros as f64 / 1e6)
    })
}
