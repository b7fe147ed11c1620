//! A part of the merged document.

/// The content of one place of the document. A choice is the number of something that is not the type's
/// own.
pub(super) enum Part<'a> {
    /// The type's own.
    Ours(&'a str),
    /// Kept as it is stored, or else what the type writes in its place, which may be nothing.
    Theirs {
        choice: usize,
        stored: &'a str,
        new: Option<&'a str>,
    },
    /// The type's own, which replaces the field of this choice if that is not kept.
    Renamed {
        choice: usize,
        new: &'a str,
        merged: Box<Part<'a>>,
    },
    Object(Vec<(&'a str, Part<'a>)>),
    Array(Vec<Part<'a>>),
    /// Members of others in an object that the type has removed, or replaced by another value.
    Rest {
        members: Vec<(&'a str, Part<'a>)>,
        new: Option<&'a str>,
    },
}

impl Part<'_> {
    /// Returns whether there is anything to write.
    pub(super) fn write(&self, kept: &impl Fn(usize) -> bool, out: &mut String) -> bool {
        let new = match self {
            Part::Ours(text) => Some(*text),
            Part::Theirs {
                choice,
                stored,
                new,
            } => Some(*stored).filter(|_| kept(*choice)).or(*new),
            Part::Renamed {
                choice,
                new,
                merged,
            } => {
                if !kept(*choice) {
                    return merged.write(kept, out);
                }
                Some(*new)
            }
            Part::Object(members) => {
                write_members(members, kept, out);
                return true;
            }
            Part::Array(parts) => {
                write_elements(parts, kept, out);
                return true;
            }
            Part::Rest { members, new } => {
                let start = out.len();
                if write_members(members, kept, out) {
                    return true;
                }
                out.truncate(start);
                *new
            }
        };
        out.push_str(new.unwrap_or_default());
        new.is_some()
    }
}

fn write_members(
    members: &[(&str, Part<'_>)],
    kept: &impl Fn(usize) -> bool,
    out: &mut String,
) -> bool {
    out.push('{');
    let mut any = false;
    for (key, part) in members {
        let start = out.len();
        if any {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
        if part.write(kept, out) {
            any = true;
        } else {
            out.truncate(start);
        }
    }
    out.push('}');
    any
}

fn write_elements(parts: &[Part<'_>], kept: &impl Fn(usize) -> bool, out: &mut String) {
    out.push('[');
    for (nth, part) in parts.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        part.write(kept, out);
    }
    out.push(']');
}
