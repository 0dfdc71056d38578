//! What a message looks like in Slack: an alert as Block Kit.
//!
//! Slack refuses a message that is one character too long, so every text is cut to Slack's own limits here. See
//! <https://docs.slack.dev/reference/block-kit/blocks/>.

use hemostat_schema::{
    Alert, Event, Recorded, Timestamp,
    alert::{Escalated, Raised, Resolution, Resolved, Tested},
    observation::Severity,
};
use serde::Serialize;

/// The longest text of a header block.
const HEADER: usize = 150;
/// The longest text of a section block.
const SECTION: usize = 3000;
/// The longest text of one field, and of one element of a context block.
const FIELD: usize = 2000;

/// The body of a request to an incoming webhook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message {
    /// Shown in notifications, where blocks are not.
    text: String,
    blocks: Vec<Block>,
    attachments: Vec<Attachment>,
}

/// Blocks beside a bar of a colour; the only way to have colour.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Attachment {
    color: &'static str,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum Block {
    Header { text: Text },
    Section(Section),
    Context { elements: Vec<Text> },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Section {
    Text { text: Text },
    Fields { fields: Vec<Text> },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "text")]
enum Text {
    /// Shown as it is.
    PlainText(String),
    /// In Slack's own markup.
    Mrkdwn(String),
}

/// What differs between the kinds of alerts.
struct Story<'a> {
    emoji: &'static str,
    color: &'static str,
    title: String,
    text: &'a str,
    facts: Vec<(&'static str, String)>,
}

impl Message {
    /// The message that tells `event`; none where it is not one to be told.
    pub(crate) fn telling(event: &Recorded) -> Option<Self> {
        let story = Story::of(event)?;
        let title = format!("{} {}", story.emoji, story.title);
        let mut fields = vec![];
        if let Some(container) = &event.subject.container {
            fields.push(field("Container", container.as_str()));
        }
        fields.push(field("Host", event.subject.host.as_str()));
        fields.extend(story.facts.iter().map(|(name, value)| field(name, value)));

        let mut blocks = vec![Block::Section(Section::Fields { fields })];
        if !story.text.is_empty() {
            blocks.push(Block::Section(Section::Text { text: Text::Mrkdwn(escaped(story.text, SECTION)) }));
        }
        blocks.push(Block::Context { elements: vec![Text::Mrkdwn(footer(event))] });
        Some(Self {
            text: escaped(&title, SECTION),
            blocks: vec![Block::Header { text: Text::PlainText(cut(&title, HEADER)) }],
            attachments: vec![Attachment { color: story.color, blocks }],
        })
    }
}

impl<'a> Story<'a> {
    fn of(event: &'a Recorded) -> Option<Self> {
        let Some(Event::Alert(alert)) = event.event() else {
            return None;
        };
        Some(match alert {
            Alert::Raised(Raised { severity, title, text }) => {
                let (emoji, color, word) = match severity {
                    Severity::Low => ("🔵", "#439fe0", "low"),
                    Severity::High => ("🟠", "#ff9900", "high"),
                    Severity::Critical => ("🔴", "#e01e5a", "critical"),
                };
                Self { emoji, color, title: title.clone(), text, facts: vec![("Severity", word.to_owned())] }
            }
            Alert::Escalated(Escalated { title, text, .. }) => Self {
                emoji: "🚨",
                color: "#8b0000",
                title: title.clone(),
                text,
                facts: vec![("Needs", "a person".to_owned())],
            },
            Alert::Resolved(Resolved { how, title, text, took, .. }) => {
                let how = match how {
                    Resolution::Healed => "healed by HemoStat",
                    Resolution::Passed => "passed by itself",
                    Resolution::Stopped => "stopped by an operator",
                    Resolution::Removed => "container removed",
                };
                Self {
                    emoji: "✅",
                    color: "#36a64f",
                    title: title.clone(),
                    text,
                    facts: vec![("How", how.to_owned()), ("After", took.to_string())],
                }
            }
            Alert::Tested(Tested { by }) => Self {
                emoji: "🔔",
                color: "#439fe0",
                title: "HemoStat's alerts arrive here".to_owned(),
                text: "This is a test; nothing is wrong.",
                facts: vec![("Asked for by", by.clone())],
            },
            Alert::Suppressed(_) | Alert::Delivered(_) | Alert::Undelivered(_) => return None,
        })
    }
}

fn field(name: &str, value: &str) -> Text {
    Text::Mrkdwn(format!("*{name}*\n{}", escaped(value, FIELD - name.len() - 3)))
}

/// When it happened, in the reader's own time zone, and by which ids the API knows it.
fn footer(event: &Recorded) -> String {
    let incident = event.incident.as_ref().map_or(String::new(), |incident| format!(" · incident `{incident}`"));
    format!("{}{incident} · event `{}`", instant(event.at), event.id)
}

/// Slack's date markup: shown in the reader's own time zone, or as the text after the bar where it cannot be.
fn instant(at: Timestamp) -> String {
    format!("<!date^{}^{{date_short_pretty}} {{time_secs}}|{at:.0}>", at.as_second())
}

/// At most `limit` characters; what is cut off is shown by an ellipsis.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// As text in which Slack finds no markup such as a link or a mention of everybody, at most `limit` characters long.
fn escaped(text: &str, limit: usize) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    };
    let pieces: Vec<String> = text.chars().map(escape).collect();
    // Every piece is as many characters as bytes, or one character.
    let length = |piece: &String| piece.chars().count();
    if pieces.iter().map(length).sum::<usize>() <= limit {
        return pieces.concat();
    }
    let mut left = limit - 1;
    let fitting = pieces.iter().take_while(|piece| {
        let fits = length(piece) <= left;
        left = left.saturating_sub(length(piece));
        fits
    });
    fitting.map(String::as_str).chain(["…"]).collect()
}

#[cfg(test)]
mod tests {
    use hemostat_schema::{EventId, IncidentId, NewEvent, Partition, Span};
    use serde_json::{Value, json};

    use super::*;

    fn recorded(event: impl Into<Event>) -> Recorded {
        let at = Timestamp::from_second(1_732_391_234).unwrap();
        let subject = "docker-1/api-1".parse().unwrap();
        let incident = IncidentId::begun(&subject, at);
        let id = EventId { partition: Partition(0), ms: 1_732_391_234_567, seq: 3 };
        NewEvent::new(subject, at, event).in_incident(Some(incident)).recorded(id, &[])
    }

    fn told(event: impl Into<Event>) -> Value {
        serde_json::to_value(Message::telling(&recorded(event)).unwrap()).unwrap()
    }

    fn raised(title: &str, text: &str) -> Raised {
        Raised { severity: Severity::High, title: title.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_alert_is_told_with_who_what_when_and_where_to_look() {
        let incident = recorded(raised("", "")).incident.unwrap();
        assert_eq!(
            told(raised("api-1 is unhealthy", "Its health check fails & it is being restarted.")),
            json!({
                "text": "🟠 api-1 is unhealthy",
                "blocks": [{ "type": "header", "text": { "type": "plain_text", "text": "🟠 api-1 is unhealthy" } }],
                "attachments": [{
                    "color": "#ff9900",
                    "blocks": [
                        { "type": "section", "fields": [
                            { "type": "mrkdwn", "text": "*Container*\napi-1" },
                            { "type": "mrkdwn", "text": "*Host*\ndocker-1" },
                            { "type": "mrkdwn", "text": "*Severity*\nhigh" },
                        ] },
                        { "type": "section", "text": {
                            "type": "mrkdwn", "text": "Its health check fails &amp; it is being restarted."
                        } },
                        { "type": "context", "elements": [{ "type": "mrkdwn", "text": format!(
                            "<!date^1732391234^{{date_short_pretty}} {{time_secs}}|2024-11-23T19:47:14Z> \
                             · incident `{incident}` · event `0.1732391234567-3`"
                        ) }] },
                    ],
                }],
            })
        );
    }

    #[test]
    fn each_kind_of_alert_has_its_own_colour() {
        let alert = EventId::start(Partition(0));
        let (title, text) = (String::from("t"), String::from("x"));
        let took = Span::from_secs(42);
        let colors = [
            told(raised("t", "x")),
            told(Raised { severity: Severity::Critical, ..raised("t", "x") }),
            told(Escalated { alert, title: title.clone(), text: text.clone() }),
            told(Resolved { alert, how: Resolution::Healed, title, text, took }),
            told(Tested { by: "ann".to_owned() }),
        ]
        .map(|message| message["attachments"][0]["color"].clone());
        assert_eq!(colors, ["#ff9900", "#e01e5a", "#8b0000", "#36a64f", "#439fe0"]);
    }

    #[test]
    fn no_text_is_longer_than_slack_takes() {
        for long in ["x".repeat(10_000), "&".repeat(10_000), "ä".repeat(10_000)] {
            let message = told(raised(&long, &long));
            let length = |text: &Value| text.as_str().unwrap().chars().count();
            assert!(length(&message["text"]) <= SECTION);
            assert_eq!(length(&message["blocks"][0]["text"]["text"]), HEADER);
            let section = &message["attachments"][0]["blocks"][1]["text"]["text"];
            assert!((SECTION - 5..=SECTION).contains(&length(section)), "{}", length(section));
            assert!(section.as_str().unwrap().ends_with('…'));
            assert!(!section.as_str().unwrap().contains("&…"), "an entity was cut in two");
        }
    }

    #[test]
    fn nobody_can_write_markup_into_a_message() {
        assert_eq!(escaped("<!channel> & <https://x|y>", 100), "&lt;!channel&gt; &amp; &lt;https://x|y&gt;");
    }
}
