//! MOAT012 unrendered-template.

use crate::rule::rule;
use moat_model::codes;

rule! {
    /// ## What it does
    /// Reports a file with `{{`: a Helm or other template, not a manifest.
    ///
    /// ## Why is this bad?
    /// It is no YAML before it is rendered, and what it renders to depends on values. The file is part of no answer.
    ///
    /// ## Example
    /// ```text
    /// moat lint -f chart/
    /// ```
    ///
    /// ## Use instead
    /// ```text
    /// helm template chart/ | moat lint -f -
    /// ```
    ///
    /// ## When to allow
    /// When the rendered objects are among the sources too.
    ///
    /// ## References
    /// - `helm template`: <https://helm.sh/docs/helm/helm_template/>
    UnrenderedTemplate { code: codes::TEMPLATE, name: "unrendered-template", severity: Warning, lifecycle: Stable, found: while_reading }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_passes_through;

    #[test]
    fn passes_through() {
        check_passes_through(&UnrenderedTemplate::RULE);
    }
}
