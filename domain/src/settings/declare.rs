//! `declare_settings!`: one row a setting, from which all that deals with settings follows.

use super::input::{Defaults, NewSecrets};
use super::kinds::Form;
use serde_json::Value;

/// A setting, as its row declares it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in events, in the API and on the command line.
    pub name: &'static str,
    /// What it is, in sentences; may hold Markdown.
    pub(super) documentation: &'static str,
    /// Its form and limits.
    pub form: fn() -> Form,
    /// Whether it is secret or personal.
    pub is_protected: bool,
    /// Whether nobody is shown it: what stands in its place leaves it as it is when it is sent back.
    pub is_hidden: bool,
    /// Whether it stays as it was when the instance was first launched.
    pub is_fixed: bool,
    /// With which schema of the settings it came. Settings that are older have it as `before` says,
    /// and what has that value is written as if it were older.
    pub since: u16,
    /// The value of a new instance of which people say nothing.
    pub default: fn(&Origin<'_>) -> Value,
    /// Where the default comes from, where it is not the same for everybody.
    pub from: Option<&'static str>,
    /// A value that passes its rules and is not the default.
    pub example: fn() -> Value,
}

impl Setting {
    /// A row that people give.
    pub(super) const fn new(
        name: &'static str,
        documentation: &'static str,
        form: fn() -> Form,
        is_protected: bool,
        default: fn(&Origin<'_>) -> Value,
        example: fn() -> Value,
    ) -> Self {
        Self {
            name,
            documentation,
            form,
            is_protected,
            is_hidden: false,
            is_fixed: false,
            since: 1,
            default,
            from: None,
            example,
        }
    }

    /// What it is, in sentences on one line; may hold Markdown.
    #[must_use]
    pub fn documentation(&self) -> String {
        self.documentation.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The value of a new instance below `site.example.com`, where Ocim's own configuration says
    /// nothing: for descriptions.
    #[must_use]
    pub fn usual_default(&self) -> Value {
        let ours = Defaults::new("example.com", "RegionOne");
        let lms_domain = "site.example.com";
        (self.default)(&Origin {
            ours: &ours,
            lms_domain,
            secrets: &NewSecrets::default(),
            subject: "",
        })
    }
}

/// What the settings of a new instance follow from where people say nothing.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Ocim's own configuration.
    pub ours: &'a Defaults,
    /// The domain of its LMS; blank where that is wrong.
    pub lms_domain: &'a str,
    /// Its new master secret, and the key that it signs with.
    pub secrets: &'a NewSecrets,
    /// The text form of its id, which owns its secrets.
    pub subject: &'a str,
}

/// Declares settings, each by one row:
///
/// ```text
/// /// Its sentence of documentation.
/// name: Kind(limits) { default: |origin| value, example: value }
/// ```
///
/// Further members of a row, in this order: `fixed: rule` (it can't change, because …); `since: N,
/// before: value` (it came with schema N; older settings have that value); and after `default`,
/// `from: "…"` (where the default comes from).
macro_rules! declare_settings {
    (
        $(#[$settings_meta:meta])*
        settings $Settings:ident;
        $(#[$input_meta:meta])*
        input $Input:ident { $($(#[$extra_meta:meta])* $extra:ident: $Extra:ty,)* }
        $(#[$changes_meta:meta])*
        changes $Changes:ident;
        $(#[$table_meta:meta])*
        table $TABLE:ident;
        subject $owner:ident;
        people {$(
            $(#[doc = $doc:literal])+
            $field:ident: $Kind:ident $(($($limit:expr),+))? {
                $(fixed: $fixed:expr,)?
                $(since: $since:literal, before: $before:expr,)?
                default: $default:expr,
                $(from: $from:expr,)?
                example: $example:expr $(,)?
            }
        )*}
    ) => {
        $(#[$settings_meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Settings {
            $($(#[doc = $doc])+ pub $field: <$Kind as Kind>::Value,)*
        }

        $(#[$input_meta])*
        #[derive(Clone, Default, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $Input {
            $($(#[$extra_meta])* pub $extra: $Extra,)*
            $(
                $(#[doc = $doc])+
                #[serde(deserialize_with = "crate::settings::kinds::read_given")]
                pub $field: Option<<$Kind as Kind>::Input>,
            )*
        }

        $(#[$changes_meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $Changes {
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<<$Kind as Kind>::Value>,
            )*
        }

        $(#[$table_meta])*
        pub static $TABLE: &[Setting] = &[
            $(Setting {
                is_hidden: <$Kind as Kind>::IS_HIDDEN,
                $(is_fixed: { let _: &str = $fixed; true },)?
                $(since: $since,)?
                $(from: Some($from),)?
                ..Setting::new(
                    stringify!($field),
                    concat!($($doc),+),
                    || $Kind $(($($limit),+))?.form(),
                    <$Kind as Kind>::IS_PROTECTED,
                    |origin| {
                        let default: fn(&Origin<'_>) -> <$Kind as Kind>::Input = $default;
                        $Kind::show(&$Kind::make(default(origin), origin.subject))
                    },
                    || serde_json::json!($example),
                )
            },)*
        ];

        impl $Settings {
            /// The settings of which people have said nothing.
            pub(super) fn of_origin(origin: &Origin<'_>) -> Self {
                Self {
                    $($field: {
                        let default: fn(&Origin<'_>) -> <$Kind as Kind>::Input = $default;
                        $Kind::make(default(origin), origin.subject)
                    },)*
                }
            }

            /// Takes what people have said.
            pub(super) fn apply(&mut self, input: $Input) {
                let subject = self.$owner.subject().to_owned();
                $(if let Some(given) = input.$field.filter(|given| !$Kind::leaves(given)) {
                    self.$field = $Kind::replace(&self.$field, given, &subject);
                })*
            }

            /// Every rule that a setting breaks by itself.
            pub(super) fn check_each(&self) -> Vec<Violation> {
                let mut violations = vec![];
                $($Kind $(($($limit),+))?.check(&self.$field, &mut |part, rule| {
                    violations.push(Violation::new(format!("{}{part}", stringify!($field)), rule));
                });)*
                violations
            }

            /// A violation for each setting that differs and can't change.
            pub(super) fn check_fixed(&self, newer: &Self) -> Vec<Violation> {
                let mut violations = vec![];
                $($(if self.$field != newer.$field {
                    violations.push(Violation::new(stringify!($field), $fixed));
                })?)*
                violations
            }

            /// What makes these settings the `newer` ones.
            #[must_use]
            pub fn difference(&self, newer: &Self) -> $Changes {
                $Changes {
                    $($field: (self.$field != newer.$field).then(|| newer.$field.clone()),)*
                }
            }

            /// These settings after the changes.
            #[must_use]
            pub fn with(&self, changes: &$Changes) -> Self {
                let changes = changes.clone();
                Self {
                    $($field: changes.$field.unwrap_or_else(|| self.$field.clone()),)*
                }
            }

            /// The settings as people see them, by name: protected texts open, or `[shredded]`.
            #[must_use]
            pub fn show(&self) -> serde_json::Map<String, serde_json::Value> {
                [$((stringify!($field).to_owned(), $Kind::show(&self.$field)),)*].into_iter().collect()
            }
        }

        impl $Settings {
            /// The settings as people would give them, by name, also those that nobody is shown: for
            /// another instance alone. None for each that was erased.
            #[allow(dead_code, reason = "not every table is cloned")]
            pub(super) fn opened(&self) -> Vec<(&'static str, Option<serde_json::Value>)> {
                vec![$((stringify!($field), $Kind::open(&self.$field)),)*]
            }

            /// Takes the setting of that name from others.
            #[allow(dead_code, reason = "not every table is restored")]
            pub(super) fn take_from(&mut self, other: &Self, setting: &str) {
                $(if setting == stringify!($field) {
                    self.$field = other.$field.clone();
                })*
            }
        }

        impl $Changes {
            /// The names of the settings that change, in the order of the table.
            #[must_use]
            pub fn fields(&self) -> Vec<&'static str> {
                let all = [
                    $((stringify!($field), self.$field.is_some()),)*
                ];
                all.into_iter().filter(|(_, changes)| *changes).map(|(field, _)| field).collect()
            }
        }

        impl serde::Serialize for $Settings {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = to.serialize_map(None)?;
                let subject = self.$owner.subject();
                $(
                    let before = declare_settings!(@before $Kind, subject $(, $before)?);
                    if before.as_ref() != Some(&self.$field) {
                        map.serialize_entry(stringify!($field), &self.$field)?;
                    }
                )*
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $Settings {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let read = $Changes::deserialize(from)?;
                let subject = read.$owner.as_ref().map(|it| it.subject().to_owned());
                let subject = subject.unwrap_or_default();
                let missing = <D::Error as serde::de::Error>::missing_field;
                Ok(Self {
                    $($field: read
                        .$field
                        .or_else(|| declare_settings!(@before $Kind, &subject $(, $before)?))
                        .ok_or_else(|| missing(stringify!($field)))?,)*
                })
            }
        }
    };
    // What settings that are older than the row have in its place.
    (@before $Kind:ident, $subject:expr) => {{
        let _ = $subject;
        None::<<$Kind as Kind>::Value>
    }};
    (@before $Kind:ident, $subject:expr, $before:expr) => {
        Some($Kind::make($before, $subject))
    };
}
pub(super) use declare_settings;
