//! Bytes that mean nothing, and look as if they did.

/// Makes them, always the same.
pub struct Garbage(u32);

impl Default for Garbage {
    fn default() -> Self {
        Self(1)
    }
}

impl Garbage {
    /// Is no frame, and begins as one in most cases.
    pub fn frame(&mut self) -> Vec<u8> {
        let starts: [&[u8]; 5] = [b"", &[0xF7], b"{\"topic\":\"orders\"", &[0xF7, 1], b"{"];
        let start = starts[self.below(starts.len())];
        let mut frame = start.to_vec();
        self.fill(&mut frame, 100);
        // Whatever came out by chance: it does not end as JSON does, and no lengths add up to it.
        frame.push(0xFF);
        frame
    }

    /// Is none of the adapter's own messages, and looks like one in most cases.
    pub fn word(&mut self) -> Vec<u8> {
        let lengths = [0, 1, 16, 17, 31, 32, 33, 48, 49, 50, 1_000];
        let length = lengths[self.below(lengths.len())];
        let mut word = Vec::new();
        self.fill(&mut word, length);
        if let Some(first) = word.first_mut() {
            // 1 would be a hello.
            *first = [0, 2, 3, 0xFF][self.below(4)];
        }
        word
    }

    fn fill(&mut self, into: &mut Vec<u8>, length: usize) {
        into.extend((0..length).map(|_| self.next()));
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.next()) % limit
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()[0]
    }
}
