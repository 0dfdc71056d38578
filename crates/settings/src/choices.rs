//! Settings that are one of a few names.

use crate::setting::{Named as _, one_of};

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where containers' counters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosisBy {
    /// The rules.
    Rules,
    /// A language model; the rules if it fails.
    Model,
    /// The rules; a language model is asked as well, and only compared with them.
    Both,
}

/// Whose API a language model is asked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        self.word()
    }
}

one_of!(LogFormat, LogFormat::Text = "text", LogFormat::Json = "json");
one_of!(SampleSource, SampleSource::Auto = "auto", SampleSource::Cgroup = "cgroup", SampleSource::Api = "api");
one_of!(DiagnosisBy, DiagnosisBy::Rules = "rules", DiagnosisBy::Model = "model", DiagnosisBy::Both = "both");
one_of!(
    ModelProvider,
    ModelProvider::OpenAi = "openai",
    ModelProvider::Anthropic = "anthropic",
    ModelProvider::HuggingFace = "huggingface"
);
