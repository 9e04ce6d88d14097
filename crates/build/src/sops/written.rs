//! JSON as SOPS writes it: the keys in the order of the file, indented by tabs.
//!
//! What a Secret holds is part of the name that kustomize's generators give it. Other bytes than those
//! of Flux, which has them from SOPS, would be another name and restart what refers to it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The order of what is in a JSON text.
enum Order {
    Map(Vec<(String, Order)>),
    List(Vec<Order>),
    Leaf,
}

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OrderVisitor)
    }
}

struct OrderVisitor;

impl<'de> Visitor<'de> for OrderVisitor {
    type Value = Order;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Order, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Order::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Order, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Order::List(items))
    }

    fn visit_unit<E>(self) -> Result<Order, E> {
        Ok(Order::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Order, E> {
        Ok(Order::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Order, E> {
        Ok(Order::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Order, E> {
        Ok(Order::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Order, E> {
        Ok(Order::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Order, E> {
        Ok(Order::Leaf)
    }
}

/// A value in the order of the text that it was read from; keys that it lost are left out. `None`
/// where the two do not fit.
pub(super) fn json(text: &str, value: &Value) -> Option<String> {
    let order: Order = serde_json::from_str(text).ok()?;
    let mut result = String::new();
    write(&mut result, &order, value, 0)?;
    result.push('\n');
    Some(result)
}

fn write(result: &mut String, order: &Order, value: &Value, depth: usize) -> Option<()> {
    match (order, value) {
        (Order::Map(entries), Value::Object(map)) => {
            let present = entries
                .iter()
                .filter_map(|(key, order)| Some((Some(key.as_str()), order, map.get(key)?)));
            children(result, ['{', '}'], present, depth)
        }
        (Order::List(orders), Value::Array(items)) if orders.len() == items.len() => {
            let present = orders.iter().zip(items);
            let present = present.map(|(order, item)| (None, order, item));
            children(result, ['[', ']'], present, depth)
        }
        (Order::Leaf, Value::Object(_) | Value::Array(_)) => None,
        (Order::Leaf, leaf) => {
            result.push_str(&scalar(leaf));
            Some(())
        }
        _ => None,
    }
}

fn children<'a>(
    result: &mut String,
    [open, close]: [char; 2],
    present: impl Iterator<Item = (Option<&'a str>, &'a Order, &'a Value)>,
    depth: usize,
) -> Option<()> {
    result.push(open);
    let mut separator = "\n";
    for (key, order, value) in present {
        result.push_str(separator);
        separator = ",\n";
        result.push_str(&"\t".repeat(depth + 1));
        if let Some(key) = key {
            result.push_str(&scalar(&Value::from(key)));
            result.push_str(": ");
        }
        write(result, order, value, depth + 1)?;
    }
    if separator != "\n" {
        result.push('\n');
        result.push_str(&"\t".repeat(depth));
    }
    result.push(close);
    Some(())
}

/// A scalar as Go writes it: safe within HTML.
fn scalar(value: &Value) -> String {
    let text = value.to_string();
    if !value.is_string() {
        return text;
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays_and_what_is_gone_is_left_out() {
        let text = r#"{"z": {"b": "ENC", "a": []}, "sops": {"mac": "m"}, "list": [1, {"c": {}}, null], "e": "x"}"#;
        let value = serde_json::json!({
            "z": {"b": "<&> \u{2028}\n", "a": []}, "list": [1, {"c": {}}, null], "e": 2.5});
        let expected = "{\n\t\"z\": {\n\t\t\"b\": \"\\u003c\\u0026\\u003e \\u2028\\n\",\n\t\t\"a\": []\n\t},\n\
                        \t\"list\": [\n\t\t1,\n\t\t{\n\t\t\t\"c\": {}\n\t\t},\n\t\tnull\n\t],\n\t\"e\": 2.5\n}\n";
        assert_eq!(json(text, &value).as_deref(), Some(expected));
        assert_eq!(json("{\"a\": [1]}", &serde_json::json!({"a": []})), None);
        assert_eq!(json("no", &value), None);
    }
}
