//! Many tags in little memory: their text one after the other, and where each ends.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};

/// A list of tags. Takes their bytes and four more per tag.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tags {
    text: String,
    ends: Vec<u32>,
}

impl Tags {
    /// A tag by its place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all tags together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes that the list takes in memory.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Adds a tag at the end. Beyond 4 GiB of text nothing is added.
    pub fn push(&mut self, tag: &str) {
        if let Ok(end) = u32::try_from(self.text.len() + tag.len()) {
            self.text.push_str(tag);
            self.ends.push(end);
        }
    }

    /// The tags in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        (0..self.ends.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// The tags that `keep` lets through, byte-wise descending, each once.
    #[must_use]
    pub fn sorted(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut kept: Vec<&str> = self.iter().filter(|tag| keep(tag)).collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        kept.dedup();
        kept.into_iter().collect()
    }

    /// What has to be taken away from `self` and added to it to get `new`: for lists that are
    /// sorted as by [`Tags::sorted`].
    #[must_use]
    pub fn difference(&self, new: &Self) -> Difference {
        let mut difference = Difference::default();
        let (mut ours, mut theirs) = (self.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (Some(old), Some(new)) => new.cmp(old),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return difference,
            };
            // Descending: the greater comes first.
            let (old, new) = (
                if order.is_le() { ours.next() } else { None },
                if order.is_ge() { theirs.next() } else { None },
            );
            match (old, new) {
                (Some(old), None) => difference.removed.push(old),
                (None, Some(new)) => difference.added.push(new),
                _ => {}
            }
        }
    }
}

/// How a list of tags differs from an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Tags that are new.
    pub added: Tags,
    /// Tags that are gone.
    pub removed: Tags,
}

impl<'a> FromIterator<&'a str> for Tags {
    fn from_iter<I: IntoIterator<Item = &'a str>>(tags: I) -> Self {
        let mut all = Self::default();
        for tag in tags {
            all.push(tag);
        }
        all.text.shrink_to_fit();
        all.ends.shrink_to_fit();
        all
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Tags {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.iter().eq(other.iter().copied())
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// What a page of a list holds besides the tags taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Names that cannot be tags.
    pub(crate) refused: usize,
    /// There were more tags than allowed.
    pub(crate) is_full: bool,
}

/// Appends the tags of a page (`{"tags": [..]}`) that `is_tag` lets through, without a copy of the
/// page; never more than `limit` in all.
pub(crate) fn read_page(
    json: &[u8],
    into: &mut Tags,
    limit: usize,
    is_tag: fn(&str) -> bool,
) -> serde_json::Result<Page> {
    let mut page = Page::default();
    let mut json = serde_json::Deserializer::from_slice(json);
    let reader = Reader {
        into,
        limit,
        is_tag,
        page: &mut page,
    };
    json.deserialize_map(reader)?;
    json.end()?;
    Ok(page)
}

struct Reader<'r> {
    into: &'r mut Tags,
    limit: usize,
    is_tag: fn(&str) -> bool,
    page: &'r mut Page,
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of tags")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "tags" {
                map.next_value_seed(&mut self)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reader<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Reader<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tags")
    }

    /// Registries write `null` for a repository without tags.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);
        while let Some(Name(tag)) = list.next_element()? {
            if !(self.is_tag)(&tag) {
                self.page.refused += 1;
            } else if self.into.len() < self.limit {
                self.into.push(&tag);
            } else {
                self.page.is_full = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tags: &[&str]) -> Tags {
        tags.iter().copied().collect()
    }

    #[test]
    fn lists() {
        let tags = list(&["1.0", "", "latest", "1.0", "a.sig"]);
        assert_eq!((tags.len(), tags.bytes()), (5, 17));
        assert_eq!(tags.get(2), Some("latest"));
        assert_eq!(tags.get(5), None);
        let sorted = tags.sorted(|tag| !tag.is_empty() && !tag.ends_with(".sig"));
        assert_eq!(sorted, list(&["latest", "1.0"]));
        assert_eq!(format!("{sorted:?}"), r#"["latest", "1.0"]"#);
    }

    #[test]
    fn differences() {
        let all: Tags = list(&["d", "c", "b", "a"]);
        for (old, new, added, removed) in [
            (&all, list(&["d", "c", "b", "a"]), vec![], vec![]),
            (&all, list(&["e", "d", "b"]), vec!["e"], vec!["c", "a"]),
            (&Tags::default(), list(&["b", "a"]), vec!["b", "a"], vec![]),
            (&all, Tags::default(), vec![], vec!["d", "c", "b", "a"]),
        ] {
            let difference = old.difference(&new);
            assert_eq!(difference.added, list(&added));
            assert_eq!(difference.removed, list(&removed));
        }
    }

    #[test]
    fn pages() {
        let any = |tag: &str| tag != "-";
        let mut tags = Tags::default();
        let page = read_page(
            br#"{"name":"x/y","tags":["a","-","\u0062"]}"#,
            &mut tags,
            9,
            any,
        );
        assert_eq!((page.unwrap().refused, &tags), (1, &list(&["a", "b"])));
        read_page(br#"{"tags":null}"#, &mut tags, 9, any).unwrap();
        read_page(b"{}", &mut tags, 9, any).unwrap();
        assert_eq!(tags.len(), 2);
        let page = read_page(br#"{"tags":["c","d"]}"#, &mut tags, 3, any).unwrap();
        assert!(page.is_full);
        assert_eq!(tags.len(), 3);
        for bad in [
            "",
            "[]",
            r#"{"tags":"x"}"#,
            r#"{"tags":[1]}"#,
            r#"{"tags":[]}x"#,
        ] {
            assert!(
                read_page(bad.as_bytes(), &mut tags, 9, any).is_err(),
                "{bad}"
            );
        }
    }
}
