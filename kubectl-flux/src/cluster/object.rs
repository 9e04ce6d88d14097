//! Reading fields of objects without a type per version: what is shown here exists in all served
//! versions, and an object with an odd field elsewhere must still be shown.

use kube::api::DynamicObject;
use serde_json::Value;

/// A condition of an object, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConditionView<'a> {
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    /// Machine-readable cause.
    pub(crate) reason: &'a str,
    /// What happened, for people.
    pub(crate) message: &'a str,
    /// Generation it speaks about.
    pub(crate) observed_generation: Option<i64>,
}

impl ConditionView<'_> {
    /// Whether the status is `True`.
    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether the status is `False`.
    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }
}

/// Typed access to the untyped.
pub(crate) trait View {
    /// The value at a JSON pointer below the object's own fields (`/spec/...`, `/status/...`).
    fn at(&self, pointer: &str) -> Option<&Value>;

    /// A text that is there and not empty.
    fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    /// A switch; absent means off.
    fn flag(&self, pointer: &str) -> bool {
        self.at(pointer)
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// The condition of that type, compared as Flux's selectors do, without regard to case.
    fn condition(&self, type_: &str) -> Option<ConditionView<'_>> {
        let found = self
            .at("/status/conditions")?
            .as_array()?
            .iter()
            .find(|condition| {
                condition
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|found| found.eq_ignore_ascii_case(type_))
            })?;
        let field = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(ConditionView {
            status: field("status"),
            reason: field("reason"),
            message: field("message"),
            observed_generation: found.get("observedGeneration").and_then(Value::as_i64),
        })
    }

    /// Whether the object is suspended.
    fn is_suspended(&self) -> bool {
        self.flag("/spec/suspend")
    }
}

impl View for DynamicObject {
    fn at(&self, pointer: &str) -> Option<&Value> {
        self.data.pointer(pointer)
    }
}
