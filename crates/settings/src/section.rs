//! How a section of the configuration is declared: one list of its keys makes the struct, its defaults, the reading, the
//! showing and the example file.
//!
//! Why not serde: an error must name the key, the value as it was written, its origin and what would be right, for text
//! from the environment as for typed TOML, and unset keys must stay visible with their defaults. Serde needs a visitor
//! and a serializer per type, a path tracker and a second list of keys, aliases and docs for that, which is more code
//! than [`Setting`](crate::setting::Setting) and this macro.

use toml::Value;

use crate::error::Wrong;

/// A key of the configuration.
#[derive(Debug, Clone)]
pub struct Key {
    /// As in `hemostat.toml`, with dots: `responder.cooldown`.
    pub name: &'static str,
    /// Its other names: of its environment variable (that of Python HemoStat, or of other tools), and with a dot an
    /// earlier name of the key itself.
    pub aliases: &'static [&'static str],
    /// Whether it is a secret: its value is never shown, and may be in a file that `<key>_file` names.
    pub secret: bool,
    /// What it means, in lines.
    pub doc: &'static [&'static str],
    /// Its default, as it is written in a file.
    pub default: String,
    /// What its section is about, in lines.
    pub section_doc: &'static [&'static str],
}

/// Prefix of every environment variable of HemoStat's own.
pub(crate) const PREFIX: &str = "HEMOSTAT_";

impl Key {
    /// The name of its environment variable: `HEMOSTAT_RESPONDER__COOLDOWN`.
    pub fn variable(&self) -> String {
        variable_of(self.name)
    }

    /// Whether `name` is its name, or an earlier one.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name == name || name.contains('.') && self.aliases.contains(&name)
    }

    /// All names of its environment variable, its own one first.
    pub(crate) fn variables(&self) -> impl DoubleEndedIterator<Item = String> {
        let alias = |alias: &&str| if alias.contains('.') { variable_of(alias) } else { (*alias).to_owned() };
        std::iter::once(self.variable()).chain(self.aliases.iter().map(alias))
    }
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// A group of keys.
pub(crate) trait Section: Default {
    /// What the section is about, in lines.
    const ABOUT: &'static [&'static str];
    /// Hands out every key.
    fn keys(each: &mut dyn FnMut(Key));
    /// Sets the key of this name; `None` when there is none.
    fn set(&mut self, key: &str, value: &Value) -> Option<Result<(), Wrong>>;
    /// Hands out every key with another value than in `other`.
    fn differing(&self, other: &Self, each: &mut dyn FnMut(&'static str));
    /// Hands out every key with its value as it is written in a file.
    fn show(&self, each: &mut dyn FnMut(&'static str, String));
}

macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr, $key:literal $(, $alias:literal)* ; )*
        }
        $( nested { $( $(#[doc = $inner_doc:literal])* $inner:ident: $section:ty ; )* } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
            $( $( $(#[doc = $inner_doc])* pub $inner: $section, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $( $inner: <$section>::default(), )* )? }
            }
        }

        impl $crate::section::Section for $name {
            const ABOUT: &'static [&'static str] = &[$($about),*];

            fn keys(each: &mut dyn FnMut($crate::section::Key)) {
                let defaults = Self::default();
                $( each($crate::section::Key {
                    name: $key,
                    aliases: &[$($alias),*],
                    secret: <$type as $crate::setting::Setting>::SECRET,
                    doc: &[$($doc),*],
                    default: $crate::setting::Setting::show(&defaults.$field),
                    section_doc: <Self as $crate::section::Section>::ABOUT,
                }); )*
                $( $( <$section as $crate::section::Section>::keys(each); )* )?
            }

            fn set(&mut self, key: &str, value: &toml::Value) -> Option<Result<(), $crate::error::Wrong>> {
                match key {
                    $( $key => {
                        return Some($crate::setting::Setting::parse(value).map(|value| self.$field = value));
                    } )*
                    _ => {}
                }
                $( $( if let Some(set) = $crate::section::Section::set(&mut self.$inner, key, value) {
                    return Some(set);
                } )* )?
                None
            }

            fn differing(&self, other: &Self, each: &mut dyn FnMut(&'static str)) {
                $( if $crate::setting::Setting::differs(&self.$field, &other.$field) { each($key); } )*
                $( $( $crate::section::Section::differing(&self.$inner, &other.$inner, each); )* )?
            }

            fn show(&self, each: &mut dyn FnMut(&'static str, String)) {
                $( each($key, $crate::setting::Setting::show(&self.$field)); )*
                $( $( $crate::section::Section::show(&self.$inner, each); )* )?
            }
        }
    };
}
pub(crate) use section;
