//! The schemas of settings, made from the table of the domain.

use ocim_domain::settings::kinds::{Form, ITEMS_MAX};
use ocim_domain::settings::{SETTINGS, Setting, TextRule};
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OpenApi, Schema};

/// Describes each setting where the document has them as an object of anything.
pub(super) fn describe_settings(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    for (name, is_change) in [("Settings", false), ("SettingsChange", true)] {
        let Some(slot) = components.schemas.get_mut(name) else { continue };
        let mut object = ObjectBuilder::new().description(description(slot));
        for setting in SETTINGS.iter() {
            object = object.property(setting.name, schema(setting, is_change));
            if !is_change {
                object = object.required(setting.name);
            }
        }
        *slot = object.into();
    }
}

/// Adds the settings that an example of a body leaves out, each with its own example.
pub(super) fn complete_example(mut body: Value) -> Value {
    if let Some(Value::Object(settings)) = body.get_mut("settings") {
        for setting in SETTINGS.iter() {
            settings.entry(setting.name).or_insert_with(setting.example);
        }
    }
    body
}

fn description(schema: &utoipa::openapi::RefOr<Schema>) -> Option<String> {
    match schema {
        utoipa::openapi::RefOr::T(Schema::Object(object)) => object.description.clone(),
        _ => None,
    }
}

/// One setting: as it is shown, or as it is set, where `null` says nothing or that there is to be
/// none.
fn schema(setting: &Setting, is_change: bool) -> Schema {
    let form = (setting.form)();
    let kind = |kind: Type| match is_change {
        true => SchemaType::from_iter([kind, Type::Null]),
        false => SchemaType::new(kind),
    };
    let (documentation, examples) = (Some(setting.documentation()), [(setting.example)()]);
    let described = |object: ObjectBuilder| {
        let object = object.description(documentation.clone()).examples(examples.clone());
        Schema::Object(object.build())
    };
    // What Ocim shows of a text that was erased has no rule.
    let may_be_erased = setting.is_protected && !is_change;
    match form {
        Form::Text { rule, may_be_blank } => {
            let shape = TextShape { rule, may_be_blank, may_be_erased };
            described(shape.limit(ObjectBuilder::new().schema_type(kind(Type::String))))
        }
        Form::Boolean => described(ObjectBuilder::new().schema_type(kind(Type::Boolean))),
        Form::Integer { min, max } => described(
            ObjectBuilder::new()
                .schema_type(kind(Type::Integer))
                .minimum(Some(min))
                .maximum(Some(max)),
        ),
        Form::List { rule } => {
            let shape = TextShape { rule, may_be_blank: false, may_be_erased };
            let item = shape.limit(ObjectBuilder::new().schema_type(Type::String));
            let list = ArrayBuilder::new()
                .schema_type(kind(Type::Array))
                .items(item)
                .max_items(Some(ITEMS_MAX));
            Schema::Array(list.description(documentation).examples(examples).build())
        }
        Form::Map { rule } => {
            let shape = TextShape { rule, may_be_blank: false, may_be_erased };
            let member = shape.limit(ObjectBuilder::new().schema_type(Type::String)).build();
            let member = AdditionalProperties::from(Schema::Object(member));
            let map = ObjectBuilder::new().schema_type(kind(Type::Object));
            described(map.additional_properties(Some(member)))
        }
        Form::Selector => described(
            ObjectBuilder::new()
                .schema_type(kind(Type::Object))
                .min_properties(Some(1))
                .additional_properties(Some(AdditionalProperties::FreeForm(true))),
        ),
        Form::Records { members, optional } => {
            let mut record = ObjectBuilder::new().schema_type(Type::Object);
            for (name, rule) in members {
                let shape = TextShape { rule: *rule, may_be_blank: false, may_be_erased };
                let may_be_hidden = optional.contains(name);
                let shape = TextShape { may_be_erased: may_be_erased || may_be_hidden, ..shape };
                let member = shape.limit(ObjectBuilder::new().schema_type(Type::String));
                record = record.property(*name, member);
                if !is_change || !may_be_hidden {
                    record = record.required(*name);
                }
            }
            let record = record.additional_properties(Some(AdditionalProperties::FreeForm(false)));
            let list = ArrayBuilder::new()
                .schema_type(kind(Type::Array))
                .items(record)
                .max_items(Some(ITEMS_MAX));
            Schema::Array(list.description(documentation).examples(examples).build())
        }
    }
}

/// The limits of a text.
struct TextShape {
    rule: TextRule,
    may_be_blank: bool,
    may_be_erased: bool,
}

impl TextShape {
    fn limit(&self, text: ObjectBuilder) -> ObjectBuilder {
        let text = match self.rule.choices() {
            Some(choices) => text.enum_values(Some(choices.iter().copied())),
            None => text.max_length(Some(self.rule.length_max())),
        };
        if self.may_be_blank {
            return text;
        }
        let pattern = self.rule.pattern().filter(|_| !self.may_be_erased);
        text.min_length(Some(1)).pattern(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::document;
    use serde_json::json;

    #[test]
    fn every_setting_of_peoples_is_described_with_its_limits() {
        let document = serde_json::to_value(document()).unwrap();
        let schemas = &document["components"]["schemas"];
        for setting in SETTINGS {
            let (shown, set) = (
                &schemas["Settings"]["properties"][setting.name],
                &schemas["SettingsChange"]["properties"][setting.name],
            );
            assert!(shown.is_object(), "{}", setting.name);
            assert_eq!(set["description"], shown["description"], "{}", setting.name);
        }
        let commit = &schemas["Settings"]["properties"]["configuration_version"];
        assert_eq!((&commit["maxLength"], &commit["minLength"]), (&json!(50), &json!(1)));
        let emails = &schemas["SettingsChange"]["properties"]["additional_monitoring_emails"];
        assert_eq!(
            (&emails["type"], &emails["maxItems"]),
            (&json!(["array", "null"]), &json!(100))
        );
        let required = schemas["Settings"]["required"].as_array().unwrap();
        let peoples = SETTINGS.len();
        assert_eq!((required.len(), schemas["SettingsChange"].get("required")), (peoples, None));
    }
}
