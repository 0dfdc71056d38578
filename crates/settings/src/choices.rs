//! Settings that are one of a few names.

use strum::{IntoStaticStr, VariantArray};

use crate::setting::one_of;

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where containers' counters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum SampleSource {
    /// From the kernel's files if they can be read, otherwise from Docker.
    #[default]
    Auto,
    /// From the kernel's files only.
    Cgroup,
    /// From Docker only.
    Api,
}

/// Who diagnoses what is wrong with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum DiagnosisBy {
    /// The rules.
    Rules,
    /// A language model; the rules if it fails.
    Model,
    /// The rules; a language model is asked as well, and only compared with them.
    Both,
}

/// Whose API a language model is asked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum ModelProvider {
    /// OpenAI's, which many servers speak.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Hugging Face's router or endpoint, which speaks OpenAI's API.
    HuggingFace,
}

impl ModelProvider {
    /// Its name on the log: `openai`, `anthropic`, `huggingface`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a channel of alerts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum ChannelKind {
    /// A Slack incoming webhook.
    Slack,
}

one_of!(LogFormat, SampleSource, DiagnosisBy, ModelProvider, ChannelKind);
