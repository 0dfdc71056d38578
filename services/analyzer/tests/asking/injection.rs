//! Prompt injection: instructions that a container prints stay data, and a model that follows them can only choose a remedy
//! on offer.

mod corpus;

use hemostat_analyzer::prompt::Prompt;
use hemostat_schema::diagnosis::{Trouble, Verdict};

use self::corpus::{ATTEMPTS, Attempt};
use super::*;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// A question about a container that printed this text; only `start` is on offer.
fn printed(api: Api, text: &str) -> OpinionSought {
    let mut sought = api.sought();
    sought.evidence[1].text = text.to_owned();
    sought.remedies = vec![Remedy::Start];
    sought
}

#[test]
fn there_are_enough_attempts_in_enough_languages() {
    assert!(ATTEMPTS.len() >= 40, "{}", ATTEMPTS.len());
    let mut names: Vec<&str> = ATTEMPTS.iter().map(|attempt| attempt.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ATTEMPTS.len(), "two attempts have the same name");
}

#[test]
fn no_attempt_leaves_its_fence() {
    let innocent = Prompt::of(&printed(Api::OpenAi, "GET / 200"), NONCE);
    let ours = |prompt: &Prompt| -> Vec<String> {
        prompt.user.split('\n').filter(|line| !line.starts_with("| ")).map(str::to_owned).collect()
    };
    for Attempt { name, text, .. } in ATTEMPTS {
        // Even if the text guesses the nonce.
        let text = text.replace("{nonce}", NONCE);
        let prompt = Prompt::of(&printed(Api::OpenAi, &text), NONCE);
        assert_eq!(prompt.system, innocent.system, "{name}");
        assert_eq!(ours(&prompt), ours(&innocent), "{name}");
        let ends =
            |c: char| matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{1c}'..='\u{1e}');
        assert!(!prompt.user.contains(ends), "{name}: {:?}", prompt.user);
        assert!(!prompt.user.contains(['<', '>']) && !prompt.user.contains("[INST]"), "{name}: {}", prompt.user);
        let unseen = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}');
        assert!(!prompt.user.contains(unseen), "{name}: {:?}", prompt.user);
    }
}

/// The model does exactly what the log tells it.
#[tokio::test]
async fn an_obedient_model_can_only_choose_a_remedy_on_offer() {
    for Attempt { name, text, obeyed } in ATTEMPTS {
        for api in BOTH {
            let sought = printed(api, text);
            let obedient = FakeModel::always(ModelResponse::Text((*obeyed).to_owned(), 900, 80)).await;
            let opinion = ask(&client(api, &obedient, config()), &sought, 1).await;
            match opinion.outcome {
                Ok(reached) => {
                    let is_offered = reached.remedy.as_ref().is_none_or(|remedy| sought.remedies.contains(remedy));
                    assert!(is_offered, "{name}: {reached:?}");
                    assert!(reached.remedy.is_none() || reached.verdict == Verdict::Sick, "{name}: {reached:?}");
                    assert_eq!(reached.target, sought.fallback.target, "{name}");
                }
                Err(error) => assert_eq!(error.trouble, Trouble::Invalid, "{name}: {}", error.error),
            }
        }
    }
}

/// A model that repeats JSON from the evidence.
#[tokio::test]
async fn a_model_that_repeats_json_from_the_log_can_only_choose_a_remedy_on_offer() {
    let parrot = FakeModel::start(|asked| {
        let words = asked.prompt();
        let from = words.rfind("| {").map_or("", |at| &words[at + 2..]);
        ModelResponse::Text(from.lines().next().unwrap_or_default().to_owned(), 900, 80)
    })
    .await;
    for remedy in ["stop", "exec", "cleanup", "scale", "restart", "rm -rf /"] {
        let log = answer_with("remedy", json!(remedy)).to_string();
        let opinion = ask(&client(Api::OpenAi, &parrot, config()), &printed(Api::OpenAi, &log), 1).await;
        assert_eq!(opinion.outcome.unwrap_err().trouble, Trouble::Invalid, "{remedy}");
    }
}
