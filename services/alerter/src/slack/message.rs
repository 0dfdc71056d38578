//! Formats a notification as a Slack message (Block Kit).
//!
//! Slack rejects a message with a text over its length limit, so every text is truncated to that limit here. See
//! <https://docs.slack.dev/reference/block-kit/blocks/>.

use hemostat_schema::{Timestamp, observation::Severity};
use serde::Serialize;

use crate::notification::{Notification, Stage};

/// Maximum characters of a header block.
const MAX_HEADER: usize = 150;
/// Maximum characters of a section block.
const MAX_SECTION: usize = 3000;
/// Maximum characters of a field.
const MAX_FIELD: usize = 2000;

/// The body of a request to an incoming webhook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message {
    /// Shown in notifications, which do not show blocks.
    text: String,
    blocks: Vec<Block>,
    attachments: Vec<Attachment>,
}

/// Blocks beside a coloured bar; only attachments have colours.
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
    /// Without markup.
    PlainText(String),
    /// In Slack's markup language.
    Mrkdwn(String),
}

impl Message {
    /// As Slack shows `notification`.
    pub(crate) fn of(notification: &Notification) -> Self {
        let (emoji, color) = look(notification);
        let title = format!("{emoji} {}", notification.title);
        let fields = notification.facts.iter().map(|(name, value)| field(name, value)).collect();
        let mut blocks = vec![Block::Section(Section::Fields { fields })];
        if !notification.evidence.is_empty() {
            let text = Text::Mrkdwn(escaped(&notification.evidence, MAX_SECTION));
            blocks.push(Block::Section(Section::Text { text }));
        }
        blocks.push(Block::Context { elements: vec![Text::Mrkdwn(footer(notification))] });
        Self {
            text: escaped(&title, MAX_SECTION),
            blocks: vec![Block::Header { text: Text::PlainText(truncated(&title, MAX_HEADER)) }],
            attachments: vec![Attachment { color, blocks }],
        }
    }
}

/// The emoji before the title, and the colour of the bar.
fn look(notification: &Notification) -> (&'static str, &'static str) {
    match (notification.stage, notification.severity) {
        (Stage::Raised, Some(Severity::Low)) => ("🔵", "#439fe0"),
        (Stage::Raised, Some(Severity::High) | None) => ("🟠", "#ff9900"),
        (Stage::Raised, Some(Severity::Critical)) => ("🔴", "#e01e5a"),
        (Stage::Escalated, _) => ("🚨", "#8b0000"),
        (Stage::Resolved, _) => ("✅", "#36a64f"),
        (Stage::Test, _) => ("🔔", "#439fe0"),
    }
}

fn field(name: &str, value: &str) -> Text {
    Text::Mrkdwn(format!("*{name}*\n{}", escaped(value, MAX_FIELD - name.len() - 3)))
}

/// The time in the reader's time zone, and the ids by which the API knows alert and incident.
fn footer(notification: &Notification) -> String {
    let links = notification.links.iter().map(|link| format!("{} `{}`", link.name, link.id));
    std::iter::once(instant(notification.at)).chain(links).collect::<Vec<_>>().join(" · ")
}

/// Slack's date markup: shown in the reader's time zone, with the text after the bar as fallback.
fn instant(at: Timestamp) -> String {
    format!("<!date^{}^{{date_short_pretty}} {{time_secs}}|{at:.0}>", at.as_second())
}

/// At most `limit` characters; an ellipsis marks a truncated text.
fn truncated(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// Escapes Slack's markup (links, mentions such as `<!channel>`) and truncates to `limit` characters.
fn escaped(text: &str, limit: usize) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    };
    let pieces: Vec<String> = text.chars().map(escape).collect();
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
    use hemostat_schema::{
        Event, EventId, IncidentId, NewEvent, Partition, Recorded, Span,
        alert::{Escalated, Raised, Resolution, Resolved, Tested},
    };
    use serde_json::{Value, json};

    use super::*;

    fn recorded(event: impl Into<Event>) -> Recorded {
        let at = Timestamp::from_second(1_732_391_234).unwrap();
        let subject = "docker-1/api-1".parse().unwrap();
        let incident = IncidentId::begun(&subject, at);
        let id = EventId { partition: Partition(0), ms: 1_732_391_234_567, seq: 3 };
        NewEvent::new(subject, at, event).in_incident(Some(incident)).recorded(id, &[])
    }

    fn message(event: impl Into<Event>) -> Value {
        let notification = Notification::of(&recorded(event), Some(Severity::High)).unwrap();
        serde_json::to_value(Message::of(&notification)).unwrap()
    }

    fn raised(title: &str, text: &str) -> Raised {
        Raised { severity: Severity::High, title: title.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_alert_shows_container_host_severity_time_and_ids() {
        let incident = recorded(raised("", "")).incident.unwrap();
        assert_eq!(
            message(raised("api-1 is unhealthy", "Its health check fails & it is being restarted.")),
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
            message(raised("t", "x")),
            message(Raised { severity: Severity::Critical, ..raised("t", "x") }),
            message(Escalated { alert, title: title.clone(), text: text.clone() }),
            message(Resolved { alert, how: Resolution::Healed, title, text, took }),
            message(Tested { by: "ann".to_owned() }),
        ]
        .map(|message| message["attachments"][0]["color"].clone());
        assert_eq!(colors, ["#ff9900", "#e01e5a", "#8b0000", "#36a64f", "#439fe0"]);
    }

    #[test]
    fn no_text_exceeds_slacks_limits() {
        for long in ["x".repeat(10_000), "&".repeat(10_000), "ä".repeat(10_000)] {
            let message = message(raised(&long, &long));
            let length = |text: &Value| text.as_str().unwrap().chars().count();
            assert!(length(&message["text"]) <= MAX_SECTION);
            assert_eq!(length(&message["blocks"][0]["text"]["text"]), MAX_HEADER);
            let section = &message["attachments"][0]["blocks"][1]["text"]["text"];
            assert!((MAX_SECTION - 5..=MAX_SECTION).contains(&length(section)), "{}", length(section));
            assert!(section.as_str().unwrap().ends_with('…'));
            assert!(!section.as_str().unwrap().contains("&…"), "an entity was split");
        }
    }

    #[test]
    fn markup_in_a_text_is_escaped() {
        assert_eq!(escaped("<!channel> & <https://x|y>", 100), "&lt;!channel&gt; &amp; &lt;https://x|y&gt;");
    }
}
