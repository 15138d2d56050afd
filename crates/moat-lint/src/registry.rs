//! The one table from code to rule.

use crate::Rule;
use crate::rules::{
    AllowsEverything, DuplicateKey, DuplicateObject, EgressWithoutDns, EqualPriority,
    ForeignPolicy, InvalidSyntax, InvalidValue, OversizedInput, PeerSelectsNoPod, PodTemplateOnly,
    PolicySelectsNoPod, SkippedFile, TypelessDocument, UninterpretedKind, UnknownField,
    UnreadableSource, UnrenderedTemplate, UnservedApiVersion, WrongType,
};
use moat_model::Code;

/// All rules, by code. A code is never given to another rule.
pub static RULES: [Rule; 20] = [
    UnreadableSource::RULE,
    InvalidSyntax::RULE,
    DuplicateKey::RULE,
    TypelessDocument::RULE,
    UninterpretedKind::RULE,
    UnknownField::RULE,
    WrongType::RULE,
    InvalidValue::RULE,
    DuplicateObject::RULE,
    UnservedApiVersion::RULE,
    PodTemplateOnly::RULE,
    UnrenderedTemplate::RULE,
    SkippedFile::RULE,
    ForeignPolicy::RULE,
    EqualPriority::RULE,
    OversizedInput::RULE,
    PolicySelectsNoPod::RULE,
    PeerSelectsNoPod::RULE,
    AllowsEverything::RULE,
    EgressWithoutDns::RULE,
];

/// The rule of a code or name, in any case: `MOAT006` or `unknown-field`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| {
        rule.name.eq_ignore_ascii_case(word) || rule.code.to_string().eq_ignore_ascii_case(word)
    })
}

/// The rule of a code.
#[must_use]
pub fn by_code(code: Code) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SECTIONS;

    /// The codes that `moat_model::codes` declares, read from its source because constants cannot be listed.
    fn declared_codes() -> Vec<Code> {
        let source = include_str!("../../moat-model/src/diagnostic.rs");
        let (_, module) = source.split_once("pub mod codes").unwrap();
        let numbers = module
            .split(": Code = Code(")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap().parse().unwrap());
        numbers.map(Code).collect()
    }

    #[test]
    fn every_code_has_a_rule() {
        let declared = declared_codes();
        assert!(declared.len() >= 16);
        for code in declared {
            assert!(by_code(code).is_some(), "{code} has no rule");
        }
    }

    #[test]
    fn every_rule_has_all_sections_in_order() {
        for rule in &RULES {
            let doc = rule.doc();
            let titles: Vec<&str> =
                doc.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(titles, SECTIONS, "{}", rule.code);
            for title in SECTIONS {
                assert!(
                    !rule.section(title).unwrap().is_empty(),
                    "{} has an empty section `{title}`",
                    rule.code
                );
            }
            assert!(rule.summary().starts_with("Reports "), "{}: {}", rule.code, rule.summary());
        }
    }

    #[test]
    fn codes_rise_and_names_are_kebab_case_and_unique() {
        assert!(RULES.is_sorted_by(|a, b| a.code < b.code));
        for rule in &RULES {
            assert!(
                rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                rule.name
            );
            assert_eq!(find(rule.name).unwrap().code, rule.code);
            assert_eq!(find(&rule.code.to_string()).unwrap().name, rule.name);
        }
        assert!(find("MOAT999").is_none());
    }

    #[test]
    fn every_rule_is_in_the_file_of_its_name() {
        let modules = include_str!("rules/mod.rs");
        for rule in &RULES {
            let module = format!("mod {};", rule.name.replace('-', "_"));
            assert!(modules.contains(&module), "{module}");
        }
    }
}
