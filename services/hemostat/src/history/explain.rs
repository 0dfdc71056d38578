//! `hemostat explain`: the story of a container's latest incident, of an incident or of an event: observations,
//! diagnosis, limits, actions, outcome, alerts.

use std::{collections::BTreeMap, io::Write, str::FromStr};

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_core::views;
use hemostat_history::{
    explain::{self, About, Part, Scene, Story},
    filter::ContainerPattern,
};
use hemostat_runtime::{Context, read_model};
use hemostat_schema::{EventId, IncidentId, Subject, Timestamp};
use jiff::tz::TimeZone;

use super::{
    When, containers,
    format::{Format, Out, quietly},
    known, nothing,
    progress::Shown,
};

/// What to explain.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A container (name, host/name or a glob), an incident's id or an event's id.
    what: What,
    #[command(flatten)]
    when: When,
    /// Number of latest incidents of a container.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    last: u16,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is to be explained.
#[derive(Debug, Clone)]
enum What {
    Incident(IncidentId),
    Event(EventId),
    Container(ContainerPattern),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Event(id));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Incident(id));
        }
        text.parse()
            .map(Self::Container)
            .map_err(|error: hemostat_history::filter::InvalidContainerPattern| error.to_string())
    }
}

/// Tells the story.
///
/// # Errors
/// When there is no such thing, log or archive cannot be read, or standard output does not take it.
pub async fn run(ctx: &Context, options: Options) -> anyhow::Result<()> {
    let shown = Shown::begin(false);
    let told = match &options.what {
        What::Incident(id) => {
            let about = About::Incident(id.clone());
            let story = explain::explain(&ctx.history, &about, &shown.progress).await?;
            story.map(|story| vec![story]).with_context(|| format!("history knows of no incident {id}"))
        }
        What::Event(id) => {
            let story = explain::explain(&ctx.history, &About::Event(*id), &shown.progress).await?;
            story.map(|story| vec![story]).with_context(|| format!("history holds no event {id} that can be explained"))
        }
        What::Container(whom) => illnesses(ctx, whom, &options, &shown).await,
    };
    drop(shown);
    quietly(print(&told?, options.format))
}

/// The latest illnesses of each container that is meant.
async fn illnesses(
    ctx: &Context,
    whom: &ContainerPattern,
    options: &Options,
    shown: &Shown,
) -> anyhow::Result<Vec<Story>> {
    let all = explain::incidents(&ctx.history, whom, options.when.window()?, &shown.progress).await?;
    let mut by_subject: BTreeMap<Subject, Vec<IncidentId>> = BTreeMap::new();
    for (incident, subject) in all {
        by_subject.entry(subject).or_default().push(incident);
    }
    if by_subject.is_empty() {
        well(ctx, whom).await?;
    }
    let mut stories = vec![];
    for (subject, incidents) in by_subject {
        let earlier = incidents.len().saturating_sub(options.last.into());
        if earlier > 0 && options.format == Format::Table {
            let word = if earlier == 1 { "illness" } else { "illnesses" };
            nothing(&format!("{subject} had {earlier} earlier {word}; --last {} tells them, too", incidents.len()));
        }
        for incident in incidents.into_iter().skip(earlier) {
            stories.extend(explain::explain(&ctx.history, &About::Incident(incident), &shown.progress).await?);
        }
    }
    Ok(stories)
}

/// Says how the containers are of which no illness is known, or that there are no such containers.
async fn well(ctx: &Context, whom: &ContainerPattern) -> anyhow::Result<()> {
    let mut there = false;
    for (key, row) in read_model::all::<views::Containers>(&*ctx.log).await? {
        if key.split_once('/').is_some_and(|(host, name)| whom.matches(host, name)) {
            there = true;
            nothing(&format!("no illness of {key} is known in this time; it is {}", row.attention()));
        }
    }
    if !there {
        bail!("no container {:?} is known; {}", whom.as_str(), known(whom.as_str(), containers(ctx).await?));
    }
    Ok(())
}

fn print(stories: &[Story], format: Format) -> anyhow::Result<()> {
    let mut out = Out::new(format);
    for (index, story) in stories.iter().enumerate() {
        match format {
            Format::Json | Format::Ndjson => out.value(story)?,
            Format::Table => {
                if index > 0 {
                    out.line("")?;
                }
                tell(&mut out, story)?;
            }
        }
    }
    if !stories.is_empty() || format != Format::Table {
        out.finish()?;
    }
    Ok(())
}

/// How wide the word for a scene's part is, with the gap after it.
const PART: usize = 12;

fn tell<W: Write>(out: &mut Out<W>, story: &Story) -> std::io::Result<()> {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let incident = story.incident.as_ref().map(|id| format!("  {dim}{id}{dim:#}")).unwrap_or_default();
    out.line(format_args!("{bold}{}: {}{bold:#}{incident}", story.subject, story.ending))?;
    out.line(format_args!("{dim}{}{dim:#}", span(story.begun, story.ended)))?;
    for scene in &story.scenes {
        out.line(scene_line(scene))?;
        let width = scene.details.iter().map(|detail| detail.name.len()).max().unwrap_or_default();
        for detail in &scene.details {
            for (index, line) in detail.text.lines().enumerate() {
                let name = if index == 0 { detail.name } else { "" };
                out.line(format_args!("{:28}{dim}{:PART$}{name:width$}  {line}{dim:#}", "", ""))?;
            }
        }
    }
    for lost in &story.lost {
        out.line(format_args!("{dim}event {lost}, which led to some of this, is no longer in history{dim:#}"))?;
    }
    Ok(())
}

fn span(begun: Timestamp, ended: Option<Timestamp>) -> String {
    let local = |at: Timestamp| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    match ended {
        None => format!("since {}", local(begun)),
        Some(ended) => format!("{} to {}", local(begun), local(ended)),
    }
}

fn scene_line(scene: &Scene) -> String {
    let colour = match scene.part {
        Part::Observed => None,
        Part::Diagnosed => Some(AnsiColor::Cyan),
        Part::Decided => Some(AnsiColor::Yellow),
        Part::Executed => Some(AnsiColor::Blue),
        Part::Outcome => Some(AnsiColor::Green),
        Part::Alerted => Some(AnsiColor::Magenta),
    };
    let (style, dim) = (Style::new().fg_color(colour.map(Into::into)), Style::new().dimmed());
    let because: Vec<String> = scene.because_of.iter().map(usize::to_string).collect();
    let because = match because.is_empty() {
        true => String::new(),
        false => format!("  {dim}because of {}{dim:#}", because.join(", ")),
    };
    let (after, part) = (format!("+{}", scene.after), scene.part.name());
    let (number, line) = (scene.number, &scene.line);
    let time = scene.at.to_zoned(TimeZone::system()).strftime("%H:%M:%S");
    format!("{number:>3}  {dim}{time} {after:>12}{dim:#}  {style}{part:PART$}{style:#}{line}{because}")
}
