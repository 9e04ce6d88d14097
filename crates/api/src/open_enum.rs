//! Enumerations that keep words they do not know.
//!
//! A CRD of a newer release may allow a word that this program has not heard of. Refusing it while
//! decoding would fail the whole list of a watch; keeping it lets the one object be judged alone.

/// `false`, for `skip_serializing_if` on flags that Flux omits when they are not set.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}

/// Defines an enumeration over the given words with a further variant `Other(String)`; its schema
/// is a string with exactly the given words, in the order of their definition.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
            /// A word this program does not know, kept as it was written.
            Other(String),
        }

        impl $name {
            /// The words of the schema, in its order.
            pub const WORDS: &[&str] = &[$( $word ),+];

            /// The word as it stands in a manifest.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $word, )+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $( $word => Self::$variant, )+
                    _ => Self::Other(word.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Ok(Self::from(word.as_ref()))
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
            }
        }
    };
}

pub(crate) use open_enum;

#[cfg(test)]
mod tests {
    use crate::{DeletionPolicy, GitProvider, SourceKind};

    #[test]
    fn an_unknown_word_survives_a_round_trip() {
        let provider: GitProvider = serde_json::from_str("\"gitea\"").unwrap();
        assert_eq!(provider, GitProvider::Other("gitea".into()));
        assert_eq!(serde_json::to_string(&provider).unwrap(), "\"gitea\"");
    }

    #[test]
    fn a_known_word_is_its_variant() {
        assert_eq!(SourceKind::from("Bucket"), SourceKind::Bucket);
        assert_eq!(DeletionPolicy::default().to_string(), "MirrorPrune");
        assert_eq!(format!("{:>8}|", GitProvider::Azure), "   azure|");
    }
}
