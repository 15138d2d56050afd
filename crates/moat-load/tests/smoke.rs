//! A few seconds of seeded mutations: nothing panics, hangs, or breaks what holds of every result.

#[cfg(test)]
mod smoke {
    use moat_load::{Input, load};
    use std::time::{Duration, Instant};

    const TEXTS: [&str; 6] = [
        include_str!("manifest.yaml"),
        "{\"a\": [1, 2.5e3, \"\\ud83d\\ude00\", {\"b\": null}], \"c\": true}\n{\"d\": {}}\n[[], {}]\n",
        "a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}\n? c\n: - d\n  - - e\n    - f: g\n!!str 1: !!int '2'\n",
        "%YAML 1.2\n%TAG !e! tag:example.com,2000:\n--- !e!x\na: !e!y b\n...\n# c\n--- |2-\n  text\n   more\n--- >+\n\n x\n\n---\n\"q\\\n  r\\x41\": 's''t\n  u'\n",
        "apiVersion: v1\r\nkind: List\r\nitems:\r\n- kind: Pod\r\n  metadata:\r\n    name: {{ .Values.name }}\r\n",
        "\u{feff}a:\r- b\r- c: é\u{85}\u{2028}\r  d: \"\u{1f600}\"\r---\r\u{feff}---\re: [f,\r g: h, {i}, j : k]\r",
    ];

    /// xorshift64*.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            usize::try_from(mixed).unwrap() % n.max(1)
        }

        fn mutate(&mut self, text: &mut Vec<char>) {
            const INDICATORS: [char; 34] = [
                '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"',
                '%', '@', '`', ' ', '\n', '\t', '\r', '~', '<', '\\', '0', 'x', 'é', '\u{feff}',
                '\u{85}', '.', '\u{7}', 'a',
            ];
            let at = self.below(text.len() + 1);
            match self.below(7) {
                0 | 1 => text.insert(at, INDICATORS[self.below(INDICATORS.len())]),
                2 if at < text.len() => text[at] = INDICATORS[self.below(INDICATORS.len())],
                3 if at < text.len() => drop(text.remove(at)),
                4 => text.truncate(at.max(text.len() / 4)),
                5 => {
                    // A piece moves or repeats.
                    let from = self.below(text.len() + 1);
                    let len = self.below(30).min(text.len() - from);
                    let piece: Vec<char> = text[from..from + len].to_vec();
                    text.splice(at..at, piece);
                }
                _ => {
                    let end = (at + self.below(20)).min(text.len());
                    text.drain(at..end);
                }
            }
        }
    }

    #[test]
    fn seeded_mutations() {
        let seconds = std::env::var("MOAT_SMOKE_SECONDS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(3);
        let start = Instant::now();
        let mut seed = 0_u64;
        while start.elapsed() < Duration::from_secs(seconds) {
            seed += 1;
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut text: Vec<char> = TEXTS[random.below(TEXTS.len())].chars().collect();
            for _ in 0..=random.below(12) {
                random.mutate(&mut text);
            }
            let text: String = text.into_iter().collect();
            let one = Instant::now();
            let copy = text.clone();
            let loaded = std::panic::catch_unwind(|| {
                load(&[Input::Text { name: "x".to_owned(), text: copy }])
            });
            let Ok(loaded) = loaded else { panic!("seed {seed} panics: {text:?}") };
            assert!(
                one.elapsed() < Duration::from_secs(2),
                "seed {seed} takes {:?}: {text:?}",
                one.elapsed()
            );
            assert!(
                loaded.diagnostics.iter().all(|finding| finding.help.is_some()),
                "seed {seed}: {text:?}"
            );
            assert!(
                loaded.documents.is_sorted_by_key(|document| document.index),
                "seed {seed}: {text:?}"
            );
        }
        println!("{seed} texts");
    }
}
