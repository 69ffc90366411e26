//! A small checker of tags: enough to see that a page or figure is well formed.

const VOID: [&str; 2] = ["meta", "br"];

/// Panics with the place when tags do not balance, attributes are not quoted, or text holds a bare `<` or `&`.
pub(crate) fn check(text: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        check_entities(&rest[..start], open.last().is_some_and(|t| t == "style"));
        rest = &rest[start + 1..];
        let end = tag_end(rest);
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closing </{name}> near {}", &rest[..rest.len().min(60)]);
            continue;
        }
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "a bare < in {}", &tag[..tag.len().min(60)]);
        check_attributes(tag[name.len()..].trim_end_matches('/'));
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    assert!(!text.contains('\u{0}'));
}

/// The `>` that ends the tag, not one inside an attribute.
fn tag_end(text: &str) -> usize {
    let mut quoted = false;
    text.char_indices()
        .find(|&(_, c)| {
            quoted ^= c == '"';
            c == '>' && !quoted
        })
        .expect("a tag must end")
        .0
}

fn check_attributes(text: &str) {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once("=\"").unwrap_or_else(|| panic!("an attribute without a quoted value: {rest}"));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-:".contains(c)), "attribute name {name:?}");
        let (value, after) = after.split_once('"').expect("an attribute must end");
        check_entities(value, false);
        rest = after.trim_start();
    }
}

fn check_entities(text: &str, raw: bool) {
    if raw {
        return;
    }
    for (i, _) in text.match_indices('&') {
        let entity = text[i + 1..].split(';').next().unwrap_or_default();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "a bare & before {entity:?}");
    }
}
