//! The small part of Markdown that rule documentation uses.

/// A part of a section.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Block {
    /// Words, on one line.
    Paragraph(String),
    /// A list item, on one line.
    Item(String),
    /// Lines between fences.
    Code(Vec<String>),
}

/// A `## ` section.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

/// Reads sections; what comes before the first has an empty title.
pub(super) fn sections(doc: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = doc.lines();
    let mut after_blank = true;
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push(Section { title: title.trim().to_owned(), blocks: Vec::new() });
            after_blank = true;
            continue;
        }
        if sections.is_empty() {
            sections.push(Section { title: String::new(), blocks: Vec::new() });
        }
        let Some(Section { blocks, .. }) = sections.last_mut() else { continue };
        let text = line.trim();
        if text.starts_with("```") {
            blocks.push(Block::Code(
                lines
                    .by_ref()
                    .take_while(|line| !line.trim().starts_with("```"))
                    .map(str::to_owned)
                    .collect(),
            ));
        } else if let Some(item) = text.strip_prefix("- ") {
            blocks.push(Block::Item(item.to_owned()));
        } else if !text.is_empty() {
            match blocks.last_mut() {
                Some(Block::Paragraph(words) | Block::Item(words)) if !after_blank => {
                    words.push(' ');
                    words.push_str(text);
                }
                _ => blocks.push(Block::Paragraph(text.to_owned())),
            }
        }
        after_blank = text.is_empty() || text.starts_with("```");
    }
    sections.retain(|section| !section.title.is_empty() || !section.blocks.is_empty());
    sections
}
