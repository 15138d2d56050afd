//! JSON and the model's own values, both ways.

use crate::Json;
use moat_model::{Data, Entry, Pos, Value};

/// A JSON value as the loader would decode it, without places.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    let data = match json {
        Json::Null => Data::Null,
        Json::Bool(flag) => Data::Bool(*flag),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Data::Float(number.to_string().into()), Data::Int)
        }
        Json::String(text) => Data::String(text.as_str().into()),
        Json::Array(items) => Data::List(items.iter().map(from_json).collect()),
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| Entry {
                key: key.as_str().into(),
                key_pos: Pos::default(),
                value: from_json(value),
            };
            Data::Map(map.iter().map(entry).collect())
        }
    };
    Value { pos: Pos::default(), data }
}

/// A decoded value as JSON, without places.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match &value.data {
        Data::Null => Json::Null,
        Data::Bool(flag) => Json::Bool(*flag),
        Data::Int(number) => Json::from(*number),
        Data::Float(text) => text.parse::<f64>().map_or(Json::Null, Json::from),
        Data::String(text) => Json::String(text.to_string()),
        Data::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Data::Map(entries) => Json::Object(
            entries.iter().map(|entry| (entry.key.to_string(), to_json(&entry.value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back() {
        let json = json!({"a": [1, -2, 1.5, "x", null, true], "b": {"c": {}}, "d": []});
        assert_eq!(to_json(&from_json(&json)), json);
    }
}
