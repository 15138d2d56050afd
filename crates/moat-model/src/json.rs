//! JSON values as decoded documents, and back. Places are lost.

use crate::value::{Data, Entry, Pos, Value};
use serde_json::Value as Json;

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        let data = match json {
            Json::Null => Data::Null,
            Json::Bool(flag) => Data::Bool(*flag),
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Data::Float(number.to_string().into()), Data::Int)
            }
            Json::String(text) => Data::String(text.as_str().into()),
            Json::Array(items) => Data::List(items.iter().map(Self::from).collect()),
            Json::Object(map) => {
                let entry = |(key, value): (&String, &Json)| Entry {
                    key: key.as_str().into(),
                    key_pos: Pos::default(),
                    value: Self::from(value),
                };
                Data::Map(map.iter().map(entry).collect())
            }
        };
        Self { pos: Pos::default(), data }
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match &value.data {
            Data::Null => Self::Null,
            Data::Bool(flag) => Self::from(*flag),
            Data::Int(number) => Self::from(*number),
            Data::Float(text) => text.parse::<f64>().map_or(Self::Null, Self::from),
            Data::String(text) => Self::from(text.as_ref()),
            Data::List(items) => items.iter().map(Self::from).collect(),
            Data::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.to_string(), Self::from(&entry.value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_and_back() {
        let json = json!({"a": [1, -2, 1.5, "x", null, true], "b": {"c": {}}, "d": []});
        assert_eq!(Json::from(&Value::from(&json)), json);
    }
}
