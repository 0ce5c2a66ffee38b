//! File names of models in several parts: `NAME-00001-of-00003.gguf`, and likewise `.safetensors`.

use std::collections::HashSet;

/// A file name, with or without folders, that has a part number and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartName<'a> {
    stem: &'a str,
    number: u32,
    count: u32,
    /// Includes the dot.
    extension: &'a str,
}

impl<'a> PartName<'a> {
    /// Parses a name; `None` if it is not the name of a part. Numbers have five digits and begin at 1.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (whole, extension) = name.split_at_checked(name.rfind('.')?)?;
        let number = |text: &str| {
            let digits = text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits)
        };
        let (rest, count) = whole.rsplit_once("-of-")?;
        let (stem, part) = rest.rsplit_once('-')?;
        let (number, count) = (number(part)?, number(count)?);
        (1..=count).contains(&number).then_some(Self { stem, number, count, extension })
    }

    /// Number of the part, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Number of parts.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The name before the numbers.
    pub fn stem(&self) -> &'a str {
        self.stem
    }

    /// The name of the part with this number.
    pub fn of(&self, number: u32) -> String {
        format!("{}-{number:05}-of-{:05}{}", self.stem, self.count, self.extension)
    }

    /// The names of all parts.
    pub fn all(&self) -> impl Iterator<Item = String> {
        let part = *self;
        (1..=self.count).map(move |number| part.of(number))
    }
}

/// Reduces names to one per model: of split models, the first part present.
pub fn models<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut models = Vec::new();
    let mut seen = HashSet::new();
    for name in names {
        let model = PartName::parse(name).map(|part| (part.stem, part.count, part.extension));
        if model.is_none_or(|model| seen.insert(model)) {
            models.push(*name);
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_knows_the_names_of_the_others() {
        let part = PartName::parse("Q4/model-x-00002-of-00003.gguf").unwrap();
        assert_eq!((part.number(), part.count(), part.stem()), (2, 3, "Q4/model-x"));
        let all: Vec<String> = part.all().collect();
        let expected = ["Q4/model-x-00001-of-00003.gguf", "Q4/model-x-00002-of-00003.gguf"];
        assert_eq!((all.len(), &all[..2]), (3, &expected.map(str::to_owned)[..]));
    }

    #[test]
    fn other_names_are_no_parts() {
        for name in [
            "model.gguf",
            "model-00001-of-00003",
            "model-1-of-3.gguf",
            "model-00000-of-00003.gguf",
            "model-00004-of-00003.gguf",
            "model-00001-00003.gguf",
            "00001-of-00003.gguf",
            "model-0000a-of-00003.gguf",
            "",
        ] {
            assert_eq!(PartName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn parts_of_one_model_count_once() {
        let names = ["b.gguf", "a-00002-of-00002.gguf", "a-00001-of-00002.gguf", "a-00001-of-00003.gguf"];
        assert_eq!(models(&names), ["b.gguf", "a-00002-of-00002.gguf", "a-00001-of-00003.gguf"]);
    }
}
